"""Whatever dataset: SELECT * gives its cells, by ctx.sql, by a script, and where the chunks are streamed."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context
from sqlmagic_xr.engine.streaming import streamed
from tests.dealt import PACKED, dealing
from tests.engine.datasets import datasets, expected, many, quoted, rows


def tables(dataset, chunks, by_twos):
    """A context, and for each table of the dataset the names of its variables and how SQL writes its name."""
    context = dealing(Context(), by_twos)
    context.from_dataset("d", dataset, chunks=chunks)
    for key in context.grids:
        names = list(context.grids[key].dataset.data_vars)
        yield context, key, names, "d" if key == "d" else f"d.{quoted(key[2:])}"


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(datasets(), st.booleans())
@example(many(), PACKED)
def test_select_star_is_what_xarray_has(found, by_twos):
    dataset, chunks = found
    left = set(dataset.data_vars)
    for context, key, names, written in tables(dataset, chunks, by_twos):
        left -= set(names)
        columns, wanted = expected(dataset, names)
        lazy = context.sql(f"SELECT * FROM {written}")
        assert lazy.schema().names == columns
        assert rows(lazy.to_arrow_table()) == wanted
        (result,) = context.script(f"SELECT *, {quoted(columns[-1])} AS again FROM {written}")
        assert rows(result.to_arrow_table().select(range(len(columns)))) == wanted
        some = f"SELECT {', '.join(map(quoted, columns))} FROM streamed"
        assert rows(context.query_over(some, {"streamed": streamed(context.grids[key])})) == wanted
        count = context.sql(f"SELECT COUNT(*) AS n, COUNT({quoted(columns[-1])}) AS m FROM {written}").to_arrow_table()
        assert count["n"][0].as_py() == sum(wanted.values())
        assert count["m"][0].as_py() == sum(n for row, n in wanted.items() if row[-1] is not None)
    assert not left
