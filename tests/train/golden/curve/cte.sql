-- why: through a CTE
WITH e AS (SELECT step, a * a AS aa FROM params) SELECT step, SUM(aa) AS m FROM e GROUP BY step
-- becomes
WITH e AS (SELECT step, a * a AS aa FROM (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS params) SELECT step, SUM(aa) AS m FROM e GROUP BY step
