-- why: what is used again and again is computed once, below; the WHERE goes along, the wildcard shows nothing of it
SELECT t.i, t.x, grad(sin(exp(tanh(sin(exp(tanh(sin(exp(tanh(x * y))))))))), x) AS g FROM d AS t WHERE y > 0.5 ORDER BY t.i
-- becomes
WITH s1 AS (SELECT *, tanh(sin(exp(tanh(sin(exp(tanh(x * y))))))) AS a, tanh(sin(exp(tanh(x * y)))) AS b, tanh(x * y) AS c FROM d AS t WHERE y > 0.5) SELECT t.i, t.x, cos(exp(a)) * (exp(a) * (1 - a * a) * cos(exp(b)) * exp(b) * ((1 - b * b) * cos(exp(c)) * exp(c) * (1 - c * c) * y)) AS g FROM s1 AS t ORDER BY t.i
-- by hand
SELECT i, x, (sin(exp(tanh(sin(exp(tanh(sin(exp(tanh((x + 1e-6) * y))))))))) - sin(exp(tanh(sin(exp(tanh(sin(exp(tanh((x - 1e-6) * y)))))))))) / 2e-6 AS g
FROM d WHERE y > 0.5 ORDER BY i
