-- why: of a generation of many rows the engine gets those rows, under a name of ours
INSERT INTO params
SELECT :next_step, SUM(w.v * d.x), 0.0 FROM d JOIN weight w ON w.step = :k AND w.j = d.g
-- becomes
SELECT 2 AS __0__, SUM(w.v * d.x) AS __1__, 0.0 AS __2__ FROM __kept_0__ AS d JOIN __rows_0__ w ON w.step = 1 AND w.j = d.g
-- because
bound: weight where step = :k (only the rows of that key are given to the engine)
kept: d (4 rows, 65 B)
