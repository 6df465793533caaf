-- why: a quoted name means itself, an unquoted one is folded
INSERT INTO params
SELECT :next_step, MAX(c."A b" * d.X), 0.0 FROM D CROSS JOIN "Big" AS c WHERE c."Step" = :k
-- becomes
SELECT 2 AS __0__, MAX(7.0 * d.X) AS __1__, 0.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: Big where Step = :k (its columns are literals)
kept: d (4 rows, 33 B)
