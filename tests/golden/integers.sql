-- why: integer columns are real numbers here: no division of ours divides integers
SELECT i, grad(x * i / j, x) AS q, grad(i * j, i) AS p, grad(atan2(i, j), i) AS t FROM d ORDER BY i
-- becomes
SELECT i, i / CAST(j AS DOUBLE) AS q, CAST(j AS DOUBLE) AS p, j / CAST(i * i + j * j AS DOUBLE) AS t FROM d ORDER BY i
-- by hand
SELECT i, 1.0 * i / j AS q, CAST(j AS DOUBLE) AS p, (1.0 * j) / (i * i + j * j) AS t FROM d ORDER BY i
