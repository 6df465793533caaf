-- why: MAX of the step column is known from the table's ends
INSERT INTO params
SELECT :next_step, cur.a - AVG(d.x * cur.a) AS a, cur.b FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = (SELECT MAX(step) FROM params)) cur GROUP BY cur.a, cur.b
-- becomes
SELECT 2 AS __0__, 0.25 - AVG(d.x * 0.25) AS a, 4.0 AS __2__ FROM __kept_0__ AS d
-- because
folded: MAX(step) of params
folded: params where step = params.step (its columns are literals)
kept: d (4 rows, 33 B)
