"""Random datasets and random aggregates over them: array code over chunks gives DataFusion's rows, or refuses."""

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.dense.node import Refused
from sqlmagic_xr.queries.gridded import sweep
from sqlmagic_xr.queries.gridded.plan import UNFORESEEN
from tests.dealt import MANY, PACKED, dealing
from tests.queries.gridded.same import assert_same

DATASETS, QUERIES = 5, 40  # for each of the seeds: 1,800 queries in all, and those over many cells
SEEDS = range(9)
APART = "(SELECT 1 AS k, 0.5 AS w UNION ALL SELECT 2, NULL UNION ALL SELECT 2, -1.5) p"
WHOLE = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def coordinate(rng, dim, size):
    """A coordinate of some kind; None for a dimension without one."""
    kind = rng.choice(["time", "float", "down", "again", "whole", "text", "none", "cftime", "missing", "single"])
    if kind == "time":
        return pd.date_range("1999-11-20", periods=size, freq=str(rng.choice(["13D", "7h", "31D"])))
    if kind in ("float", "single"):
        return np.linspace(-60, 60, size).astype(np.float64 if kind == "float" else np.float32)
    if kind == "down":
        return np.linspace(5, -5, size)
    if kind == "again":
        return rng.integers(0, 3, size).astype(float)
    if kind == "whole":
        return rng.permutation(np.arange(-2, size - 2)).astype(np.int32)
    if kind == "text":
        return np.array([f"{dim}{n % 4}" for n in range(size)], object)
    if kind == "cftime":
        calendar = str(rng.choice(["noleap", "360_day", "julian", "standard", "proleptic_gregorian", "all_leap"]))
        return np.array([cftime.datetime(2000 + n // 12, 1 + n % 12, 3, calendar=calendar) for n in range(size)])
    if kind == "missing":
        return np.where(rng.random(size) < 0.3, np.nan, np.arange(size) - 1.0)
    return None


def variable(rng, shape):
    """Values of some type, some of them missing where it has that."""
    kind = rng.choice(["f4", "f8", "bool", "time", *WHOLE, "f4", "f8"])
    if kind in ("f4", "f8"):
        values = rng.normal(3, 2, shape).astype(kind)
        if rng.random() < 0.6:
            values[rng.random(shape) < rng.choice([0.05, 0.5, 1.0])] = np.nan
        if rng.random() < 0.1:
            values[rng.random(shape) < 0.1] = np.inf
        return values
    if kind == "bool":
        return rng.random(shape) < 0.4
    if kind == "time":
        values = np.datetime64("2001-02-27", "ns") + rng.integers(0, 99, shape).astype("timedelta64[h]")
        values[rng.random(shape) < 0.2] = np.datetime64("NaT", "ns")
        return values
    low = 0 if kind[0] == "u" else -5
    return rng.integers(low, 9, shape).astype(kind)


def uneven(rng, size):
    """The lengths of chunks, each of its own."""
    cuts = np.flatnonzero(rng.random(size - 1) < 0.4) + 1
    return tuple(int(n) for n in np.diff([0, *cuts, size]))


def dataset(rng, shape=None):
    """A dataset of one to four dims, or of a shape."""
    dims = list(rng.permutation(["t", "y", "x", "m"])[: len(shape) if shape else rng.integers(1, 5)])
    shape = shape or tuple(int(n) for n in rng.integers(1, 7, len(dims)))
    coords = {d: c for d, n in zip(dims, shape, strict=True) if (c := coordinate(rng, d, n)) is not None}
    if rng.random() < 0.5:
        coords["level"] = 850
    if rng.random() < 0.5:
        coords["label"] = (dims[0], np.array([f"L{n % 2}" for n in range(shape[0])], object))
    if len(dims) > 1 and rng.random() < 0.5:
        coords["height"] = (dims[:2], np.round(rng.random(shape[:2]) * 9))
    names = ["a", "b", "c"][: rng.integers(1, 4)]
    found = xr.Dataset({n: (dims, variable(rng, shape)) for n in names}, coords=coords)
    if rng.random() < 0.15:
        found = found.chunk({d: uneven(rng, n) for d, n in zip(dims, shape, strict=True)})
    return found


RANKS = ["ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST"]


class Writer:
    """Writes random queries over one table."""

    def __init__(self, rng, schema, dims):
        self.rng, self.dims = rng, dims
        self.kinds = {field.name: str(field.type) for field in schema}
        self.numbers = [n for n, k in self.kinds.items() if k.startswith(("int", "uint", "float", "double"))]
        # The times of another calendar are numbers of microseconds, whose squares no double holds.
        self.numbers = [n for n in self.numbers if n in ("a", "b", "c") or self.kinds[n] != "int64"]
        self.cells = [n for n in ("a", "b", "c") if n in self.kinds]

    def choose(self, items):
        return items[int(self.rng.integers(len(items)))]

    def key(self):
        if self.numbers and self.rng.random() < 0.15:  # one that varies along several axes
            one, other = self.choose(self.numbers), self.choose(self.numbers)
            return self.choose([f"{one} > {other}", f"floor({one} / 3)", f"CASE WHEN {one} > 1 THEN 'x' END"])
        column = self.choose([d for d in (*self.dims, "label") if d in self.kinds])
        kind = self.kinds[column]
        if kind.startswith("timestamp"):
            part = self.choose(["month", "day", "hour", "year"])
            options = [column, f"date_part('{part}', {column})", f"date_trunc('month', {column})",
                       f"to_char({column}, '%Y-%m')"]  # fmt: skip
        elif kind == "string":
            options = [column, f"{column} LIKE '%1'", f"upper({column})"]
        else:
            options = [column, f"{column} > 0", f"floor({column} / 2)", f"{column} IS NULL",
                       f"CASE WHEN {column} < 0 THEN 'low' WHEN {column} < 2 THEN 'mid' END"]  # fmt: skip
        return self.choose(options)

    def number(self, depth=1):
        rng = self.rng
        if not self.numbers or rng.random() < 0.15:
            return self.choose(["2", "0.5", "-3"])
        column = self.choose(self.numbers)
        if depth == 0 or rng.random() < 0.4:
            return column
        inner, other = self.number(depth - 1), self.number(depth - 1)
        return self.choose([
            f"({inner} + {other})", f"({inner} - {other})", f"({inner} * {other})", f"{inner} / 4.0",
            f"(CAST({column} AS DOUBLE) + 0.0)", f"abs(CAST({inner} AS DOUBLE))", f"power({inner}, 2)",
            f"CASE WHEN {self.condition()} THEN {inner} ELSE {other} END", f"coalesce({inner}, 0)",
            f"nullif({column}, 1)", f"-CAST({column} AS DOUBLE)", f"exp(-abs(CAST({column} AS DOUBLE)))",
        ])  # fmt: skip

    def condition(self):
        column = self.choose([*self.kinds])
        kind = self.kinds[column]
        if kind == "string":
            return self.choose([f"{column} = '{column}1'", f"{column} IN ('L0', 'x1')", f"{column} LIKE '%0'"])
        if kind.startswith("timestamp"):
            return self.choose([f"{column} > TIMESTAMP '2000-01-03T00:00:00'", f"{column} IS NOT NULL"])
        if kind == "bool":
            return self.choose([column, f"NOT {column}"])
        options = [f"{column} > 1", f"{column} <= 0.5", f"{column} BETWEEN 0 AND 3", f"{column} <> 2",
                   f"{column} IN (1, 2, 3)", f"{column} IS NULL", f"{column} IS NOT NULL",
                   f"NOT ({column} > 2)"]  # fmt: skip
        first = self.choose(options)
        if self.rng.random() < 0.7:
            return first
        return f"({first} {self.choose(['AND', 'OR'])} {self.choose(options)})"

    def whole(self):
        """An aggregate that wants the members of a group at once."""
        name = self.choose(["MEDIAN", "PERCENTILE_CONT", "FIRST_VALUE", "LAST_VALUE"])
        if name == "MEDIAN":
            return f"MEDIAN({self.choose(self.numbers)})" if self.numbers else "COUNT(*)"
        if name == "PERCENTILE_CONT":
            share = self.choose(["0.5", "0.1", "0.75"])
            return f"PERCENTILE_CONT({self.choose(self.numbers)}, {share})" if self.numbers else "COUNT(*)"
        down = self.choose(["", " DESC"])
        return f"{name}({self.choose([*self.kinds])} ORDER BY {self.choose(self.dims)}{down})"

    def frame(self):
        return self.choose([
            "", "ROWS 2 PRECEDING", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING", "ROWS BETWEEN 1 FOLLOWING AND 9 FOLLOWING",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "GROUPS 2 PRECEDING",
            "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        ])  # fmt: skip

    def window(self):
        """A window function along one dimension, all others being its partition."""
        along = self.choose(self.dims)
        parts = [d for d in self.dims if d != along]
        if self.rng.random() < 0.2:
            parts.append(f"{along} IS NOT NULL" if self.kinds[along] == "string" else f"{along} > {along}")
        order = f"ORDER BY {along}{self.choose(['', ' DESC'])}"
        over = f"{'PARTITION BY ' + ', '.join(parts) if parts else ''} {order}"
        name = self.choose(
            ["AVG", "SUM", "COUNT", "MIN", "MAX", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "ROW_NUMBER"]
        )
        if name == "ROW_NUMBER":
            return f"{self.choose(RANKS)}() OVER ({over})"
        if name in ("LAG", "LEAD"):
            return f"{name}({self.choose(self.cells)}, {self.choose(['1', '2', '0'])}) OVER ({over})"
        if name in ("AVG", "SUM"):
            column = self.choose([c for c in self.cells if c in self.numbers] or ["1"])
        else:
            column = self.choose([c for c in self.cells if self.kinds[c] != "bool"] or ["1"])
        condition = f" FILTER (WHERE {self.condition()})" if self.rng.random() < 0.15 and "VALUE" not in name else ""
        return f"{name}({column}){condition} OVER ({over} {self.frame()})"

    def rows(self):
        """A row for each cell, windows among its columns."""
        columns = [*self.dims, *(f"{self.window()} AS v{n}" for n in range(int(self.rng.integers(1, 3))))]
        if self.numbers and self.rng.random() < 0.3:
            columns.append(f"{self.choose(self.numbers)} - {self.choose(self.cells)} AS w" if set(self.cells) <= set(
                self.numbers) else f"{self.choose(self.numbers)} AS w")  # fmt: skip
        where = f" WHERE {self.choose(self.dims)} IS NOT NULL" if self.rng.random() < 0.3 else ""
        return f"SELECT {', '.join(columns)} FROM d{where}"

    def measure(self):
        rng = self.rng
        if rng.random() < 0.1:
            return self.whole()
        name = self.choose(["AVG", "SUM", "COUNT", "MIN", "MAX", "VAR_POP", "STDDEV", "COVAR_POP", "CORR", "REGR_SLOPE",
                            "COUNT(*)", "DISTINCT", "REGR_COUNT", "VAR_SAMP"])  # fmt: skip
        if name == "COUNT(*)":
            call = name
        elif name == "DISTINCT":
            call = f"COUNT(DISTINCT {self.key()})"
        elif name in ("MIN", "MAX", "COUNT") and rng.random() < 0.5:
            fit = [c for c, k in self.kinds.items() if k != "string" or name == "COUNT"]
            call = f"{name}({self.choose(fit)})" if fit else "COUNT(*)"
        elif name == "CORR":
            # Of values that are all alike up to rounding the engine gives a number, where it should be NULL.
            fit = [c for c in self.cells if c in self.numbers] or ["1"]
            call = f"{name}({self.choose(fit)}, {self.choose(fit)})"
        elif name in ("COVAR_POP", "REGR_SLOPE", "REGR_COUNT"):
            call = f"{name}({self.number()}, {self.number()})"
        else:
            call = f"{name}({self.number()})"
        return f"{call} FILTER (WHERE {self.condition()})" if rng.random() < 0.2 else call

    def query(self):
        rng = self.rng
        if rng.random() < 0.2:
            return self.rows()
        keys = [self.key() for _ in range(int(rng.integers(0, 4)))]
        measures = [self.measure() for _ in range(int(rng.integers(1, 4)))]
        columns = [f"{k} AS k{n}" for n, k in enumerate(keys)] + [f"{m} AS v{n}" for n, m in enumerate(measures)]
        text = f"SELECT {', '.join(columns)} FROM d"
        if rng.random() < 0.08:  # with rows that are joined with every cell
            keys.append("p.k")
            value = f"{self.choose(self.numbers)} * p.w" if self.numbers else "p.w"
            text = f"SELECT {', '.join([*columns, 'p.k', f'SUM({value}) AS s'])} FROM d CROSS JOIN {APART}"
        if rng.random() < 0.5:
            text += f" WHERE {self.condition()}"
        if keys:
            text += f" GROUP BY {', '.join(keys)}"
            text += " HAVING COUNT(*) > 1" if rng.random() < 0.2 else ""
        return text


@pytest.mark.parametrize("seed", SEEDS)
def test_random_aggregates_are_those_of_the_engine(seed, monkeypatch):
    if seed % 2:  # the cells of these small datasets in several blocks
        monkeypatch.setattr(sweep, "BLOCK", 8)
        monkeypatch.setattr(sweep, "LARGE", 30)
    rng = np.random.default_rng(seed)
    ran = 0
    for number in range(DATASETS):
        ran += same_answers(rng, dataset(rng), (number + 1) * QUERIES - ran, number % 4 == 3)
    assert ran == DATASETS * QUERIES


@pytest.mark.parametrize("shape", [(MANY,), (10, 150, 20)], ids=["a line", "a cube"])
def test_random_aggregates_over_many_cells(shape):
    rng = np.random.default_rng(len(shape))
    found = dataset(rng, shape)
    assert same_answers(rng, found.chunk({d: max(n // 4, 7) for d, n in found.sizes.items()}), 12, PACKED) == 12


def same_answers(rng, found, count, dealt):
    """How many random queries over a dataset, ``count`` at most, were answered, each as the engine answers it."""
    ctx, ran, unforeseen = dealing(Context(), dealt), 0, []
    ctx.from_dataset("d", found)
    writer = Writer(rng, ctx.table("d").schema(), [str(d) for d in found.dims])
    for _ in range(3 * count):
        if ran == count:
            break
        sql = writer.query()
        try:
            assert_same(ctx, sql, rtol=1e-8, atol=1e-8)
            ran += 1
        except Refused as why:  # another one is drawn in its place
            unforeseen += [(sql, why.reason)] if why.reason.startswith(UNFORESEEN) else []
    assert unforeseen == []
    return ran
