-- why: under an alias, the step renamed
SELECT p.step AS s, AVG(d.y - p.a * d.x) AS loss FROM d, params p GROUP BY s ORDER BY s
-- becomes
SELECT p.step AS s, AVG(d.y - p.a * d.x) AS loss FROM d, (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) p GROUP BY s ORDER BY s
