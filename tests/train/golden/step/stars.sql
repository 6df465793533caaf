-- why: a star is spelled out where one of its relations goes
INSERT INTO params
SELECT :next_step, q.v, q.w FROM (SELECT * FROM (SELECT g, x AS v FROM d WHERE g > 0) e CROSS JOIN (SELECT b AS w FROM params WHERE step = :k) f) q WHERE q.v > 2
-- becomes
SELECT 2 AS __0__, q.v AS __1__, q.w AS __2__ FROM (SELECT e.g, e.v, 4.0 AS w FROM __kept_0__ e) q WHERE q.v > 2
-- because
folded: params where step = :k (its columns are literals)
kept: the query e (2 rows, 32 B)
