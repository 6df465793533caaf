-- why: through a derived table that renames it
SELECT s, AVG(a) AS m FROM (SELECT step AS s, a FROM params WHERE a > 0.1) q GROUP BY s
-- becomes
SELECT s, AVG(a) AS m FROM (SELECT step AS s, a FROM (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS params WHERE a > 0.1) q GROUP BY s
