-- why: a table's name may have its schema in front
INSERT INTO params
SELECT :next_step, AVG(x * cur.a), cur.b FROM public.d CROSS JOIN public.params AS cur WHERE cur.step = :k GROUP BY cur.b
-- becomes
SELECT 2 AS __0__, AVG(x * 0.25) AS __1__, 4.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: params where step = :k (its columns are literals)
kept: d (4 rows, 33 B)
