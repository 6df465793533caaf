-- why: z is NULL in some rows, which AVG leaves out: so must its derivative, though z is not in it
SELECT step, grad(AVG(a * x + z), a) AS g FROM gaps CROSS JOIN params GROUP BY step ORDER BY step
-- becomes
SELECT step, avg(x) FILTER (WHERE a IS NOT NULL AND z IS NOT NULL) AS g FROM gaps CROSS JOIN params GROUP BY step ORDER BY step
-- by hand
SELECT step, AVG(CASE WHEN z IS NULL THEN NULL ELSE x END) AS g FROM gaps CROSS JOIN params GROUP BY step ORDER BY step
