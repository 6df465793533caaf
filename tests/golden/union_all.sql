-- why: branch by branch
SELECT x, grad(u, x) AS g FROM (SELECT x, sin(x) AS u FROM d UNION ALL SELECT y AS x, y * y AS u FROM d) ORDER BY x, g
-- becomes
SELECT x, d_u_d_x AS g FROM (SELECT x, sin(x) AS u, cos(x) AS d_u_d_x FROM d UNION ALL SELECT y AS x, y * y AS u, 2.0 * y AS d_u_d_x FROM d) ORDER BY x, g
-- by hand
SELECT x, cos(x) AS g FROM d UNION ALL SELECT y, 2 * y FROM d ORDER BY x, g
