-- why: two states and a constant in one FROM
INSERT INTO params
SELECT :next_step, SUM(w.v) + cur.a + h.rate, cur.b FROM weight w CROSS JOIN params cur CROSS JOIN hyper h WHERE w.step = :k AND cur.step = :k GROUP BY cur.a, cur.b, h.rate
-- becomes
SELECT 2 AS __0__, SUM(w.v) + 0.25 + 0.5 AS __1__, 4.0 AS __2__ FROM __rows_0__ w WHERE w.step = 1 HAVING count(*) > 0
-- because
bound: weight where step = :k (only the rows of that key are given to the engine)
folded: params where step = :k (its columns are literals)
folded: hyper, one row (its columns are literals)
