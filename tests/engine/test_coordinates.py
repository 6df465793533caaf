"""A grid that comes out of SQL has its axes in order, whatever order its rows came in."""

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context

LAT = np.arange(60.0, -60.0, -1.5)  # descending, as many models have it
LON = np.arange(0.0, 90.0)


@pytest.fixture
def ctx():
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    data = np.stack([lat + lon / 1000 + t for t in range(4)])
    grid = xr.Dataset({"air": (("t", "lat", "lon"), data)}, coords={"t": range(4), "lat": LAT, "lon": LON})
    return Context(namespace=lambda: {"grid": grid})


def result(ctx, query):
    return ctx.script(query)[0]


def test_groups_come_back_in_the_order_of_their_source(ctx):
    back = result(ctx, "SELECT lat, lon, AVG(air) AS air FROM grid GROUP BY lat, lon").to_dataset(["lat", "lon"])
    np.testing.assert_array_equal(back.lat, LAT)
    np.testing.assert_array_equal(back.lon, LON)
    np.testing.assert_allclose(back.air, LAT[:, None] + LON / 1000 + 1.5)


def test_a_coordinate_without_a_source_ascends(ctx):
    query = "SELECT CAST(abs(lat) AS BIGINT) AS band, COUNT(*) AS n FROM grid GROUP BY 1"
    back = result(ctx, query).to_dataset(["band"])
    assert (np.diff(back.band) > 0).all()
    assert int(back.n.sum()) == 4 * LAT.size * LON.size


def test_order_by_is_kept(ctx):
    query = "SELECT lat, AVG(air) AS air FROM grid GROUP BY lat ORDER BY lat"
    np.testing.assert_array_equal(result(ctx, query).to_dataset(["lat"]).lat, LAT[::-1])
