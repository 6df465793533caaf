"""Times of a 360-day calendar: compared, joined and pruned as the times that they are, and times again in a result."""

from __future__ import annotations

import datetime

import cftime
import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import Context, SqlError
from sqlmagic_xr.errors import CalendarWarning


def dataset(units, calendar="360_day"):
    """A hundred years from 1950, one value each, as a file with times in these units would give it."""
    time = xr.date_range("1950-06-01", periods=100, freq="YS-JUN", calendar=calendar, use_cftime=True)
    values = xr.DataArray(np.arange(200.0).reshape(100, 2), dims=("time", "x"), attrs={"units": "K"})
    found = xr.Dataset({"v": values}, {"time": ("time", time, {"axis": "T"}), "x": [0.0, 1.0]})
    found.time.encoding.update(units=units, calendar=calendar)
    return found


@pytest.fixture(params=["hours since 1970-01-01", "days since 1850-01-01", "seconds since 2000-01-01"])
def context(request):
    context = Context()
    context.from_dataset("old", dataset(request.param), chunks={"time": 7})
    context.from_dataset("new", dataset("hours since 1970-01-01"), chunks={"time": 100})
    return context


def count(context, condition, table="old"):
    return context.sql(f"SELECT COUNT(*) AS n FROM {table} WHERE {condition}").to_pandas().n[0]


@pytest.mark.parametrize(
    ("condition", "years"),
    [
        ("time < cftime('1951-01-01')", 1),
        ("time <= cftime('2000-01-01')", 50),
        ("time > cftime('2000-01-01')", 50),
        ("time BETWEEN cftime('1990-01-01') AND cftime('2019-12-30')", 30),
        ("time = cftime('2010-06-01')", 1),
        ("time = cftime('2010-06-30')", 0),
    ],
)
def test_chunks_are_pruned_by_the_unit_that_is_compared(context, condition, years):
    assert count(context, condition) == count(context, condition, "new") == 2 * years


def test_equal_times_are_equal_whatever_the_units_of_the_files(context):
    joined = context.sql(
        "SELECT COUNT(*) AS n FROM old JOIN new ON old.time = new.time AND old.x = new.x WHERE old.v = new.v"
    )
    assert joined.to_pandas().n[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM old",
        "SELECT time, x, v FROM old WHERE time >= cftime('1960-01-01')",
        "SELECT time, AVG(v) AS v FROM old GROUP BY time",
        "SELECT old.time, AVG(old.v) AS v FROM old JOIN new ON old.time = new.time AND old.x = new.x GROUP BY old.time",
    ],
)
def test_a_result_has_times_again(context, query):
    expected = dataset("hours since 1970-01-01")
    expected = expected.sel(time=slice("1960", None)) if "WHERE" in query else expected
    expected = expected.mean("x") if "AVG" in query else expected
    found = context.sql(query).to_dataset()
    assert isinstance(found.indexes["time"], xr.CFTimeIndex)
    assert found.time.values[0] == cftime.Datetime360Day(1960 if "WHERE" in query else 1950, 6, 1)
    assert found.time.attrs == {"axis": "T"}
    np.testing.assert_allclose(found.v.transpose(*expected.v.dims), expected.v)


def test_the_dataset_itself_is_not_changed():
    context, mine = Context(), dataset("hours since 1970-01-01")
    context.from_dataset("mine", mine)
    context.sql("SELECT * FROM mine").to_dataset().load()
    assert mine.time.encoding["units"] == "hours since 1970-01-01"
    assert isinstance(mine.indexes["time"], xr.CFTimeIndex)


def test_cftime_is_a_known_function_once_a_table_needs_it():
    context = Context()
    assert "cftime" not in context.functions
    context.from_dataset("mine", dataset("hours since 1970-01-01"))
    assert "cftime" in context.functions


@pytest.mark.parametrize("calendar", ["noleap", "standard"])
def test_dates_that_we_have_are_timestamps_of_the_same_date(calendar):
    time = xr.date_range("1850-01-01", "2150-12-31", freq="MS", calendar=calendar, use_cftime=True)
    values = np.arange(float(len(time)))
    mine = xr.Dataset({"v": ("time", values, {"units": "K"})}, {"time": ("time", time, {"axis": "T"})})
    context = Context()
    context.from_dataset("mine", mine, chunks={"time": 12})
    assert count(context, "time >= '2090-01-01'", "mine") == (mine.time.dt.year >= 2090).sum()
    assert count(context, "date_part('month', time) = 1 AND date_part('day', time) = 1", "mine") == 301
    found = context.sql("SELECT * FROM mine").to_dataset()
    xr.testing.assert_identical(found.load(), mine)
    yearly = context.sql("SELECT date_trunc('year', time) AS time, AVG(v) AS v FROM mine GROUP BY 1").to_dataset()
    np.testing.assert_allclose(yearly.v, mine.v.groupby("time.year").mean())
    assert yearly.time.values[-1] == cftime.datetime(2150, 1, 1, calendar=calendar)


def test_a_calendar_of_leap_years_only_stays_countable():
    time = xr.date_range("1999-02-01", periods=800, freq="D", calendar="all_leap", use_cftime=True)
    mine = xr.Dataset({"v": ("time", np.arange(800.0))}, {"time": time})
    context = Context()
    context.from_dataset("mine", mine)
    assert count(context, "v >= 0", "mine") == 800


def test_cftime_of_two_calendars_is_refused_and_not_guessed():
    context = Context()
    context.from_dataset("one", dataset("hours since 1970-01-01"))
    assert count(context, "time <= cftime('2000-01-01') AND x = 0", "one") == 50
    context.from_dataset("other", dataset("hours since 1970-01-01", "julian"))
    context.from_dataset("third", dataset("hours since 1970-01-01"))
    with pytest.raises(SqlError, match="cannot tell which calendar is meant, of 360_day and julian"):
        context.script("SELECT COUNT(*) FROM one WHERE time <= cftime('2000-01-01')")[0].to_pandas()


CALENDARS = ["standard", "proleptic_gregorian", "noleap", "all_leap", "360_day", "julian"]


def shown(time):
    """A time as a table has it: the same date, or microseconds since 1970 in its own calendar."""
    if time is None or time != time:
        return None
    if time.calendar in ("standard", "proleptic_gregorian", "noleap"):
        return datetime.datetime.fromisoformat(time.isoformat())
    apart = time - cftime.datetime(1970, 1, 1, calendar=time.calendar)
    return apart // datetime.timedelta(microseconds=1)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("chunks", [None, {"time": 7}])
@pytest.mark.parametrize("calendar", CALENDARS)
def test_times_that_are_data_are_converted_as_coordinates_are(calendar, chunks, lazy):
    times = xr.date_range("1999-12-30T06:00", periods=40, freq="997D", calendar=calendar, use_cftime=True)
    edges = np.array([[a, b] for a, b in zip(times, times[1:].append(times[-1:]), strict=True)], object)
    edges[3], edges[4, 1] = (np.nan, None), np.nan
    data = xr.Dataset(
        {"edges": (("time", "bnds"), edges), "once": ((), np.array(times[7], object)), "v": ("time", np.arange(40))},
        {"time": times},
    )
    if lazy:
        data["edges"] = data.edges.variable._replace(data=xr.core.indexing.LazilyIndexedArray(Opaque(edges)))
    context = Context()
    context.from_dataset("d", data, chunks=chunks)
    edge = context.sql("SELECT * FROM d.time_bnds ORDER BY time, bnds").to_arrow_table()
    assert edge["edges"].to_pylist() == [shown(t) for t in edges.ravel()]
    assert edge["time"].to_pylist() == [shown(t) for t in times for _ in range(2)]
    assert context.sql("SELECT once FROM d.scalar").to_arrow_table()["once"].to_pylist() == [shown(times[7])]
    inside = "SELECT COUNT(*) AS n FROM d.time_bnds e JOIN d.time t ON e.edges = t.time WHERE bnds = 1"
    assert context.sql(inside).to_arrow_table()["n"].to_pylist() == [38]


class Opaque(xr.backends.BackendArray):
    """What lies behind a file that is opened lazily."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, key):
        return xr.core.indexing.explicit_indexing_adapter(
            key, self.shape, xr.core.indexing.IndexingSupport.BASIC, self.values.__getitem__
        )


@pytest.mark.parametrize("calendar", ["all_leap", "360_day", "julian"])
def test_numbers_are_times_again_in_a_result(calendar):
    times = xr.date_range("2095-02-28T06:00", periods=40, freq="97D", calendar=calendar, use_cftime=True)
    context = Context()
    context.from_dataset("d", xr.Dataset({"v": ("time", np.arange(40))}, {"time": times}))
    assert list(context.sql("SELECT * FROM d").to_dataset().time.values) == list(times)
    number = context.sql("SELECT cftime('2100-01-05') AS n").to_arrow_table()["n"][0].as_py()
    assert number == shown(cftime.datetime(2100, 1, 5, calendar=calendar))


def test_a_date_that_our_calendar_has_not_is_named_and_not_moved():
    time = np.array([cftime.DatetimeGregorian(1500, 2, 29), cftime.DatetimeGregorian(1500, 3, 1)], object)
    context = Context()
    context.from_dataset("d", xr.Dataset({"t": ("x", time), "v": ("x", [1, 2])}))
    with pytest.raises(SqlError, match=r"there is no column t: .*1500-02-29"):
        context.script("SELECT t FROM d")


@pytest.mark.parametrize("calendar", ["360_day", "all_leap", "julian"])
def test_parts_of_times_that_are_numbers_are_those_of_xarray(calendar):
    time = xr.date_range("1899-12-30T18:00", periods=400, freq="17D", calendar=calendar, use_cftime=True)
    mine = xr.Dataset({"v": ("time", np.arange(400.0), {"units": "K"})}, {"time": time})
    context = Context()
    context.from_dataset("d", mine)
    parts = ("year", "month", "day", "hour", "minute")
    asked = ", ".join(f"cftime_part('{part}', time) AS {part}" for part in parts)
    found = context.sql(f"SELECT {asked}, cftime_text(time) AS shown FROM d ORDER BY time").to_pandas()
    for part in parts:
        np.testing.assert_array_equal(found[part], getattr(mine.time.dt, part))
    assert found.shown.tolist() == [t.strftime("%Y-%m-%d %H:%M:%S") for t in time]
    yearly = context.sql("SELECT cftime_trunc('year', time) AS time, AVG(v) AS v FROM d GROUP BY 1").to_dataset()
    np.testing.assert_allclose(yearly.v, mine.v.groupby("time.year").mean())
    assert yearly.time.values[0] == cftime.datetime(1899, 1, 1, calendar=calendar)
    assert yearly.v.attrs == {"units": "K"}
    assert count(context, "time >= cftime('1900')", "d") == (mine.time.dt.year >= 1900).sum()
    assert count(context, "time >= cftime('1899-12-30 18:00:01')", "d") == 399
    null = context.sql("SELECT cftime_part('day', NULL) AS d, cftime_text(CAST(NULL AS BIGINT)) AS t").to_arrow_table()
    assert null.to_pylist() == [{"d": None, "t": None}]


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT * FROM old WHERE time > '1960-01-01'", "write cftime('1960-01-01')"),
        ("SELECT date_part('month', time) FROM old", "write cftime_part('month', t)"),
        ("SELECT date_trunc('year', time) FROM old", "write cftime_trunc('year', t)"),
        ("SELECT year(time) FROM old", "of a time of the 360_day calendar cftime_part('year', t)"),
    ],
)
def test_who_takes_a_number_for_a_timestamp_is_told_what_to_write(query, hint):
    context = Context()
    context.from_dataset("old", dataset("days since 1850-01-01"))
    with pytest.raises(SqlError) as raised:
        context.script(query)[0].to_pandas()
    assert hint in raised.value.hint
    for wrong, what in [("part('mnth', time)", "not mnth"), ("trunc('week', time)", "year, month, day, hour")]:
        with pytest.raises(SqlError, match=what):
            context.script(f"SELECT cftime_{wrong} FROM old")[0].to_pandas()


KEPT = """
CREATE TABLE kept AS SELECT time, AVG(v) AS v FROM old WHERE x = 0 GROUP BY time;
DELETE FROM kept WHERE time > cftime('2000-02-30');
INSERT INTO kept SELECT time, v FROM old WHERE x = 0 AND time > cftime('2000-02-30')
"""


@pytest.mark.parametrize("form", ["nc", "zarr"])
def test_a_kept_table_has_times_again_by_a_template_and_tells_without(tmp_path, form):
    context, mine = Context(), dataset("hours since 1970-01-01")
    context.from_dataset("old", mine)
    context.script(KEPT)
    whole, copied = (
        context.sql("SELECT * FROM kept"),
        f"COPY kept TO '{tmp_path}/{{}}.{form}' OPTIONS ('dims' 'time'{{}})",
    )
    for template in ("old", mine):
        found = whole.to_dataset(["time"], template=template)
        assert isinstance(found.indexes["time"], xr.CFTimeIndex)
        xr.testing.assert_equal(found.v.load(), mine.v.sel(x=0, drop=True))
    context.script(copied.format("times", ", 'template' 'old'"))
    for told in (lambda: whole.to_dataset(["time"]), lambda: context.script(copied.format("numbers", ""))):
        with pytest.warns(CalendarWarning, match="`time` is given as whole numbers, .* of the 360_day calendar"):
            told()
    opened = xr.open_dataset if form == "nc" else xr.open_zarr
    with opened(f"{tmp_path}/times.{form}") as times, opened(f"{tmp_path}/numbers.{form}") as numbers:
        assert list(times.time.values) == list(mine.time.values)
        assert times.time.encoding["calendar"] == "360_day"
        assert numbers.time.dtype == np.int64


def test_a_template_that_is_not_there_is_named_and_pointed_at(tmp_path):
    context = Context()
    context.from_dataset("old", dataset("hours since 1970-01-01"))
    sql = f"COPY (SELECT 1 AS a) TO '{tmp_path}/a.nc' OPTIONS ('dims' 'a', 'template' 'olds')"
    with pytest.raises(SqlError, match="there is no dataset `olds`") as caught:
        context.script(sql)
    assert caught.value.hint == "Did you mean `old`?"
    assert sql[caught.value.span.column - 1 :].startswith("'olds'")


def test_numbers_that_are_no_times_are_told_nothing_of():
    context = Context()
    context.from_dataset("old", dataset("hours since 1970-01-01"))
    context.script("CREATE TABLE years AS SELECT cftime_part('year', time) AS time, v FROM old WHERE x = 0")
    found = context.sql("SELECT CAST(time AS BIGINT) AS time, v FROM years").to_dataset(["time"])
    assert found.time.values.tolist() == list(range(1950, 2050))
