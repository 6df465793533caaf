"""Random recursive queries against DuckDB's rows, and SQLite's where it reads them.

DuckDB's own recursion does not read all of them. So DuckDB is asked for the rows of each round: a recursion is a loop
over a table that Python exchanges.
"""

import random
import sqlite3

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionConfig

import sqlmagic_xr
from sqlmagic_xr.engine.recursion import rounds
from tests.dealt import MANY, PACKED, dealing

A_RUN = 63
E = [
    (1, 2, 0.5, "x"),
    (2, 3, 1.5, "y"),
    (3, 1, -2.0, None),
    (4, None, 0.25, "z"),
    (None, 2, None, "x"),
    (2, 5, 8.0, "yy"),
]
F = [(1, 10), (2, None), (3, 30), (3, 31)]
TABLES = {"e": ("a BIGINT, b BIGINT, w DOUBLE, s VARCHAR", E), "f": ("a BIGINT, c BIGINT", F)}


CHOICES = {
    "anchors": """
        SELECT 0, 1, 0.5, 'p'
        SELECT 0, a, w, s FROM e WHERE b < 4
        SELECT 0, a, w, s FROM e
        SELECT 0, b, w, s FROM e WHERE b IS NULL
        SELECT 0, 2, -0.0, 'q' UNION ALL SELECT 0, 3, 0.0, 'q'
        SELECT 0, count(*), max(w), min(s) FROM e
        SELECT 0, a, 1.5, 'm' FROM f WHERE c > 100""",
    "integers": """
        r.n
        r.n + 1
        r.n * 2 - 3
        coalesce(r.n, 0)
        CASE WHEN r.n > 2 THEN 1 ELSE r.n END""",
    "integers of e": """
        e.b
        coalesce(e.a, r.n)
        e.b + r.n""",
    "reals": """
        r.v
        r.v * 0.5
        -r.v
        r.v + r.n
        NULLIF(r.v, 0.5)""",
    "reals of e": """
        e.w
        r.v + e.w""",
    "conditions": """
        -
        -
        r.n < 6
        r.s IS NOT NULL
        r.n IN (SELECT a FROM f)
        EXISTS (SELECT 1 FROM f WHERE f.a = r.n)
        (r.v > 0 OR r.v IS NULL)
        r.n >= (SELECT avg(n) FROM r)
        r.n IN (SELECT n + 1 FROM r)
        EXISTS (SELECT 1 FROM r AS q WHERE q.n < r.n)
        r.v NOT IN (SELECT v FROM r WHERE v > 1)""",
    "sources": """
        r
        r JOIN e ON e.a = r.n
        r LEFT JOIN e ON e.a = r.n AND e.b > r.n
        r CROSS JOIN e
        e RIGHT JOIN r ON e.b = r.n
        r JOIN f ON f.a = r.n
        (SELECT DISTINCT k, n, v, s FROM r) AS r""",
    "aggregates": """
        max(r.v)
        sum(r.v)
        min(r.v) + count(r.v)
        avg(r.v)""",
    "ranks": """
        row_number() OVER (ORDER BY r.n, r.v, r.s)
        rank() OVER (ORDER BY r.n)
        count(*) OVER (PARTITION BY r.n)""",
    "windows": """
        max(r.v) OVER (PARTITION BY r.s)
        lag(r.v) OVER (ORDER BY r.n, r.v, r.s)
        r.v""",
    "twice": """
        SELECT r.k + 1, q.n + 1, r.v, q.s FROM r JOIN r AS q ON q.n = r.n WHERE r.k < 2
        SELECT r.k + 1, (SELECT max(n) FROM r) - r.n, r.v, r.s FROM r WHERE r.k < 3
        SELECT k + 1, n, v, q.s FROM r LEFT JOIN (SELECT n, max(s) AS s FROM r GROUP BY n) q USING (n) WHERE k < 3""",
}


class Writer:
    """Writes one recursion over ``r(k, n, v, s)``; every term counts its rounds in ``k``."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def pick(self, *choices):
        return self.rng.choice(choices)

    def listed(self, name):
        """One of the choices of a name below."""
        return self.pick(*[line.strip() for line in CHOICES[name].strip().split("\n")])

    def integer(self, e):
        return self.listed("integers of e" if e and self.pick(True, False) else "integers")

    def real(self, e):
        return self.listed("reals of e" if e and self.pick(True, False) else "reals")

    def text(self, e):
        return self.pick("r.s", "r.s || 'a'", "coalesce(r.s, 'n')", *(("e.s",) if e else ()))

    def condition(self):
        found = self.listed("conditions")
        return "" if found == "-" else f" AND {found}"

    def term(self):
        return self.pick(self.rows, self.rows, self.rows, self.groups, self.window, self.sorted, self.itself)()

    def rows(self):
        source = self.listed("sources")
        e = " e " in f" {source} "
        columns = f"r.k + 1, {self.integer(e)}, {self.real(e)}, {self.text(e)}"
        return f"SELECT {columns} FROM {source} WHERE r.k < {2 if e else 3}{self.condition()}"

    def groups(self):
        keys, n = self.pick(("r.k", "sum(r.n)"), ("r.k, r.n", "r.n"), ("r.k, r.s", "max(r.n)"))
        having = self.pick("", " HAVING count(*) > 1", " HAVING max(r.n) < 9")
        columns = f"r.k + 1, CAST({n} AS BIGINT), {self.listed('aggregates')}, min(r.s)"
        return f"SELECT {columns} FROM r WHERE r.k < 3{self.condition()} GROUP BY {keys}{having}"

    def window(self):
        columns = f"r.k + 1, CAST({self.listed('ranks')} AS BIGINT), {self.listed('windows')}, r.s"
        return f"SELECT {columns} FROM r WHERE r.k < 3{self.condition()}"

    def sorted(self):
        by = f"r.n {self.pick('', 'DESC')} NULLS LAST, r.v NULLS LAST, r.s NULLS LAST"
        return f"(SELECT r.k + 1 AS k, r.n + 1, r.v, r.s FROM r WHERE r.k < 4 ORDER BY {by} LIMIT 2)"

    def itself(self):
        return self.listed("twice")

    def query(self):
        anchor, term, union = self.listed("anchors"), self.term(), self.pick("UNION ALL", "UNION ALL", "UNION")
        return anchor, term, union


def plain(rows):
    """Rows whose numbers are equal where SQL says so, sorted."""
    return sorted((tuple(_value(v) for v in row) for row in rows), key=repr)


def _value(value):
    return value if value is None or isinstance(value, str) else round(float(value) + 0.0, 9)


@pytest.fixture(scope="module")
def engines():
    batches = sqlmagic_xr.Context(SessionConfig().with_batch_size(2).with_information_schema(True))
    return (
        [filled(sqlmagic_xr.Context()), filled(batches)],
        filled(duckdb.connect()),
        filled(sqlite3.connect(":memory:")),
    )


def filled(engine):
    for name, (columns, rows) in TABLES.items():
        values = ", ".join("(" + ", ".join("NULL" if v is None else repr(v) for v in row) + ")" for row in rows)
        for statement in (f"CREATE TABLE {name} ({columns})", f"INSERT INTO {name} VALUES {values}"):
            engine.sql(statement) if isinstance(engine, sqlmagic_xr.Context) else engine.execute(statement)
    return engine


def looped(duck, anchor, term, union):
    """The rows of a recursion whose rounds are gone through from outside."""
    kinds = ", ".join(f"CAST(#{n} AS {t})" for n, t in enumerate(("BIGINT", "BIGINT", "DOUBLE", "VARCHAR"), start=1))
    cast = f"SELECT {kinds} FROM ({{}})"
    known, found = set(), []
    new = duck.execute(cast.format(anchor)).fetchall()
    while new:
        if union == "UNION":
            new = [row for row in dict.fromkeys(map(tuple, new)) if row not in known]
            known.update(new)
        found += new
        columns = zip(*new, strict=True) if new else [[]] * 4
        kinds = [pa.int64(), pa.int64(), pa.float64(), pa.string()]
        arrays = [pa.array(list(c), kind) for c, kind in zip(columns, kinds, strict=True)]
        duck.register("r", pa.table(arrays, names=["k", "n", "v", "s"]))
        new = duck.execute(cast.format(term)).fetchall() if new else []
        duck.unregister("r")
    return found


def answered(engine, sql):
    try:
        return engine.execute(sql).fetchall()
    except (duckdb.Error, sqlite3.Error):
        return None


@pytest.mark.parametrize("part", range(8))
def test_random_recursions(engines, part, monkeypatch):
    # Array code is tried where it may be worth it; in half of the tests, before every other round.
    if part % 2:
        monkeypatch.setattr(rounds._Tries, "due", lambda self, count, rows: count % 2 == 0)
    ours, duck, lite = engines
    seen = {"duckdb": 0, "sqlite": 0}
    for seed in range(part * A_RUN, (part + 1) * A_RUN):
        anchor, term, union = Writer(seed).query()
        kinds = "CAST(n AS BIGINT) AS n, CAST(v AS DOUBLE) AS v, CAST(s AS VARCHAR) AS s"
        typed = f"SELECT CAST(k AS BIGINT) AS k, {kinds} FROM ({anchor}) AS q(k, n, v, s)"
        sql = f"WITH RECURSIVE r(k, n, v, s) AS ({typed} {union} {term}) SELECT k, n, v, s FROM r"
        expected = plain(looped(duck, anchor, term, union))
        context = ours[seed % 2]
        table = context.sql(sql).to_arrow_table()
        assert plain(zip(*(c.to_pylist() for c in table.columns), strict=True)) == expected, sql
        if seed % 3 == 0:
            counted = context.sql(sql.replace("SELECT k, n, v, s FROM r", "SELECT count(*) FROM r WHERE k > 0"))
            assert counted.to_arrow_table().column(0)[0].as_py() == sum(row[0] > 0 for row in expected), sql
        name, engine = (("duckdb", duck), ("sqlite", lite))[seed // 2 % 2]
        # As SQLite reads it, which takes types from the values.
        text = sql if name == "duckdb" else sql.replace(typed, anchor)
        other = answered(engine, text)
        if other is not None and " FROM r" not in term.split(" FROM ", 2)[-1]:
            seen[name] += 1
            assert plain(other) == expected, (name, sql)
    assert seen["duckdb"] > 5
    assert seen["sqlite"] > 2


TERMS_OF_MANY = [
    "SELECT r.k + 1, e.b, r.v + e.w, e.s FROM r JOIN e ON e.a = r.n WHERE r.k < 2",
    "SELECT r.k + 1, coalesce(e.a, r.n), -r.v, r.s FROM r LEFT JOIN e ON e.a = r.n AND e.b > r.n WHERE r.k < 2",
    "SELECT r.k + 1, CAST(sum(r.n) AS BIGINT), max(r.v), min(r.s) FROM r WHERE r.k < 2 GROUP BY r.k, r.n % 1000",
    "SELECT r.k + 1, CAST(rank() OVER (ORDER BY r.n) AS BIGINT), lag(r.v) OVER (ORDER BY r.n, r.v, r.s), r.s FROM r"
    " WHERE r.k < 2 AND r.n IN (SELECT n + 1 FROM r)",
]


def test_recursions_over_many_rows():
    """No round fits into a batch."""
    rng, anchor = np.random.default_rng(4), "SELECT 0, a, w, s FROM e"
    a, b = rng.permutation(MANY), rng.permutation(MANY)
    e = pa.table({"a": a, "b": pa.array(b, mask=b % 50 == 7), "w": a * 0.25, "s": [f"s{n % 700}" for n in b]})
    context, duck = dealing(sqlmagic_xr.Context(), PACKED), duckdb.connect()
    context.from_arrow(e, "e")
    duck.register("e", e)
    for term, union in zip(TERMS_OF_MANY, ("UNION", "UNION ALL") * 2, strict=True):
        sql = f"WITH RECURSIVE r(k, n, v, s) AS ({anchor} {union} {term}) SELECT k, n, v, s FROM r"
        found = context.sql(sql).to_arrow_table()
        rows = zip(*looped(duck, anchor, term, union), strict=True)
        expected = pa.table([pa.array(c, f.type) for c, f in zip(rows, found.schema, strict=True)], schema=found.schema)
        order = [(name, "ascending") for name in found.column_names]
        assert found.sort_by(order).combine_chunks().equals(expected.sort_by(order).combine_chunks()), sql
        assert found.num_rows > MANY
