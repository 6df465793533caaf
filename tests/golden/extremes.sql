-- why: through the row that attains it; where several do, halfway from the least to the greatest derivative
SELECT step, grad(max(power(y - a * x, 2)), a) AS g FROM d CROSS JOIN params GROUP BY step ORDER BY step
-- becomes
SELECT step, 0.5 * (first_value(-2.0 * (y - a * x) * x ORDER BY power(y - a * x, 2) DESC NULLS LAST, -2.0 * (y - a * x) * x ASC NULLS LAST) + first_value(-2.0 * (y - a * x) * x ORDER BY power(y - a * x, 2) DESC NULLS LAST, -2.0 * (y - a * x) * x DESC NULLS LAST)) AS g FROM d CROSS JOIN params GROUP BY step ORDER BY step
-- by hand
SELECT step, avg(-2 * x * (y - a * x)) FILTER (WHERE power(y - a * x, 2) = m) AS g
FROM (SELECT *, max(power(y - a * x, 2)) OVER (PARTITION BY step) AS m FROM d CROSS JOIN params) GROUP BY step ORDER BY step
