"""A result is drawn by the kinds of its columns, iterated, and looked at in short."""

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from matplotlib.figure import Figure

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UsageError

matplotlib.use("agg")
TIMES = pd.date_range("2000-01-01", periods=4)
GRID = xr.Dataset(
    {"air": (("time", "lat", "lon"), np.arange(24.0).reshape(4, 2, 3), {"units": "K"})},
    {"time": TIMES, "lat": [10.0, 20.0], "lon": [0.0, 1.0, 2.0]},
)


@pytest.fixture(scope="module")
def context():
    return Context(namespace=lambda: {"ds": GRID})


def axes_of(context, query):
    axes = Figure().subplots()
    context.script(query)[-1].plot(ax=axes)
    return axes


def test_a_grid_is_a_map(context):
    axes = axes_of(context, "SELECT lon, lat, AVG(air) AS air FROM ds GROUP BY lat, lon")
    (mesh,) = axes.collections
    np.testing.assert_array_equal(mesh.get_array().data.reshape(2, 3), GRID.air.mean("time"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lon", "lat")


MODEL = xr.Dataset(
    {"air": (("y", "x"), np.arange(12.0).reshape(3, 4), {"units": "K"})},
    {"y": [0, 1, 2], "x": [0, 1, 2, 3], "lat": (("y", "x"), 40 + np.add.outer(np.arange(3), 0.1 * np.arange(4))),
     "lon": (("y", "x"), 5 + np.add.outer(0.1 * np.arange(3), np.arange(4)))},
)  # fmt: skip


def test_a_curvilinear_grid_is_a_map_over_its_latitudes_and_longitudes():
    context = Context(namespace=lambda: {"ds": MODEL})
    axes = axes_of(context, "SELECT y, x, lat, lon, AVG(air) AS air FROM ds GROUP BY y, x, lat, lon")
    (mesh,) = axes.collections
    np.testing.assert_array_equal(mesh.get_array().data.reshape(3, 4), MODEL.air)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lon", "lat")
    axes = axes_of(context, "SELECT lat, lon, MAX(air) AS air FROM ds GROUP BY lat, lon ORDER BY air")
    (points,) = axes.collections
    np.testing.assert_array_equal(points.get_offsets(), np.stack([MODEL.lon, MODEL.lat], -1).reshape(12, 2))
    np.testing.assert_array_equal(points.get_array(), np.arange(12.0))


def test_the_unit_of_a_line_stands_at_its_axis(context):
    assert axes_of(context, "SELECT time, AVG(air) AS mean FROM ds GROUP BY time").get_ylabel() == "mean [K]"


def test_numbers_over_a_time_are_lines(context):
    axes = axes_of(context, "SELECT time, MIN(air) AS low, MAX(air) AS high FROM ds GROUP BY time")
    assert [line.get_label() for line in axes.lines] == ["low", "high"]
    assert axes.lines[0].get_ydata().tolist() == [0, 6, 12, 18]


def test_a_text_tells_lines_apart(context):
    query = (
        "SELECT time, CASE WHEN lat > 15 THEN 'north' ELSE 'south' END AS side, AVG(air) AS air FROM ds GROUP BY 1, 2"
    )
    assert [line.get_label() for line in axes_of(context, query).lines] == ["north", "south"]


def test_a_text_first_makes_bars(context):
    axes = axes_of(context, "SELECT CAST(lat AS VARCHAR) AS band, MAX(air) AS air FROM ds GROUP BY 1 ORDER BY 1")
    assert [patch.get_height() for patch in axes.patches] == [20, 23]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT time FROM ds", "no number to draw"),
        ("SELECT time, air FROM ds WHERE air > 100", "no number to draw"),
        ("SELECT time, 'a' AS b, air FROM ds", "several rows have the same time and b"),
    ],
)
def test_what_cannot_be_drawn_says_why(context, query, what):
    with pytest.raises(UsageError, match=what):
        context.script(query)[-1].plot()


def test_rows_are_iterated_and_frames_are_near(context):
    (result,) = context.script("SELECT lat, lon, air FROM ds WHERE lat = 10 AND air < 2 ORDER BY lon")
    assert list(result) == [(10.0, 0.0, 0.0), (10.0, 1.0, 1.0)]
    assert [air for _, _, air in result] == [0.0, 1.0]
    assert isinstance(result.df, pd.DataFrame)
    assert isinstance(result.pl, pl.DataFrame)
    assert list(Context().script("CREATE TABLE t (a INT)")[0]) == []


def test_an_accessor_asks_one_dataset(context):
    found = GRID.xsql("SELECT lat, MAX(air) AS air FROM this GROUP BY lat ORDER BY lat")
    assert list(found) == [(10.0, 20.0), (20.0, 23.0)]
    assert found.to_dataset().air.attrs == {"units": "K"}
    bands = pd.DataFrame({"lat": [10.0], "name": ["tropics"]})
    assert list(GRID.air.xsql("SELECT name, COUNT(*) FROM this JOIN b USING (lat) WHERE air > $low GROUP BY name",
                              {"low": 3}, b=bands)) == [("tropics", 9)]  # fmt: skip


def test_a_context_prints_what_is_in_it(context):
    found = Context(namespace=lambda: {"ds": GRID})
    assert repr(found) == "Context(no tables)"
    found.script("SELECT 1 FROM ds; CREATE TABLE p (a INT); INSERT INTO p VALUES (1), (2); CREATE VIEW v AS FROM p")
    found.from_dataset("grid", GRID)
    assert repr(found) == "Context(ds (Dataset variable), grid (xarray), p (scratch, 2 rows), v (view))"


@pytest.mark.parametrize("calendar", ["360_day", "julian"])
def test_times_of_another_calendar_stand_on_the_axis_as_years(calendar):
    time = xr.date_range("1990-01-01", periods=24, freq="MS", calendar=calendar, use_cftime=True)
    air = xr.DataArray(np.arange(24.0), dims="time", attrs={"units": "K"})
    context = Context(namespace=lambda: {"ds": xr.Dataset({"air": air}, {"time": time})})
    axes = axes_of(context, "SELECT time, AVG(air) AS air FROM ds GROUP BY time")
    (line,) = axes.lines
    assert line.get_xdata()[[0, 12]].tolist() == [1990.0, 1991.0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (f"time [year, {calendar}]", "air [K]")
    plain = axes_of(context, "SELECT time / 1 AS time, AVG(air) AS air FROM ds GROUP BY 1")
    assert plain.get_xlabel() == "time", "a number that is calculated is no time"
