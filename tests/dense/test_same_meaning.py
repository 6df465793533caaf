"""Random statements over random grids: the array executor gives what DataFusion gives, or declines."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext

from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.dense.program import Program, Query
from sqlmagic_xr.sql.syntax import parse_one
from sqlmagic_xr.train.gridded import Grids, arrow, parameter_types

SEEDS, STATEMENTS = 20, 125  # 2,500 statements

KEYS = {
    "a": ("i", "j"),
    "b": ("j", "k"),
    "c": ("j",),
    "e": ("i", "j", "k"),
    "h": ("i", "k"),
    "d": ("k",),
    "s": ("step", "i"),
}


class World:
    """Tables of random coordinates and values."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.axes = {name: np.unique(self.rng.integers(0, 9, 6)) for name in "ijk"} | {"step": np.arange(3)}
        self.tables = {}
        for name, key in KEYS.items():
            self.tables[name] = self.table(key, missing=name == "h" or self.rng.random() < 0.1)
        one = self.table(("i",)).slice(0, 1)
        self.tables["cur"] = one.select(["f", "n"]).rename_columns(["p", "q"])
        self.tables["plain"] = self.table(("i", "j")).select(["i", "f", "n", "b", "t"])
        if self.rng.random() < 0.2:  # duplicated keys, which DataFusion joins as they are
            self.tables["c"] = pa.concat_tables([self.tables["c"], self.tables["c"].slice(0, 1)])
        self.context = SessionContext(SessionConfig().with_target_partitions(1))
        for name, table in self.tables.items():
            self.context.register_record_batches(name, [table.combine_chunks().to_batches()])

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
        columns = {k: pa.array(g[order], pa.int64()) for k, g in zip(key, grid, strict=True)}
        n = len(order)
        columns["f"] = self.floats(n)
        columns["g"] = self.floats(n)
        columns["n"] = pa.array(rng.integers(-3, 6, n), pa.int64(), mask=self.nulls(n))
        columns["m"] = pa.array(rng.integers(0, 4, n), pa.int32(), mask=self.nulls(n))
        columns["b"] = pa.array(rng.random(n) < 0.5, pa.bool_(), mask=self.nulls(n))
        columns["r"] = pa.array(rng.normal(size=n).astype(np.float32), mask=self.nulls(n))
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
        body = self.pick([self.flat, self.grouped, self.grouped, self.total, self.nested, self.looked_up, self.ranked])
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

    # columns

    def columns(self, make):
        return [f"{make()} AS v{n}" for n in range(int(self.rng.integers(1, 4)))]

    def aggregated(self):
        first = self.aggregate()
        return first if self.rng.random() < 0.7 else f"{first} {self.pick('+-*/')} {self.aggregate()}"

    def aggregate(self):
        name = self.pick(["SUM", "SUM", "SUM", "AVG", "COUNT", "MIN", "MAX", "var", "stddev_pop", "COUNT(*)"])
        if name == "COUNT(*)":
            return name
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


def by_arrays(world, sql, **parameters):
    """The rows by the array executor."""
    grids = Grids(lambda name: world.tables.get(name[0]), lambda name: KEYS.get(name[0], ()))
    program = Program([Query(parse_one(sql).tree["Query"])], grids, parameter_types(parameters))
    return arrow(program.step(grids, parameters).run(0))


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
    ran = Counter()
    for _ in range(STATEMENTS):
        sql = writer.statement()
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
    assert ran["arrays"] > STATEMENTS // 4
