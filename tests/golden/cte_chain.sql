-- why: a chain of CTEs, an aggregate among them, twice; the wildcard does not show the companions
WITH pred AS (SELECT a, y, a * a * x AS p FROM d CROSS JOIN params), loss AS (SELECT a, avg(power(y - p, 2)) AS l FROM pred GROUP BY a)
SELECT *, grad(l, a) AS g, grad(grad(l, a), a) AS h FROM loss ORDER BY a
-- becomes
WITH pred AS (SELECT a, y, a * a * x AS p, 2.0 * x * a AS d_p_d_a, 2.0 * x AS d_d_p_d_a_d_a FROM d CROSS JOIN params), loss AS (SELECT a, avg(power(y - p, 2)) AS l, avg(-2.0 * (y - p) * d_p_d_a) AS d_l_d_a, avg(2.0 * (d_p_d_a * d_p_d_a - (y - p) * d_d_p_d_a_d_a)) AS d_d_l_d_a_d_a FROM pred GROUP BY a) SELECT * EXCLUDE (d_l_d_a, d_d_l_d_a_d_a), d_l_d_a AS g, d_d_l_d_a_d_a AS h FROM loss ORDER BY a
-- by hand
SELECT a, avg(power(y - a * a * x, 2)) AS l, avg(-4 * (y - a * a * x) * a * x) AS g, avg(12 * a * a * x * x - 4 * y * x) AS h
FROM d CROSS JOIN params GROUP BY a ORDER BY a
