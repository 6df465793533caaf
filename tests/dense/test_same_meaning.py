"""Random statements over random grids: the array executor gives what DataFusion gives, or declines."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext

import sqlmagic_xr
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import LoweredQuery, Program
from sqlmagic_xr.engine.faults import integers
from sqlmagic_xr.engine.faults.reading import Reading
from sqlmagic_xr.engine.faults.tables import EngineTables
from sqlmagic_xr.grids.arrow import Grids, arrow, parameter_types
from sqlmagic_xr.sql.syntax import parse_one
from tests.dealt import MANY, PACKED, dealing

SEEDS, STATEMENTS = 23, 125  # 2,875 statements, and those over many rows

KEYS = {
    "a": ("i", "j"),
    "b": ("j", "k"),
    "c": ("j",),
    "e": ("i", "j", "k"),
    "h": ("i", "k"),
    "d": ("k",),
    "s": ("step", "i"),
    "p": ("step",),
    "u": ("time", "i"),
}
VIEWS = {
    "doubled": "SELECT i, j, f * 2 AS f, g, n, m, b, r, t FROM a",
    "sums": "SELECT i, SUM(f) AS f, COUNT(*) AS n FROM a GROUP BY i",
    "gens": "SELECT i, step AS n, f + g AS f, m FROM s WHERE f > -1",
    "totals": "SELECT step, SUM(f) AS f, COUNT(*) AS n FROM s GROUP BY step HAVING COUNT(n) > 0",
    "newest": "SELECT f AS p, n AS q FROM p ORDER BY step DESC LIMIT 1",
}


NARROW = [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()]


class World:
    """Tables of random coordinates and values; of (i, j) there may be many."""

    def __init__(self, seed, rows=0):
        self.rng = np.random.default_rng(seed)
        self.axes = {name: np.unique(self.rng.integers(0, 9, 6)) for name in "ijk"} | {"step": np.arange(3)}
        if rows:
            self.axes |= {"i": np.arange(200), "j": np.arange(rows // 200), "k": np.arange(2)}
        self.axes["time"] = np.datetime64("2001-01-01") + np.unique(self.rng.integers(0, 9, 6))
        # Now and then the axis i is of another width, and times have other units.
        self.whole = [pa.int64(), pa.int32(), pa.int16(), pa.uint8()][int(self.rng.choice(4, p=[0.7, 0.1, 0.1, 0.1]))]
        self.times = [pa.timestamp("ns"), pa.timestamp("us"), pa.date32()][int(self.rng.integers(3))]
        self.tables = {}
        for name, key in KEYS.items():
            self.tables[name] = self.table(key, missing=name == "h" or self.rng.random() < 0.1)
        one = self.table(("i",)).slice(0, 1)
        self.tables["cur"] = one.select(["f", "n"]).rename_columns(["p", "q"])
        self.tables["plain"] = self.table(("i", "j")).select(["i", "f", "n", "b", "t"])
        if self.rng.random() < 0.2:  # duplicated keys, which DataFusion joins as they are
            self.tables["c"] = pa.concat_tables([self.tables["c"], self.tables["c"].slice(0, 1)])
        self.context = sqlmagic_xr.Context(SessionConfig().with_target_partitions(1))
        dealing(self.context, PACKED if rows else seed % 8 == 7)
        for name, table in self.tables.items():
            batches = table.combine_chunks().to_batches(64 if rows else None)
            SessionContext.register_record_batches(self.context, name, [batches])
        for name, query in VIEWS.items():
            self.context.script(f"CREATE VIEW {name} AS {query}")

    def table(self, key, missing=False):
        rng = self.rng
        drop = rng.random() < 0.3  # coordinates that differ from those of the other tables
        axes = [
            self.axes[k][1:] if drop and len(self.axes[k]) > 2 and rng.random() < 0.5 else self.axes[k] for k in key
        ]
        grid = [g.ravel() for g in np.meshgrid(*axes, indexing="ij")]
        order = rng.permutation(len(grid[0])) if rng.random() < 0.5 else np.arange(len(grid[0]))
        if missing and len(order) > 4:
            order = order[:-2]
        kinds = {"i": self.whole, "time": self.times}
        columns = {k: pa.array(g[order]).cast(kinds.get(k, pa.int64())) for k, g in zip(key, grid, strict=True)}
        n = len(order)
        columns["f"] = self.floats(n)
        columns["g"] = self.floats(n)
        columns["n"] = pa.array(rng.integers(-3, 6, n), pa.int64(), mask=self.nulls(n))
        columns["m"] = pa.array(rng.integers(0, 4, n), pa.int32(), mask=self.nulls(n))
        columns["b"] = pa.array(rng.random(n) < 0.5, pa.bool_(), mask=self.nulls(n))
        columns["r"] = pa.array(rng.normal(size=n).astype(np.float32), mask=self.nulls(n))
        columns["w"] = pa.array(rng.integers(0, 9, n), rng.choice(NARROW), mask=self.nulls(n))
        columns["d"] = pa.array(self.axes["time"][rng.integers(0, len(self.axes["time"]), n)], self.times,
                                mask=self.nulls(n))  # fmt: skip
        columns["t"] = pa.array(np.array(["red", "green", "blue"], object)[rng.integers(0, 3, n)])
        return pa.table(columns)

    def nulls(self, n):
        return self.rng.random(n) < 0.2 if self.rng.random() < 0.25 else None

    def floats(self, n):
        rng = self.rng
        values = np.round(rng.normal(size=n), 2) if rng.random() < 0.3 else rng.normal(size=n)
        kind = rng.random()
        if kind < 0.1:
            values[rng.random(n) < 0.2] = rng.choice([np.nan, np.inf, -np.inf])
        elif kind < 0.2:
            values[rng.random(n) < 0.4] = rng.choice([0.0, -0.0])
        return pa.array(values, mask=self.nulls(n))


class Writer:
    """Writes random statements over a world's tables."""

    def __init__(self, world):
        self.rng = world.rng

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def statement(self):
        body = self.pick([self.flat, self.grouped, self.grouped, self.total, self.nested, self.looked_up, self.ranked,
                          self.outer, self.timed, self.narrow, self.state, self.viewed, self.within])  # fmt: skip
        return body()

    # FROM: the text, and the columns there are by kind

    def source(self):
        tables = [self.pick(["a", "b", "c", "e", "h", "d", "a", "b"]) for _ in range(int(self.rng.integers(1, 4)))]
        aliases = [f"x{n}" for n in range(len(tables))]
        text, keys = f"{tables[0]} x0", dict.fromkeys(KEYS[tables[0]], "x0")
        coordinates = [f"x0.{k}" for k in KEYS[tables[0]]]
        for table, alias in zip(tables[1:], aliases[1:], strict=True):
            shared = [k for k in KEYS[table] if k in keys]
            on = [f"{keys[k]}.{k} = {alias}.{k}" for k in shared]
            if on and self.rng.random() < 0.9:
                text += f" JOIN {table} {alias} ON {' AND '.join(on)}"
            else:
                text += f" CROSS JOIN {table} {alias}"
                on = []
            for k in KEYS[table]:
                if k not in shared or not on:
                    coordinates.append(f"{alias}.{k}")
                keys.setdefault(k, alias)
        if self.rng.random() < 0.2:
            text += " CROSS JOIN cur"
        self.real = [f"{alias}.{c}" for alias in aliases for c in "fg"] + (["cur.p"] if "cur" in text else [])
        self.whole = [f"{alias}.{c}" for alias in aliases for c in "nm"] + coordinates
        self.truth = [f"{alias}.b" for alias in aliases]
        self.single = [f"{alias}.r" for alias in aliases]
        if len(aliases) == 1 and self.rng.random() < 0.2:
            fixed = self.pick(coordinates)
            text += f" WHERE {fixed} = {self.rng.integers(0, 9)}"
        elif self.rng.random() < 0.4:
            text += f" WHERE {self.condition(1)}"
        return text, coordinates

    def flat(self):
        text, coordinates = self.source()
        keys = [f"{c} AS k{n}" for n, c in enumerate(coordinates)]
        return f"SELECT {', '.join([*keys, *self.columns(self.expression)])} FROM {text}"

    def grouped(self):
        text, coordinates = self.source()
        kept = [c for c in coordinates if self.rng.random() < 0.6] or coordinates[:1]
        keys = [f"{c} AS k{n}" for n, c in enumerate(kept)]
        having = f" HAVING {self.aggregate()} > 0" if self.rng.random() < 0.15 else ""
        return (f"SELECT {', '.join([*keys, *self.columns(self.aggregated)])} FROM {text} "
                f"GROUP BY {', '.join(kept)}{having}")  # fmt: skip

    def total(self):
        text, _ = self.source()
        return f"SELECT {', '.join(self.columns(self.aggregated))} FROM {text}"

    def nested(self):
        text, coordinates = self.source()
        kept = coordinates[: int(self.rng.integers(1, len(coordinates) + 1))]
        keys = [f"{c} AS k{n}" for n, c in enumerate(kept)]
        inner = f"SELECT {', '.join([*keys, f'{self.aggregated()} AS v'])} FROM {text} GROUP BY {', '.join(kept)}"
        names = [f"k{n}" for n in range(len(kept))]
        last = names[-1]
        shape = self.rng.random()
        if shape < 0.3:
            return f"WITH q AS ({inner}) SELECT {last}, SUM(v) AS s, MAX(v) AS m, COUNT(v) AS c FROM q GROUP BY {last}"
        if shape < 0.6:
            join = " AND ".join(f"p.{n} = q.{n}" for n in names[:1])
            rest = [f"q.{n} AS {n}" for n in names] + [f"p.{n} AS p{n}" for n in names[1:]]
            return f"WITH q AS ({inner}) SELECT {', '.join(rest)}, p.v + q.v AS v FROM q JOIN q p ON {join}"
        return (f"SELECT {', '.join(f'q.{n}' for n in names)}, q.v - m.v AS d FROM ({inner}) q "
                f"CROSS JOIN (SELECT MAX(f) AS v FROM c) m")  # fmt: skip

    def looked_up(self):
        """A value that names a row of another table, or by which rows are grouped."""
        value = self.pick(["n", "m"])
        if self.rng.random() < 0.5:
            aggregate = self.pick(["SUM(a.f)", "COUNT(*)", "AVG(a.g)", "MAX(a.f)", "MIN(a.n)"])
            other = self.pick(["", ", a.i AS k1"])
            return (f"SELECT c.{value} AS k0{other}, {aggregate} AS v FROM a JOIN c ON a.j = c.j "
                    f"GROUP BY c.{value}{', a.i' if other else ''}")  # fmt: skip
        return f"SELECT c.j AS k0, a.i AS k1, c.f * a.f AS v FROM c JOIN a ON a.j = c.{value}"

    def ranked(self):
        down = self.pick(["", " DESC"])
        if self.rng.random() < 0.5:
            where = self.pick(["j > 2", "f > -1", "true"])
            rank = f"ROW_NUMBER() OVER (PARTITION BY i ORDER BY f{down}, j) AS r"
            return f"SELECT i AS k0, j AS k1, f FROM (SELECT i, j, f, {rank} FROM a WHERE {where}) q WHERE r = 1"
        return "SELECT t AS k0, SUM(f) AS v, COUNT(n) AS c FROM plain GROUP BY t"

    def outer(self):
        """LEFT JOIN on axes, then perhaps grouped, filtered or joined once more."""
        left, right, on = self.pick([
            ("a", "c", "x.j = y.j"), ("b", "c", "x.j = y.j"), ("a", "c", "y.j = x.n"), ("a", "c", "x.m = y.j"),
            ("h", "d", "x.k = y.k"), ("a", "sums", "x.i = y.i"), ("e", "b", "x.j = y.j AND y.k = x.k"),
            ("a", "s", "x.i = y.i AND y.step = 1"), ("s", "s", "x.i = y.i AND y.step = x.step"),
            ("b", "(SELECT j, f, n FROM c WHERE f > 0)", "x.j = y.j"), ("b", "c", "x.j = y.j AND y.n IS NULL"),
            ("a", "h", "x.i = y.i"), ("p", "p", "x.step = y.step"),
        ])  # fmt: skip
        key = KEYS[left]
        where = self.pick(["", "", " WHERE y.f > 0", " WHERE y.n IS NULL", " WHERE x.f > 0", f" WHERE x.{key[0]} = 1"])
        shape = self.rng.random()
        if shape < 0.3 and where == "" and key[-1] in KEYS.get(right, ()) and len(KEYS.get(right, ())) == 1:
            source = f"{left} x LEFT JOIN {right} y USING ({key[-1]})"
        else:
            source = f"{left} x LEFT JOIN {right} y ON {on}{where}"
        keys = ", ".join(f"x.{k} AS k{n}" for n, k in enumerate(key))
        if self.rng.random() < 0.5:
            other = self.pick(
                ["y.n AS v2", "coalesce(y.f, -1.0) AS v2", "CASE WHEN y.f IS NULL THEN 0 ELSE 1 END AS v2"]
            )
            return f"SELECT {keys}, x.f + y.f AS v, y.f AS v1, {other} FROM {source}"
        aggregate = self.pick(["SUM(y.f)", "COUNT(y.n)", "SUM(x.f * y.f)", "MAX(y.n)", "AVG(y.f)", "SUM(y.n)"])
        return f"SELECT x.{key[0]} AS k0, {aggregate} AS v, COUNT(*) AS c FROM {source} GROUP BY x.{key[0]}"

    def timed(self):
        """Times as axes, as labels, and compared."""
        day = f"2001-01-0{self.rng.integers(1, 10)}"
        literal = self.pick([f"'{day}'", f"TIMESTAMP '{day}'", f"DATE '{day}'", f"'{day}T00:00:00'"])
        where = self.pick(["", "", f" WHERE x.time {self.pick(['<', '>=', '=', '<>'])} {literal}",
                           f" WHERE x.d {self.pick(['<', '>='])} x.time"])  # fmt: skip
        return self.pick([
            f"SELECT x.time AS k0, x.i AS k1, x.f, x.d FROM u x{where}",
            f"SELECT x.time AS k0, AVG(x.f) AS v, COUNT(x.d) AS c FROM u x{where} GROUP BY x.time",
            f"SELECT x.i AS k0, MAX(x.time) AS v, MIN(x.d) AS w FROM u x{where} GROUP BY x.i",
            f"SELECT x.time AS k0, x.i AS k1, x.f - y.f AS v FROM u x JOIN u y USING (time, i){where}",
            f"SELECT x.time AS k0, y.i AS k1, SUM(x.f * y.f) AS v FROM u x JOIN u y ON x.time = y.time{where} "
            "GROUP BY x.time, y.i",
            f"SELECT c.d AS k0, COUNT(*) AS v, SUM(c.f) AS s FROM c WHERE c.d <> {literal} GROUP BY c.d",
            f"SELECT c.j AS k0, x.i AS k1, x.f FROM c JOIN u x ON c.d = x.time{where}",
            f"SELECT j AS k0, coalesce(d, d) AS v, CASE WHEN f > 0 THEN d END AS w FROM c WHERE d > {literal}",
        ])  # fmt: skip

    def narrow(self):
        """Whole numbers of fewer bits."""
        table, keys = self.pick([("a", "i AS k0, j AS k1"), ("c", "j AS k0"), ("b", "j AS k0, k AS k1")])
        value = self.pick(["w", "w", "i"] if table == "a" else ["w"])
        return self.pick([
            f"SELECT {keys}, {value} AS v, {value} {self.pick('+-*/%')} {self.pick(['2', '0.5', 'n', 'm', 'f', 'w'])} "
            f"AS o FROM {table}",
            f"SELECT {keys}, {value} FROM {table} WHERE {value} {self.pick(['<', '>=', '=', '<>'])} "
            f"{self.pick(['3', '2.5', 'm', 'n', 'w', '-1'])}",
            f"SELECT {self.pick(['SUM', 'AVG', 'MAX', 'MIN', 'COUNT', 'var_pop'])}({value}) AS v FROM {table}",
            f"SELECT {keys}, CAST({value} AS {self.pick(['DOUBLE', 'BIGINT', 'INT', 'REAL'])}) AS v FROM {table}",
            f"SELECT {keys}, {self.pick(['abs', 'exp', '-', 'sqrt'])}({value}) AS v FROM {table}",
            f"SELECT {keys}, coalesce({value}, {self.pick(['0', 'n', value])}) AS v FROM {table}",
            "SELECT c.j AS k0, x.i AS k1, x.j AS k2, x.f FROM c JOIN a x ON x.i = c.w",
            "SELECT w AS k0, COUNT(*) AS v FROM c GROUP BY w",
            f"SELECT {keys}, nullif({value}, {self.pick(['1', 'w', 'm'])}) AS v FROM {table}",
            f"SELECT {keys}, greatest({value}, 2) AS v, least(n, {value}) AS g FROM {table}",
        ])  # fmt: skip

    def state(self):
        """Generations: unqualified keys, those that follow from others, the newest one."""
        k = int(self.rng.integers(0, 4))
        newest = self.pick(["(SELECT MAX(step) FROM s)", "(SELECT MAX(step) FROM p)", "(SELECT MIN(step) + 1 FROM p)"])
        return self.pick([
            f"SELECT x.i AS k0, x.j AS k1, x.f * s.f AS v FROM a x JOIN s ON x.i = s.i WHERE step = {k}",
            f"SELECT x.i AS k0, x.f - y.f AS v FROM s x JOIN s y ON x.i = y.i AND x.step = y.step WHERE y.step = {k}",
            f"SELECT i AS k0, x.f - p.f AS v FROM s x JOIN p USING (step) WHERE p.step = {k}",
            f"SELECT i AS k0, x.f - p.f AS v FROM s x JOIN p USING (step) WHERE step = {k}",
            f"SELECT x.i AS k0, y.i AS k1, x.f * y.f AS v FROM s x, s y, p WHERE x.step = p.step "
            f"AND p.step = y.step + 0 AND y.step = {k}",
            f"SELECT i AS k0, f, n FROM s WHERE step = {newest}",
            f"SELECT x.i AS k0, x.f, p.n FROM s x CROSS JOIN p WHERE x.step = {newest} AND p.step = x.step",
            "SELECT i AS k0, j AS k1, a.f * cur.f AS v "
            "FROM a CROSS JOIN (SELECT f, n FROM p ORDER BY step DESC LIMIT 1) cur",
            "SELECT j AS k0, c.f - cur.v AS v FROM c, (SELECT f + 1 AS v FROM p q ORDER BY q.step LIMIT 1) cur",
            "SELECT j AS k0, c.f - cur.v AS v FROM c, (SELECT f AS v FROM p ORDER BY n LIMIT 1) cur",
            "SELECT MAX(step) AS v, MIN(step) AS w FROM s",
            f"SELECT x.i AS k0, x.f - y.f AS v FROM s x JOIN s y USING (i) WHERE x.step = {k} AND y.step = x.step - 1",
            f"SELECT x.i AS k0, y.f AS v FROM s x LEFT JOIN s y ON y.i = x.i AND 1 + x.step = y.step "
            f"WHERE x.step = {k}",
            f"SELECT q.i AS k0, q.v FROM (SELECT s.*, p.n AS o, p.f * s.f AS v FROM s, p WHERE p.step = 1) q "
            f"WHERE q.step = {k}",
            f"SELECT i AS k0, f, m FROM gens WHERE n = {k}",
            f"SELECT x.i AS k0, x.f - y.f AS v FROM gens x LEFT JOIN gens y ON x.i = y.i AND y.n = {k} WHERE x.n = 1",
            f"SELECT x.i AS k0, x.f * t.f AS v, t.n AS c FROM s x JOIN totals t USING (step) WHERE x.step = {k}",
            f"SELECT x.i AS k0, x.f * t.f AS v FROM s x LEFT JOIN totals t ON x.step = t.step WHERE t.step = {k}",
            f"SELECT q.i AS k0, q.v, q.step FROM (SELECT step, i, f * {k} AS v FROM s ORDER BY f) q WHERE q.step = {k}",
            "SELECT q.i AS k0, r FROM (SELECT step, i, ROW_NUMBER() OVER (PARTITION BY i ORDER BY step) AS r FROM s) q "
            f"WHERE step = {k}",
            "SELECT MAX(n) AS v FROM p",
            f"SELECT i AS k0, j AS k1, n FROM a, p WHERE step = {k} AND a.f > 0",
            f"SELECT i AS k0, j AS k1, m AS v FROM a, p WHERE step = {k}",
        ])  # fmt: skip

    def viewed(self):
        """Views, names of CTEs that are those of what they read, and orders that mean nothing."""
        return self.pick([
            "SELECT i AS k0, SUM(f * g) AS v FROM doubled GROUP BY i",
            "WITH a AS (SELECT j, n FROM c) SELECT d.i AS k0, d.j AS k1, d.f, a.n FROM doubled d JOIN a ON a.j = d.j",
            "SELECT x.i AS k0, x.j AS k1, x.f - y.f AS v, y.n FROM a x JOIN sums y ON x.i = y.i WHERE y.n > 2",
            "SELECT j AS k0, c.f * cur.p AS v, q FROM c CROSS JOIN newest cur",
            "SELECT i AS k0, j AS k1, f FROM a ORDER BY f DESC, n",
            "SELECT q.k0, q.v FROM (SELECT i AS k0, SUM(f) AS v FROM a GROUP BY i ORDER BY SUM(g), 2) q",
            "WITH q AS (SELECT i AS k0, j AS k1, f AS v FROM a WHERE j > 2 ORDER BY j + i) SELECT * FROM q ORDER BY v",
            "SELECT doubled.i AS k0, COUNT(*) AS v FROM doubled, newest WHERE p > f GROUP BY doubled.i ORDER BY v",
        ])  # fmt: skip

    def within(self):
        """IN (SELECT ...)."""
        value, query = self.pick(["x.i", "x.n", "x.j", "x.m", "x.w"]), self.pick([
            "SELECT j FROM c", "SELECT n FROM c", "SELECT j FROM c WHERE f > 0", "SELECT i FROM s WHERE step = 1",
            "SELECT m FROM b", "SELECT COUNT(*) FROM c",
        ])  # fmt: skip
        test = f"{value} {self.pick(['IN', 'IN', 'NOT IN'])} ({query})"
        return self.pick(
            [
                f"SELECT x.i AS k0, x.j AS k1, x.f FROM a x WHERE {test}",
                f"SELECT x.i AS k0, SUM(x.f) AS v, COUNT(*) AS c FROM a x WHERE {test} AND x.f < 1 GROUP BY x.i",
            ]
        )

    # columns

    def columns(self, make):
        return [f"{make()} AS v{n}" for n in range(int(self.rng.integers(1, 4)))]

    def aggregated(self):
        first = self.aggregate()
        return first if self.rng.random() < 0.7 else f"{first} {self.pick('+-*/')} {self.aggregate()}"

    def aggregate(self):
        name = self.pick(
            ["SUM", "SUM", "SUM", "AVG", "COUNT", "MIN", "MAX", "var", "stddev_pop", "COUNT(*)", "DISTINCT"]
        )
        if name == "COUNT(*)":
            return name
        if name == "DISTINCT":
            where = f" FILTER (WHERE {self.condition(1)})" if self.rng.random() < 0.3 else ""
            return f"COUNT(DISTINCT {self.pick(self.whole)}){where}"
        inner = self.pick([
            lambda: self.expression(1), lambda: self.expression(2), lambda: self.pick(self.whole),
            lambda: " * ".join(self.pick(self.real) for _ in range(int(self.rng.integers(1, 4)))),
            lambda: self.pick(self.real), lambda: self.pick(self.single),
        ])()  # fmt: skip
        if name in ("MIN", "MAX") and ".r" in inner:
            inner = self.pick(self.real)
        filtered = f" FILTER (WHERE {self.condition(1)})" if self.rng.random() < 0.1 else ""
        return f"{name}({inner}){filtered}"

    def expression(self, depth=2):
        if depth == 0 or self.rng.random() < 0.1:
            return self.pick([lambda: self.pick(self.real), lambda: self.pick(self.whole),
                              lambda: self.pick(["1", "2", "0.5", "-1.5", "3.0", "0", "1e10"]),
                              lambda: self.pick(self.single)])()  # fmt: skip
        deeper = lambda: self.expression(depth - 1)  # noqa: E731
        function = self.pick([
            "exp", "ln", "sqrt", "tanh", "abs", "floor", "ceil", "round", "signum", "sin", "cos", "atan", "log10",
            "trunc",
        ])  # fmt: skip
        return self.pick([
            lambda: f"({deeper()} {self.pick('+-*')} {deeper()})",
            lambda: f"({deeper()} {self.pick('+-*')} {deeper()})",
            lambda: f"({deeper()} {self.pick('/%')} {deeper()})",
            lambda: f"{function}({deeper()})",
            lambda: f"power({deeper()}, {self.pick(['2', '3', '0.5'])})",
            lambda: f"(- {deeper()})",
            lambda: f"CASE WHEN {self.condition(depth - 1)} THEN {deeper()} ELSE {deeper()} END",
            lambda: f"CASE WHEN {self.condition(depth - 1)} THEN {deeper()} END",
            lambda: f"coalesce({deeper()}, {deeper()})",
            lambda: f"nullif({self.pick(self.whole)}, 1)",
            lambda: f"CAST({deeper()} AS {self.pick(['DOUBLE', 'BIGINT', 'INT', 'REAL'])})",
            lambda: f"greatest({deeper()}, {deeper()})",
            lambda: f"least({deeper()}, 0.5)",
            lambda: f"CAST({self.pick(self.truth)} AS {self.pick(['DOUBLE', 'BIGINT'])})",
        ])()  # fmt: skip

    def condition(self, depth):
        plain = lambda: f"{self.expression(depth)} {self.pick(['<', '>', '<=', '>=', '=', '<>'])} {self.expression(0)}"  # noqa: E731
        if depth == 0 or self.rng.random() < 0.5:
            return self.pick([plain, lambda: self.pick(self.truth), lambda: f"{self.pick(self.real)} IS NULL",
                              lambda: f"{self.pick(self.whole)} IN (1, 2, 5)",
                              lambda: f"{self.pick(self.real)} BETWEEN -0.5 AND 1"])()  # fmt: skip
        one, other = self.condition(depth - 1), self.condition(depth - 1)
        return self.pick([f"({one} AND {other})", f"({one} OR {other})", f"NOT ({one})", f"({one}) IS NOT TRUE"])


class Viewed(Grids):
    """Grids of tables, with views."""

    def view(self, name):
        return parse_one(VIEWS[name[0]]).tree["Query"] if name[0] in VIEWS else None


def by_arrays(world, sql, **parameters):
    """The rows by the array executor, as a context gives it views."""
    grids = Viewed(lambda name: world.tables.get(name[0]), lambda name: KEYS.get(name[0], ()))
    # As if the step wrote every table: nothing is the same at the next one, which runs as one function.
    written = tuple((name,) for name in world.tables)
    tree = integers.widened(Reading(parse_one(sql).tree, EngineTables(world.context)))
    program = Program([LoweredQuery(tree["Query"], written)], grids, parameter_types(parameters), lasting=True)
    first = arrow(program.step(grids, parameters).run(0))
    assert program.code(0).ready
    again = arrow(program.step(grids, parameters).run(0))
    assert again.equals(first) or again.to_pandas().equals(first.to_pandas()), f"the second step differs: {sql}"
    return again


def assert_same(left, right, sql):
    assert left.schema.names == right.schema.names, sql
    left_types = [str(t).replace("string_view", "string") for t in left.schema.types]
    assert left_types == [str(t).replace("string_view", "string") for t in right.schema.types], sql
    assert left.num_rows == right.num_rows, sql
    keys = [(n, "ascending") for n in left.column_names if n.startswith(("k", "pk"))]
    if keys:
        left, right = left.sort_by(keys), right.sort_by(keys)
    for name in left.column_names:
        one, other = left[name].combine_chunks(), right[name].combine_chunks()
        assert one.is_null().to_pylist() == other.is_null().to_pylist(), f"{name}: NULLs differ: {sql}"
        if not pa.types.is_floating(one.type):
            assert one.to_pylist() == other.to_pylist(), f"{name}: {sql}"
            continue
        a, b = (np.nan_to_num(x.fill_null(0).to_numpy(zero_copy_only=False).astype(float), nan=12345.6789)
                for x in (one, other))  # fmt: skip
        exact = 1e-5 if one.type == pa.float32() else 1e-11
        scale = np.abs(b[np.isfinite(b)]).max(initial=1.0) if len(b) else 1.0
        np.testing.assert_allclose(a, b, rtol=exact, atol=exact * 0.1 * min(scale, 1e6), err_msg=f"{name}: {sql}")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_statements_mean_the_same(seed):
    world = World(seed)
    writer = Writer(world)
    assert meaning_the_same(world, [writer.statement() for _ in range(STATEMENTS)]) > STATEMENTS // 4


def test_random_statements_over_many_rows_mean_the_same():
    world = World(24, MANY)
    writer = Writer(world)
    statements = [writer.statement() for _ in range(STATEMENTS)]
    assert meaning_the_same(world, [sql for sql in statements if len(re.findall(LARGE, sql)) == 1]) > STATEMENTS // 10


LARGE = r"\b(a|b|e|h|plain|doubled|u|s|gens|sums)\b(?! *\.)"
"""Tables that have too many rows to be joined with each other."""


def meaning_the_same(world, statements):
    """How many statements are array code; each gives what DataFusion gives."""
    ran = Counter()
    for sql in statements:
        try:
            mine = by_arrays(world, sql)
        except Refused as reason:
            ran[reason.reason] += 1
            continue
        try:
            theirs = world.context.sql(sql).to_arrow_table()
        except Exception as error:  # DataFusion's errors have no class of their own
            pytest.fail(f"DataFusion fails where arrays answer: {error}\n{sql}")
        assert_same(mine, theirs, sql)
        ran["arrays"] += 1
    print(ran.most_common(12))
    return ran["arrays"]


# What binding alone has made readable to array code: NATURAL joins, QUALIFY, and windows over groups.
BY_NAME_AND_RANK = {
    "SELECT j AS k0, i AS k1, f, cf FROM a NATURAL JOIN (SELECT j, f AS cf FROM c) q": "array code",
    "SELECT j AS k0, i AS k1, f, cf FROM a NATURAL LEFT JOIN (SELECT j, f AS cf FROM c) q": "array code",
    "SELECT j AS k0, SUM(f * cf) AS v FROM a NATURAL JOIN (SELECT j, f AS cf FROM c) q GROUP BY j": "array code",
    "SELECT i AS k0, f, p FROM (SELECT i, f FROM s WHERE step = 1) q NATURAL JOIN cur": "array code",
    "SELECT k AS k0, x.j AS k1, f, df FROM (SELECT k, j, f FROM b) x NATURAL JOIN (SELECT k, f AS df FROM d) y "
    "WHERE f > 0": "array code",
    "SELECT j AS k0, cf FROM (SELECT i, j FROM a) q NATURAL RIGHT JOIN (SELECT j, f AS cf FROM c) r":
    "either side of an outer join",
    "SELECT i AS k0, j AS k1, f FROM a QUALIFY ROW_NUMBER() OVER (PARTITION BY i ORDER BY f, j) = 1": "array code",
    "SELECT i AS k0, j AS k1, f, ROW_NUMBER() OVER (PARTITION BY i ORDER BY f, j) AS o FROM a QUALIFY o <= 2":
    "array code",
    "SELECT i AS k0, j AS k1, f FROM a WHERE j > 2 QUALIFY ROW_NUMBER() OVER (PARTITION BY i ORDER BY j DESC) > 1":
    "array code",
    "SELECT i AS k0, SUM(f) AS v, ROW_NUMBER() OVER (ORDER BY i) AS o FROM a GROUP BY i": "array code",
    "SELECT i AS k0, j AS k1, COUNT(*) AS v, ROW_NUMBER() OVER (PARTITION BY i ORDER BY j DESC) AS o FROM a "
    "GROUP BY i, j": "array code",
    "SELECT i AS k0, SUM(f) AS v FROM a GROUP BY i QUALIFY ROW_NUMBER() OVER (ORDER BY i DESC) = 1": "array code",
    "SELECT i AS k0, COUNT(n) AS v FROM a GROUP BY i HAVING COUNT(n) > 1 "
    "QUALIFY ROW_NUMBER() OVER (ORDER BY i) < 3": "array code",
    "SELECT k0, o FROM (SELECT i AS k0, ROW_NUMBER() OVER (ORDER BY i) AS o FROM a GROUP BY i) q WHERE o = 2":
    "array code",
    "SELECT i AS k0, ROW_NUMBER() OVER (ORDER BY SUM(n), i) AS o FROM a GROUP BY i": "partitioned by an aggregate",
    "SELECT i AS k0, SUM(f) AS v, ROW_NUMBER() OVER (PARTITION BY SUM(n) ORDER BY i) AS o FROM a GROUP BY i":
    "partitioned by an aggregate",
    "SELECT t AS k0, ROW_NUMBER() OVER (ORDER BY t) AS o FROM plain GROUP BY t": "no number",
    "SELECT i AS k0, SUM(SUM(f)) OVER (ORDER BY i) AS v FROM a GROUP BY i": "no array code",
}  # fmt: skip


@pytest.fixture(scope="module")
def worlds():
    return [World(100 + seed) for seed in range(8)]


@pytest.mark.parametrize("sql", BY_NAME_AND_RANK)
def test_names_in_common_and_ranks_mean_the_same(worlds, sql):
    said = set()
    for world in worlds:
        try:
            mine = by_arrays(world, sql)
        except Refused as reason:
            said.add(reason.reason)
            continue
        said.add("array code")
        assert_same(mine, world.context.sql(sql).to_arrow_table(), sql)
    assert any(BY_NAME_AND_RANK[sql] in reason for reason in said), said
