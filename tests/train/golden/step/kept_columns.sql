-- why: of a table only the columns are kept that are read, and the rows that its own condition leaves
INSERT INTO params
SELECT :next_step, AVG(e.x * cur.a), cur.b FROM d e CROSS JOIN params cur WHERE cur.step = :k AND e.g > 0 GROUP BY cur.b
-- becomes
SELECT 2 AS __0__, AVG(e.x * 0.25) AS __1__, 4.0 AS __2__ FROM __kept_0__ e
-- because
folded: params where step = :k (its columns are literals)
kept: d (2 rows, 32 B)
