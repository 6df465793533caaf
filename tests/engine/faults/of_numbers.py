"""Faults in values: zeros, NULLs, long and narrow numbers."""

from tests.engine.faults.fault import Fault

FAULTS = [
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
