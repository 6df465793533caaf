"""Who runs a query over a large dataset: array code over chunks, or the engine."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr

from sqlmagic_xr import Context

BY_ARRAYS = (
    """
SELECT AVG(air) FROM t
SELECT COUNT(*) FROM t
SELECT COUNT(air), COUNT(DISTINCT lat) FROM t
SELECT MIN(air), MAX(air), MIN(time), MAX(lon) FROM t
SELECT SUM(n), AVG(n), MAX(n) FROM t
SELECT VAR_POP(air), VAR_SAMP(air), STDDEV(air), STDDEV_POP(air) FROM t
SELECT COVAR_POP(air, hum), COVAR_SAMP(air, hum), CORR(air, hum) FROM t
SELECT REGR_SLOPE(air, hum), REGR_INTERCEPT(air, hum), REGR_R2(air, hum), REGR_COUNT(air, hum) FROM t
SELECT lat, AVG(air) FROM t GROUP BY lat
SELECT time, AVG(air) FROM t GROUP BY time
SELECT lat, lon, AVG(air) FROM t GROUP BY lat, lon
SELECT lon, lat, AVG(air) FROM t GROUP BY lon, lat
SELECT date_part('month', time), AVG(air) FROM t GROUP BY 1
SELECT EXTRACT(YEAR FROM time), MAX(air) FROM t GROUP BY 1
SELECT date_trunc('month', time), lat, AVG(air) FROM t GROUP BY 1, 2
SELECT to_char(time, '%Y-%m') AS m, AVG(air) FROM t GROUP BY 1
SELECT CASE WHEN date_part('month', time) IN (12, 1, 2) THEN 'DJF' ELSE 'rest' END AS s, AVG(air) FROM t GROUP BY 1
SELECT lat > 0 AS north, AVG(air) FROM t GROUP BY lat > 0
SELECT floor(lat / 10) * 10 AS band, AVG(air) FROM t GROUP BY 1
SELECT lat > lon AS over, AVG(air) FROM t GROUP BY lat > lon
SELECT AVG(air) FROM t WHERE lat BETWEEN -30 AND 30
SELECT AVG(air) FROM t WHERE lat > 0 AND hum > 0.5
SELECT AVG(air) FROM t WHERE time >= TIMESTAMP '2000-02-01T00:00:00'
SELECT AVG(air) FROM t WHERE date_part('month', time) = 1 AND lon IN (0, 3, 6)
SELECT AVG(air) FROM t WHERE NOT (hum > 0.5 OR air < 280)
SELECT COUNT(*) FROM t WHERE air IS NULL
SELECT COUNT(*) FROM t WHERE wet AND n NOT IN (1, 2)
SELECT AVG(air) FILTER (WHERE hum > 0.9), COUNT(*) FILTER (WHERE wet) FROM t
SELECT lat, COUNT(DISTINCT date_part('month', time)) FROM t WHERE hum > 0.99 GROUP BY lat
SELECT SUM(air * cos(radians(lat))) / SUM(cos(radians(lat))) FROM t
SELECT AVG(air * 1.8 + 32), MIN(-air), AVG(abs(hum)) FROM t
SELECT AVG(power(hum, 2)), AVG(sqrt(hum)), AVG(exp(hum)) FROM t
SELECT AVG(CASE WHEN wet THEN air ELSE hum END) FROM t
SELECT AVG(coalesce(air, 0)), AVG(nullif(hum, 0)) FROM t
SELECT SUM(CAST(n AS DOUBLE)), SUM(n * 2), MAX(n % 3) FROM t
SELECT lat, AVG(air) AS v FROM t GROUP BY lat HAVING COUNT(air) > 10 ORDER BY v DESC LIMIT 3
SELECT lat, AVG(air) AS v FROM t GROUP BY lat ORDER BY lat OFFSET 2
SELECT MAX(v) - MIN(v) FROM (SELECT lat, AVG(air) AS v FROM t GROUP BY lat) q
WITH m AS (SELECT lat, AVG(air) AS v FROM t GROUP BY lat) SELECT lat, v, rank() OVER (ORDER BY v) FROM m
SELECT lat, v - LAG(v) OVER (ORDER BY lat) AS d FROM (SELECT lat, AVG(air) AS v FROM t GROUP BY lat) q
SELECT time, AVG(v) OVER (ORDER BY time ROWS 29 PRECEDING) FROM (SELECT time, AVG(air) AS v FROM t GROUP BY time) q
SELECT 'air' AS k, AVG(air) AS v FROM t UNION ALL SELECT 'hum', AVG(hum) FROM t
SELECT a.time, AVG(power(a.air - c.m, 2)) FROM t a JOIN (SELECT lat, AVG(air) AS m FROM t GROUP BY lat) c
 ON a.lat = c.lat GROUP BY a.time
WITH c AS (SELECT lat, lon, AVG(air) AS m FROM t GROUP BY lat, lon) SELECT AVG(air - m) FROM t JOIN c USING (lat, lon)
SELECT a.lat, COVAR_POP(a.air, b.hum) FROM t a JOIN t b USING (time, lat, lon) GROUP BY a.lat
SELECT AVG(t.air - o.ref) FROM t JOIN other o ON t.lat = o.lat AND t.lon = o.lon
SELECT z.zone, AVG(air) FROM t JOIN zones z ON t.lat = z.lat GROUP BY z.zone
SELECT z.zone, AVG(air) FROM t LEFT JOIN zones z ON t.lat = z.lat GROUP BY z.zone
SELECT AVG(air) FROM t WHERE air > (SELECT AVG(air) FROM t)
SELECT lat, SUM(c) FROM celsius GROUP BY lat
SELECT MAX(m) FROM means
SELECT AVG(c) FROM (SELECT air - 273 AS c, lat FROM t WHERE lat > 0) q WHERE lat < 50
SELECT AVG(w.a * hum - w.b), COUNT(*) FROM t CROSS JOIN (SELECT 0 AS step, 0.5 AS a, 0.25 AS b) w WHERE w.step = 0
SELECT SUM(w.a * hum), COUNT(*) FROM (SELECT 0 AS step, 0.5 AS a) w CROSS JOIN t WHERE w.step = 1 OR w.a IS NULL
SELECT p.k, AVG(power(p.a * hum - air, 2)) AS loss FROM t CROSS JOIN p GROUP BY p.k
SELECT AVG(air - g.m) FROM t CROSS JOIN (SELECT AVG(air) AS m FROM t) g
SELECT lat, lon, median(air), percentile_cont(hum, 0.9) FROM t GROUP BY lat, lon
SELECT lat, lon, percentile_cont(0.3) WITHIN GROUP (ORDER BY air) FROM t GROUP BY lat, lon
SELECT date_part('month', time) AS m, median(hum) FILTER (WHERE wet) FROM t GROUP BY 1
SELECT lat, lon, first_value(air ORDER BY time), last_value(hum ORDER BY time) FROM t GROUP BY lat, lon
SELECT time, lat, lon, AVG(air) OVER (PARTITION BY lat, lon ORDER BY time ROWS 29 PRECEDING) AS v FROM t
SELECT time, lat, lon, air - AVG(air) OVER (PARTITION BY lat, lon) AS anomaly FROM t
SELECT time, lat, lon, air - LAG(air) OVER (PARTITION BY lat, lon ORDER BY time) AS d FROM t WHERE lat > 60
SELECT lat, MAX(v) FROM (SELECT lat, SUM(hum) OVER (PARTITION BY lat, lon ORDER BY time) AS v FROM t) q GROUP BY lat
SELECT time, lat, lon, rank() OVER (PARTITION BY lat, lon ORDER BY time DESC) AS v FROM t
SELECT lat, lon, cume_dist() OVER (PARTITION BY lat, lon ORDER BY time) AS v FROM t WHERE lat > 80
SELECT lat, AVG(air) AS v FROM t GROUP BY lat EXCEPT SELECT lat, AVG(air) FROM t WHERE lat > 0 GROUP BY lat
""".strip()
    .replace("\n ", " ")
    .splitlines()
)

BY_THE_ENGINE = """
SELECT * FROM t LIMIT 3
SELECT air FROM t WHERE lat = 60 AND lon = 3
SELECT lat, hum FROM t WHERE hum > 0.9999999
SELECT AVG(ref) FROM other
SELECT lat, COUNT(*) FROM zones GROUP BY lat
SELECT array_agg(air) FROM t WHERE lat > 70 AND lon = 0
SELECT approx_distinct(air) FROM t WHERE lat > 70
SELECT AVG(air) OVER (PARTITION BY lat) AS v FROM t WHERE lon = 0 AND hum > 0.5 LIMIT 2
SELECT rank() OVER (PARTITION BY lat, lon ORDER BY air) AS v FROM t WHERE lat > 80
SELECT approx_median(air) FROM t WHERE lat > 80
SELECT percentile_cont(0.3) WITHIN GROUP (ORDER BY air DESC) FROM t WHERE lat > 80
SELECT lat, lon, AVG(air) FROM t WHERE lat > 70 GROUP BY ROLLUP (lat, lon)
SELECT AVG(air) FROM t WHERE lat > 1000
SELECT COUNT(*) FROM t WHERE random() < 2 AND lat > 70
SELECT DISTINCT lat FROM t
""".strip().splitlines()


def register(ctx, large, mean):
    """What the queries read: a dataset, its mean over time, and what is joined to them."""
    ctx.from_dataset("t", large)
    ctx.from_dataset("other", mean.rename("ref").to_dataset())
    ctx.script(
        "CREATE TABLE zones AS SELECT lat, CASE WHEN lat > 0 THEN 'n' ELSE 's' END AS zone FROM other GROUP BY lat"
    )
    ctx.script("CREATE TABLE p (k BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.0), (1, 2.0)")
    ctx.script("CREATE VIEW celsius AS SELECT lat, lon, air - 273 AS c FROM t")
    ctx.script("CREATE VIEW means AS SELECT lat, AVG(air) AS m FROM t GROUP BY lat")


@pytest.fixture(scope="module")
def ctx():
    rng = np.random.default_rng(0)
    shape, dims = (75, 120, 120), ("time", "lat", "lon")
    air = (280 + 9 * rng.normal(size=shape)).astype(np.float32)
    air[rng.random(shape) < 0.01] = np.nan
    large = xr.Dataset(
        {"air": (dims, air), "hum": (dims, rng.random(shape, np.float32)),
         "n": (dims, rng.integers(0, 9, shape).astype(np.int16)), "wet": (dims, rng.random(shape) < 0.3)},
        {"time": pd.date_range("2000-01-01", periods=75, freq="D"), "lat": np.linspace(-89, 89, 120),
         "lon": np.arange(0, 360, 3.0)},
    )  # fmt: skip
    ctx = Context()
    register(ctx, large, large.hum.mean("time"))
    return ctx


def test_there_are_enough_of_them():
    assert len(BY_ARRAYS) + len(BY_THE_ENGINE) >= 60


@pytest.mark.parametrize("sql", BY_ARRAYS)
def test_array_code_runs_it(ctx, sql):
    (result,) = ctx.script(sql)
    assert result.executor == "dense"


@pytest.mark.parametrize("sql", BY_THE_ENGINE)
def test_the_engine_runs_it(ctx, sql):
    (result,) = ctx.script(sql)
    assert result.executor == "relational"


def test_a_query_is_lazy_and_is_that_of_the_tables_it_was_asked_of(ctx):
    ctx.script("CREATE TABLE w (lat DOUBLE, f DOUBLE)")
    ctx.script("INSERT INTO w SELECT lat, 1.0 FROM zones")
    (kept,) = ctx.script("SELECT SUM(w.f) AS s FROM t JOIN w ON t.lat = w.lat")
    ctx.script("UPDATE w SET f = 2")
    assert kept.executor == "relational"
    assert kept.to_arrow_table()["s"].to_pylist() == [75 * 120 * 120]


ASKED = {
    "to_arrow_table": lambda frame: frame.to_arrow_table().num_rows,
    "to_pandas": lambda frame: len(frame.to_pandas()),
    "to_pylist": lambda frame: len(frame.to_pylist()),
    "to_pydict": lambda frame: len(frame.to_pydict()["v"]),
    "collect": lambda frame: sum(batch.num_rows for batch in frame.collect()),
    "count": lambda frame: frame.count(),
    "iteration": lambda frame: sum(batch.to_pyarrow().num_rows for batch in frame),
    "stream": lambda frame: pa.RecordBatchReader.from_stream(frame).read_all().num_rows,
    "execute_stream": lambda frame: sum(batch.to_pyarrow().num_rows for batch in frame.execute_stream()),
    "repr": lambda frame: 120 if "v" in repr(frame) else 0,
    "html": lambda frame: 120 if "<t" in frame._repr_html_() else 0,
    "to_dataset": lambda frame: frame.to_dataset().sizes["lat"],
}


@pytest.mark.parametrize("way", ASKED)
def test_a_frame_is_lazy_and_its_rows_are_array_codes(ctx, monkeypatch, way):
    from sqlmagic_xr.queries.gridded import groupwise

    ran, original = [], groupwise.taken
    monkeypatch.setattr(groupwise, "taken", lambda *given: ran.append(1) or original(*given))
    sql = "SELECT lat, AVG(air) AS v FROM t GROUP BY lat"
    frame = ctx.sql(sql)
    assert not ran
    assert ASKED[way](frame) == 120
    assert ran
    ran.clear()
    assert ASKED[way](ctx.sql(sql, executor="relational")) == 120
    assert frame.limit(2).to_arrow_table().num_rows == 2
    assert not ran


def test_a_frame_keeps_the_tables_that_it_was_planned_with(ctx):
    ctx.script("CREATE TABLE w2 (lat DOUBLE, f DOUBLE)")
    ctx.script("INSERT INTO w2 SELECT lat, 1.0 FROM zones")
    frame = ctx.sql("SELECT SUM(w2.f) AS s FROM t JOIN w2 ON t.lat = w2.lat")
    ctx.script("UPDATE w2 SET f = 2")
    assert frame.to_pylist() == [{"s": 75 * 120 * 120}]


def test_a_curve_over_a_large_dataset_is_array_code(ctx, monkeypatch):
    from sqlmagic_xr.queries.gridded import groupwise

    ran, original = [], groupwise.taken
    monkeypatch.setattr(groupwise, "taken", lambda *given: ran.append(1) or original(*given))
    ctx.script("CREATE TABLE fit (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO fit VALUES (0, 1.0)")
    loss = "SELECT f.step, AVG(power(f.a * t.hum - t.air, 2)) AS loss FROM t CROSS JOIN fit f GROUP BY f.step"
    run = ctx.train(f"INSERT INTO fit SELECT :next_step, a + 1 FROM fit WHERE step = :step; {loss}", steps=3)
    assert ran
    found = run.curves[0].sort_by("step")["loss"].to_numpy()
    rows = ctx.sql(f"{loss} ORDER BY f.step", executor="relational").to_arrow_table()["loss"].to_numpy()
    np.testing.assert_allclose(found, rows, rtol=1e-9)


def test_what_is_inserted_or_made_a_table_of_is_taken_from_the_arrays(ctx, monkeypatch):
    expected = ctx.script("SELECT lat, AVG(air) AS v FROM t GROUP BY lat ORDER BY lat", executor="relational")[0]
    taken = []

    def noting(*args):
        taken.append(1)
        return original(*args)

    from sqlmagic_xr.queries.gridded import groupwise

    original = groupwise.taken
    monkeypatch.setattr(groupwise, "taken", noting)
    ctx.script("CREATE TABLE kept AS SELECT lat, AVG(air) AS v FROM t GROUP BY lat")
    ctx.script("INSERT INTO kept SELECT lat + 1000, AVG(air) FROM t GROUP BY lat")
    assert len(taken) == 2
    np.testing.assert_allclose(
        ctx.sql("SELECT v FROM kept ORDER BY lat").to_arrow_table()["v"].to_numpy(),
        np.tile(expected.to_arrow_table()["v"].to_numpy(), 2),
    )
