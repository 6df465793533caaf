-- why: with its schema in front
SELECT q.step, SUM(q.a) AS m FROM public.params AS q GROUP BY q.step
-- becomes
SELECT q.step, SUM(q.a) AS m FROM (SELECT * FROM public.params WHERE step > :generation_after AND step <= :generation_upto) AS q GROUP BY q.step
