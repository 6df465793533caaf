"""What a dataset is as a table: every variable that SQL has a type for, cell by cell; and why the others are none."""

from __future__ import annotations

import datetime
import decimal

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import xarray_sql

from sqlmagic_xr import Context, SqlError
from sqlmagic_xr.engine.inventory import schema


def table(dataset, name="d", **options):
    context = Context()
    context.from_dataset("d", dataset, **options)
    return context, context.sql(f"SELECT * FROM {name}").to_arrow_table()


@pytest.fixture
def bounded():
    """A grid with what a CF file brings along: bounds as coordinates, a level that a selection has left over."""
    coords = {"lat": [10.0, 20.0, 30.0], "lat_bnds": (("lat", "bnds"), np.ones((3, 2))), "level": [500, 850, 1000]}
    dataset = xr.Dataset({"v": (("lat", "lon"), np.arange(6.0).reshape(3, 2))}, coords)
    context = Context(namespace=lambda: {"followed": dataset, "array": dataset.v})
    context.from_dataset("d", dataset)
    return context


@pytest.mark.parametrize("name", ["d", "followed", "array"])
def test_a_coordinate_that_no_variable_has_all_dims_of_multiplies_no_row(bounded, name):
    (counted,) = bounded.script(f"SELECT COUNT(*) AS n, SUM(v) AS s FROM {name} WHERE lat > 5")
    assert counted.to_arrow_table().to_pylist() == [{"n": 6, "s": 15.0}]
    (rows,) = bounded.script(f"SELECT * FROM {name}")
    assert rows.columns == ["lat", "lon", "v"]
    assert len(rows) == 6
    xr.testing.assert_equal(rows.to_dataset().v.drop_vars(["lat", "lon"]).load(), bounded.tables.dataset((name,)).v
                            .drop_vars(["lat"]))  # fmt: skip


def test_the_list_of_tables_counts_the_rows_that_there_are(bounded):
    from sqlmagic_xr.engine.inventory import tables

    assert tables(bounded).to_pylist()[0]["rows"] == 6
    assert tables(bounded).to_pylist()[0]["dims"] == "lat: 3, lon: 2"


ODD = {
    "text": (np.array(["a", None, "c"], object), ["a", None, "c"]),
    "gaps": (np.array(["a", np.nan, pd.NA], object), ["a", None, None]),
    "fixed": (np.array(["a", "", "cc"]), ["a", "", "cc"]),
    "numpy_text": (np.array(["a", "", "cc"], np.dtypes.StringDType()), ["a", "", "cc"]),
    "bytes": (np.array([b"a", b"", b"cc"]), [b"a", b"", b"cc"]),
    "big": (np.array([1.5, np.nan, 3], ">f8"), [1.5, None, 3.0]),
    "big_integer": (np.array([1, -2, 300], ">i2"), [1, -2, 300]),
    "half": (np.array([1, np.nan, 0.5], "f2"), [1.0, None, 0.5]),
    "truth": (np.array([True, False, True]), [True, False, True]),
    "truth_or_none": (np.array([True, None, False], object), [True, None, False]),
    "decimal": (np.array([decimal.Decimal("1.50"), None, decimal.Decimal("-12.3")], object),
                [decimal.Decimal("1.50"), None, decimal.Decimal("-12.30")]),
    "date": (np.array([datetime.date(2000, 2, 29), None, datetime.date(1, 1, 1)], object),
             [datetime.date(2000, 2, 29), None, datetime.date(1, 1, 1)]),
    "integers": (np.array([2**60 + 1, None, 3], object), [2**60 + 1, None, 3]),
    "nullable": (pd.array([2**60 + 1, None, 3], "Int64"), [2**60 + 1, None, 3]),
    "category": (pd.Categorical(["x", None, "y"]), ["x", None, "y"]),
    "record": (np.array([(1, 2.0), (3, np.nan), (5, 6)], [("a", ">i4"), ("b", "f8")]),
               [{"a": 1, "b": 2.0}, {"a": 3, "b": None}, {"a": 5, "b": 6.0}]),
    "nothing": (np.array([None, None, None], object), [None, None, None]),
    "zoned": (pd.date_range("2000-01-01", periods=3, tz="UTC"),
              [datetime.datetime(2000, 1, day, tzinfo=datetime.UTC) for day in (1, 2, 3)]),
}  # fmt: skip


@pytest.mark.parametrize("chunks", [None, {"x": 1}])
@pytest.mark.parametrize("kind", ODD)
def test_a_variable_of_an_odd_type_is_read(kind, chunks):
    values, expected = ODD[kind]
    _, found = table(xr.Dataset({"v": ("x", values), "plain": ("x", [1, 2, 3])}), chunks=chunks)
    found = found.sort_by("x")
    assert found["v"].to_pylist() == expected
    assert found["plain"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("letter", ["m", "M"])
def test_times_and_durations_of_every_unit_are_read(letter, unit):
    dataset = xr.Dataset({"v": ("x", np.array([3, -2, "NaT"], f"{letter}8[{unit}]"))})
    _, found = table(dataset)
    np.testing.assert_array_equal(
        found["v"].to_numpy().astype(f"{letter}8[ns]"), dataset.v.values.astype(f"{letter}8[ns]")
    )
    assert found["v"].null_count == 1


REFUSED = {
    "complex": (np.array([1 + 2j, 3]), "complex.*real and .imag"),
    "mixed": (np.array(["a", 1], object), "mixes int, str"),
    "interval": (pd.arrays.IntervalArray.from_breaks([1, 2, 3]), "interval"),
    "objects": (np.array([1 + 2j, None], object), "no type for its values of type complex"),
    "long": (np.array([1, 2], np.longdouble), "float128.*DOUBLE"),
    "calendars": (np.array([cftime.DatetimeNoLeap(2000, 1, 1), cftime.Datetime360Day(2000, 1, 1)], object),
                  "several calendars: 360_day, noleap"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in REFUSED if k != "long" or np.dtype(np.longdouble).itemsize > 8])
def test_a_variable_that_cannot_be_read_hides_no_other_and_is_named_with_the_reason(kind):
    values, why = REFUSED[kind]
    context, found = table(xr.Dataset({"v": ("x", values), "plain": ("x", [1, 2])}))
    assert found.column_names == ["x", "plain"]
    with pytest.raises(SqlError, match=f"there is no column v: .*{why}"):
        context.script("SELECT v FROM d")
    assert any("v is not read" in note for note in schema(context, "d").notes)
    with pytest.raises(SqlError, match=f"the dataset `d` cannot be read.*v: .*{why}"):
        table(xr.Dataset({"v": ("x", values)}))


def test_a_variable_that_is_alone_with_its_dims_and_cannot_be_read_is_named_too():
    context, found = table(xr.Dataset({"v": ("y", np.array([1j])), "plain": ("x", [1, 2])}))
    assert found["plain"].to_pylist() == [1, 2]
    with pytest.raises(SqlError, match="there is no column v: it is complex"):
        context.script("SELECT v FROM d")


def test_the_levels_of_a_multiindex_are_its_columns():
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 5)], names=["site", "depth"])
    dataset = xr.Dataset({"v": ("p", [1, 2, 3])}, coords=xr.Coordinates.from_pandas_multiindex(index, "p"))
    context, found = table(dataset, chunks={"p": 2})
    assert found.sort_by("depth").to_pylist() == [
        {"site": "a", "depth": 1, "v": 1}, {"site": "b", "depth": 2, "v": 2}, {"site": "b", "depth": 5, "v": 3},
    ]  # fmt: skip
    assert context.relation(("d",)).key == ("site", "depth")
    with pytest.raises(SqlError, match="no column p: it is a MultiIndex, whose levels are columns: site, depth"):
        context.script("SELECT p FROM d")


def test_a_dimension_that_has_no_column_leaves_the_table_without_a_key():
    dataset = xr.Dataset({"v": ("p", [1.0, 2.0])}, {"p": pd.PeriodIndex(["2020-01", "2020-02"], freq="M")})
    context, found = table(dataset)
    assert found.to_pylist() == [{"v": 1.0}, {"v": 2.0}]
    assert context.relation(("d",)).key == ()


@pytest.mark.parametrize(
    "missing", [np.array([2.0, np.nan, 1.0]), np.array(["b", None, "a"], object),
                np.array(["2000-01-02", "NaT", "2000-01-01"], "M8[ns]")],
)  # fmt: skip
def test_a_missing_coordinate_is_null(missing):
    dataset = xr.Dataset({"v": (("x", "y"), np.arange(6).reshape(3, 2))}, {"x": missing})
    context, _ = table(dataset, chunks={"x": 1})
    assert context.sql("SELECT v FROM d WHERE x IS NULL ORDER BY v").to_arrow_table()["v"].to_pylist() == [2, 3]
    assert context.sql("SELECT COUNT(*) AS n FROM d WHERE x = x").to_arrow_table()["n"].to_pylist() == [4]


def test_datasets_without_a_row_and_of_one_cell():
    _, found = table(xr.Dataset({"v": (("x", "y"), np.zeros((0, 3)))}))
    assert (found.num_rows, found.column_names) == (0, ["x", "y", "v"])
    _, found = table(xr.Dataset({"v": 5.0, "t": ((), np.array(cftime.DatetimeNoLeap(2100, 1, 1), object))}))
    assert found.to_pylist() == [{"v": 5.0, "t": datetime.datetime(2100, 1, 1)}]


def test_a_value_that_is_found_to_be_none_of_its_type_is_named():
    class Late(xr.backends.BackendArray):
        """Integers where the first chunk is, then a text: what lies behind a lazily opened file."""

        shape, dtype = (4,), np.dtype(object)

        def __getitem__(self, key):
            whole = np.array([1, 2, 3, "four"], object)
            return whole[key.tuple]

    lazy = xr.Variable("x", xr.core.indexing.LazilyIndexedArray(Late()), encoding={"preferred_chunks": {"x": 2}})
    context = Context()
    context.from_dataset("d", xr.Dataset({"v": lazy}))
    with pytest.raises(SqlError, match="a value of the variable v is no int64"):
        context.script("SELECT * FROM d")[0].to_arrow_table()


@pytest.mark.parametrize("chunks", [{"i": 10}, {"i": 100}, {"i": 10, "j": 1}])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT x FROM d WHERE {} ORDER BY x LIMIT 1",
        "SELECT x FROM d WHERE {} ORDER BY x",
        "SELECT a.x FROM d a JOIN d b USING (i, j) WHERE a.{}",
        "SELECT a.x FROM d a JOIN d b USING (i, j) WHERE a.{} AND b.{}",
        "SELECT a.x FROM d a LEFT JOIN d b ON a.i = b.i AND b.{} WHERE a.{}",
        "SELECT x, ROW_NUMBER() OVER (PARTITION BY j ORDER BY i) AS n FROM d WHERE {}",
        "SELECT SUM(x) OVER () AS s FROM d WHERE {}",
        "SELECT j, SUM(x) AS s FROM d WHERE {} GROUP BY j",
        "SELECT DISTINCT j FROM d WHERE {} ORDER BY j",
        "SELECT x FROM d WHERE {} UNION SELECT x FROM d WHERE {}",
        "SELECT x FROM d WHERE {} INTERSECT SELECT x FROM d",
        "SELECT x FROM (SELECT * FROM d WHERE {} LIMIT 3) ORDER BY x",
        "WITH q AS (SELECT x FROM d WHERE {}) SELECT a.x FROM q a CROSS JOIN q b",
    ],
)
@pytest.mark.parametrize("condition", ["i > 1000", "i < -5", "i = 1000"])
def test_a_condition_that_leaves_every_chunk_out_leaves_no_row(query, condition, chunks):
    dataset = xr.Dataset({"x": (("i", "j"), np.arange(200.0).reshape(100, 2))}, {"i": np.arange(100), "j": [0, 1]})
    context = Context()
    context.from_dataset("d", dataset, chunks=chunks)
    (result,) = context.script(query.replace("{}", condition))
    assert result.to_arrow_table().num_rows == 0
    assert context.sql(query.replace("{}", condition)).count() == 0
    whole = chunks == {"i": 100}
    assert context.chunks_read == (context.chunks_read if whole else 0), "nothing is read for it"


def test_the_chunks_that_are_read_are_counted_also_where_there_are_none():
    dataset = xr.Dataset({"x": ("i", np.arange(100.0))}, {"i": np.arange(100)})
    context = Context()
    context.from_dataset("d", dataset, chunks={"i": 10})
    for condition, read in (("i > 1000", 0), ("i > 95", 1), ("i > 75", 3), ("i > -1", 10)):
        (result,) = context.script(f"EXPLAIN SELECT x FROM d WHERE {condition}")
        assert f"XarrayScan: {read} of 10 chunks read" in result.plan


def test_the_engine_still_cannot_plan_a_scan_of_nothing():
    dataset = xr.Dataset({"x": ("i", np.arange(100.0))}, {"i": np.arange(100)})
    plain = xarray_sql.Context().from_dataset("d", dataset, chunks={"i": 10})
    with pytest.raises(Exception, match="SanityCheckPlan"):
        plain.sql("SELECT x FROM d WHERE i > 1000 ORDER BY x LIMIT 1").collect()
