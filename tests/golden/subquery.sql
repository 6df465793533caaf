-- why: a column that a subquery computes gets its derivative as a companion column beside it
SELECT a, AVG(grad(l, a)) AS g FROM (SELECT a, power(y - a * x, 2) AS l FROM d CROSS JOIN params) GROUP BY a ORDER BY a
-- becomes
SELECT a, AVG(d_l_d_a) AS g FROM (SELECT a, power(y - a * x, 2) AS l, -2.0 * (y - a * x) * x AS d_l_d_a FROM d CROSS JOIN params) GROUP BY a ORDER BY a
-- by hand
SELECT a, AVG(2 * x * (a * x - y)) AS g FROM d CROSS JOIN params GROUP BY a ORDER BY a
