-- why: a scalar subquery of one constant is that constant
INSERT INTO params
SELECT :next_step, (SELECT a FROM params WHERE step = :k) + AVG(x), 0.0 FROM d
-- becomes
SELECT 2 AS __0__, 0.25 + AVG(x) AS __1__, 0.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
