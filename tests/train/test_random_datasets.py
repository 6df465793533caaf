"""Whatever dataset: a run reads the cells that xarray has, kept or streamed, by the engine or as array code."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.train.steps import arrays, larder, plan
from tests.dealt import PACKED, dealing
from tests.engine.datasets import datasets, expected, many, quoted

WAYS = {"as array code": (2**30, "auto"), "kept": (2**30, "relational"), "streamed": (0, "relational")}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(datasets(most=3, finite=True), st.booleans())
@example(many(finite=True), PACKED)
def test_a_run_reads_what_xarray_has(way, found, by_twos):
    dataset, chunks = found
    budget, executor = WAYS[way]
    with (
        patch.object(arrays, "default_budget", lambda: budget),
        patch.object(plan, "default_budget", lambda: budget),
        patch.object(larder, "streamed", wraps=larder.streamed) as streamed,
    ):
        context = dealing(Context(), by_twos)
        context.from_dataset("d", dataset, chunks=chunks)
        for key, grid in context.grids.items():
            columns, rows = expected(dataset, list(grid.dataset.data_vars))
            written = "d" if key == "d" else f"d.{quoted(key[2:])}"
            assert run(context, written, columns, executor) == wanted(columns, rows, context.grids[key])
    some = any(math.prod(grid.dataset.sizes.values()) for grid in context.grids.values())
    assert bool(streamed.call_count) == (way == "streamed" and some)


def run(context, table, columns, executor):
    """What one step counts, and sums where there are numbers."""
    schema = context.sql(f"SELECT * FROM {table}").schema()
    asked = [f"COUNT({quoted(c)})" for c in columns]
    asked += [f"SUM(CAST({quoted(c)} AS DOUBLE))" for c in columns if _is_number(schema.field(c).type)]
    names = [f"c{number}" for number in range(len(asked))]
    context.script("DROP TABLE IF EXISTS found")
    context.script(f"CREATE TABLE found (step BIGINT, n BIGINT, {', '.join(f'{n} DOUBLE' for n in names)})")
    context.script("INSERT INTO found (step) VALUES (0)")
    context.train(f"INSERT INTO found SELECT :next_step, COUNT(*), {', '.join(asked)} FROM {table}", steps=1,
                  executor=executor)  # fmt: skip
    (row,) = context.script("SELECT * FROM found WHERE step = 1")[0].to_arrow_table().to_pylist()
    return [None if value is None else pytest.approx(value, rel=1e-9, nan_ok=True) for value in row.values()]


def wanted(columns, rows, grid):
    whole = [sum(rows.values())]
    for place in range(len(columns)):
        whole.append(sum(n for row, n in rows.items() if row[place] is not None))
    for place, column in enumerate(columns):
        if _is_number(grid.schema.field(column).type):
            values = [(row[place], n) for row, n in rows.items() if row[place] is not None]
            whole.append(math.fsum(float(v) * n for v, n in values) if values else None)
    return [1, *whole]


def _is_number(kind):
    return str(kind) in {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"}
