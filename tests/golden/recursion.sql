-- why: a recursive CTE carries the derivative along, step by step
WITH RECURSIVE walk AS (SELECT 0 AS k, a, a AS s FROM params UNION ALL SELECT k + 1, a, s * s - a FROM walk WHERE k < 3)
SELECT k, a, s, grad(s, a) AS g FROM walk ORDER BY k, a
-- becomes
WITH RECURSIVE walk AS (SELECT 0 AS k, a, a AS s, 1.0 AS d_s_d_a FROM params UNION ALL SELECT k + 1, a, s * s - a, 2.0 * s * d_s_d_a - 1.0 AS d_s_d_a FROM walk WHERE k < 3) SELECT k, a, s, d_s_d_a AS g FROM walk ORDER BY k, a
-- by hand
SELECT 0 AS k, a, a AS s, 1.0 AS g FROM params UNION ALL SELECT 1, a, a * a - a, 2 * a - 1 FROM params
UNION ALL SELECT 2, a, power(a * a - a, 2) - a, 2 * (a * a - a) * (2 * a - 1) - 1 FROM params
UNION ALL SELECT 3, a, power(power(a * a - a, 2) - a, 2) - a, 2 * (power(a * a - a, 2) - a) * (2 * (a * a - a) * (2 * a - 1) - 1) - 1 FROM params ORDER BY k, a
