"""A dataset of very many chunks: neighbours are scanned as one, and the first rows read the first chunk alone."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine import streaming

pytest.importorskip("dask.array")


@pytest.fixture
def context(monkeypatch):
    monkeypatch.setattr(streaming, "_PARTITIONS", 8)
    shape = (23, 5, 4)
    field = xr.DataArray(np.arange(np.prod(shape), dtype=float).reshape(shape), dims=("time", "lat", "lon"))
    lat = [2.0, 1.0, 0.0, -1.0, -2.0]
    found = xr.Dataset({"v": field}, {"time": pd.date_range("2000", periods=23), "lat": lat, "lon": list("abcd")})
    context = Context()
    context.from_dataset("d", found.chunk(time=2, lat=2))
    return context


def rows(context, sql):
    return context.script(sql, executor="relational")[0].to_arrow_table().to_pandas()


def test_all_rows_are_there_once(context):
    found = rows(context, "SELECT * FROM d")
    assert sorted(found["v"]) == list(range(23 * 5 * 4))
    assert set(zip(found["lat"], found["lon"], strict=True)) == {(y, x) for y in (2, 1, 0, -1, -2) for x in "abcd"}
    assert context.chunks_read == 36  # 12 along time, 3 along lat


CONDITIONS = {
    "time = '2000-01-09'": lambda d: d["time"] == "2000-01-09",
    "time > '2000-01-20' AND lat < 0": lambda d: (d["time"] > "2000-01-20") & (d["lat"] < 0),
    "lat = 2": lambda d: d["lat"] == 2,
    "lon = 'b' AND time < '2000-01-03'": lambda d: (d["lon"] == "b") & (d["time"] < "2000-01-03"),
    "lat > 9": lambda d: d["lat"] > 9,
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_on_labels_leaves_out_groups_of_chunks_and_no_row(context, condition):
    whole = rows(context, "SELECT * FROM d")
    before = context.chunks_read
    found = rows(context, f"SELECT * FROM d WHERE {condition}")
    assert context.chunks_read - before < 36
    assert sorted(found["v"]) == sorted(whole[CONDITIONS[condition](whole)]["v"])


def test_explain_says_what_is_scanned_as_one(context):
    (told,) = context.script("EXPLAIN SELECT * FROM d WHERE time < '2000-01-03'")
    assert "3 of 6 groups of up to 10 chunks read, 3 pruned" in told.plan


def test_the_first_rows_read_one_chunk(context):
    (result,) = context.script("SELECT * FROM d LIMIT 5")
    assert result.preview(5).rows["v"].to_pylist() == [0, 1, 2, 3, 4]
    assert result.preview(5).total == 5
    assert context.chunks_read == 1
    (whole,) = context.script("SELECT * FROM d")
    assert whole.preview(3).rows.num_rows == 3
    assert context.chunks_read == 2
