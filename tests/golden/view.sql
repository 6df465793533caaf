-- why: a view is put in as the subquery that it is
SELECT step, grad(l, a) AS g FROM loss_view ORDER BY step
-- becomes
SELECT step, d_l_d_a AS g FROM (SELECT step, a, avg(power(y - a * x, 2)) AS l, avg(-2.0 * (y - a * x) * x) AS d_l_d_a FROM d CROSS JOIN params GROUP BY step, a) AS loss_view ORDER BY step
-- by hand
SELECT step, avg(-2 * x * (y - a * x)) AS g FROM d CROSS JOIN params GROUP BY step ORDER BY step
