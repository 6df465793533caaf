-- why: the flagship: two derivatives inside aggregates, parameters are constants
SELECT cur.a - 0.4 * AVG(grad(power(d.y - (cur.a * d.x + cur.b), 2), cur.a)) AS a,
  cur.b - 0.4 * AVG(grad(power(d.y - (cur.a * d.x + cur.b), 2), cur.b)) AS b
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = 0) AS cur GROUP BY cur.a, cur.b
-- becomes
SELECT cur.a - 0.4 * AVG(-2.0 * (d.y - (cur.a * d.x + cur.b)) * d.x) AS a, cur.b - 0.4 * AVG(-2.0 * (d.y - (cur.a * d.x + cur.b))) AS b FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = 0) AS cur GROUP BY cur.a, cur.b
-- by hand
SELECT p.a - 0.4 * AVG(2 * (p.a * d.x + p.b - d.y) * d.x) AS a, p.b - 0.4 * AVG(2 * (p.a * d.x + p.b - d.y)) AS b
FROM d, params p WHERE p.step = 0 GROUP BY p.a, p.b
