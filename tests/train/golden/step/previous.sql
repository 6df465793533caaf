-- why: a key may stand on a value that was read before it
INSERT INTO params
SELECT :next_step, MAX(cur.a * d.x), MAX(prev.b) FROM d CROSS JOIN (SELECT * FROM params WHERE step = :k) cur LEFT JOIN params prev ON prev.step = cur.step - 1
-- becomes
SELECT 2 AS __0__, MAX(0.25 * d.x) AS __1__, MAX((-2.0)) AS __2__ FROM __kept_0__ AS d
-- because
folded: params where step = :k (its columns are literals)
folded: params where step = params.step - 1 (its columns are literals)
kept: d (4 rows, 33 B)
