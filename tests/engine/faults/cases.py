"""The engine's faults, each with queries that it answers wrongly, and the right answers."""

from tests.engine.faults import of_groups, of_numbers, of_queries

FAULTS = [*of_queries.FAULTS, *of_numbers.FAULTS, *of_groups.FAULTS]

FAILING = {
    "bigint-wraps": [
        "SELECT n + n AS x FROM big",
        "SELECT n * 4 AS x FROM big",
        "SELECT -n - n - 1 AS x FROM big",
        "SELECT sum(n) AS x FROM big",
        "SELECT 1 AS g, sum(n) AS x FROM big GROUP BY g",
        "SELECT sum(n) OVER (ORDER BY k) AS x FROM big",
    ],
    "large-ratios": [
        "SELECT corr(x, y) AS x FROM huge WHERE g = 2",
        "SELECT g, corr(x * 1e-80, y * 1e-80) AS x FROM huge WHERE g = 3 GROUP BY g",
        "SELECT regr_slope(y, x) AS x FROM huge",
        "SELECT regr_intercept(y, x) AS x FROM huge WHERE g = 2",
        "SELECT regr_r2(x * 1e-80, y * 1e-80) AS x FROM huge WHERE g = 3",
        "SELECT corr(x, y) OVER (PARTITION BY g) AS x FROM huge",
    ],
}
"""Queries whose right answer has no room in its type: the engine gives another one."""

ERROR = None
"""Stands for rows where an error is what is right."""

REFUSED = {
    "outer-name-in-on": (
        "SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r LEFT JOIN v ON v.k = r.i AND v.x = t.f WHERE v.k IS NULL)",
        [(1,), (2,), (3,), (None,)],
    ),
    "range-beside": (
        "SELECT k, count(*) OVER (ORDER BY k RANGE BETWEEN 2 FOLLOWING AND 3 FOLLOWING) "
        "FROM (VALUES (0), (3), (4), (10), (12)) AS far(k)",
        [(0, 1), (3, 0), (4, 0), (10, 1), (12, 0)],
    ),
    "negative-frame": (
        "SELECT count(*) OVER (ORDER BY t RANGE BETWEEN INTERVAL '-1' DAY PRECEDING AND CURRENT ROW) FROM tt",
        ERROR,
    ),
    "lists-as-text": ("SELECT length([1, 2]) AS n", [(2,)]),
    "foreign-formats": ("SELECT to_char(t, 'YYYY-MM') AS s FROM tt", [("1999-05",), ("2020-01",)]),
}
"""What is refused, with the rows that are right: the engine gives others."""
