"""Rows on their way back to xarray: nothing is invented, and nothing is lost."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sqlmagic_xr import Context, errors
from sqlmagic_xr.engine.grid import grid
from tests.dealt import MANY, PACKED, dealing

_KINDS = {
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**53), 2**53),
    pa.uint64(): st.integers(0, 2**53),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=3),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["a", "b"]),
    pa.decimal128(9, 2): st.decimals(-1000, 1000, places=2),
    pa.timestamp("ns"): st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    pa.date32(): st.dates(datetime.date(1000, 1, 1)),
    pa.duration("s"): st.timedeltas(datetime.timedelta(0)).map(lambda t: t - datetime.timedelta(0, 0, t.microseconds)),
}
_DIMS = [pa.int64(), pa.float64(), pa.string(), pa.timestamp("ns"), pa.bool_(), pa.date32()]


@st.composite
def tables(draw):
    """Tables over two dims, whose rows may be in any order, lack cells and hold NULL."""
    kinds = draw(st.sampled_from(_DIMS)), draw(st.sampled_from(_DIMS))
    pairs = draw(st.lists(st.tuples(*(_KINDS[k] for k in kinds)), unique=True, max_size=8))
    kind = draw(st.sampled_from(list(_KINDS)))
    values = draw(st.lists(st.one_of(_KINDS[kind], st.none()), min_size=len(pairs), max_size=len(pairs)))
    columns = [[a for a, _ in pairs], [b for _, b in pairs], values]
    return pa.table({n: pa.array(c, k) for n, c, k in zip("abv", columns, (*kinds, kind), strict=True)})


def _plain(value):
    """A value as it can be compared; None for whatever is missing."""
    if value is None or (not isinstance(value, str) and pd.isnull(value)):
        return None
    if isinstance(value, np.datetime64 | datetime.date):
        return np.datetime64(value, "us")
    if isinstance(value, np.timedelta64 | datetime.timedelta):
        return np.timedelta64(value, "us")
    return value.item() if isinstance(value, np.generic) else value


def _many():
    """A table of many rows in any order, of which every seventh is missing and every fifth is NULL."""
    rows = np.random.default_rng(0).permutation(MANY)
    rows = rows[rows % 7 > 0]
    return pa.table({"a": rows // 200, "b": pa.array(rows % 200).cast(pa.string()),
                     "v": pa.array(rows, mask=rows % 5 == 0)})  # fmt: skip


GIVEN = {}
WHOLE, BY_TWOS, HUNDREDS = (dealing(Context(namespace=lambda: GIVEN), dealt) for dealt in (False, True, PACKED))


@settings(max_examples=200)
@given(tables(), st.sampled_from([None, None, None, None, WHOLE, BY_TWOS]))
@example(_many(), HUNDREDS)
def test_each_row_has_its_cell_and_all_others_are_missing(rows, context):
    if context is None:
        found = grid(rows, ["a", "b"])
    else:
        GIVEN["given"] = rows
        found = context.script("SELECT * FROM given")[0].to_dataset(dims=["a", "b"])
    expected = {(_plain(r["a"]), _plain(r["b"])): _plain(r["v"]) for r in rows.to_pylist()}
    got = {
        (_plain(a), _plain(b)): _plain(found.v.values[i, j])
        for i, a in enumerate(found.a.values)
        for j, b in enumerate(found.b.values)
    }
    assert {k: v for k, v in got.items() if v is not None} == {k: v for k, v in expected.items() if v is not None}
    assert set(expected) <= set(got)


@pytest.fixture
def context():
    context = Context()
    context.script(
        "CREATE TABLE q (a BIGINT, b BIGINT, n BIGINT, ok BOOLEAN, t TIMESTAMP, s VARCHAR);"
        "INSERT INTO q VALUES (1, 1, 5, true, '2020-01-01', 'x'), (2, 2, 7, NULL, NULL, 'y')"
    )
    values = np.arange(6, dtype=np.int32).reshape(2, 3)
    grid = xr.Dataset({"n": (("y", "x"), values), "f": (("y", "x"), values / 2)}, {"y": [10, 20], "x": [1.0, 2.0, 3.0]})
    context.from_dataset("d", grid, chunks={"y": 1})
    return context


def test_cells_without_a_row_are_missing_whatever_their_type(context):
    ways = [
        context.script("SELECT * FROM q")[0].to_dataset(dims=["a", "b"]),
        context.sql("SELECT * FROM q").to_dataset(dims=["a", "b"]),
        context.sql("SELECT * FROM q").to_dataset(dims=["a", "b"], chunks=None),
        context.sql("SELECT * FROM q").limit(5).to_dataset(dims=["a", "b"]),
    ]
    for found in ways:
        assert np.array_equal(found.n, [[5, np.nan], [np.nan, 7]], equal_nan=True)
        assert found.ok.isnull().values.tolist() == [[False, True], [True, True]]
        assert found.ok.values[0, 0] is True
        assert found.t.values[0, 0] == np.datetime64("2020-01-01")
        assert np.isnat(found.t.values).sum() == 3
        assert found.s.isnull().values.tolist() == [[False, True], [True, False]]


def test_without_a_missing_cell_whole_numbers_and_truth_values_stay(context):
    found = context.sql("SELECT a, n, n > 5 AS large FROM q").to_dataset(dims="a")
    assert (found.n.dtype, found.large.dtype) == (np.int64, np.bool_)
    assert context.sql("SELECT * FROM d").to_dataset().compute().n.dtype == np.int32


@pytest.mark.parametrize(
    "query",
    [
        "SELECT y, x, n FROM d WHERE n > 1",
        "SELECT y, x, nullif(n, 4) AS n FROM d WHERE n > 1",
        "SELECT y, x, n FROM d WHERE x > 1 AND n <> 4 ORDER BY y DESC",
    ],
)
@pytest.mark.parametrize("options", [{}, {"chunks": None}, {"sparsity": "template"}])
def test_cells_that_a_filter_leaves_out_are_missing(context, query, options):
    if "sparsity" in options:
        options = {**options, "template": "d"}
    rows = context.sql(query).to_arrow_table().to_pylist()
    found = context.sql(query).to_dataset(**options).compute()
    cells = found.n.to_series().dropna()
    assert {k: int(v) for k, v in cells.items()} == {(r["y"], r["x"]): r["n"] for r in rows if r["n"] is not None}
    if "sparsity" in options:
        assert found.n.shape == (2, 3)


def test_a_fill_value_stands_in_cells_without_a_row_alone(context):
    frame = context.sql("SELECT y, x, nullif(n, 4) AS n FROM d WHERE n > 1")
    found = frame.to_dataset(template="d", sparsity="template", fill_value=-1)
    assert np.array_equal(found.n, [[-1, -1, 2], [3, np.nan, 5]], equal_nan=True)
    with pytest.raises(errors.UsageError, match="cannot hold the fill_value"):
        context.sql("SELECT y, x, n FROM d WHERE n > 1").to_dataset(template="d", sparsity="template", fill_value=0.5)
    with pytest.raises(errors.UsageError, match="the template has no x = 4"):
        context.sql("SELECT y, x + 2 AS x, n FROM d").to_dataset(template="d", sparsity="template")


def test_a_dimension_that_is_calculated_has_its_own_labels(context):
    found = context.sql("SELECT y, -x AS x, f FROM d").to_dataset()
    assert found.f.sel(x=-3, y=20).item() == 2.5
    assert sorted(found.x.values.tolist()) == [-3, -2, -1]


@pytest.mark.parametrize(
    ("query", "dims", "message"),
    [
        ("SELECT b % 1 AS site, n FROM q ORDER BY b", ["site"], "2 rows have site = 0"),
        ("SELECT 'x' AS site, 1 AS k, n FROM q", ["site", "k"], "2 rows have site = 'x', k = 1"),
        ("SELECT y, n FROM d ORDER BY y, n", ["y"], "3 rows have y = 10"),
        ("SELECT y, f FROM d WHERE n > 2", ["y"], "3 rows have y = 20"),
        ("SELECT n FROM q", [], "without a dimension there is one cell, and the result has 2 rows"),
        ("SELECT nullif(a, 1) AS a, n FROM q", ["a"], "the dimension `a` holds NULL"),
        ("SELECT a, n FROM q", ["z"], "the dimension `z` is no column of the result"),
        ("SELECT a, n FROM q", ["a", "a"], "the dimension `a` is named twice"),
        ("SELECT a, 9007199254740993 AS n, b FROM q", ["a", "b"], "`n` has missing cells and whole numbers beyond"),
    ],
)
def test_dims_that_do_not_name_the_rows_are_refused(context, query, dims, message):
    for asked in (context.script(query)[0], context.sql(query)):
        with pytest.raises(ValueError, match=message):
            asked.to_dataset(dims=dims)


def test_rows_of_array_code_come_back_so_too(context):
    query = "SELECT d.y, e.x, SUM(d.n * e.n) AS n FROM d JOIN d AS e ON d.x = e.x GROUP BY d.y, e.x"
    result = context.script(query, executor="dense")[0]
    assert result.executor == "dense"
    assert result.to_dataset(dims=["y", "x"]).n.values.tolist() == [[0, 5, 14], [9, 20, 35]]
    with pytest.raises(ValueError, match="3 rows have y = 10"):
        result.to_dataset(dims=["y"])
    assert context.sql(query, executor="dense").to_dataset(dims=["y", "x"]).n.shape == (2, 3)


def test_what_only_selects_and_filters_is_not_read_until_it_is_needed(context):
    for query in ("SELECT * FROM d", "SELECT y, x, f * 2 AS g FROM d", "SELECT y, x, f FROM d WHERE y > 15"):
        before = context.chunks_read
        found = context.sql(query).to_dataset()
        assert context.chunks_read - before <= 4, "only labels are looked up"
        assert found.compute().sizes["x"] == 3


def test_decimals_stay_exact(context):
    found = context.sql("SELECT a, b, CAST(n AS DECIMAL(9,2)) / 2 AS w FROM q").to_dataset(dims=["a", "b"])
    assert found.w.values[0, 0] == Decimal("2.5")
    assert found.w.isnull().sum() == 2


def test_a_text_that_is_missing_is_the_last_label(context):
    query = "SELECT * FROM (VALUES ('b', 1), (NULL, 2), ('a', 3)) AS v(site, n)"
    found = context.script(query)[0].to_dataset(dims=["site"])
    assert found.n.values.tolist() == [3, 1, 2]
    assert found.site.values[:2].tolist() == ["a", "b"]
    assert pd.isnull(found.site.values[2])


def test_an_option_that_there_is_not_is_refused(context):
    with pytest.raises(errors.UsageError, match="without an option `sparse`"):
        context.script("SELECT 1 AS a")[0].to_dataset(dims=["a"], sparse=True)
