-- why: a factor moves into a CASE of numbers, so that a branch that is not taken cannot spoil the result
SELECT i, grad(greatest(ln(x - 0.5), -1), x) AS m, grad(coalesce(nullif(x, y), 1.0), x) AS c, grad(abs(x - y), x) AS a FROM d ORDER BY i
-- becomes
SELECT i, CASE WHEN ln(x - 0.5) = -1 THEN 0.5 / (x - 0.5) WHEN ln(x - 0.5) > -1 OR -1 IS NULL THEN 1.0 / (x - 0.5) ELSE 0.0 END AS m, CASE WHEN nullif(x, y) IS NULL THEN 0.0 ELSE CASE WHEN x = y THEN NULL ELSE 1.0 END END AS c, signum(x - y) AS a FROM d ORDER BY i
-- by hand
SELECT i, CASE WHEN x - 0.5 > exp(-1) THEN 1 / (x - 0.5) WHEN x < 0.5 THEN 1 / (x - 0.5) ELSE 0 END AS m, 1.0 AS c,
  CASE WHEN x > y THEN 1.0 ELSE -1.0 END AS a FROM d ORDER BY i
