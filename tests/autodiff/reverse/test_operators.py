"""Every operator says that it has a derivative, or why it is refused; derivatives are held against differences."""

# ruff: noqa: E501 - a query a line
import numpy as np
import pytest

from sqlmagic_xr.errors import DerivativeError

DERIVATIVE = {
    "projection": "SELECT SUM(sin(a) * b) AS l FROM {w}",
    "where": "SELECT SUM(a * a) AS l FROM {w} WHERE i > 0",
    "where on the parameter": "SELECT SUM(a * a) AS l FROM {w} WHERE a > -0.3",
    "in a list": "SELECT SUM(a * a) AS l FROM {w} WHERE i IN (0, 2)",
    "in a query of data": "SELECT SUM(a * a) AS l FROM {w} WHERE i IN (SELECT i FROM d WHERE x > 0)",
    "case": "SELECT SUM(CASE WHEN i > 1 THEN a ELSE a * b END) AS l FROM {w}",
    "greatest": "SELECT SUM(greatest(a, b)) AS l FROM {w}",
    "coalesce": "SELECT SUM(coalesce(a, b, 1.0)) AS l FROM {w}",
    "sum": "SELECT SUM(a * a) AS l FROM {w}",
    "avg": "SELECT AVG(a * a) AS l FROM {w}",
    "count": "SELECT COUNT(a) * SUM(a) AS l FROM {w}",
    "min": "SELECT MIN(a * b) AS l FROM {w}",
    "max with ties": "SELECT MAX(a + 3 * CASE WHEN i = 0 AND j < 2 THEN 1 ELSE 0 END) AS l FROM {w}",
    "filter": "SELECT SUM(a * a) FILTER (WHERE j = 1) + AVG(b) FILTER (WHERE b > 0) AS l FROM {w}",
    "group by": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY i) q",
    "group by NULL": "SELECT SUM(s * s) AS l FROM (SELECT n, SUM(a * x) AS s FROM {w} w JOIN d ON d.i = w.i GROUP BY n) q",
    "having": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY i HAVING COUNT(*) > 2) q",
    "having on the parameter": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY i HAVING SUM(b) > -9) q",
    "equi-join": "SELECT SUM(a * x) AS l FROM {w} w JOIN d ON d.i = w.i",
    "cross join": "SELECT SUM(a * y) AS l FROM {w} CROSS JOIN d",
    "non-equi join": "SELECT SUM(a * y) AS l FROM {w} w JOIN d ON d.i > w.i",
    "self join": "SELECT SUM(p.a * q.b * q.a) AS l FROM {w} p JOIN {w} q ON p.i = q.j",
    "left join, far side": "SELECT SUM(coalesce(w.a * w.b, 1) * y) AS l FROM d LEFT JOIN {w} w ON w.i = d.i AND w.j = 1",
    "left join, near side": "SELECT SUM(w.a * coalesce(x, 0.5)) AS l FROM {w} w LEFT JOIN d ON w.i = d.i AND d.x > 0",
    "right join": "SELECT SUM(coalesce(w.a, 2) * y) AS l FROM {w} w RIGHT JOIN d ON w.i = d.i AND w.j = 0",
    "full join": "SELECT SUM(coalesce(w.a * w.a, 2) * coalesce(y, 1)) AS l FROM {w} w FULL JOIN d ON w.i = d.i AND w.j = 0",
    "using": "SELECT SUM(a * x) AS l FROM {w} JOIN d USING (i)",
    "union all": "SELECT SUM(v * v) AS l FROM (SELECT a AS v FROM {w} UNION ALL SELECT a * b FROM {w} WHERE i > 0) q",
    "window over a partition": "SELECT SUM(a / t) AS l FROM (SELECT a, SUM(exp(b)) OVER (PARTITION BY i) AS t FROM {w}) q",
    "window over all": "SELECT SUM(power(a - m, 2)) AS l FROM (SELECT a, AVG(a) OVER () AS m FROM {w}) q",
    "cte read twice": "SELECT SUM(p.s * q.s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY i) p, "
                      "(SELECT i, SUM(a * b) AS s FROM {w} GROUP BY i) q WHERE p.i <= q.i",
    "scalar subquery": "SELECT SUM(a * (SELECT SUM(b * b) FROM {w} WHERE i < 2)) AS l FROM {w}",
    "scalar subquery in a condition": "SELECT SUM(a * b) AS l FROM {w} WHERE a < (SELECT AVG(b) + 1 FROM {w})",
    "scalar subquery above a group": "SELECT SUM(a) / (SELECT 2 + MAX(b * b) FROM {w}) AS l FROM {w}",
    "scalar subquery of one row": "SELECT SUM(a * (SELECT a * b FROM {w} WHERE i = 1 AND j = 2)) AS l FROM {w}",
    "scalar subquery of no row": "SELECT SUM(a * coalesce((SELECT b FROM {w} WHERE i = 9 AND j = 2), a)) AS l FROM {w}",
    "in a query of the parameter": "SELECT SUM(a * b) AS l FROM {w} WHERE i IN (SELECT j FROM {w} WHERE a > -0.2)",
    "exists": "SELECT SUM(y * a) AS l FROM {w} w JOIN d ON d.i < w.i WHERE EXISTS (SELECT 1 FROM {w} v WHERE v.i = d.i AND v.a > 0)",
    "not exists": "SELECT SUM(a * a) AS l FROM {w} w WHERE NOT EXISTS (SELECT 1 FROM d WHERE d.i = w.i AND d.x > 0.5)",
    "exists whatever the row": "SELECT SUM(a * a) AS l FROM {w} w WHERE EXISTS (SELECT 1 FROM {w} WHERE b > 0)",
    "correlated subquery": "SELECT SUM(t) AS l FROM (SELECT a * (SELECT SUM(b) FROM {w} v WHERE v.i = w.i) AS t FROM {w} w) q",
    "correlated subquery that counts": "SELECT SUM(t) AS l FROM (SELECT a * coalesce(b, (SELECT COUNT(*) + MAX(x) FROM d WHERE d.i = w.i)) AS t FROM {w} w) q",
    "correlated subquery in a condition": "SELECT SUM(a * b) AS l FROM {w} w WHERE a < (SELECT AVG(b) + 1 FROM {w} v WHERE v.j = w.j)",
    "correlated subquery of no row": "SELECT SUM(t) AS l FROM (SELECT a * a + coalesce((SELECT SUM(v.b) FROM {w} v WHERE v.j = w.i), 7 * a) AS t FROM {w} w) q",
    "lag": "SELECT SUM(s * a) AS l FROM (SELECT a, LAG(a) OVER (ORDER BY i, j) AS s FROM {w}) q",
    "lead with a default": "SELECT SUM(s * a) AS l FROM (SELECT a, LEAD(a * b, 2, 0.5) OVER (PARTITION BY j ORDER BY i) AS s FROM {w}) q",
    "running sum": "SELECT SUM(s * s) AS l FROM (SELECT SUM(a) OVER (ORDER BY i, j) AS s FROM {w}) q",
    "running sum with ties": "SELECT SUM(s * s) AS l FROM (SELECT SUM(a * b) OVER (ORDER BY i DESC) AS s FROM {w}) q",
    "running average": "SELECT SUM(s * s) AS l FROM (SELECT AVG(a * b) OVER (PARTITION BY j ORDER BY i) AS s FROM {w}) q",
    "rows frame": "SELECT SUM(s * s * a) AS l FROM (SELECT a, SUM(b) OVER (ORDER BY i, j ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS s FROM {w}) q",
    "rows frame beside the row": "SELECT SUM(s * s * a) AS l FROM (SELECT a, AVG(b) OVER (ORDER BY i, j ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING) AS s FROM {w}) q",
    "range frame": "SELECT SUM(s * s * a) AS l FROM (SELECT a, SUM(b) OVER (PARTITION BY j ORDER BY i RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM {w}) q",
    "window with a filter": "SELECT SUM(s * s) AS l FROM (SELECT SUM(a) FILTER (WHERE b > 0) OVER (ORDER BY i, j) AS s FROM {w}) q",
    "first value": "SELECT SUM(a * f) AS l FROM (SELECT a, FIRST_VALUE(a * a) OVER (PARTITION BY i ORDER BY j DESC) AS f FROM {w}) q",
    "first value of a frame": "SELECT SUM(b * f) AS l FROM (SELECT b, FIRST_VALUE(a * a) OVER (ORDER BY i, j ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS f FROM {w}) q",
    "last value": "SELECT SUM(a * f) AS l FROM (SELECT a, LAST_VALUE(b) OVER (PARTITION BY i ORDER BY j ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS f FROM {w}) q",
    "last value of the row": "SELECT SUM(a * f) AS l FROM (SELECT a, LAST_VALUE(a) OVER (PARTITION BY i ORDER BY j) AS f FROM {w}) q",
    "two windows": "SELECT SUM(s * t * m) AS l FROM (SELECT SUM(a) OVER (ORDER BY i, j) AS s, LAG(b) OVER (ORDER BY j, i) AS t, MAX(a) OVER (PARTITION BY j) AS m FROM {w}) q",
    "window of a join": "SELECT SUM(s * s) AS l FROM (SELECT SUM(p.a * q.b) OVER (ORDER BY p.i, p.j, q.i) AS s FROM {w} p JOIN {w} q ON p.j = q.i AND q.j = 0) r",
    "window of a group": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(SUM(a * b)) OVER (ORDER BY i) AS s FROM {w} GROUP BY i) q",
    "window of a window": "SELECT SUM(t * t) AS l FROM (SELECT LAG(s) OVER (ORDER BY i, j) AS t FROM (SELECT i, j, SUM(a) OVER (ORDER BY i, j) AS s FROM {w}) p) q",
    "row number as a filter": "SELECT SUM(a * a) AS l FROM (SELECT a, ROW_NUMBER() OVER (PARTITION BY i ORDER BY j DESC) AS n FROM {w}) q WHERE n = 1",
    "rank by the parameter as a filter": "SELECT SUM(b * b) AS l FROM (SELECT b, RANK() OVER (PARTITION BY i ORDER BY a DESC) AS n FROM {w}) q WHERE n = 1",
    "limit": "SELECT SUM(a * a) AS l FROM (SELECT a FROM {w} ORDER BY i, j LIMIT 3 OFFSET 1) q",
    "limit by the parameter": "SELECT SUM(b * b) AS l FROM (SELECT a, b, i, j FROM {w} ORDER BY a DESC NULLS LAST, i, j LIMIT 3) q",
    "limit of a group": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY i ORDER BY i DESC LIMIT 2) q",
    "distinct on": "SELECT SUM(a * a) AS l FROM (SELECT DISTINCT ON (i) a FROM {w} ORDER BY i, j DESC) q",
    "rollup": "SELECT SUM(s * s) AS l FROM (SELECT i, SUM(a) AS s FROM {w} GROUP BY ROLLUP (i)) q",
    "cube": "SELECT SUM(s * s * (1 + g)) AS l FROM (SELECT i, j, AVG(a * b) AS s, GROUPING(j) AS g FROM {w} GROUP BY CUBE (i, j)) q",
    "grouping sets": "SELECT SUM(s * s) AS l FROM (SELECT i, j, SUM(a) AS s FROM {w} GROUP BY GROUPING SETS ((i), (j), ()) HAVING COUNT(*) > 2) q",
    "variance": "SELECT VAR_POP(a) + VAR_SAMP(b) AS l FROM {w}",
    "standard deviation": "SELECT SUM(s) AS l FROM (SELECT j, STDDEV(a * b) + STDDEV_POP(a) AS s FROM {w} GROUP BY j) q",
    "standard deviation of a join": "SELECT SUM(s * s) AS l FROM (SELECT n, STDDEV(a * y) FILTER (WHERE y > -1) AS s FROM {w} w JOIN d ON d.i = w.i GROUP BY n) q",
    "variance over a partition": "SELECT SUM(a * v) AS l FROM (SELECT a, VAR_SAMP(b) OVER (PARTITION BY j) AS v FROM {w}) q",
    "covariance": "SELECT COVAR_POP(a, b) * COVAR_SAMP(a, a * b) AS l FROM {w}",
    "correlation": "SELECT CORR(a, b) AS l FROM {w}",
    "regression": "SELECT REGR_SLOPE(a, b) * REGR_INTERCEPT(b, i) + REGR_R2(a, b) AS l FROM {w}",
    "regression's sums": "SELECT REGR_AVGX(a, b) * REGR_AVGY(a, b) + REGR_SXX(a, b) * REGR_SYY(a, b) - REGR_SXY(a, b) * REGR_COUNT(a, b) AS l FROM {w}",
    "no row": "SELECT SUM(a) + 1 AS l FROM {w} WHERE i > 100",
}  # fmt: skip
REFUSED = {
    "distinct": ("SELECT SUM(a) AS l FROM (SELECT DISTINCT a FROM {w}) q", "SELECT DISTINCT"),
    "sum of distinct": ("SELECT SUM(DISTINCT a) AS l FROM {w}", "DISTINCT"),
    "union of distinct rows": ("SELECT SUM(a) AS l FROM (SELECT a FROM {w} UNION SELECT b FROM {w}) q", "UNION"),
    "except": ("SELECT SUM(a) AS l FROM (SELECT a FROM {w} EXCEPT SELECT b FROM {w}) q", "EXCEPT"),
    "group by the parameter": ("SELECT SUM(a) AS l FROM (SELECT b, SUM(a) AS a FROM {w} GROUP BY b) q", "GROUP BY"),
    "group by a query of the parameter": ("SELECT SUM(v) AS l FROM (SELECT k, SUM(a) AS v FROM (SELECT i < (SELECT SUM(b) FROM {w}) AS k, a FROM {w}) p GROUP BY k) q", "GROUP BY"),
    "partition by the parameter": ("SELECT SUM(s) AS l FROM (SELECT SUM(a) OVER (PARTITION BY b) AS s FROM {w}) q",
                                   "PARTITION BY"),
    "ranking": ("SELECT SUM(a * r) AS l FROM (SELECT a, RANK() OVER (ORDER BY a) AS r FROM {w}) q", "staircase"),
    "ranking, computed with": ("SELECT SUM(2.0 * r) AS l FROM (SELECT a, RANK() OVER (ORDER BY a) + 1 AS r FROM {w}) q", "staircase"),
    "limit with ties": ("SELECT SUM(a) AS l FROM (SELECT a FROM {w} ORDER BY i LIMIT 3) q", "tie"),
    "limit without an order": ("SELECT SUM(a) AS l FROM (SELECT a FROM {w} LIMIT 3) q", "ORDER BY"),
    "rows frame with ties": ("SELECT SUM(s) AS l FROM (SELECT SUM(a) OVER (ORDER BY i ROWS 2 PRECEDING) AS s FROM {w}) q", "tie"),
    "maximum over a window that moves": ("SELECT SUM(s) AS l FROM (SELECT MAX(a) OVER (ORDER BY i, j) AS s FROM {w}) q", "window that moves"),
    "correlated IN": ("SELECT SUM(a) AS l FROM {w} w WHERE i IN (SELECT j FROM {w} v WHERE v.i = w.i)", "depends on the row"),
    "correlated by more than equalities": ("SELECT SUM(a * (SELECT SUM(b) FROM {w} v WHERE v.i < w.i)) AS l FROM {w} w", "more than equalities"),
    "scalar subquery of several rows": ("SELECT SUM(a * (SELECT b FROM {w} WHERE i = 1)) AS l FROM {w}", "several rows"),
    "recursion": ("WITH RECURSIVE r AS (SELECT SUM(a) AS v, 1 AS k FROM {w} UNION ALL SELECT v * v, k + 1 FROM r WHERE k < 3) "
                  "SELECT SUM(v) AS l FROM r", "recursion"),
    "median": ("SELECT MEDIAN(a) AS l FROM {w}", "median"),
    "random": ("SELECT SUM(a * random()) AS l FROM {w}", "random"),
    "a function without a rule": ("SELECT SUM(foo(a)) AS l FROM {w}", "foo has no derivative"),
}  # fmt: skip


@pytest.mark.parametrize("operator", DERIVATIVE)
def test_an_operator_has_its_derivative(operator, setting):
    ctes = f"WITH loss AS ({DERIVATIVE[operator]})"
    expected, _ = setting.along(ctes)
    found = setting.gradient(ctes)
    along = sum(np.nansum(g * d) for g, d in zip(found, setting.direction, strict=True))
    if operator == "no row":
        assert along == 0
        return
    np.testing.assert_allclose(along, expected, rtol=2e-6, atol=1e-8)
    assert expected


@pytest.mark.parametrize("operator", REFUSED)
def test_an_operator_is_refused_with_the_reason(operator, setting):
    text, reason = REFUSED[operator]
    with pytest.raises(DerivativeError, match=reason):
        setting.gradient(f"WITH loss AS ({text})")
