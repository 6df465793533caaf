"""A result runs when it is needed, as far as it is needed, once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import xarray as xr

from sqlmagic_xr import Context, errors
from sqlmagic_xr.storage import fetch as fetch_module


@pytest.fixture
def context():
    context = Context()
    air = xr.DataArray(np.arange(4000.0).reshape(40, 10, 10), dims=("time", "lat", "lon"), attrs={"units": "K"})
    coordinates = {"time": np.arange(40), "lat": np.arange(10.0), "lon": np.arange(10.0)}
    dataset = xr.Dataset({"air": air}, coords=coordinates, attrs={"title": "test"})
    dataset.lat.attrs["units"] = "degrees_north"
    context.from_dataset("ds", dataset, chunks={"time": 4})
    return context


def run(context, query, **params):
    (result,) = context.script(query, params)
    return result


@pytest.mark.parametrize(
    ("query", "total", "chunks"),
    [
        ("SELECT * FROM ds", 4000, 1),
        ("SELECT lat, air * 2 AS x FROM ds", 4000, 1),
        ("SELECT * FROM ds WHERE time >= 36", 400, 1),
        ("SELECT lat, avg(air) AS air FROM ds GROUP BY lat ORDER BY lat", 10, 10),
        ("SELECT * FROM ds LIMIT 3", 3, 1),
        ("SELECT lat * 2 AS x FROM ds LIMIT 3 OFFSET 350", 3, 2),
        ("SELECT * FROM ds LIMIT 3 OFFSET 450", 3, 2),
        ("SELECT 1 AS a WHERE false", 0, 0),
    ],
)
def test_a_preview_reads_what_it_shows(context, query, total, chunks):
    result = run(context, query)
    assert context.chunks_read == 0, "nothing is read before it is asked for"
    preview = result.preview(5)
    assert (preview.rows.num_rows, preview.total) == (min(5, total), total)
    if "WHERE time" not in query:  # there the count has to look at the rows
        assert context.chunks_read <= chunks
    before = context.chunks_read
    assert result.preview(5) is preview
    assert context.chunks_read == before, "asked again, it does not run again"


def test_a_preview_is_the_beginning_of_the_whole(context):
    result = run(context, "SELECT * FROM ds")
    assert result.preview(7).rows.equals(result.to_arrow_table().slice(0, 7).combine_chunks())
    ordered = run(context, "SELECT * FROM ds ORDER BY air DESC")
    assert ordered.preview(3).rows["air"].to_pylist() == [3999.0, 3998.0, 3997.0]
    assert ordered.preview(3).total == 4000


@pytest.mark.parametrize(
    ("limit", "first", "rows"),
    [("LIMIT 3", 0, 3), ("LIMIT 450", 0, 450), ("LIMIT 10 OFFSET 395", 395, 10), ("LIMIT 9000 OFFSET 3990", 3990, 10),
     ("LIMIT 3 OFFSET 5000", 0, 0), ("LIMIT 0", 0, 0)],
)  # fmt: skip
def test_a_limit_takes_rows_in_the_order_of_the_grid(context, limit, first, rows):
    expected = [float(n) for n in range(first, first + rows)]
    assert run(context, f"SELECT air FROM ds {limit}").to_arrow_table()["air"].to_pylist() == expected
    preview = run(context, f"SELECT air FROM ds {limit}").preview(4)
    assert (preview.rows["air"].to_pylist(), preview.total) == (expected[:4], rows)


def test_a_limit_above_an_order_or_inside_a_query_is_the_engines(context):
    ordered = run(context, "SELECT air FROM ds ORDER BY air DESC LIMIT 2 OFFSET 1")
    assert ordered.to_arrow_table()["air"].to_pylist() == [3998.0, 3997.0]
    inner = run(context, "SELECT count(*) AS n FROM (SELECT * FROM ds LIMIT 7)")
    assert inner.to_arrow_table()["n"].to_pylist() == [7]


def test_all_rows_are_fetched_once(context):
    result = run(context, "SELECT * FROM ds")
    assert len(result.to_arrow_table()) == 4000
    before = context.chunks_read
    assert len(result) == len(result.to_pandas()) == len(result.to_polars()) == result.preview(3).total == 4000
    assert context.chunks_read == before == 10


def test_an_aggregate_is_computed_once_for_its_preview_and_its_rows(context):
    result = run(context, "SELECT lat, avg(air) AS air FROM ds GROUP BY lat ORDER BY lat")
    result.preview(3)
    assert context.chunks_read == 10
    assert len(result.to_pandas()) == 10
    assert context.chunks_read == 10


def test_of_a_large_aggregate_the_first_rows_are_kept_and_all_are_counted(context, monkeypatch):
    monkeypatch.setattr(fetch_module, "KEPT_ROWS", 100)
    result = run(context, "SELECT DISTINCT air FROM ds")
    preview = result.preview(5)
    assert (preview.rows.num_rows, preview.total, len(result)) == (5, 4000, 4000)
    assert len(result.to_arrow_table()) == 4000


def test_a_statement_with_effects_has_run_and_gives_no_rows(context):
    created, inserted = context.script("CREATE TABLE p (a DOUBLE); INSERT INTO p VALUES (1), (2)")
    assert (created.columns, len(inserted), inserted.rows, inserted.preview(3).total) == ([], 0, 2, 0)
    assert repr(inserted) == "Result(p: 2 rows inserted)"


def test_every_dataframe_library_takes_it(context):
    result = run(context, "SELECT lat, lon FROM ds WHERE time = 0")
    assert pl.DataFrame(result).shape == (100, 2)
    assert pa.table(result).num_rows == 100
    assert isinstance(result.to_pandas(), pd.DataFrame)
    assert isinstance(result.to_polars(), pl.DataFrame)
    assert result.columns == ["lat", "lon"]


def test_a_dataset_comes_back_with_its_attributes(context):
    found = run(context, "SELECT * FROM ds").to_dataset()
    assert dict(found.sizes) == {"time": 40, "lat": 10, "lon": 10}
    assert found.air.attrs == {"units": "K"}
    assert found.lat.attrs == {"units": "degrees_north"}
    assert found.attrs == {"title": "test"}
    assert float(found.air.sum()) == sum(range(4000))
    mean = run(context, "SELECT lat, avg(air) AS air FROM ds GROUP BY lat").to_dataset()
    assert dict(mean.sizes) == {"lat": 10}
    assert dict(run(context, "SELECT 1 AS a, 2 AS b").to_dataset(dims=["a"]).sizes) == {"a": 1}


def test_attributes_are_those_of_the_dataset_that_is_read(context):
    other = xr.Dataset({"air": ("lat", np.zeros(10), {"units": "K", "source": "model"})}, {"lat": np.arange(10.0)})
    other.lat.attrs["units"] = "degrees_north"
    context.from_dataset("other", other)
    context.script(
        "CREATE TABLE zones (lat DOUBLE PRIMARY KEY, zone TEXT); INSERT INTO zones VALUES (3, 'a'), (1, 'b')"
    )
    one = run(
        context, "SELECT lat, zone, AVG(air) AS air FROM ds JOIN zones USING (lat) GROUP BY lat, zone"
    ).to_dataset()
    assert one.lat.values.tolist() == [1.0, 3.0]
    assert one.air.attrs == {"units": "K"}
    assert one.attrs == {"title": "test"}
    two = run(
        context, "SELECT ds.lat, SUM(ds.air - other.air) AS air FROM ds JOIN other ON ds.lat = other.lat GROUP BY 1"
    )
    both = two.to_dataset()
    assert both.air.attrs == {"units": "K"}
    assert both.lat.attrs == {"units": "degrees_north"}
    assert both.attrs == {}
    assert run(context, "SELECT zone, lat FROM zones").to_dataset(dims=["zone"]).lat.attrs == {}
    assert two.to_dataset(template="other").air.attrs == {"units": "K", "source": "model"}


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("SELECT lat, AVG(air) AS air FROM down GROUP BY lat", [3.0, 2.0, 1.0, 0.0]),
        ("SELECT lat, AVG(air) AS air FROM down GROUP BY lat ORDER BY lat", [0.0, 1.0, 2.0, 3.0]),
        ("SELECT lat, AVG(air) AS air FROM down GROUP BY lat ORDER BY lat DESC", [3.0, 2.0, 1.0, 0.0]),
        ("SELECT lat + 1 AS lat, AVG(air) AS air FROM down GROUP BY 1", [1.0, 2.0, 3.0, 4.0]),
        ("SELECT lat, AVG(air) AS air FROM down GROUP BY lat ORDER BY (lat - 1.7) * (lat - 1.7)", [3.0, 2.0, 1.0, 0.0]),
    ],
)
def test_dims_come_in_the_order_that_is_asked_for_or_in_the_datasets_own(context, query, order):
    lat = np.arange(3.0, -1.0, -1.0)
    air = np.arange(80.0).reshape(20, 4)
    context.from_dataset(
        "down", xr.Dataset({"air": (("time", "lat"), air)}, {"lat": lat, "time": np.arange(20)}), chunks={"time": 1}
    )
    found = run(context, query).to_dataset(dims=["lat"])
    assert found.lat.values.tolist() == order
    shift = 1.0 if "+ 1" in query else 0.0
    means = dict(zip(lat + shift, air.mean(axis=0), strict=True))
    assert found.air.values.tolist() == [means[value] for value in order]


def test_a_filtered_grid_comes_as_it_lies(context):
    found = run(context, "SELECT * FROM ds WHERE time >= 4 AND air > 10").to_dataset()
    assert found.time.values.tolist() == list(range(4, 40))
    assert np.array_equal(found.air.values, np.arange(400.0, 4000.0).reshape(36, 10, 10))


def test_dims_that_cannot_be_inferred_are_asked_for(context):
    with pytest.raises(errors.UsageError) as caught:
        run(context, "SELECT 1 AS a, 2 AS b").to_dataset()
    assert caught.value.what == "dims cannot be inferred"
    assert "--dims a,b" in caught.value.hint
    assert caught.value.hint.endswith("out of: a, b")


@pytest.mark.parametrize("fetched", [False, True])
def test_files_hold_all_rows(context, tmp_path, fetched):
    result = run(context, "SELECT * FROM ds ORDER BY air")
    if fetched:
        result.to_arrow_table()
    result.to_parquet(tmp_path / "rows.parquet")
    result.to_csv(tmp_path / "rows.csv")
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").equals(result.to_arrow_table())
    assert pyarrow.csv.read_csv(tmp_path / "rows.csv")["air"].to_pylist() == list(np.arange(4000.0))


def test_what_fails_while_it_runs_points_into_the_statement(context):
    first, second = context.script("SELECT 1 AS a;\nSELECT CAST('x' || a AS INT) AS b FROM (SELECT 1 AS a)")
    assert len(first) == 1
    with pytest.raises(errors.ExecutionError) as caught:
        second.preview(3)
    assert str(caught.value).splitlines()[0] == "statement 2 of 2: 'x1' is not a value of type INT"
    assert caught.value.span.line == 2


def test_a_script_stops_where_a_look_at_the_rows_fails(context):
    with pytest.raises(errors.ExecutionError) as caught:
        context.script(
            "CREATE TABLE p (a INT); SELECT CAST('x' || a AS INT) FROM (SELECT 1 AS a); DROP TABLE p",
            each=lambda result: result.preview(3),
        )
    assert caught.value.before == ("statement 1 did: p: table created",)
    assert "p" in context.tables.names()


def test_what_a_data_frame_has_is_said_to_be_there():
    result = Context().script("SELECT 1 AS a")[0]
    for name in ("head", "shape", "a"):
        with pytest.raises(AttributeError, match=rf"its data frame has, \.df\.{name}"):
            getattr(result, name)
    with pytest.raises(AttributeError, match="'Result' object has no attribute 'nothing'"):
        _ = result.nothing
    assert not hasattr(result, "__array__")
