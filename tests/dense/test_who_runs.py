"""Which executor runs a statement: a silent fallback cannot hide here."""

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.grids.arrow import Grids, arrow, parameter_types
from sqlmagic_xr.sql.syntax import parse_one

KEYS = {
    "x": ("s", "i"), "w": ("i", "o"), "b": ("o",), "y": ("s",), "weight": ("layer", "inp", "out"),
    "params": ("step",), "air": ("time", "s"), "state": ("step", "i"),
}  # fmt: skip
VIEWS = {
    "scaled": "SELECT s, i, v * 2 AS v FROM x",
    "chosen": "SELECT inp AS i, out AS o, val AS v FROM weight WHERE layer = 0",
    "newest": "SELECT a, c FROM params ORDER BY step DESC LIMIT 1",
    "halves": "SELECT step AS n, i, m / 2 AS h FROM state",
    "by_view": "SELECT s, SUM(v) AS total FROM scaled GROUP BY s",
}
PARAMETERS = {"k": 1, "lr": 0.5, "name": "red"}


def days(first, last):
    """Days of January 2001."""
    return np.datetime64("2000-12-31") + np.arange(first, last)


def gridded(dims, **columns):
    sizes = [len(c) for c in dims.values()]
    grid = np.meshgrid(*dims.values(), indexing="ij")
    return pa.table(
        {
            **{d: g.ravel() for d, g in zip(dims, grid, strict=True)},
            **{n: c(int(np.prod(sizes))) for n, c in columns.items()},
        }
    )


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(1)
    ragged = pa.concat_tables(
        [
            gridded({"layer": [layer], "inp": np.arange(n), "out": np.arange(m)}, val=lambda n: rng.normal(size=n))
            for layer, n, m in ((0, 4, 3), (1, 3, 2))
        ]
    )
    return {
        "x": gridded({"s": np.arange(6), "i": np.arange(4)}, v=lambda n: rng.normal(size=n)),
        "w": gridded({"i": np.arange(4), "o": np.arange(3)}, v=lambda n: rng.normal(size=n)),
        "b": gridded({"o": np.arange(3)}, v=lambda n: rng.normal(size=n)),
        "y": gridded(
            {"s": np.arange(6)}, label=lambda n: rng.integers(0, 3, n), t=lambda n: ["red", "blue"] * (n // 2)
        ),
        "weight": ragged,
        "cur": pa.table({"p": [1.5], "q": [2]}),
        "params": pa.table({"step": np.arange(4), "a": rng.normal(size=4), "c": [3, 1, 2, 0]}),
        "state": gridded({"step": np.arange(3), "i": np.arange(4)}, m=lambda n: rng.normal(size=n)),
        "air": gridded(
            {"time": days(1, 9).astype("datetime64[ns]"), "s": np.arange(6, dtype=np.int32)},
            t=lambda n: rng.normal(size=n), pixel=lambda n: rng.integers(0, 255, n).astype(np.uint8),
        ),
        "days": pa.table({
            "day": pa.array(days(1, 5), pa.date32()),
            "time": days(3, 7).astype("datetime64[ns]"),
            "n": np.arange(4, dtype=np.int16),
        }),
    }  # fmt: skip


BY_ARRAYS = (
    """
SELECT s, SUM(v) OVER (PARTITION BY s) AS v FROM x
SELECT x.s, w.o, SUM(x.v * w.v) AS v FROM x JOIN w ON x.i = w.i GROUP BY x.s, w.o
SELECT s, o, SUM(x.v * w.v) AS v FROM x JOIN w USING (i) GROUP BY s, o
SELECT x.s, w.o, SUM(x.v * w.v) AS v FROM x, w WHERE x.i = w.i GROUP BY x.s, w.o
SELECT x.s, w.o, SUM(x.v * w.v) AS v FROM x CROSS JOIN w WHERE x.i = w.i GROUP BY 1, 2
SELECT x.s, tanh(SUM(x.v * w.v) + b.v) AS h FROM x JOIN w ON x.i = w.i JOIN b ON b.o = w.o GROUP BY x.s, w.o, b.v
SELECT s, MAX(v) AS m FROM x GROUP BY s
SELECT s, i, exp(x.v - m.v) AS e FROM x JOIN (SELECT s, MAX(v) AS v FROM x GROUP BY s) m USING (s)
WITH m AS (SELECT s, MAX(v) AS v FROM x GROUP BY s)
  SELECT x.s, ln(SUM(exp(x.v - m.v))) + m.v AS lse FROM x JOIN m ON x.s = m.s GROUP BY x.s, m.v
SELECT AVG(v) AS a, COUNT(*) AS n, MIN(v) AS lo, MAX(v) AS hi, SUM(v) AS s FROM x
SELECT var(v) AS a, var_pop(v) AS b, stddev(v) AS c, stddev_pop(v) AS d FROM x
SELECT s, COUNT(*) AS n FROM x WHERE v > 0 GROUP BY s
SELECT s, COUNT(v) AS n FROM x GROUP BY s HAVING AVG(v) > 0
SELECT SUM(v) FILTER (WHERE i < 2) AS v FROM x
SELECT SUM(CASE WHEN v > 0 THEN v ELSE 0 END) AS v FROM x
SELECT s, SUM(CASE WHEN i = 2 THEN v END) AS v FROM x GROUP BY s
SELECT s, v FROM x WHERE i = 2
SELECT s, v FROM x WHERE i = :k
SELECT s, i, v - :lr * v AS v FROM x
SELECT :k + 1 AS step, o, v FROM b
SELECT inp, out, val FROM weight WHERE layer = 0
SELECT x.s, w.out AS o, SUM(x.v * w.val) AS v FROM x JOIN weight w ON x.i = w.inp WHERE w.layer = 0 GROUP BY x.s, w.out
SELECT 0 AS layer, inp, out, val FROM weight WHERE layer = 0
  UNION ALL SELECT 1, inp, out, val * 2 FROM weight WHERE layer = 1
SELECT a.s, b.s AS t, SUM(a.v * b.v) AS k FROM x a JOIN x b ON a.i = b.i GROUP BY a.s, b.s
SELECT a.s, b.s AS t, SUM(a.v * b.v) AS k FROM x a JOIN x b ON a.i = b.i WHERE a.s < b.s GROUP BY a.s, b.s
SELECT s, i AS best
  FROM (SELECT s, i, ROW_NUMBER() OVER (PARTITION BY s ORDER BY v DESC, i) AS r FROM x) q WHERE r = 1
SELECT x.s, x.i FROM x JOIN (SELECT s, MAX(v) AS v FROM x GROUP BY s) m ON x.s = m.s AND x.v = m.v
SELECT y.label, x.i, AVG(x.v) AS v FROM x JOIN y ON x.s = y.s GROUP BY y.label, x.i
SELECT y.t, COUNT(*) AS n FROM y GROUP BY y.t
SELECT y.s, b.v FROM y JOIN b ON b.o = y.label
SELECT s, label FROM y WHERE t = 'red'
SELECT s, label FROM y WHERE t = :name
SELECT x.s, x.v * cur.p AS v FROM x CROSS JOIN cur
SELECT cur.p - 0.1 * AVG(x.v) AS p FROM x CROSS JOIN cur GROUP BY cur.p
SELECT x.s, x.i, x.v - (SELECT AVG(v) FROM x) AS v FROM x
SELECT s, i, v FROM x WHERE s BETWEEN 1 AND 3 AND i IN (0, 2)
SELECT s, i, coalesce(nullif(v, 0.0), 1.0) AS v FROM x
SELECT s, i, CAST(v > 0 AS BIGINT) AS v FROM x
SELECT s, i, s * 10 + i AS n, s % 2 AS odd, s / 2 AS half FROM x
SELECT s, i, power(v, 2) + sqrt(abs(v)) + sin(v) * cos(v) AS v FROM x
SELECT s, SUM(i) AS total, AVG(i) AS mean FROM x GROUP BY s
SELECT q.s, q.z * 2 AS z FROM (SELECT s, SUM(v) AS z FROM x GROUP BY s) AS q
SELECT d.s, SUM(power(d.v - c.v, 2)) AS v, c.s AS k FROM x d JOIN x c ON d.i = c.i WHERE c.s < 2 GROUP BY d.s, c.s
WITH z (s, total) AS (SELECT s, SUM(v) FROM x GROUP BY s) SELECT AVG(total) AS v FROM z
SELECT w.i, w.o, w.v, b.v AS bias FROM w JOIN b USING (o)
SELECT x.* FROM x JOIN y ON x.s = y.s WHERE y.label = 1
SELECT inp, out, val * y.s AS v FROM weight, y WHERE layer = 0 AND label = 1
SELECT inp, val, b.v FROM weight JOIN b ON b.o = out WHERE layer = 0
SELECT s, i, x.v * m AS v FROM x JOIN state USING (i) WHERE step = :k
SELECT a.i, a.m - c.m AS v FROM state a JOIN state c ON a.i = c.i AND a.step = c.step WHERE a.step = :k
SELECT i, a.m - c.m AS v FROM state a JOIN state c USING (i, step) WHERE a.step = :k
SELECT s, v FROM x ORDER BY v
SELECT s, SUM(v) AS total FROM x GROUP BY s ORDER BY 2 DESC, s
SELECT q.s, q.v FROM (SELECT s, v FROM x WHERE i = 1 ORDER BY v) q
SELECT x.s, x.v * cur.a AS v FROM x CROSS JOIN (SELECT a, c FROM params ORDER BY step DESC LIMIT 1) cur
SELECT x.s, x.v * p.a AS v FROM x CROSS JOIN (SELECT * FROM params p ORDER BY p.step LIMIT 1) p
SELECT x.s, x.v * p.a AS v FROM x CROSS JOIN params p WHERE p.step = (SELECT MAX(step) FROM params)
SELECT i, m FROM state WHERE step = (SELECT MAX(step) - 1 FROM state)
SELECT MAX(step) AS newest, MIN(step) AS oldest FROM params
SELECT COUNT(DISTINCT i) AS n, COUNT(DISTINCT label) AS m FROM x JOIN y USING (s)
SELECT i, COUNT(DISTINCT y.t) AS n, COUNT(DISTINCT x.s) FILTER (WHERE v > 0) AS m FROM x JOIN y USING (s) GROUP BY i
SELECT s, i, v FROM scaled WHERE i < 2
SELECT x.s, x.i, x.v * h AS v FROM x JOIN halves ON x.i = halves.i WHERE n = :k
SELECT a.i, a.m - c.m AS v FROM state a JOIN state c ON c.i = a.i AND c.step = a.step - 1 WHERE a.step = 2
SELECT a.i, a.m - c.m AS v FROM state a LEFT JOIN state c ON c.i = a.i AND c.step = a.step - 1 WHERE a.step = 2
SELECT q.s, q.i, q.w FROM (SELECT y.label, x.*, v * 2 AS w FROM x JOIN y ON x.s = y.s) q WHERE q.i = 1
SELECT a.i, q.v FROM state a JOIN (SELECT step, SUM(m) AS v FROM state GROUP BY step) q USING (step) WHERE a.step = :k
SELECT a.i, a.m - q.m AS v FROM state a JOIN (SELECT * FROM state) q ON q.i = a.i AND q.step = a.step WHERE q.step = 2
SELECT a.i, q.m AS v FROM state a LEFT JOIN (SELECT step, i, m FROM state) q ON q.i = a.i AND q.step = 1
  WHERE a.step = 0
SELECT x.s, c.o, SUM(x.v * c.v) AS v FROM x JOIN chosen c USING (i) GROUP BY x.s, c.o
SELECT x.s, x.v * cur.a + cur.c AS v FROM x CROSS JOIN newest cur
WITH scaled AS (SELECT o AS total FROM b) SELECT by_view.s, by_view.total, scaled.total AS o FROM by_view, scaled
SELECT x.s, x.i, x.v, b.v AS bias FROM x LEFT JOIN b ON b.o = x.i
SELECT x.s, x.i, b.o, coalesce(b.v, 0.0) AS bias FROM x LEFT JOIN b ON b.o = x.i WHERE x.i > 1
SELECT x.s, x.i, w.v FROM x LEFT JOIN (SELECT i, v FROM w WHERE o = 1) w USING (i)
SELECT x.s, x.i, b.v FROM x LEFT JOIN b ON b.o = x.i AND x.v > 0
SELECT x.s, x.i, b.v FROM x LEFT JOIN b ON (b.o IS NOT DISTINCT FROM x.i) AND b.v < x.v
SELECT x.s, x.i, b.v FROM x JOIN b ON coalesce(b.o, 0) = coalesce(x.i, 0) WHERE (b.o IS NULL) = (x.i IS NULL)
SELECT x.i, SUM(b.v) AS v, COUNT(b.o) AS n, COUNT(*) AS m FROM x LEFT JOIN b ON x.i = b.o GROUP BY x.i
SELECT x.s, x.i, b.v FROM b RIGHT JOIN x ON b.o = x.i AND x.v > 0 WHERE x.s > 1
SELECT x.s, x.i, w.v FROM (SELECT i, v FROM w WHERE o = 1 AND i > 1) w RIGHT JOIN x USING (i)
SELECT x.s, x.i, b.v, cur.p FROM b RIGHT JOIN x ON b.o = x.i CROSS JOIN cur
SELECT s, CAST(ROW_NUMBER() OVER (PARTITION BY s ORDER BY v) AS BIGINT) AS r FROM x
SELECT s, SUM(CASE WHEN r < 3 THEN v END) AS v, COUNT(r) AS n
  FROM (SELECT s, v, CAST(ROW_NUMBER() OVER (PARTITION BY s ORDER BY v) AS BIGINT) AS r FROM x) q GROUP BY s
SELECT i, CASE WHEN m > 0 THEN 1 WHEN m <= 0 THEN 2 END AS c, greatest(m, 0.5) AS g, least(m, 9.0) AS l
  FROM (SELECT i, SUM(v) FILTER (WHERE v > i) / CAST(COUNT(*) FILTER (WHERE v > i) AS DOUBLE) AS m FROM x GROUP BY i) q
SELECT o, COUNT(*) AS n FROM (SELECT nullif(o, 1) AS o FROM b) q WHERE o IS NOT NULL GROUP BY o
SELECT x.s, q.o, x.i FROM (SELECT nullif(o, 1) AS o FROM b) q JOIN x ON x.i = q.o
SELECT x.s, q.o, x.i FROM (SELECT nullif(o, 1) AS o FROM b) q JOIN (SELECT s, nullif(i, 2) AS i FROM x) x ON x.i = q.o
SELECT x.s, x.i, b.v FROM (SELECT s, nullif(i, 1) AS i FROM x) x LEFT JOIN b ON b.o = x.i
SELECT w.i, w.o, w.v + coalesce(p.m, 0) AS v FROM w LEFT JOIN state p ON p.i = w.o AND p.step = :k
SELECT a.i, c.m FROM state a LEFT JOIN state c ON c.step = a.step AND c.i = a.i WHERE a.step = :k
SELECT time, AVG(t) AS t FROM air GROUP BY time
SELECT a.time, a.s, a.t - m.t AS anomaly FROM air a
  JOIN (SELECT time, AVG(t) AS t FROM air GROUP BY time) m USING (time)
SELECT s, MAX(time) AS last, MIN(time) AS first FROM air
  WHERE time >= '2001-01-03' AND time < TIMESTAMP '2001-01-07' GROUP BY s
SELECT a.s, SUM(a.t) AS t, d.n FROM air a JOIN days d ON a.time = d.time GROUP BY a.s, d.n
SELECT day, n + 1 AS n FROM days WHERE day > DATE '2001-01-01' AND day <> '2001-01-03'
SELECT s, SUM(t * (pixel / 255.0)) AS v, AVG(pixel) AS mean, MAX(pixel) AS most FROM air WHERE pixel > 3 GROUP BY s
SELECT x.s, x.i, x.v FROM x WHERE x.i IN (SELECT o FROM b WHERE v > -100)
SELECT s, i FROM x WHERE i NOT IN (SELECT o FROM b)
SELECT y.s, SUM(x.v) AS v FROM x JOIN y ON x.s = y.s WHERE y.label IN (SELECT c FROM params) GROUP BY y.s
SELECT air.s, air.time, air.t * y.s AS v FROM air JOIN y ON air.s = y.s
""".strip()
    .replace("\n  ", " ")
    .splitlines()
)

RELATIONALLY = {
    "SELECT s, v FROM x ORDER BY nothing": "no column nothing",
    "SELECT s, v FROM x ORDER BY i / (s - s)": "no array code",
    "SELECT s FROM x UNION ALL SELECT s FROM y ORDER BY s": "ORDER BY of a UNION",
    "SELECT s, v FROM x ORDER BY s DESC LIMIT 1": "LIMIT",
    "SELECT a FROM params ORDER BY step DESC LIMIT 2": "LIMIT",
    "SELECT a FROM params WHERE a > 0 ORDER BY step DESC LIMIT 1": "LIMIT",
    "SELECT SUM(a) AS a FROM params ORDER BY step DESC LIMIT 1": "LIMIT",
    "SELECT c AS step, a FROM params ORDER BY step DESC LIMIT 1": "LIMIT",
    "SELECT x.v, m FROM x, state, params WHERE step = 1": "the column step is ambiguous",
    "SELECT s, v FROM x LIMIT 3": "LIMIT",
    "SELECT i, a.m FROM state a JOIN state c USING (i, step) WHERE step = 1": "more than one column step",
    "SELECT cur.p, SUM(x.v) AS v FROM x CROSS JOIN cur": "neither grouped nor aggregated",
    "SELECT y.s, SUM(x.v) AS v FROM x JOIN y ON x.s = y.s GROUP BY x.s": "neither grouped nor aggregated",
    "SELECT DISTINCT i FROM x": "DISTINCT",
    "SELECT x.s, w.v FROM x LEFT JOIN w ON w.i = x.i": "several partners",
    "SELECT x.s, b.v FROM x LEFT JOIN b ON x.v > 0": "several partners",
    "SELECT x.s, b.v FROM x LEFT JOIN b ON b.o = x.i AND 7 / b.o > 0": "array code",
    "SELECT x.s, b.v FROM x RIGHT JOIN b ON b.o = x.i": "several partners",
    "SELECT x.s, b.v FROM x FULL JOIN b ON b.o = x.i": "Full join",
    "SELECT x.s, b.v FROM x CROSS JOIN y RIGHT JOIN b ON b.o = x.i": "this part of FROM",
    "SELECT o, COUNT(*) AS n FROM (SELECT nullif(nullif(o, 1), 2) AS o FROM b) q GROUP BY o": "may be NULL",
    "SELECT v, SUM(v) OVER (PARTITION BY o) AS w FROM (SELECT nullif(nullif(o, 1), 2) AS o, v FROM b) q": "is no axis",
    "SELECT b.o, COUNT(*) AS n FROM x LEFT JOIN b ON b.o = x.i GROUP BY b.o": "may be NULL",
    "SELECT x.s, b.v FROM x LEFT JOIN (SELECT o, v FROM b WHERE v > 100) b ON b.o = x.i": "no row",
    "SELECT x.s FROM x WHERE x.i NOT IN (SELECT nullif(o, 1) FROM b)": "NOT IN",
    "SELECT time FROM air WHERE time > '2001-1-3'": "a form that arrays do not read",
    "SELECT s, pixel + pixel AS p FROM air": "uint8 alone",
    "SELECT s, SUM(pixel) AS p FROM air GROUP BY s": "no array code for sum",
    "SELECT COUNT(DISTINCT v) AS n FROM x": "may be NULL, or varies along several axes",
    "SELECT SUM(DISTINCT i) AS n FROM x": "no array code for sum",
    "SELECT median(v) AS m FROM x": "no array code for median",
    "SELECT s FROM x UNION SELECT s FROM y": "UNION, INTERSECT",
    "SELECT s, v FROM x WHERE EXISTS (SELECT 1 FROM y)": "no array code",
    "SELECT s, v FROM x WHERE v > (SELECT v FROM b)": "several rows",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r": "RECURSIVE",
    "SELECT s, SUM(v) OVER (PARTITION BY s ORDER BY i) AS v FROM x": "no array code",
    "SELECT v FROM nowhere": "nowhere is no table",
    "SELECT layer, SUM(val) AS v FROM weight WHERE inp > 100 GROUP BY layer": "empty",
    "SELECT s, i / (s - s) AS v FROM x": "divided by zero",
    "SELECT COUNT(i / (s - s)) AS n FROM x": "no array code for count",
    "SELECT s, CAST(v * 1e300 AS BIGINT) IS NULL AS n FROM x": "no array code",
    "SELECT SUM(v * 1e308 * 1e308) AS v FROM x": "not finite",
    "SELECT s, i FROM x WHERE v * 0 / 0 > 1": "NaN is compared",
}


class Viewed(Grids):
    """Grids of tables, with views."""

    def view(self, name):
        return parse_one(VIEWS[name[0]]).tree["Query"] if name[0] in VIEWS else None


def run(tables, sql):
    grids = Viewed(lambda name: tables.get(name[0]), lambda name: KEYS.get(name[0], ()))
    program = Program([LoweredQuery(parse_one(sql).tree["Query"])], grids, parameter_types(PARAMETERS))
    return arrow(program.step(grids, PARAMETERS).run(0))


@pytest.mark.parametrize("sql", BY_ARRAYS)
def test_these_are_array_code(tables, sql):
    context = SessionContext()
    for name, table in tables.items():
        context.register_record_batches(name, [table.combine_chunks().to_batches()])
    for name, query in VIEWS.items():
        context.sql(f"CREATE VIEW {name} AS {query}").collect()
    bound = sql.replace(":k", "1").replace(":lr", "0.5").replace(":name", "'red'")
    mine, theirs = run(tables, sql), context.sql(bound).to_arrow_table()
    assert mine.schema.types == theirs.schema.types
    assert rows(mine) == pytest.approx(rows(theirs), rel=1e-11, abs=1e-12)


def rows(table):
    """The cells of all rows, in an order that rounding does not change; text as its length, NULL as a number."""
    found = [tuple(_number(v) for v in row.values()) for row in table.to_pylist()]
    return np.array(sorted(found, key=lambda row: [round(v, 6) for v in row])).ravel().tolist()


def _number(value):
    if isinstance(value, str):
        return len(value)
    if hasattr(value, "toordinal"):
        return value.toordinal() + getattr(value, "hour", 0) / 24
    return -12345.0 if value is None else value


def test_there_are_enough_of_them():
    assert len(BY_ARRAYS) >= 80


@pytest.mark.parametrize("sql", RELATIONALLY)
def test_these_are_not_and_say_why(tables, sql):
    with pytest.raises(Refused, match=RELATIONALLY[sql]):
        run(tables, sql)
