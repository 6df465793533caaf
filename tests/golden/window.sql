-- why: over a window, by a column of a relation of one row
SELECT i, grad(SUM(exp(a * x)) OVER (PARTITION BY g ORDER BY i), a) AS s FROM d CROSS JOIN (SELECT a FROM params LIMIT 1) ORDER BY i
-- becomes
SELECT i, sum(exp(a * x) * x) OVER (PARTITION BY g ORDER BY i) AS s FROM d CROSS JOIN (SELECT a FROM params LIMIT 1) ORDER BY i
-- by hand
SELECT i, SUM(x * exp(0.5 * x)) OVER (PARTITION BY g ORDER BY i) AS s FROM d ORDER BY i
