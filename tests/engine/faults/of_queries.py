"""Faults in how queries are put together: names, subqueries, conditions, joins."""

import math

from tests.engine.faults.fault import Fault

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
        "merged-columns",
        {
            "SELECT i FROM (SELECT 1 AS i) AS p RIGHT JOIN (SELECT 9 AS i) AS q USING (i)": [(9,)],
            "SELECT g FROM r NATURAL JOIN (SELECT 1 AS i) AS q WHERE i > 0": [(1,)],
            "SELECT i FROM t WHERE i IN (SELECT i FROM r JOIN t AS s USING (i))": [(1,), (2,)],
            "SELECT * FROM r FULL JOIN (SELECT 9 AS i, 7 AS h) AS w USING (i)": [
                (1, 0, 1, None), (2, 0, 1, None), (9, None, None, 7), (None, 2, 2, None),
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
        "repeated-keys",
        {
            "SELECT DISTINCT ON (g) g, i FROM r ORDER BY g, i, r.g DESC": [(1, 1), (2, None)],
            "SELECT DISTINCT ON (g, g) g, f FROM r ORDER BY g, g, f DESC": [(1, 0), (2, 2)],
            "SELECT g, last_value(i ORDER BY i, r.i) AS x FROM r GROUP BY g": [(1, 2), (2, None)],
            "SELECT g, cardinality(array_agg(f ORDER BY f, f)) AS x FROM r GROUP BY g": [(1, 2), (2, 1)],
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
]  # fmt: skip
