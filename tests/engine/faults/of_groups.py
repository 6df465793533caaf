"""Faults in aggregates and windows."""

import math

from tests.engine.faults.fault import INF, Fault

FAULTS = [
    Fault(
        "in-aggregate",
        {
            "SELECT i FROM t WHERE 0 IN (SELECT count(*) FROM r WHERE r.i = t.i)": [(3,), (None,)],
            "SELECT i FROM t WHERE i NOT IN (SELECT count(*) FROM r WHERE r.i = t.i)": [(2,), (3,)],
        },
    ),
    Fault(
        "sliding-extremes",
        {
            "SELECT k, min(x) OVER (ORDER BY k ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS x FROM v": [
                (0, 1), (1, None), (2, 3), (3, None), (4, 5), (5, 6),
            ],
        },
    ),
    Fault(
        "moving-sums",
        {
            "SELECT k, sum(x) OVER (ORDER BY k ROWS 1 PRECEDING) AS x FROM big": [
                (0, 1e300), (1, 1e300), (2, 2e8 + 6), (3, 1e8 + 6), (4, 6), (5, 3), (6, 4),
            ],
            "SELECT k, avg(x) OVER (ORDER BY k RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM big": [
                (0, 1e300), (1, 5e299), (2, 1e8 + 3), (3, 5e7 + 3), (4, 3), (5, 3), (6, 4),
            ],
            "SELECT k, var_pop(x) OVER w AS x FROM big WHERE k > 0 WINDOW w AS (ORDER BY k ROWS 1 PRECEDING)": [
                (1, 0), (2, 0), (3, 25e14), (4, 0), (5, 0), (6, 0),
            ],
            "SELECT k, stddev_pop(x) OVER (ORDER BY k GROUPS 1 PRECEDING) AS x FROM big": [
                (0, 0), (1, 5e299), (2, 0), (3, 5e7), (4, 0), (5, 0), (6, 0),
            ],
            "SELECT k, var_samp(x) OVER (ORDER BY k ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS x FROM big": [
                (0, INF), (1, 0), (2, 5e15), (3, 0), (4, None), (5, None), (6, None),
            ],
            "SELECT k, avg(n) OVER (ORDER BY k ROWS 0 PRECEDING) AS x FROM big": [
                (0, 2**62), (1, 2**62), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5),
            ],
            "SELECT k, sum(x) OVER (ORDER BY k RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS x FROM big": [
                (0, 1e300), (1, 2e8 + 16), (2, 1e8 + 13), (3, 10), (4, 7), (5, 4), (6, 4),
            ],
        },
    ),
    Fault(
        "lead-ignore-nulls",
        {
            "SELECT k, lead(y, 2) IGNORE NULLS OVER (ORDER BY k) AS x FROM v": [
                (0, 2), (1, 3), (2, 5), (3, None), (4, None), (5, None),
            ],
            "SELECT k, lead(x, 0, 9.0) IGNORE NULLS OVER (ORDER BY k) AS x FROM v": [
                (0, 1), (1, None), (2, 3), (3, None), (4, 5), (5, 6),
            ],
        },
    ),
    Fault(
        "regr-count",
        {
            "SELECT k, regr_count(x, k) OVER (ORDER BY k ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS x FROM v": [
                (0, 0), (1, 1), (2, 0), (3, 1), (4, 1), (5, 0),
            ],
        },
    ),
    Fault(
        "grouped-infinity",
        {
            "SELECT i, min(inf), max(inf) FROM t GROUP BY i": [
                (1, INF, INF), (2, -INF, -INF), (3, 2, 2), (None, None, None),
            ],
            "SELECT min(x) FROM (VALUES (1, 1e400), (1, NULL)) AS v(g, x) GROUP BY g": [(INF,)],
            "SELECT max(x) FROM (SELECT i AS g, inf AS x FROM t UNION SELECT 9, 2) WHERE g = 2 GROUP BY g": [(-INF,)],
            "SELECT min(x) FROM (SELECT i AS g, inf AS x FROM t EXCEPT SELECT 9, 2) WHERE g = 1 GROUP BY g": [(INF,)],
            "SELECT (SELECT min(inf) FROM t WHERE t.i = r.i) FROM r WHERE i = 1": [(INF,)],
        },
    ),
    Fault(
        "ordered-aggregates",
        {
            "SELECT g, count(i ORDER BY f DESC) AS a FROM r GROUP BY g": [(1, 2), (2, 0)],
            "SELECT g, avg(abs((i)) ORDER BY (f)) AS a, max(i ORDER BY f) AS b FROM r GROUP BY g": [
                (1, 1.5, 2), (2, None, None),
            ],
            "SELECT g, min(i ORDER BY f) AS a FROM r GROUP BY g HAVING stddev_pop(i ORDER BY f) >= 0": [(1, 1)],
            "SELECT g, median(i ORDER BY f) AS a, array_agg(g ORDER BY f)[1] AS b FROM r GROUP BY g": [
                (1, 1.5, 1), (2, None, 2),
            ],
        },
    ),
    Fault(
        "large-squares",
        {
            "SELECT g, stddev_pop(x) AS a, var(x) AS b FROM huge GROUP BY g": [
                (1, 1e300, INF), (2, 1e200, INF), (3, 5e159, INF),
            ],
            "SELECT stddev_pop(x) AS a, var_pop(x) AS b, stddev(x) FILTER (WHERE x > 0) AS c FROM huge WHERE g < 3": [
                (math.sqrt(0.5) * 1e300, INF, 5.773502691896258e299),
            ],
            "SELECT stddev_pop(x) OVER (PARTITION BY g) AS a FROM huge WHERE g < 3": [
                (1e300,), (1e300,), (1e200,), (1e200,),
            ],
            "SELECT g, covar_pop(x, x) a, regr_sxx(x, y) b, regr_syy(x, y) c FROM huge GROUP BY 1 HAVING g < 3": [
                (1, INF, 2, INF), (2, INF, 8, INF),
            ],
        },
    ),
]  # fmt: skip
