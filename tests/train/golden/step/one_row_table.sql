-- why: a table of one row is read whole, and followed
INSERT INTO params
SELECT :next_step, MAX(h.rate * d.x), 0.0 FROM d CROSS JOIN hyper h
-- becomes
SELECT 2 AS __0__, MAX(0.5 * d.x) AS __1__, 0.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: hyper, one row (its columns are literals)
kept: d (4 rows, 33 B)
