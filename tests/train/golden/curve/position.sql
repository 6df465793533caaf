-- why: GROUP BY a position
SELECT p.step, SUM(a * x) AS m FROM d, params AS p GROUP BY 1 HAVING COUNT(*) > 1
-- becomes
SELECT p.step, SUM(a * x) AS m FROM d, (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS p GROUP BY 1 HAVING COUNT(*) > 1
