"""Random queries of the shapes in which the engine has faults: DuckDB's rows are the right ones."""

import math
import random

import duckdb
import pyarrow as pa
import pytest
from datafusion import SessionConfig, SessionContext

import sqlmagic_xr
from tests.dealt import MANY

SEEDS, QUERIES = 10, 30
ROWS, LONG = {"t": 14, "r": 9}, {"t": MANY, "r": 9}

CONFIGS = {
    "as it is": lambda: None,
    "two rows a batch": lambda: SessionConfig().with_batch_size(2).with_target_partitions(4),
    "64 rows a batch": lambda: SessionConfig().with_batch_size(64).with_target_partitions(4),
}


class World:
    """Two tables of special values, in DuckDB and in a context of ours."""

    def __init__(self, seed, config, counts=ROWS):
        self.rng = random.Random(seed)
        self.ours, self.oracle = sqlmagic_xr.Context(CONFIGS[config]()), duckdb.connect()
        for name, count in counts.items():
            table = self.table(count)
            SessionContext.register_record_batches(self.ours, name, [table.to_batches(max_chunksize=count // 2)])
            self.oracle.register(f"{name}_given", table)
            self.oracle.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_given")

    def table(self, count):
        def some(values):
            return [self.rng.choice([*values, None]) for _ in range(count)]

        return pa.table({
            "k": range(count), "i": pa.array(some([0, 1, 2, 3]), pa.int64()),
            "j": pa.array(some([-1, 0, 5]), pa.int64()),
            "s": pa.array(some([300, -300, 2]), pa.int16()), "b": pa.array(some([100, -128, 3]), pa.int8()),
            "f": pa.array(some([0.0, -0.0, 1.5, -2.0]), pa.float64()),
            "g": pa.array(some([0.0, -0.0, 1.5]), pa.float64()),
            "d": pa.array(some([0, 86_400_000_000 * 400, -86_400_000_000 * 9000]), pa.timestamp("us")),
        })  # fmt: skip

    def pick(self, *choices):
        return self.rng.choice(choices)


def membership(w):
    column = w.pick("i", "j", "k")
    source = w.pick(
        f"SELECT {w.pick('i', 'j')} FROM r", f"SELECT i FROM r WHERE r.{w.pick('i', 'j')} = t.i",
        "SELECT count(*) FROM r WHERE r.i = t.i", "SELECT max(j) FROM r WHERE r.i = t.i", "SELECT sum(i) FROM r",
        "SELECT i FROM r WHERE t.j > 0", "SELECT j FROM r WHERE r.i > 0 AND t.j > 0",
        "SELECT j FROM r WHERE t.j IS NULL",
    )  # fmt: skip
    member = f"t.{column} {w.pick('IN', 'NOT IN')} ({source})"
    listed = f"t.{column} {w.pick('IN', 'NOT IN')} ({w.pick('1, 2', '0, NULL', 'NULL, 3, 1', 'j, 2')})"
    there = (
        f"{w.pick('', 'NOT ')}EXISTS ({w.pick('SELECT max(i)', 'SELECT 1')} FROM r WHERE r.i = t.{w.pick('i', 'j')})"
    )
    first, second = w.rng.sample([member, listed, there, listed, f"t.i IS {w.pick('', 'NOT ')}DISTINCT FROM t.j"], 2)
    return f"SELECT k FROM t WHERE {first} {w.pick('AND', 'OR')} {w.pick('', 'NOT ')}({second})"


def compared(w):
    a, b = w.pick("f", "g", "-f"), w.pick("0", "g", "-0.0", "1.5")
    condition = f"{a} {w.pick('=', '<', '>=', '<>')} {b}"
    return w.pick(
        f"SELECT k FROM t WHERE {condition}", "SELECT k FROM t WHERE f BETWEEN 0 AND g",
        f"SELECT t.k, r.k FROM t {w.pick('', 'LEFT ')}JOIN r ON t.f = {w.pick('', '-')}r.f",
        f"SELECT t.k, count(*) FROM t JOIN r ON t.f = r.g AND t.{w.pick('i', 'j')} = r.i GROUP BY t.k",
        "SELECT f + 1, count(*), sum(i) FROM t GROUP BY f", "SELECT count(DISTINCT f), count(DISTINCT -g) FROM t",
        f"SELECT f + 1 FROM t {w.pick('UNION', 'EXCEPT', 'INTERSECT')} SELECT g + 1 FROM r",
        "SELECT k, (SELECT count(*) FROM r WHERE r.f = t.f) FROM t",
    )  # fmt: skip


def narrow(w):
    x, y = w.pick("s", "b"), w.pick("s", "b")
    product = f"CAST({x} AS BIGINT) {w.pick('*', '+', '-')} {y}"  # DuckDB refuses what would wrap
    ours = product.replace(f"CAST({x} AS BIGINT)", x)
    shape = w.pick(
        "SELECT k, {0} FROM t", "SELECT sum({0}) FROM t", "SELECT i, max({0}) FROM t GROUP BY i",
        "SELECT k FROM t WHERE {0} > 0", "SELECT k FROM t WHERE ({0}) * 2 < 9",
    )  # fmt: skip
    return shape.format(product), shape.format(ours)


def windows(w):
    frame = w.pick("ROWS 2 PRECEDING", "ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
                   "ROWS BETWEEN CURRENT ROW AND CURRENT ROW",
                   "RANGE BETWEEN 3 PRECEDING AND 1 FOLLOWING", "ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING")  # fmt: skip
    call = w.pick("min(f)", "max(i)", "sum(i)", "count(f)", "avg(j)", "regr_count(i, j)", "sum(s)")
    part = w.pick("", "PARTITION BY i ", "PARTITION BY f ")
    order = f"({part}ORDER BY k {frame})"
    ranked = f"{w.pick('rank', 'dense_rank')}() OVER ({part}ORDER BY {w.pick('f NULLS LAST', 'g NULLS FIRST')})"
    moved = f"{w.pick('lead', 'lag')}(i, {w.pick('1', '2')}) OVER ({part}ORDER BY k)"
    return f"SELECT k, {w.pick(f'{call} OVER {order}', f'{call} OVER {order}', ranked, moved)} FROM t"


def aggregated(w):
    key = w.pick("i", "s", "f + 0.0", "date_part('year', d)")
    calls = [
        "sum(s)",
        "min(f) + 0.0",
        "max(g) + 0.0",
        "avg(i)",
        "count(*)",
        "sum(f)",
        "var_pop(i)",
        "stddev(j)",
        "count(f)",
    ]
    having = w.pick("", "", " HAVING count(*) > 1", " HAVING max(f) = 0")
    return f"SELECT {key}, {', '.join(w.rng.sample(calls, 2))} FROM t GROUP BY {key}{having}"


def years(w):
    part = w.pick("date_part('year', d)", "extract(year FROM d)", "date_part('month', d)")
    test = w.pick("< 9999", "> -5", "BETWEEN 1000 AND 3000", "<> 1971", "= 1970", "IN (1971, 5000)")
    return f"SELECT k FROM t WHERE {w.pick('', 'NOT ')}({part} {test})"


SHAPES = [membership, membership, compared, compared, narrow, windows, windows, aggregated, years]


def value(cell):
    if cell is None or isinstance(cell, (str, bool)):
        return cell
    return "nan" if math.isnan(cell) else round(float(cell), 9) + 0.0


def rows(found):
    return sorted((tuple(map(value, row)) for row in found), key=repr)


@pytest.mark.parametrize(
    ("seed", "config", "counts", "queries"),
    [(seed, config, ROWS, QUERIES) for seed in range(SEEDS) for config in list(CONFIGS)[:2]]
    + [(SEEDS, "64 rows a batch", LONG, len(SHAPES))],
)
def test_random_queries_are_answered_right(seed, config, counts, queries):
    world = World(seed, config, counts)
    for number in range(queries):
        made = SHAPES[number % len(SHAPES)](world)
        asked, sql = made if isinstance(made, tuple) else (made, made)
        right = rows(world.oracle.execute(asked).fetchall())
        table = world.ours.sql(sql).to_arrow_table()
        mine = rows(zip(*(column.to_pylist() for column in table.columns), strict=True))
        assert mine == right, f"{sql}\n{world.ours.sql('SELECT * FROM t ORDER BY k LIMIT 20').to_pydict()}"


def test_the_engine_alone_fails_it():
    """The shapes reach the faults: without the rewrites some of the same queries have other rows."""
    world, wrong = World(0, "as it is"), 0
    plain = SessionContext()
    for name in ROWS:
        plain.register_record_batches(name, [world.ours.sql(f"SELECT * FROM {name}").to_arrow_table().to_batches()])
    for number in range(QUERIES):
        made = SHAPES[number % len(SHAPES)](world)
        asked, sql = made if isinstance(made, tuple) else (made, made)
        try:
            found = rows(zip(*(c.to_pylist() for c in plain.sql(sql).to_arrow_table().columns), strict=True))
        except Exception:
            found = None
        wrong += found != rows(world.oracle.execute(asked).fetchall())
    assert wrong >= 3
