-- why: derivatives of moments are moments
SELECT step, grad(var_pop(a * x - y), a) AS v, grad(stddev(a * x - y), a) AS s, grad(corr(a * x + sin(a * y), y), a) AS c,
  grad(regr_slope(a * a * y, x), a) AS m FROM d CROSS JOIN params GROUP BY step ORDER BY step
-- becomes
WITH s1 AS (SELECT a AS a, step AS step, x AS x, y AS y, a * x - y AS e, x + cos(a * y) * y AS f, a * x + sin(a * y) AS h FROM d CROSS JOIN params) SELECT step AS step, 2.0 * covar_pop(e, x) AS v, covar_samp(e, x) / stddev(e) AS s, (regr_sxy(f, y) - regr_sxy(h, y) / sqrt(regr_sxx(h, y) * regr_syy(h, y)) * regr_sxx(h, y) * regr_sxy(h, f) / sqrt(regr_sxx(h, y) * regr_syy(h, y))) / sqrt(regr_sxx(h, y) * regr_syy(h, y)) AS c, regr_sxy(2.0 * y * a, x) / regr_sxx(a * a * y, x) AS m FROM s1 GROUP BY step ORDER BY step
-- by hand
WITH s AS (SELECT step, a, var_pop((a + 1e-5) * x - y) AS v1, var_pop((a - 1e-5) * x - y) AS v0, stddev((a + 1e-5) * x - y) AS s1,
  stddev((a - 1e-5) * x - y) AS s0, corr((a + 1e-5) * x + sin((a + 1e-5) * y), y) AS c1, corr((a - 1e-5) * x + sin((a - 1e-5) * y), y) AS c0,
  2 * a * regr_slope(y, x) AS m FROM d CROSS JOIN params GROUP BY step, a)
SELECT step, (v1 - v0) / 2e-5 AS v, (s1 - s0) / 2e-5 AS s, (c1 - c0) / 2e-5 AS c, m FROM s ORDER BY step
