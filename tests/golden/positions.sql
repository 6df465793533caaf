-- why: WHERE, ORDER BY an alias, HAVING, CASE
SELECT g, SUM(CASE WHEN grad(x * x, x) > 1 THEN grad(x * x, x) ELSE 0 END) AS s FROM d WHERE grad(x * y, x) > 0.1
GROUP BY g HAVING COUNT(grad(x, x)) > 1 ORDER BY g
-- becomes
SELECT g, SUM(CASE WHEN (2.0 * x) > 1 THEN 2.0 * x ELSE 0 END) AS s FROM d WHERE y > 0.1 GROUP BY g HAVING COUNT(1.0) > 1 ORDER BY g
-- by hand
SELECT g, SUM(CASE WHEN x > 0.5 THEN x + x ELSE 0 END) AS s FROM d WHERE y > 0.1 GROUP BY g HAVING COUNT(*) > 1 ORDER BY g
