"""Notebook variables as tables: they are followed, and a real table wins over them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ImmutableError, UnknownNameError, UnsupportedError


@pytest.fixture
def space():
    return {}


@pytest.fixture
def ctx(space):
    return Context(namespace=lambda: space)


def rows(context, query):
    return context.sql(query).to_arrow_table().to_pylist()


def grid(n=3):
    return xr.Dataset({"air": (("t", "x"), np.arange(2.0 * n).reshape(2, n))}, coords={"t": [10, 20]})


VARIABLES = {
    "dataset": grid(),
    "array": grid().air,
    "pandas": pd.DataFrame({"t": [10, 20], "air": [3.0, 12.0]}),
    "polars": pl.DataFrame({"t": [10, 20], "air": [3.0, 12.0]}),
    "lazy": pl.LazyFrame({"t": [10, 20], "air": [3.0, 12.0]}),
    "arrow": pa.table({"t": [10, 20], "air": [3.0, 12.0]}),
    "batch": pa.RecordBatch.from_pydict({"t": [10, 20], "air": [3.0, 12.0]}),
    "files": pa.dataset.dataset(pa.table({"t": [10, 20], "air": [3.0, 12.0]})),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_a_table(ctx, space, name):
    space[name] = VARIABLES[name]
    assert rows(ctx, f'SELECT t, SUM(air) AS air FROM "{name}" GROUP BY t ORDER BY t') == [
        {"t": 10, "air": 3.0},
        {"t": 20, "air": 12.0},
    ]


def test_a_reader_is_read_once_and_kept(ctx, space):
    space["r"] = pa.table({"z": [1]}).to_reader()
    assert rows(ctx, "SELECT * FROM r") == rows(ctx, "SELECT * FROM r") == [{"z": 1}]


def test_it_follows_a_variable_that_is_rebound_or_deleted(ctx, space):
    for value in (1, 2):
        space["d"] = pa.table({"z": [value]})
        assert rows(ctx, "SELECT z FROM d") == [{"z": value}]
    del space["d"]
    with pytest.raises(UnknownNameError):
        ctx.sql("SELECT z FROM d")


def test_it_sees_what_was_changed_in_place(ctx, space):
    space["d"] = pd.DataFrame({"z": [1]})
    rows(ctx, "SELECT z FROM d")
    space["d"].loc[0, "z"] = 5
    assert rows(ctx, "SELECT z FROM d") == [{"z": 5}]
    space["ds"] = grid()
    rows(ctx, "SELECT * FROM ds")
    space["ds"]["twice"] = space["ds"].air * 2
    assert rows(ctx, "SELECT MAX(twice) AS m FROM ds") == [{"m": 10.0}]


def test_a_view_follows_the_variable_that_it_reads(ctx, space):
    space["ds"] = grid(3)
    ctx.sql("CREATE VIEW v AS SELECT air FROM ds")
    assert rows(ctx, "SELECT COUNT(*) AS n FROM v") == [{"n": 6}]
    space["ds"] = grid(5)
    assert rows(ctx, "SELECT COUNT(*) AS n FROM v") == [{"n": 10}]


def test_a_table_wins_over_a_variable_of_its_name(ctx, space):
    space["d"] = pa.table({"z": [1]})
    assert rows(ctx, "SELECT * FROM d") == [{"z": 1}]
    ctx.sql("CREATE TABLE d AS SELECT 2 AS z")
    assert rows(ctx, "SELECT * FROM d") == [{"z": 2}]
    ctx.sql("DROP TABLE d")
    assert rows(ctx, "SELECT * FROM d") == [{"z": 1}]


def test_a_registered_dataset_wins_over_a_variable_of_its_name(ctx, space):
    space["ds"] = grid(3)
    rows(ctx, "SELECT * FROM ds")
    ctx.from_dataset("ds", grid(5), chunks={"t": 1})
    assert rows(ctx, "SELECT COUNT(*) AS n FROM ds") == [{"n": 10}]


def test_a_capital_letter_is_found_as_it_is_written(ctx, space):
    space["Air"] = grid()
    assert rows(ctx, "SELECT COUNT(*) AS n FROM Air") == [{"n": 6}]
    assert rows(ctx, 'SELECT COUNT(*) AS n FROM "Air"') == [{"n": 6}]


def test_variables_of_several_shapes_are_several_tables(ctx, space):
    space["era"] = xr.Dataset({"a": (("t", "x"), np.ones((3, 4))), "b": (("x",), np.ones(4))})
    assert rows(ctx, "SELECT COUNT(*) AS n FROM era.t_x JOIN era.x USING (x)") == [{"n": 12}]
    with pytest.raises(UnknownNameError, match=r"Name one of them: era\.t_x, era\.x"):
        ctx.sql("SELECT * FROM era")
    space["era"] = grid()
    assert rows(ctx, "SELECT COUNT(*) AS n FROM era") == [{"n": 6}]


def test_a_variable_cannot_be_changed(ctx, space):
    space["d"] = pa.table({"z": [1]})
    with pytest.raises(ImmutableError, match=r"CREATE TABLE d_scratch AS SELECT \* FROM d"):
        ctx.sql("INSERT INTO d VALUES (2)")


def test_what_cannot_be_a_table_says_why(ctx, space):
    space["empty"] = xr.Dataset()
    with pytest.raises(UnsupportedError, match="`empty` cannot be read as a table: it has no data variable"):
        ctx.sql("SELECT * FROM empty")


def test_results_go_back_to_xarray_with_their_attributes(ctx, space):
    space["ds"] = grid().assign_attrs(title="a grid")
    space["ds"].air.attrs["units"] = "K"
    back = ctx.sql("SELECT t, x, air FROM ds").to_dataset()
    xr.testing.assert_identical(back.air, space["ds"].air.assign_coords(x=[0, 1, 2]))


def test_only_what_a_statement_names_is_registered(ctx, space):
    space["d"] = pa.table({"z": [1]})
    ctx.sql("SELECT 1")
    assert ctx.tables.names() == []


def test_the_catalog_knows_keys_and_kinds(ctx, space):
    space["ds"] = grid()
    ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, s VARCHAR); SELECT * FROM ds")
    params, variable = ctx.tables.relation(("p",)), ctx.tables.relation(("ds",))
    assert (params.kind, params.key) == ("scratch", ("step",))
    assert params.columns == {"step": "integer", "a": "real", "s": "text"}
    assert (variable.kind, variable.key) == ("variable", ("t", "x"))
    assert ctx.tables.relation(("nope",)) is None
    assert ctx.tables.relation(("no", "pe")) is None
