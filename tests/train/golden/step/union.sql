-- why: the branches of a UNION ALL, each by itself
INSERT INTO params
SELECT :next_step, SUM(q.v), 0.0 FROM (SELECT a AS v FROM params WHERE step = :k UNION ALL SELECT x FROM d) q
-- becomes
SELECT 2 AS __0__, SUM(q.v) AS __1__, 0.0 AS __2__ FROM (SELECT 0.25 AS v UNION ALL SELECT x FROM __kept_0__ AS d) q
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
