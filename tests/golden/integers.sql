-- why: integer columns are real numbers here: nothing of ours divides integers or wraps
SELECT i, grad(x * i / j, x) AS q, grad(i * j, i) AS p, grad(atan2(i, j), i) AS t FROM d ORDER BY i
-- becomes
SELECT i, CAST(i AS DOUBLE) / CAST(j AS DOUBLE) AS q, CAST(j AS DOUBLE) AS p, CAST(j AS DOUBLE) / (CAST(i AS DOUBLE) * CAST(i AS DOUBLE) + CAST(j AS DOUBLE) * CAST(j AS DOUBLE)) AS t FROM d ORDER BY i
-- by hand
SELECT i, 1.0 * i / j AS q, CAST(j AS DOUBLE) AS p, (1.0 * j) / (i * i + j * j) AS t FROM d ORDER BY i
