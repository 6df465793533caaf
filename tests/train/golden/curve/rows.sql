-- why: row by row, no GROUP BY
SELECT * FROM params
-- becomes
SELECT * FROM (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) AS params
