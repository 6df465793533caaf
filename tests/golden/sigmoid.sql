-- why: written so that no exponential becomes Infinity / Infinity
SELECT i, grad(ln(1 + exp(1000 * (x - 0.5))), x) AS g, grad(1 / (1 + exp(-1000 * (x - 0.5))), x) AS s FROM d ORDER BY i
-- becomes
SELECT i, 1000.0 / (1.0 + exp(-1000.0 * (x - 0.5))) AS g, 1000.0 * (1 / (1 + exp(-1000 * (x - 0.5)))) / (1.0 + exp(1000.0 * (x - 0.5))) AS s FROM d ORDER BY i
-- by hand
SELECT i, 1000 / (1 + exp(-1000 * (x - 0.5))) AS g, 1000.0 / (2 + exp(1000 * (x - 0.5)) + exp(-1000 * (x - 0.5))) AS s FROM d ORDER BY i
