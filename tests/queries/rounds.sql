-- A recursion r, and whether its rounds from the fifth on are array code, or it does not matter.

-- descent: arrays
r(k, a, b) AS (SELECT 0, 0.0, 0.0 UNION ALL SELECT k + 1, r.a - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)), r.b - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.b)) FROM d CROSS JOIN r WHERE k < 30 GROUP BY k, r.a, r.b)

-- a condition on rows too: arrays
r(k, a, b) AS (SELECT 0, 0.0, 0.0 UNION ALL SELECT k + 1, r.a - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)), r.b - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.b)) FROM d CROSS JOIN r WHERE k < 30 AND x > 0.1 AND 1 <= i GROUP BY k, r.a, r.b)

-- a condition on the state: arrays
r(k, a, b) AS (SELECT 0, 0.0, 1.0 UNION ALL SELECT k + 1, r.a - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)), r.b - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.b)) FROM d CROSS JOIN r WHERE k < 60 AND r.b > 0.2 GROUP BY k, r.a, r.b)

-- ends in the first round of arrays: either
r(k, a, b) AS (SELECT 0, 0.0, 0.0 UNION ALL SELECT k + 1, r.a - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)), r.b - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.b)) FROM d CROSS JOIN r WHERE k < 4 GROUP BY k, r.a, r.b)

-- ends in the second: arrays
r(k, a, b) AS (SELECT 0, 0.0, 0.0 UNION ALL SELECT k + 1, r.a - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.a)), r.b - 0.1 * AVG(grad(power(y - (r.a * x + r.b), 2), r.b)) FROM d CROSS JOIN r WHERE r.k < 5 GROUP BY k, r.a, r.b)

-- one row alone: arrays
r AS (SELECT 0 AS k, 2.0 AS x UNION ALL SELECT k + 1, x - (x * x - 2) / grad(x * x - 2, x) FROM r WHERE k < 20)

-- Newton in each cell: either
r AS (SELECT 0 AS k, i, x + 1 AS v, x + 1 AS x FROM d UNION ALL SELECT k + 1, i, v, x - (x * x - v) / (2 * x) FROM r WHERE k < 9)

-- power iteration: either
r(k, i, v) AS (SELECT 0, i, 1.0 FROM m WHERE j = 0 UNION ALL SELECT r.k + 1, m.i, SUM(m.w * r.v) / 3 FROM m JOIN r ON m.j = r.i WHERE r.k < 12 GROUP BY r.k, m.i)

-- an aggregate without groups: either
r(k, a) AS (SELECT 0, 1.0 UNION ALL SELECT max(r.k) + 1, AVG(x) + max(r.a) / 2 FROM d CROSS JOIN r WHERE r.k < 9 HAVING count(*) > 0)

-- a NULL on the way: either
r(k, a, b) AS (SELECT 0, 1.0, 0 UNION ALL SELECT k + 1, NULLIF(a * 0.5, 0.0078125), k FROM r WHERE k < 12)

-- whole numbers: arrays
r(k, f, g) AS (SELECT 0, 0, 1 UNION ALL SELECT k + 1, g, f + g FROM r WHERE k < 40)

-- texts: either
r(k, s) AS (SELECT 0, 'a' UNION ALL SELECT k + 1, s || 'b' FROM r WHERE k < 9)

-- a table of one of several rows: either
r(k, i, v) AS (SELECT 0, i, x FROM d UNION ALL SELECT r.k + 1, r.i, r.v / 2 FROM r WHERE r.k < 8 AND r.i + r.k < 30)

-- an outer join: either
r(k, a) AS (SELECT 0, 1 UNION ALL SELECT r.k + 1, coalesce(m.i, 7) FROM r LEFT JOIN m ON m.i = r.a AND m.j = 1 WHERE r.k < 9)

-- power iteration, normed by a subquery: arrays
r(k, i, v) AS (SELECT 0, i, 1.0 FROM m WHERE j = 0 UNION ALL (WITH a AS (SELECT r.k, m.i, SUM(m.w * r.v) AS v FROM m JOIN r ON m.j = r.i WHERE r.k < 20 GROUP BY r.k, m.i) SELECT k + 1, i, v / (SELECT sqrt(SUM(v * v)) FROM a) FROM a))

-- weights as rows, and the loss read from them twice: arrays
r(k, j, v) AS (SELECT 0, j, 0.0 FROM m WHERE i = 0 UNION ALL (WITH p AS (SELECT m.i, SUM(m.w * r.v) AS p FROM m JOIN r ON m.j = r.j GROUP BY m.i), l AS (SELECT AVG(power(d.y - p.p, 2)) AS l FROM p JOIN d ON d.i = p.i) SELECT r.k + 1, r.j, r.v - 0.1 * grad(l.l, r.v) AS v FROM r CROSS JOIN l WHERE r.k < 20))

-- PageRank, rows gathered along edges and added where these end: arrays
r(k, i, v) AS (SELECT 0, i, 0.025 FROM d UNION ALL SELECT r.k + 1, e.t, 0.15 / 40 + 0.85 * SUM(r.v * e.w) FROM r JOIN e ON e.s = r.i WHERE r.k < 30 GROUP BY r.k, e.t)

-- some of the edges, and how many: arrays
r(k, i, v) AS (SELECT 0, i, 0.025 FROM d UNION ALL SELECT r.k + 1, e.t, coalesce(SUM(-r.v / e.w) FILTER (WHERE e.w > 0.3 AND e.s > 3), 1.0) + COUNT(*) / 8 + AVG(r.v) FILTER (WHERE r.v * 0 = 0) FROM r JOIN e ON e.s = r.i WHERE r.k < 9 AND e.w + e.s < 100 GROUP BY r.k, e.t)
