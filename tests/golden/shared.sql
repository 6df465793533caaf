-- why: what is used again and again is computed once, below; the WHERE goes along, the wildcard shows nothing of it
SELECT t.i, t.x, grad(sin(exp(tanh(sin(exp(tanh(sin(exp(tanh(x * y))))))))), x) AS g FROM d AS t WHERE y > 0.5 ORDER BY t.i
-- becomes
WITH shared_1 AS (SELECT *, exp(tanh(x * y)) AS s1 FROM d AS t WHERE y > 0.5), shared_2 AS (SELECT *, tanh(sin(s1)) AS s2 FROM shared_1 AS t), shared_3 AS (SELECT *, tanh(sin(exp(s2))) AS s3 FROM shared_2 AS t) SELECT t.i, t.x, cos(exp(s3)) * (exp(s3) * (1 - s3 * s3) * cos(exp(s2)) * exp(s2) * ((1 - s2 * s2) * cos(s1) * s1 * (1 - tanh(x * y) * tanh(x * y)) * y)) AS g FROM shared_3 AS t ORDER BY t.i
-- by hand
SELECT i, x, (sin(exp(tanh(sin(exp(tanh(sin(exp(tanh((x + 1e-6) * y))))))))) - sin(exp(tanh(sin(exp(tanh(sin(exp(tanh((x - 1e-6) * y)))))))))) / 2e-6 AS g
FROM d WHERE y > 0.5 ORDER BY i
