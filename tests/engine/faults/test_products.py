"""Random chains of joins with products in them give DuckDB's rows."""

import random

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import sqlmagic_xr
from tests.dealt import MANY, PACKED, dealing

NAMES = "abcd"


def tables(draw):
    def column(choices, n):
        return [draw.choice(choices) for _ in range(n)]

    return {
        name: pa.table(
            {
                "i": pa.array(column([0, 1, 2, None], n), pa.int64()),
                "x": pa.array(column([0.5, 1.0, 1.5, None], n), pa.float64()),
                "s": pa.array(column(["p", "q", None], n), pa.string()),
            }
        )
        for name, n in zip(NAMES, (5, 4, 3, 2), strict=True)
    }


def term(draw, before, new):
    """A condition between the relation that joins and those before it."""
    one, two = draw.choice(before), draw.choice(before)
    return draw.choice(
        [
            f"{one}.i = {new}.i",
            f"{new}.s = {one}.s",
            f"{one}.i IS NOT DISTINCT FROM {new}.i",
            f"{one}.s IS NOT DISTINCT FROM {new}.s",
            f"{one}.i + 1 IS NOT DISTINCT FROM {new}.i",
            f"{one}.i + {two}.i = {new}.i",
            f"{new}.x = {one}.x * {two}.i",
            f"{one}.x - {new}.x = {two}.x",
            f"concat({one}.s, {two}.s) = concat({new}.s, {new}.s)",
            f"{one}.i < {new}.i",
            f"{one}.i = {two}.i",
        ]
    )


def chain(draw, names):
    """Relations of these names, joined in some way; each joins with what stands before it."""
    first, *rest = names
    text, before = first, [first]
    for new in rest:
        kind = draw.choice(["JOIN"] * 4 + ["CROSS JOIN"] * 2 + ["LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        text += f" {kind} {new}"
        if kind != "CROSS JOIN":
            equal = [f"{draw.choice(before)}.i = {new}.i"] if kind == "FULL JOIN" else []
            terms = equal + [term(draw, before, new) for _ in range(draw.choice([1, 1, 2]))]
            text += f" ON {' AND '.join(f'({t})' if 'DISTINCT' in t else t for t in terms)}"
        before.append(new)
    return text


def query(draw):
    names = list(draw.sample(NAMES, draw.choice([3, 3, 4])))
    shape = draw.choice(["chain", "chain", "comma", "beneath"])
    if shape == "comma":
        source = f"{names[0]}, {chain(draw, names[1:])}"
    elif shape == "beneath":
        source = f"{names[0]} LEFT JOIN ({chain(draw, names[1:])}) ON {names[0]}.i = {names[1]}.i"
    else:
        source = chain(draw, names)
    where = draw.choice(["", "", f" WHERE {term(draw, names[:2], names[-1])}"])
    return f"SELECT {', '.join(f'{n}.{c} AS {n}{c}' for n in names for c in 'ixs')} FROM {source}{where}"


def rows(table):
    """The rows of a table, sorted; several columns may have one name."""
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


@pytest.mark.parametrize("seed", range(8))
def test_random_chains_of_joins(seed):
    draw = random.Random(seed)
    ctx, other = dealing(sqlmagic_xr.Context(), seed % 2 == 1), duckdb.connect()
    for name, table in tables(draw).items():
        ctx.from_arrow(table, name)
        other.register(name, table)
    compared = 0
    for _ in range(25):
        sql = query(draw)
        try:
            expected = other.sql(sql).to_arrow_table()
        except duckdb.Error:  # a FULL JOIN that it cannot run
            continue
        found = ctx.script(sql)[0].to_arrow_table()
        assert rows(found) == rows(expected), sql
        compared += found.num_rows > 0
    assert compared > 5


def sorted_rows(table, schema):
    table = pa.table(table.columns, names=schema.names).cast(schema)
    return table.sort_by([(name, "ascending") for name in schema.names]).combine_chunks()


def test_random_chains_of_joins_over_many_rows():
    """One of the relations is larger than a batch; a row is told from all others by each of its columns."""
    draw, i = random.Random(90), np.random.default_rng(9).permutation(MANY)
    a = pa.table({"i": pa.array(i, mask=i % 97 == 5), "x": i * 0.5, "s": [f"p{n}" if n else "p" for n in i]})
    ctx, other = dealing(sqlmagic_xr.Context(), PACKED), duckdb.connect()
    for name, table in {**tables(draw), "a": a}.items():
        ctx.from_arrow(table, name)
        other.register(name, table)
    compared = 0
    for sql in [sql for sql in (query(draw) for _ in range(60)) if "a.i" in sql and sql.count("CROSS") < 2][:18]:
        try:
            expected = other.sql(sql).to_arrow_table()
        except duckdb.Error:
            continue
        found = sorted_rows(ctx.script(sql)[0].to_arrow_table(), expected.schema)
        assert found.equals(sorted_rows(expected, expected.schema)), sql
        compared += found.num_rows > 8192
    assert compared > 3


@pytest.mark.parametrize("beside", ["CROSS JOIN c", "JOIN c ON a.i < c.i RIGHT JOIN d ON a.i = d.i"])
def test_hundreds_of_conditions_are_moved_or_spelled_out(beside):
    ctx, other = sqlmagic_xr.Context(), duckdb.connect()
    for name, table in tables(random.Random(1)).items():
        ctx.from_arrow(table, name)
        other.register(name, table)
    terms = " AND ".join(f"(a.i + {n} IS NOT DISTINCT FROM b.i + {n})" for n in range(100))
    sql = f"SELECT a.x, b.x AS y FROM a JOIN b ON {terms} {beside}"
    found, expected = ctx.script(sql)[0].to_arrow_table(), other.sql(sql).to_arrow_table()
    assert rows(found) == rows(expected)
    assert found.num_rows
