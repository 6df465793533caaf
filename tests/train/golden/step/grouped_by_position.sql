-- why: GROUP BY a position or an alias of what has become a value
INSERT INTO params
SELECT :next_step, cur.a + AVG(d.x) AS a, cur.b FROM d, params cur WHERE cur.step = :k GROUP BY 1, cur.a, 3
-- becomes
SELECT 2 AS __0__, 0.25 + AVG(d.x) AS __1__, 4.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
