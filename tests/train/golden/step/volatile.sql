-- why: what differs at each call is not kept
INSERT INTO params
SELECT :next_step, MAX(q.r) * 0, cur.b FROM (SELECT random() AS r FROM d) q CROSS JOIN (SELECT b FROM params WHERE step = :k) cur GROUP BY cur.b
-- becomes
SELECT 2 AS __0__, CASE WHEN MAX(q.r) = CAST('-1.7976931348623157e308' AS DOUBLE) AND NOT bool_or(q.r = CAST('-1.7976931348623157e308' AS DOUBLE)) THEN CAST('-Infinity' AS DOUBLE) ELSE MAX(q.r) END * 0 AS __1__, 4.0 AS __2__ FROM (SELECT random() AS r FROM __kept_0__ AS d) q HAVING (COUNT(*) > 0)
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
