"""The result of array code becomes a dataset without a row between, and is the one that rows would make."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine import wayback
from sqlmagic_xr.queries import answer
from sqlmagic_xr.queries.gridded.look import look
from sqlmagic_xr.queries.gridded.plan import GridQuery
from tests.queries.gridded.test_groups_of_datasets import dataset

OVER = "OVER (PARTITION BY lat, lon ORDER BY time ROWS 3 PRECEDING)"

LAID = [
    f"SELECT time, lat, lon, AVG(air) {OVER} AS air, COUNT(air) {OVER} AS n, MAX(wet) {OVER} AS wet FROM t",
    "SELECT lat, time, lon, air - AVG(air) OVER (PARTITION BY lat, lon) AS anomaly, zone FROM t WHERE lat > -50",
    "SELECT time, lat, lon, LAG(n) OVER (PARTITION BY lat, lon ORDER BY time) AS before FROM t",
    "SELECT time, lat, lon, LAG(wet) OVER (PARTITION BY lat, lon ORDER BY time) AS before FROM t",
    "SELECT time, lat, lon, MIN(time) OVER (PARTITION BY lat, lon) AS first FROM t",
    "SELECT lat, lon, AVG(air) AS air, COUNT(*) AS n FROM t GROUP BY lat, lon",
    "SELECT lon, date_part('month', time) AS month, MAX(hum) AS hum FROM t GROUP BY 1, 2",
    "SELECT lat, median(air) AS air FROM t GROUP BY lat",
]

ROWS = [
    f"SELECT time, lat, lon, AVG(air) {OVER} AS air FROM t ORDER BY lon",
    "SELECT lat, lon, MAX(air) AS air FROM t WHERE hum > 0.99 GROUP BY lat, lon",
    "SELECT lat, AVG(air) AS air FROM t GROUP BY lat HAVING COUNT(air) > 270",
    "SELECT lat, AVG(air) + 1 AS air FROM t GROUP BY lat",
]


@pytest.fixture(scope="module")
def ctx():
    ctx = Context()
    ctx.from_dataset("t", dataset().assign_attrs(title="air"))
    return ctx


@pytest.fixture
def taken(monkeypatch):
    """Array code is asked for a dataset of this size too; how often a grid is made of rows is noted."""
    monkeypatch.setattr(answer, "gridded", lambda context, text, tree: look(context, text, tree, least=1))
    monkeypatch.setattr(answer, "GridQuery", partial(GridQuery, least=1))
    found, original = [], wayback.grid
    monkeypatch.setattr(wayback, "grid", lambda *given: found.append(1) or original(*given))
    return found


@pytest.mark.parametrize("sql", LAID + ROWS)
def test_it_is_the_dataset_that_rows_make(ctx, taken, sql):
    dims = ["lon", "lat", "time"] if "time, " in sql and "date_part" not in sql else None
    dims = ["month", "lon"] if "month" in sql else dims
    (result,) = ctx.script(sql)
    mine = result.to_dataset(dims)
    assert bool(taken) == (sql in ROWS)
    assert result.executor == "dense"
    other = ctx.script(sql, executor="relational")[0].to_dataset(dims)
    xr.testing.assert_allclose(mine, other, rtol=1e-6)
    assert mine.attrs == other.attrs
    for name in mine.variables:
        assert mine[name].dtype == other[name].dtype
        assert mine[name].dims == other[name].dims
        assert mine[name].attrs == other[name].attrs


def test_other_dims_than_its_own_are_looked_for_among_the_rows(ctx, taken):
    sql = "SELECT time, lat, lon, level, AVG(air) OVER (PARTITION BY lat, lon) AS air FROM t"
    (result,) = ctx.script(sql)
    found = result.to_dataset(["level", "time", "lat", "lon"])
    assert taken
    assert found.air.dims == ("level", "time", "lat", "lon")
    np.testing.assert_allclose(found.air[0, 0], dataset().air.mean("time").transpose("lat", "lon"), rtol=1e-5)
