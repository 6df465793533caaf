-- why: jvp is the sum over its directions, vjp a multiple
SELECT i, jvp(sin(x * y), x, y, y, x) AS j, vjp(sin(x * y), x, 3) AS v, grad(jvp(x * x * y, x, y), y) AS m FROM d ORDER BY i
-- becomes
SELECT i, cos(x * y) * (y * y + x * x) AS j, 3.0 * cos(x * y) * y AS v, 4.0 * y * x AS m FROM d ORDER BY i
-- by hand
SELECT i, cos(x * y) * (y * y + x * x) AS j, 3 * y * cos(x * y) AS v, 4 * x * y AS m FROM d ORDER BY i
