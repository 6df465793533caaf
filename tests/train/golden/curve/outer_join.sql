-- why: the left side of an outer join keeps its step
SELECT p.step, d.x + a AS m FROM params p LEFT JOIN d ON d.x > p.a
-- becomes
SELECT p.step, d.x + a AS m FROM (SELECT * FROM params WHERE step > :generation_after AND step <= :generation_upto) p LEFT JOIN d ON d.x > p.a
