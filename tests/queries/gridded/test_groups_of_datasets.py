"""Aggregates over datasets: array code gives what DataFusion gives, or refuses."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sqlmagic_xr import Context
from sqlmagic_xr.dense.node import Refused
from tests.queries.gridded.same import assert_same, by_arrays


def dataset():
    rng = np.random.default_rng(7)
    shape = (40, 6, 8)
    air = (280 + 10 * rng.normal(size=shape)).astype(np.float32)
    air[rng.random(shape) < 0.1] = np.nan
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "air": (dims, air),
            "hum": (dims, rng.random(shape)),
            "n": (dims, rng.integers(-5, 6, shape).astype(np.int16)),
            "wet": (dims, rng.random(shape) < 0.3),
        },
        coords={
            "time": pd.date_range("2000-01-20", periods=40, freq="31h"),
            "lat": np.linspace(75, -75, 6),
            "lon": np.arange(0, 360, 45.0),
            "zone": ("lat", ["polar", "mid", "tropic", "tropic", "mid", None]),
            "height": (("lat", "lon"), np.round(rng.random((6, 8)) * 100)),
            "level": 850,
        },
    )


@pytest.fixture(scope="module")
def ctx():
    ctx = Context()
    ctx.from_dataset("t", dataset())
    ctx.from_dataset("other", dataset().isel(time=slice(3, 30), lat=slice(None, None, -1))[["hum"]].rename(hum="h"))
    ctx.script("CREATE TABLE zones (lat DOUBLE, zone VARCHAR, weight DOUBLE)")
    ctx.script("INSERT INTO zones VALUES (75, 'north', 1), (45, 'north', 2), (-75, 'south', NULL), (3, 'no', 9)")
    ctx.script("CREATE TABLE masks (lat DOUBLE, lon DOUBLE, region BIGINT)")
    ctx.script("INSERT INTO masks SELECT lat, lon, 1 FROM t WHERE lat > 0 AND lon < 200 GROUP BY lat, lon")
    ctx.script("CREATE VIEW warm AS SELECT time, lat, lon, air - 273 AS c FROM t WHERE lat > -50")
    ctx.script("CREATE VIEW means AS SELECT lat, AVG(air) AS m FROM t GROUP BY lat")
    return ctx


THE_NINE = [
    "SELECT AVG(air) AS v FROM t",
    "SELECT lat, AVG(air) AS v FROM t GROUP BY lat",
    "SELECT time, AVG(air) AS v FROM t GROUP BY time",
    "SELECT lat, lon, AVG(air) AS v FROM t GROUP BY lat, lon",
    "SELECT lat, lon, date_part('month', time) AS m, AVG(air) AS v FROM t GROUP BY lat, lon, date_part('month', time)",
    "SELECT time, SUM(air * cos(radians(lat))) / SUM(cos(radians(lat))) AS v FROM t GROUP BY time",
    "SELECT time, MAX(air) AS v FROM t WHERE lat BETWEEN -30 AND 50 AND hum > 0.5 GROUP BY time",
    "SELECT lat, lon, covar_pop(air, hum) AS v FROM t GROUP BY lat, lon",
    """SELECT a.time, AVG(power(a.air - c.m, 2)) AS v FROM t a
       JOIN (SELECT lat, lon, AVG(air) AS m FROM t GROUP BY lat, lon) c ON a.lat = c.lat AND a.lon = c.lon
       GROUP BY a.time""",
]

SHAPES = [
    "SELECT SUM(air), SUM(n), COUNT(*), COUNT(air), MIN(air), MAX(n), MIN(time), MAX(lat) FROM t",
    "SELECT lat > 0 AS north, COUNT(air) AS k, SUM(n) AS s FROM t GROUP BY lat > 0",
    "SELECT floor(lat / 40) AS bin, date_trunc('week', time) AS w, AVG(hum) AS v FROM t GROUP BY 1, 2",
    "SELECT CASE WHEN date_part('month', time) = 1 THEN 'J' ELSE 'F' END AS s, STDDEV(air) FROM t GROUP BY 1",
    "SELECT lon, AVG(air) FILTER (WHERE hum > 0.9) AS v, COUNT(*) FILTER (WHERE wet) AS k FROM t GROUP BY lon",
    "SELECT time, lon, COUNT(DISTINCT lat) AS k FROM t WHERE hum > 0.8 GROUP BY time, lon",
    "SELECT COUNT(DISTINCT lat), COUNT(DISTINCT date_part('day', time)) FROM t WHERE air > 300",
    "SELECT lat, VAR_POP(n) AS v, VAR_SAMP(hum), STDDEV_POP(air) FROM t GROUP BY lat HAVING COUNT(air) > 3 "
    "ORDER BY v DESC",
    "SELECT lat, CORR(air, hum), COVAR_SAMP(air, n), REGR_SLOPE(air, hum), REGR_INTERCEPT(air, hum), "
    "REGR_R2(air, hum), REGR_COUNT(air, hum), REGR_AVGX(air, hum), REGR_SXY(air, hum) FROM t GROUP BY lat",
    "SELECT time, AVG(air) AS v FROM t GROUP BY time ORDER BY v DESC NULLS LAST LIMIT 5",
    "SELECT date_part('month', time) AS m, AVG(coalesce(air, 0.0)) AS v FROM t GROUP BY 1",
    "SELECT AVG(CASE WHEN wet THEN air WHEN hum > 0.5 THEN 1 END) AS v FROM t GROUP BY lat",
    "SELECT SUM(n * 2), SUM(-n), AVG(abs(n * 3)), SUM(n / 2), MAX(n % 3) FROM t GROUP BY lon",
    "SELECT COUNT(*) FROM t WHERE NOT (air > 280 OR wet)",
    "SELECT COUNT(*) FROM t WHERE air IS NULL AND n IN (1, 2, 3)",
    "SELECT COUNT(*) FROM t WHERE n NOT IN (1, 2, 3) AND n NOT BETWEEN -1 AND 1",
    "SELECT lat, AVG(c) AS v FROM warm GROUP BY lat",
    "SELECT t.time, AVG(t.air - means.m) AS v FROM t JOIN means USING (lat) GROUP BY t.time",
    "WITH m AS (SELECT lat, MAX(hum) AS h FROM t GROUP BY lat) SELECT AVG(h), COUNT(*) FROM m",
    "SELECT z.zone, AVG(air) AS v, SUM(z.weight) AS w FROM t JOIN zones z ON t.lat = z.lat GROUP BY z.zone",
    "SELECT z.zone, COUNT(*) AS v, SUM(z.weight * n) AS w FROM t LEFT JOIN zones z ON t.lat = z.lat GROUP BY z.zone",
    "SELECT time, SUM(region * hum) AS v FROM t JOIN masks m ON t.lat = m.lat AND t.lon = m.lon GROUP BY time",
    "SELECT t.lat, COVAR_POP(t.hum, o.h) AS v, COUNT(*) AS k FROM t JOIN other o USING (time, lat, lon) GROUP BY t.lat",
    "SELECT a.lat, AVG(a.air * b.hum) AS v FROM t a, t b WHERE a.time = b.time AND a.lat = b.lat AND a.lon = b.lon "
    "AND b.lon < 200 GROUP BY a.lat",
    "SELECT 1 AS k, AVG(air) AS v FROM t UNION ALL SELECT 2, MAX(hum) FROM t ORDER BY k",
    "SELECT lat, v - AVG(v) OVER () AS d FROM (SELECT lat, AVG(air) AS v FROM t GROUP BY lat) q",
    "SELECT MAX(sqrt(hum)), SUM(exp(-hum)), MIN(CAST(n AS DOUBLE) / 3) FROM t GROUP BY date_part('day', time)",
    "SELECT MIN(wet), MAX(wet), COUNT(wet) FROM t GROUP BY lat",
    "SELECT zone, AVG(air) AS v, COUNT(*) AS k, MAX(level) FROM t WHERE zone IS NULL OR zone LIKE '%i%' GROUP BY zone",
    "SELECT time, AVG(air) AS v, SUM(height) AS h FROM t WHERE height > 50 GROUP BY time",
    "SELECT lat, COUNT(*) AS k FROM t WHERE air > (SELECT AVG(air) FROM t) GROUP BY lat",
    "SELECT AVG(hum - (SELECT MIN(weight) FROM zones)) AS v FROM t WHERE lat > (SELECT MIN(lat) FROM zones)",
    "SELECT lat, BOOL_AND(wet), BOOL_OR(air > 300), BOOL_AND(hum > 0.01) FILTER (WHERE n > 2) FROM t GROUP BY lat",
    "SELECT n, COUNT(*) AS k, AVG(air) AS v FROM t GROUP BY n",
    "SELECT height > 50 AS high, time, AVG(air) AS v, VAR_POP(hum) AS s, MAX(n) AS m FROM t GROUP BY height > 50, time",
    "SELECT region, lat, COUNT(*) AS k, SUM(hum) AS s FROM t JOIN masks USING (lat, lon) GROUP BY region, lat",
    "SELECT region, COUNT(DISTINCT time) AS k, STDDEV(air) AS s FROM t LEFT JOIN masks m ON t.lat = m.lat AND "
    "t.lon = m.lon WHERE hum > 0.95 GROUP BY region",
    "SELECT floor(hum * 4) AS h, wet, lat > lon AS far, SUM(n) AS s FROM t WHERE n > 0 GROUP BY 1, 2, 3",
    "SELECT date_part('hour', time) AS h, lon > lat AS e, COVAR_POP(air, hum) AS s FROM t GROUP BY 1, 2",
    "SELECT SUM(air * 1.8 + 32) AS f, SUM(air * 2) AS g FROM t GROUP BY lon",
]


@pytest.mark.parametrize("sql", THE_NINE + SHAPES)
def test_arrays_give_what_the_engine_gives(ctx, sql):
    assert_same(ctx, sql)


@pytest.fixture(scope="module")
def odd():
    """What is missing, endless, a zero of either sign, or beside a number that no float32 is."""
    nan, tenth = np.nan, np.float32(0.1)
    values = np.array([[nan, -0.0, 0.0, np.inf], [nan] * 4, [-np.inf, 2, nan, 0.9], [tenth, np.float32(0.9), -5, 3]])
    single, whole = values.astype(np.float32), np.arange(16, dtype=np.int8).reshape(4, 4) - 8
    cells = {"a": single, "b": single.astype(float), "n": whole, "h": single.clip(-9, 9).astype(np.float16)}
    ctx = Context()
    labels = {"y": [1.0, 2, 3, 4], "x": np.arange(4)}
    ctx.from_dataset("odd", xr.Dataset({name: (("y", "x"), v) for name, v in cells.items()}, labels))
    return ctx


@pytest.mark.parametrize("number", ["0.9", "0.1", "0.5", "1e300", "-1e300"])
def test_a_float32_is_compared_with_a_number_that_it_cannot_be(odd, number):
    pairs = [f"a {op} {number}" for op in ("<", "<=", ">", ">=", "=", "<>")]
    pairs += [f"{number} {op} a" for op in ("<", "<=", ">", ">=", "=", "<>")]
    counts = ", ".join(f"COUNT(*) FILTER (WHERE {pair}) AS c{n}" for n, pair in enumerate(pairs))
    assert_same(odd, f"SELECT y, {counts} FROM odd GROUP BY y")


@pytest.mark.parametrize("keys", ["y", "x", "y > 2", ""])
@pytest.mark.parametrize("where", ["WHERE a > 0.05", "WHERE x > 1", "WHERE y <> 2 AND b > 0"])
def test_least_and_greatest_are_of_what_counts(odd, keys, where):
    conditions = ["", " FILTER (WHERE x < 2)", " FILTER (WHERE b < 0)"]
    calls = [f"{name}({column}){condition}" for name in ("MIN", "MAX") for column in "an" for condition in conditions]
    calls += ["MIN(h)", "MAX(b)", "COUNT(a) FILTER (WHERE b < 0)", "SUM(n) FILTER (WHERE x < 2)"]
    columns = [*([keys] if keys else []), *(f"{call} AS v{n}" for n, call in enumerate(calls))]
    assert_same(odd, f"SELECT {', '.join(columns)} FROM odd {where} {'GROUP BY ' * bool(keys)}{keys}")


def test_the_order_and_the_limit_are_those_of_the_query(ctx):
    sql = "SELECT lat, AVG(hum) AS v FROM t GROUP BY lat ORDER BY lat DESC LIMIT 3 OFFSET 1"
    assert_same(ctx, sql, ordered=True)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT string_agg(CAST(n AS VARCHAR), ',') FROM t", "string_agg"),
        ("SELECT AVG(random()) FROM t GROUP BY lat", "at each call"),
        ("SELECT 1 + 1, COUNT(*) FROM t GROUP BY 1 + 1", "no expression of columns"),
        ("SELECT AVG(air) FROM t WHERE lat > 1000", "no cell is left"),
        ("SELECT lat FROM t", "no aggregate"),
        ("SELECT SUM(a.n) FROM t a JOIN t b ON a.lat = b.lat", "leaves a dimension open"),
        ("SELECT MAX(ln(n)) FROM t", "NaN"),
        ("SELECT lat, lon, AVG(air) FROM t GROUP BY ROLLUP (lat, lon)", "GROUP BY"),
    ],
)
def test_what_is_not_sure_is_refused_with_the_reason(ctx, sql, why):
    with pytest.raises(Refused, match=why):
        by_arrays(ctx, sql)


def test_explain_says_who_runs_it_and_how_much_is_read(ctx):
    def told(sql):
        (result,) = ctx.script(f"EXPLAIN {sql}", executor="dense")
        return result.plan.split("\n")[0]

    assert "array code over 960 of 1,920 cells, 1 variable" in told("SELECT AVG(air) FROM t WHERE lat > 0")
    assert "joined with what is evaluated before" in told(THE_NINE[-1])


def test_large_datasets_are_taken_by_themselves_and_small_ones_are_not():
    ctx = Context()
    values = np.ones((1000, 1000), np.float32)
    ctx.from_dataset("large", xr.Dataset({"v": (("x", "y"), values)}))
    ctx.from_dataset("small", xr.Dataset({"v": (("x", "y"), values[:99])}))

    def who(sql):
        (result,) = ctx.script(sql)
        return result.executor

    assert who("SELECT x, SUM(v) AS s FROM large GROUP BY x") == "dense"
    assert who("SELECT x, SUM(v) AS s FROM small GROUP BY x") == "relational"
    assert who("SELECT string_agg(CAST(v AS VARCHAR), '') AS s FROM large WHERE x = 1") == "relational"
    assert who("SELECT v FROM large WHERE x = 3") == "relational"
    (told,) = ctx.script("EXPLAIN SELECT array_agg(v) AS s FROM large")
    assert told.plan.startswith("executor: relational (no array code over chunks for array_agg)")
    assert "executor" not in ctx.script("EXPLAIN SELECT SUM(v) AS s FROM small")[0].plan


@pytest.mark.parametrize("extreme", [1.0, 1.7e308, np.inf, np.nan])
def test_a_factor_stands_outside_of_a_sum_where_that_changes_nothing(extreme):
    values, dims = np.arange(24.0).reshape(4, 3, 2) - 7, ("t", "y", "x")
    whole = values.astype(np.int16)
    values[1, 2] = extreme
    labels = {"t": range(4), "y": [0.0, -1.5, 1e-3], "x": [1.0, 3.0]}
    ctx = Context()
    ctx.from_dataset("d", xr.Dataset({"v": (dims, values), "n": (dims, whole)}, labels))
    for value in ("v * y", "sqrt(abs(y)) * v", "v * x", "n * y"):
        for key in ("t", "x", "y", "t > 1"):
            assert_same(ctx, f"SELECT {key} AS k, SUM({value}) AS s, AVG({value}) AS m FROM d GROUP BY 1")
