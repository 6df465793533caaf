-- why: what no step changes is evaluated once: an aggregate below the step
INSERT INTO params
SELECT :next_step, cur.a + s.m, cur.b FROM (SELECT AVG(x) AS m FROM d) s CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur
-- becomes
SELECT 2 AS __0__, 0.25 + s.m AS __1__, 4.0 AS __2__ FROM __kept_0__ s
-- because
folded: params where step = :k (its columns are literals)
kept: the query s (1 rows, 8 B)
