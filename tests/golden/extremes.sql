-- why: through the rows that attain it, the mean of them: the extreme is known below the SELECT
SELECT step, grad(max(power(y - a * x, 2)), a) AS g FROM d CROSS JOIN params GROUP BY step ORDER BY step
-- becomes
WITH s1 AS (SELECT a AS a, step AS step, x AS x, y AS y, max(power(y - a * x, 2)) OVER (PARTITION BY step) AS c, power(y - a * x, 2) AS e FROM d CROSS JOIN params) SELECT step AS step, avg(-2.0 * (y - a * x) * x) FILTER (WHERE e = c) AS g FROM s1 GROUP BY step ORDER BY step
-- by hand
SELECT step, avg(-2 * x * (y - a * x)) FILTER (WHERE power(y - a * x, 2) = m) AS g
FROM (SELECT *, max(power(y - a * x, 2)) OVER (PARTITION BY step) AS m FROM d CROSS JOIN params) GROUP BY step ORDER BY step
