"""The engine's faults, each with queries that it answers wrongly, and the right answers."""

import math
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

INF, NAN = math.inf, math.nan

TABLES = {
    "t": pa.table(
        {
            "i": pa.array([1, 2, 3, None], pa.int64()),
            "n": pa.array([5, 6, 7, None], pa.int64()),
            "f": pa.array([0.0, -0.0, 1.5, None], pa.float64()),
            "h": pa.array([0.0, -0.0, 1.5, None], pa.float32()),
            "s": pa.array([300, 200, -300, None], pa.int16()),
            "b": pa.array([100, -128, 7, None], pa.int8()),
            "u": pa.array([200, 250, 3, None], pa.uint8()),
            "w": pa.array([2**31 - 1, -(2**31), 5, None], pa.int32()),
            "inf": pa.array([INF, -INF, 2.0, None], pa.float64()),
        }
    ),
    "r": pa.table(
        {
            "i": pa.array([1, 2, None], pa.int64()),
            "f": pa.array([-0.0, 0.0, 2.0], pa.float64()),
            "g": pa.array([1, 1, 2], pa.int64()),
        }
    ),
    "dec": pa.table(
        {
            "g": pa.array([1, 1, 1, 1, 2, 2], pa.int64()),
            "x": pa.array([Decimal("85" + "0" * 36)] * 4 + [Decimal(7), None], pa.decimal128(38, 0)),
            "y": pa.array([Decimal("15" + "0" * 28)] * 4 + [Decimal("2.5"), None], pa.decimal128(34, 2)),
        }
    ),
    "tt": pa.table({"t": pa.array(["2020-01-01", "1999-05-05"]).cast(pa.timestamp("ns"))}),
    "big": pa.table(
        {
            "k": pa.array(range(7), pa.int64()),
            "x": pa.array([1e300, 1e8 + 3, 1e8 + 3, 3.0, 3.0, None, 4.0]),
            "n": pa.array([2**62, 2**62, 1, 2, 3, 4, 5], pa.int64()),
        }
    ),
    "huge": pa.table(
        {
            "g": pa.array([1, 1, 2, 2, 3, 3, 3], pa.int64()),
            "x": pa.array([1e300, -1e300, 1e200, 3e200, 1e160, 2e160, None]),
            "y": pa.array([2.0, 4.0, 1.0, 5.0, 1e160, 4e160, 7.0]),
        }
    ),
    "v": pa.table(
        {
            "k": pa.array(range(6), pa.int64()),
            "x": pa.array([1.0, None, 3.0, None, 5.0, 6.0]),
            "y": pa.array([0.0, 1.0, 2.0, 3.0, None, 5.0]),
        }
    ),
}


@dataclass(frozen=True)
class Fault:
    """A fault as ``docs/engine-faults.md`` lists it.

    Attributes:
        name: what the page calls it.
        queries: query -> its rows, sorted.
    """

    name: str
    queries: dict[str, list[tuple]]


FAULTS = [
    Fault(
        "hidden-ctes",
        {
            "WITH q AS (SELECT 1 AS a) SELECT a, (WITH q AS (SELECT a + 8 AS c FROM q) SELECT max(c) FROM q) FROM q": [
                (1, 9)
            ],
        },
    ),
    Fault(
        "lost-offsets",
        {
            "SELECT max(y) FROM (SELECT y FROM v ORDER BY k DESC OFFSET 2) AS q": [(3,)],
            "SELECT i FROM t WHERE n IN (SELECT n FROM t AS s ORDER BY i DESC OFFSET 2)": [(1,), (2,)],
        },
    ),
    Fault(
        "guarded-divisions",
        {
            "SELECT k FROM v WHERE k <> 0 AND 6 / k > 2": [(1,), (2,)],
            "SELECT k FROM v WHERE 7 % k = 1 AND (y IS NULL OR 6 / k > 1) AND NOT (0 = k)": [(2,), (3,)],
            "SELECT k, k > 0 AND 6 / k > 2 FROM v WHERE k < 4": [(0, False), (1, True), (2, True), (3, False)],
            "SELECT k FROM v WHERE k <= 0 OR 6 / k > 2": [(0,), (1,), (2,)],
            "SELECT k FROM v WHERE k - 1 BETWEEN 1 AND 9 AND 6 / (k - 1) = 6": [(2,)],
            "SELECT k FROM v WHERE k NOT IN (0, 1) AND 6 / k > 2": [(2,)],
            "SELECT sum(k) FILTER (WHERE k >= 1 AND CAST(1 AS DECIMAL(9, 2)) / k > 0.4) FROM v": [(3,)],
            "SELECT CASE WHEN i IS NULL OR i - 1 = 0 OR 6 / (i - 1) > 5 THEN 1 END FROM t": [(1,), (1,), (None,), (1,)],
        },
    ),
    Fault(
        "repeated-select",
        {
            "SELECT n + 1 AS n FROM (SELECT n + 1 AS n FROM (SELECT i AS n FROM t)) WHERE n < 4": [(3,), (4,)],
            "SELECT -f AS f FROM (SELECT -f AS f FROM (SELECT 1.5 AS f))": [(1.5,)],
            "SELECT g AS i, i AS g FROM ((SELECT g AS i, i AS g FROM (SELECT i AS g, g AS i FROM r)))": [
                (1, 1), (1, 2), (2, None),
            ],
            "SELECT sin(f) AS f, g, g * 2 FROM (SELECT sin(f) AS f, g, g * 2 FROM (SELECT 0.5 AS f, 1 AS g))": [
                (math.sin(math.sin(0.5)), 1, 2),
            ],
            "SELECT f + 2 AS f FROM (SELECT f + (1 + 1) AS f FROM (SELECT f AS f FROM (SELECT 1.5 AS f)) LIMIT 5)": [
                (5.5,),
            ],
        },
    ),
    Fault(
        "product-in-joins",
        {
            "SELECT count(*) FROM t JOIN r ON t.i IS NOT DISTINCT FROM r.i CROSS JOIN v": [(18,)],
            "SELECT count(*) FROM v, t JOIN r ON t.i IS NOT DISTINCT FROM r.i": [(18,)],
            "SELECT count(v.k) FROM v LEFT JOIN (t JOIN r ON t.i IS NOT DISTINCT FROM r.i CROSS JOIN tt) ON v.k = 1": [
                (11,),
            ],
            "SELECT count(*) FROM t JOIN v ON t.i < v.k JOIN r ON r.i = t.i AND t.n + v.k = r.g": [(0,)],
            "SELECT count(*) FROM t CROSS JOIN v JOIN r ON r.i = t.i AND r.i + r.g = t.i * v.k": [(1,)],
        },
    ),
    Fault(
        "subquery-columns",
        {
            "SELECT i FROM t WHERE i IN (SELECT x.i FROM r AS x, t AS y WHERE y.i > t.i)": [(1,), (2,)],
            "SELECT i FROM t WHERE EXISTS (SELECT x.g + 1 FROM r AS x, t AS y WHERE x.i = t.i AND y.i = t.i + 1)": [
                (1,), (2,),
            ],
            "SELECT i FROM t WHERE i = (SELECT max(x.g) AS i FROM r AS x WHERE x.i = t.i)": [(1,)],
            "SELECT i FROM t WHERE EXISTS (SELECT x.i FROM r AS x, t AS y WHERE y.i = t.i)": [(1,), (2,), (3,)],
            "SELECT i FROM t WHERE NOT EXISTS (SELECT * FROM r AS x JOIN t AS y ON x.g > 0 WHERE y.i = t.i)": [(None,)],
        },
    ),
    Fault(
        "exists-aggregate",
        {
            "SELECT i FROM t WHERE EXISTS (SELECT max(i) FROM r WHERE r.i = t.i)": [(1,), (2,), (3,), (None,)],
            "SELECT i FROM t WHERE NOT EXISTS (SELECT max(i) FROM r WHERE r.i = t.i)": [],
            "SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r WHERE r.i = t.i HAVING count(*) = 0)": [(3,), (None,)],
        },
    ),
    Fault(
        "in-aggregate",
        {
            "SELECT i FROM t WHERE 0 IN (SELECT count(*) FROM r WHERE r.i = t.i)": [(3,), (None,)],
            "SELECT i FROM t WHERE i NOT IN (SELECT count(*) FROM r WHERE r.i = t.i)": [(2,), (3,)],
        },
    ),
    Fault("exists-offset", {"SELECT i FROM t WHERE EXISTS (SELECT 1 FROM r WHERE r.i = t.i OFFSET 1)": []}),
    Fault(
        "not-in-subquery",
        {
            "SELECT i FROM t WHERE i NOT IN (SELECT i FROM r) OR i = 3": [(3,)],
            "SELECT i FROM t WHERE (i IN (SELECT i FROM r)) IS NULL": [(3,), (None,)],
            "SELECT i FROM t WHERE i NOT IN (SELECT r.i FROM r WHERE r.g = t.i)": [(3,), (None,)],
        },
    ),
    Fault(
        "in-list-null",
        {
            "SELECT i FROM t WHERE i IN (1, 2) AND i NOT IN (2, NULL)": [],
            "SELECT i FROM t WHERE i NOT IN (1, NULL) OR i NOT IN (2, 3)": [(1,)],
        },
    ),
    Fault(
        "distinct-from",
        {
            "SELECT i FROM t WHERE i IS NOT DISTINCT FROM 1 AND n = 5": [(1,)],
            "SELECT i FROM t WHERE NOT i IS NOT DISTINCT FROM 1 AND n > 5": [(2,), (3,)],
            "SELECT i FROM t WHERE n = 5 AND i IS DISTINCT FROM 2 OR n = 6": [(1,), (2,)],
        },
    ),
    Fault(
        "year-range",
        {
            "SELECT count(*) FROM tt WHERE date_part('year', t) < 9999": [(2,)],
            "SELECT count(*) FROM tt WHERE extract(year FROM t) BETWEEN 1000 AND 3000": [(2,)],
            "SELECT count(*) FROM tt WHERE date_part('year', t) <> 3000": [(2,)],
            "SELECT date_part('year', t) < 9999 AS x FROM tt": [(True,), (True,)],
        },
    ),
    Fault(
        "power-null",
        {
            "SELECT power(i, 0) AS x FROM t": [(1,), (1,), (1,), (None,)],
            "SELECT log(i, i) AS x FROM t WHERE i IS NULL": [(None,)],
        },
    ),
    Fault("minus-bits", {"SELECT -(n & 1) AS x FROM t": [(-1,), (-1,), (0,), (None,)]}),
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
        "negative-zero",
        {
            "SELECT i FROM t WHERE f = 0": [(1,), (2,)],
            "SELECT i FROM t WHERE f < 0": [],
            "SELECT i FROM t WHERE 0 <= h": [(1,), (2,), (3,)],
            "SELECT i FROM t WHERE f <> 0.0 OR i > -0.0 AND i = -0.0": [(3,)],
            "SELECT i FROM t WHERE f BETWEEN 0 AND 1": [(1,), (2,)],
            "SELECT i FROM t WHERE f IN (0, 7)": [(1,), (2,)],
            "SELECT i FROM t WHERE f NOT IN (SELECT f FROM r WHERE g = 1 AND i = 1)": [(3,)],
            "SELECT i FROM t WHERE f = (SELECT min(f) FROM r)": [(1,), (2,)],
            "SELECT i FROM t WHERE f IS NOT DISTINCT FROM 0": [(1,), (2,)],
            "SELECT i FROM t WHERE (f, i) = (0.0, 2)": [(2,)],
            "SELECT NULLIF(f, 0) FROM t WHERE i < 3": [(None,), (None,)],
            "SELECT CASE f WHEN 0 THEN 'zero' ELSE 'other' END = 'zero' AS x FROM t WHERE i < 3": [(True,), (True,)],
            "SELECT count(*) AS n FROM t JOIN r ON t.f = r.f": [(4,)],
            "SELECT count(*) AS n FROM t JOIN r ON t.f = r.f AND t.i = r.i": [(2,)],
            "SELECT count(*) AS n FROM t JOIN r USING (f)": [(4,)],
            "SELECT count(*) AS n FROM t NATURAL JOIN (SELECT f FROM r) AS q": [(4,)],
            "SELECT i, (SELECT count(*) FROM r WHERE r.f = t.f) AS n FROM t": [(1, 2), (2, 2), (3, 0), (None, 0)],
            "SELECT f, count(*) AS n FROM t GROUP BY f": [(0, 2), (1.5, 1), (None, 1)],
            "SELECT t.f AS z, count(*) AS n FROM t GROUP BY z ORDER BY z": [(0, 2), (1.5, 1), (None, 1)],
            "SELECT f + 1, count(*) FROM t GROUP BY f HAVING f = 0": [(1, 2)],
            "SELECT h, count(*) FROM t GROUP BY ROLLUP (h)": [(0, 2), (1.5, 1), (None, 1), (None, 4)],
            "SELECT DISTINCT f FROM t": [(0,), (1.5,), (None,)],
            "SELECT DISTINCT * FROM (SELECT f, h FROM t) AS q": [(0, 0), (1.5, 1.5), (None, None)],
            "SELECT DISTINCT ON (f) f FROM t ORDER BY f": [(0,), (1.5,), (None,)],
            "SELECT count(DISTINCT f) FROM t": [(2,)],
            "SELECT cardinality(array_agg(DISTINCT f ORDER BY f DESC)) AS n FROM t": [(3,)],
            "SELECT f FROM t UNION SELECT f FROM r": [(0,), (1.5,), (2,), (None,)],
            "SELECT f FROM t EXCEPT SELECT 0.0": [(1.5,), (None,)],
            "SELECT i, rank() OVER (ORDER BY f) AS x FROM t": [(1, 1), (2, 1), (3, 3), (None, 4)],
            "SELECT i, sum(i) OVER (PARTITION BY f) AS x FROM t": [(1, 3), (2, 3), (3, 3), (None, None)],
            "WITH q AS (SELECT -f AS m FROM t) SELECT m, count(*) AS n FROM q GROUP BY m": [
                (-1.5, 1), (0, 2), (None, 1),
            ],
        },
    ),
    Fault(
        "repeated-keys",
        {
            "SELECT DISTINCT ON (g) g, i FROM r ORDER BY g, i, r.g DESC": [(1, 1), (2, None)],
            "SELECT DISTINCT ON (g, g) g, f FROM r ORDER BY g, g, f DESC": [(1, 0), (2, 2)],
            "SELECT g, last_value(i ORDER BY i, r.i) AS x FROM r GROUP BY g": [(1, 2), (2, None)],
            "SELECT g, cardinality(array_agg(f ORDER BY f, f)) AS x FROM r GROUP BY g": [(1, 2), (2, 1)],
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
        "long-literals",
        {
            "SELECT CAST(CAST(99999999999999999999999999999999999999 AS DECIMAL(38,0)) AS VARCHAR) AS a": [("9" * 38,)],
            "SELECT CAST(-0.1234567890123456789::DECIMAL(38,19) AS VARCHAR) AS a": [("-0.1234567890123456789",)],
            "SELECT CAST(TRY_CAST((12345678901234567.895) AS DECIMAL(20,2)) AS VARCHAR) AS a": [
                ("12345678901234567.90",)
            ],
            f"SELECT CAST(greatest(x, {2**70}) + {2**71} AS VARCHAR) AS a FROM dec WHERE x < {2**69}": [
                (str(2**70 + 2**71),)
            ],
        },
    ),
    Fault(
        "shared-truths",
        {
            f"SELECT sum(n) FILTER (WHERE (n > 5) IS {what}) AS a, "
            f"count(n) FILTER (WHERE i > 0 AND (n > 5) IS {what}) AS b FROM t": [row]
            for what, row in [
                ("TRUE", (13, 2)), ("NOT TRUE", (5, 1)), ("FALSE", (5, 1)),
                ("NOT FALSE", (13, 2)), ("UNKNOWN", (None, 0)), ("NOT UNKNOWN", (18, 3)),
            ]
        }
        | {
            "SELECT stddev(x) FILTER (WHERE (y > 3) IS NOT TRUE) AS a, "
            "max(CASE WHEN (y > 3) IS NOT TRUE THEN x END) AS b FROM huge WHERE g = 2": [(None, 1e200)],
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
    Fault(
        "recursive-columns",
        {
            "WITH RECURSIVE c AS (SELECT 1 AS a, 10 AS b UNION ALL SELECT c.a + 1, t.n FROM c JOIN t ON t.i = c.a)"
            " SELECT b FROM c": [(10,), (5,), (6,), (7,)],
            "WITH RECURSIVE c AS (SELECT 1 AS a, 10 AS b UNION ALL SELECT a + 1, b + 1 FROM c WHERE a < 3)"
            " SELECT x.b FROM c AS x WHERE x.b > 10": [(11,), (12,)],
            "WITH RECURSIVE c AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM c WHERE a < 3)"
            " SELECT count(*) AS n FROM c": [(3,)],
        },
    ),
    Fault(
        "narrow-integers",
        {
            "SELECT sum(s * s) FROM t": [(220_000,)],
            "SELECT a * a FROM (VALUES (CAST(300 AS SMALLINT)), (NULL)) AS v(a)": [(90_000,), (None,)],
            "SELECT a * a FROM (SELECT s AS a FROM t INTERSECT SELECT s FROM t WHERE i = 1)": [(90_000,)],
            "SELECT b * b, b + b, u - u - u, -b FROM t WHERE i <= 2": [
                (10_000, 200, -200, -100), (16_384, -256, -250, 128),
            ],
            "SELECT w + w FROM t WHERE i = 1": [(4_294_967_294,)],
            "SELECT row_number() OVER (ORDER BY i) - rank() OVER (ORDER BY i DESC) AS x FROM r": [(-2,), (0,), (2,)],
        },
    ),
    Fault(
        "long-decimals",
        {
            "SELECT avg(x) FROM dec WHERE g = 1": [(8.5e37,)],
            "SELECT g, avg(x) AS x FROM dec GROUP BY g": [(1, 8.5e37), (2, 7)],
            "SELECT avg(x) OVER (PARTITION BY g) AS x FROM dec WHERE g = 1": [(8.5e37,)] * 4,
            "SELECT avg(DISTINCT x) AS x FROM dec HAVING avg(x) > 1": [((8.5e37 + 7) / 2,)],
            "SELECT avg(y) AS x FROM (SELECT CAST(x AS DECIMAL(38,0)) AS y FROM dec WHERE g = 1)": [(8.5e37,)],
        },
    ),
]  # fmt: skip

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
}
"""What is refused, with the rows that are right: the engine gives others."""
