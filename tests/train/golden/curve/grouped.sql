-- why: a curve that groups by the step reads the new generations alone
SELECT step, AVG(y - a * x) AS loss FROM d CROSS JOIN params GROUP BY step
-- becomes
SELECT step, AVG(y - a * x) AS loss FROM d CROSS JOIN (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS params GROUP BY step
