"""A dataset of several shapes under one name, its coordinates that are no dimensions, and whose attributes hold."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.engine.inventory import columns, schema, tables
from sqlmagic_xr.errors import UnknownNameError

PLACES = np.arange(6.0).reshape(2, 3)
MODEL = xr.Dataset(
    {
        "pr": (("time", "y", "x"), np.arange(24.0).reshape(4, 2, 3), {"units": "mm", "standard_name": "rain"}),
        "t2m": (("time", "y", "x"), np.arange(24.0).reshape(4, 2, 3) + 270, {"units": "K"}),
        "orog": (("y", "x"), PLACES * 100, {"units": "m"}),
    },
    {
        "time": ("time", pd.date_range("2000-01-01", periods=4), {"axis": "T"}),
        "lat": (("x", "y"), PLACES.T, {"units": "degrees_north"}),
        "height": 2.0,
        "site": ("x", ["a", "b", None]),
    },
    {"title": "a model"},
)
MODEL.pr.encoding["scale_factor"] = 0.5


@pytest.fixture(params=["variable", "registered"])
def context(request):
    if request.param == "variable":
        return Context(namespace=lambda: {"ds": MODEL})
    found = Context()
    found.from_dataset("ds", MODEL)
    return found


def rows(context, query):
    return [tuple(row.values()) for row in context.script(query)[-1].to_arrow_table().to_pylist()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT COUNT(pr) FROM ds", [(24,)]),
        ("SELECT COUNT(*) FROM ds WHERE orog >= 0", [(6,)]),
        ("SELECT COUNT(*) FROM ds AS d WHERE D.OROG >= 0", [(6,)]),
        ('SELECT COUNT("orog") FROM public."ds"', [(6,)]),
        ("SELECT COUNT(time) FROM ds", [(24,)]),
        ("SELECT x FROM ds ORDER BY orog DESC LIMIT 1", [(2,)]),
        ("SELECT COUNT(*) FROM ds a JOIN ds b USING (y, x) WHERE a.pr > b.orog / 100", [(18,)]),
        ("SELECT COUNT(*) FROM ds WHERE pr / 23 < (SELECT MAX(orog) / 500 FROM ds)", [(23,)]),
        ("SELECT MAX(v) FROM (SELECT pr AS v FROM ds UNION ALL SELECT orog FROM ds)", [(500.0,)]),
        ("WITH ds AS (SELECT orog, lat FROM ds) SELECT COUNT(*) FROM ds", [(6,)]),
        ("WITH q AS (SELECT 5 AS orog) SELECT COUNT(t2m) FROM ds CROSS JOIN q WHERE q.orog = 5", [(24,)]),
        ("SELECT COUNT(*) FROM ds.y_x", [(6,)]),
        ("SELECT COUNT(lat) FROM ds", [(6,)]),
        ("SELECT lat FROM ds ORDER BY lat LIMIT 1", [(0.0,)]),
        ("SELECT COUNT(x) FROM ds WHERE x + y < 2 AND lat >= 0", [(3,)]),
        ("SELECT AVG(grad(orog * orog / 2, orog)) FROM ds", [(250.0,)]),
        ("CREATE VIEW hills AS SELECT x, orog FROM ds WHERE orog > 100; SELECT COUNT(*) FROM hills", [(4,)]),
        ("CREATE TABLE h AS SELECT y, x, orog FROM ds; DELETE FROM h WHERE orog < (SELECT MAX(orog) FROM ds); "
         "SELECT y, x FROM h", [(1, 2)]),
    ],
)  # fmt: skip
def test_a_query_reads_the_table_that_has_the_variables_which_it_names(context, query, expected):
    assert rows(context, query) == expected


@pytest.mark.parametrize(
    ("query", "what", "hint"),
    [
        ("SELECT * FROM ds", "is several tables", "Name one of them: ds.time_y_x, ds.y_x"),
        ("SELECT COUNT(*) FROM ds WHERE lat > 0", "is several tables", "Name one of them"),
        ("SELECT height FROM ds", "is several tables", "Name one of them"),
        ("SELECT lat, AVG(t2) AS m FROM ds GROUP BY lat ORDER BY m", "there is no column t2", "Did you mean `t2m`"),
        ("SELECT pr FROM ds WHERE orog > 1", "pr and orog have different dimensions",
         "FROM ds.time_y_x JOIN ds.y_x USING (y, x)"),
        ("SELECT d.orog, d.t2m FROM ds d CROSS JOIN (SELECT 1 AS one)", "orog and t2m have different dimensions",
         "FROM ds.y_x JOIN ds.time_y_x USING (y, x)"),
    ],
)  # fmt: skip
def test_where_it_cannot_be_told_the_tables_are_named(context, query, what, hint):
    with pytest.raises(UnknownNameError, match=what) as raised:
        context.script(query)
    assert hint in raised.value.hint
    at = "t2" if "no column" in what else "ds"
    assert raised.value.span is None or raised.value.span.column == query.index(at) + 1


def test_what_is_proposed_for_two_shapes_runs(context):
    assert rows(context, "SELECT COUNT(*) FROM ds.time_y_x JOIN ds.y_x USING (y, x) WHERE pr > 0") == [(23,)]


def test_a_step_trains_on_one_of_the_shapes(context):
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")
    run = context.train(
        "INSERT INTO p SELECT :next_step, cur.a - 0.5 * AVG(grad(power(orog / 100 - cur.a, 2), cur.a)) FROM ds "
        "CROSS JOIN (SELECT a FROM p WHERE step = :k) cur GROUP BY cur.a;"
        "SELECT step, AVG(power(orog / 100 - a, 2)) AS loss FROM ds CROSS JOIN p GROUP BY step ORDER BY step",
        steps=3,
    )
    assert run.steps == 3
    assert rows(context, "SELECT a FROM p ORDER BY step DESC LIMIT 1") == [(pytest.approx(2.5),)]
    assert run.curves[0]["loss"].to_pylist()[-1] == pytest.approx(PLACES.var())


def test_lists_tell_of_every_table(context):
    names = ["ds.time_y_x", "ds.y_x"]
    assert tables(context)["name"].to_pylist() == names
    assert tables(context)["rows"].to_pylist() == [24, 6]
    assert tables(context)["columns"].to_pylist() == [8, 6]
    told = schema(context, "ds").columns
    assert told["column_name"].to_pylist()[-6:] == ["y", "x", "orog", "lat", "height", "site"]
    assert set(told["table_name"].to_pylist()) == set(names)
    assert context.script("DESCRIBE ds")[0].to_arrow_table().num_rows == 14
    assert tables(context)["name"].to_pylist() == names
    found = columns(Context(namespace=lambda: {"ds": MODEL}), ("ds",))
    assert {"pr", "orog", "lat", "site", "time"} <= set(found)


@pytest.mark.parametrize("chunks", [None, {"time": 1, "x": 2}])
def test_a_coordinate_is_a_column_of_every_table_whose_dims_it_has(chunks):
    context = Context()
    context.from_dataset("ds", MODEL, chunks=chunks)
    expected = MODEL.pr.to_dataframe().reset_index()
    found = context.sql("SELECT time, y, x, pr, lat, height, site FROM ds ORDER BY time, y, x").to_pandas()
    pd.testing.assert_frame_equal(found, expected[found.columns], check_dtype=False)
    assert rows(context, "SELECT DISTINCT site FROM ds.y_x WHERE lat < 2 ORDER BY site") == [("a",), ("b",)]


def test_a_coordinate_comes_back_along_its_own_dims(context):
    (result,) = context.script("SELECT time, y, x, pr, lat AS north, site, height FROM ds WHERE pr > 0 ORDER BY time")
    found = result.to_dataset()
    assert {name: coordinate.dims for name, coordinate in found.coords.items() if name not in found.dims} == {
        "north": ("x", "y"), "lat": ("x", "y"), "site": ("x",), "height": (),
    }  # fmt: skip
    assert found.north.attrs == {"units": "degrees_north"}
    xr.testing.assert_equal(found.pr.drop_vars(["north", "x", "y"]), MODEL.pr.where(MODEL.pr > 0))
    (mean,) = context.script("SELECT y, x, AVG(pr) AS pr, lat FROM ds GROUP BY y, x, lat")
    assert mean.to_dataset().lat.dims == ("x", "y")
    (alone,) = context.script("SELECT lat, MAX(orog) AS top FROM ds GROUP BY lat")
    assert alone.to_dataset(dims=["lat"]).lat.attrs == {"units": "degrees_north"}


RAIN = {"units": "mm", "standard_name": "rain"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT x, SUM(pr) * 1000 AS t2m, SUM(pr) AS s FROM ds GROUP BY x", {"t2m": {}, "s": {"units": "mm"}}),
        ("SELECT x, MAX(pr) AS mx, AVG(t2m) AS pr FROM ds GROUP BY x", {"mx": RAIN, "pr": {"units": "K"}}),
        ("SELECT date_trunc('month', time) AS time, MIN(pr) AS pr FROM ds GROUP BY 1", {"time": {}, "pr": RAIN}),
        ("SELECT time, AVG(t2m) - 273.15 AS t2m, COUNT(pr) AS pr FROM ds GROUP BY time",
         {"time": {"axis": "T"}, "t2m": {}, "pr": {}}),
        ("WITH q AS (SELECT x, pr AS rain FROM ds WHERE time = TIMESTAMP '2000-01-01' AND y = 0) SELECT x, rain, "
         "LAG(rain) OVER (ORDER BY x) AS before FROM q", {"rain": RAIN, "before": RAIN}),
        ("SELECT x, orog AS z FROM ds WHERE y = 0 UNION ALL SELECT x + 3, orog FROM ds WHERE y = 0",
         {"z": {"units": "m"}}),
    ],
)  # fmt: skip
def test_attributes_follow_the_value_and_not_its_name(context, query, expected):
    (result,) = context.script(query)
    found = result.to_dataset(dims=[result.columns[0]])
    assert {name: found[name].attrs for name in expected} == expected


def test_only_the_variable_itself_keeps_how_it_is_packed(context):
    (result,) = context.script("SELECT time, y, x, pr, pr * 2 AS t2m FROM ds")
    found = result.to_dataset()
    assert found.pr.encoding["scale_factor"] == 0.5
    assert found.t2m.encoding == {}
