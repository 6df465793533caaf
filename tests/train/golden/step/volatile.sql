-- why: what differs at each call is not kept
INSERT INTO params
SELECT :next_step, AVG(q.r) * 0, cur.b FROM (SELECT random() AS r FROM d) q CROSS JOIN (SELECT b FROM params WHERE step = :k) cur GROUP BY cur.b
-- becomes
SELECT 2 AS __0__, AVG(q.r) * 0 AS __1__, 4.0 AS __2__ FROM (SELECT random() AS r FROM __kept_0__ AS d) q HAVING count(*) > 0
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
