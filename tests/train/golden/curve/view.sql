-- why: through a view
SELECT step, loss FROM loss
-- becomes
SELECT step, loss FROM (SELECT step, AVG(y - a * x) AS loss FROM d CROSS JOIN (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS params GROUP BY step) AS loss
