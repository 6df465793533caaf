-- why: so is a CTE
INSERT INTO params
WITH cur AS (SELECT a, b FROM params WHERE step = :k) SELECT :next_step, cur.a - AVG(d.x * cur.a) AS a, cur.b FROM d CROSS JOIN cur GROUP BY cur.a, cur.b
-- becomes
SELECT 2 AS __0__, 0.25 - AVG(d.x * 0.25) AS __1__, 4.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
