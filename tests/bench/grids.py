"""Aggregates over a dataset in memory: array code over chunks, plain xarray, and DuckDB over the same rows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from statistics import geometric_mean, median
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr

from sqlmagic_xr import Context
from tests.bench.harness import Effort, Report, Verdict, benchmark

SHAPE = (2920, 60, 120)
PLAIN = {"use_bottleneck": False, "use_numbagg": False, "use_flox": False}

SQL = {
    "AVG over all": "SELECT AVG(air) AS v FROM t",
    "... GROUP BY lat": "SELECT lat, AVG(air) AS v FROM t GROUP BY lat",
    "... GROUP BY time": "SELECT time, AVG(air) AS v FROM t GROUP BY time",
    "... GROUP BY lat, lon": "SELECT lat, lon, AVG(air) AS v FROM t GROUP BY lat, lon",
    "... GROUP BY lat, lon, month": "SELECT lat, lon, date_part('month', time) AS m, AVG(air) AS v FROM t "
    "GROUP BY 1, 2, 3",
    "weighted by cos(lat) GROUP BY time": "SELECT time, SUM(air * cos(radians(lat))) / SUM(cos(radians(lat))) AS v "
    "FROM t GROUP BY time",
    "MAX GROUP BY time WHERE lat, hum": "SELECT time, MAX(air) AS v FROM t WHERE lat BETWEEN -30 AND 30 AND hum > 0.5 "
    "GROUP BY time",
    "covar_pop GROUP BY lat, lon": "SELECT lat, lon, covar_pop(air, hum) AS v FROM t GROUP BY lat, lon",
    "variance about its own mean map": "SELECT a.time, AVG(power(a.air - c.m, 2)) AS v FROM t a JOIN "
    "(SELECT lat, lon, AVG(air) AS m FROM t GROUP BY lat, lon) c ON a.lat = c.lat AND a.lon = c.lon GROUP BY a.time",
}


@cache
def dataset() -> xr.Dataset:
    """Two years of an hourly field on a coarse globe: 21 million cells of float32, twice."""
    rng = np.random.default_rng(0)
    dims = ("time", "lat", "lon")
    air = (280 + 10 * rng.normal(size=SHAPE)).astype(np.float32)
    return xr.Dataset(
        {"air": (dims, air), "hum": (dims, rng.random(SHAPE, np.float32))},
        {
            "time": pd.date_range("2000-01-01", periods=SHAPE[0], freq="6h"),
            "lat": np.linspace(-75, 75, SHAPE[1]),
            "lon": np.arange(0, 360, 360 / SHAPE[2]),
        },
    )


def by_xarray() -> dict[str, Callable[[], xr.DataArray]]:
    """The same in xarray, in the same order of dims as the keys are."""
    ds = dataset()
    band = ds.sel(lat=slice(-30, 30))
    weights = np.cos(np.radians(ds.lat))
    found: list[Callable[[], xr.DataArray]] = [
        lambda: ds.air.mean(),
        lambda: ds.air.mean(("time", "lon")),
        lambda: ds.air.mean(("lat", "lon")),
        lambda: ds.air.mean("time"),
        lambda: ds.air.groupby("time.month").mean(),
        lambda: ds.air.weighted(weights).mean(("lat", "lon")),
        lambda: band.air.where(band.hum > 0.5).max(("lat", "lon")),
        lambda: xr.cov(ds.air, ds.hum, "time", ddof=0),
        lambda: ((ds.air - ds.air.mean("time")) ** 2).mean(("lat", "lon")),
    ]
    return dict(zip(SQL, found, strict=True))


def by_duckdb() -> Callable[[str], Any]:
    """The same text over rows that lie in DuckDB's memory."""
    ds = dataset()
    sizes = [ds.sizes[d] for d in ds.air.dims]
    places = np.meshgrid(*[np.arange(n) for n in sizes], indexing="ij", sparse=True)
    columns = {
        str(d): np.broadcast_to(ds[d].values[p], sizes).reshape(-1) for d, p in zip(ds.air.dims, places, strict=True)
    }
    rows = pa.table({**columns, "air": ds.air.values.ravel(), "hum": ds.hum.values.ravel()})
    connection = duckdb.connect()
    connection.register("rows", rows)
    connection.execute("CREATE TABLE t AS SELECT * FROM rows")
    return lambda sql: connection.sql(sql).to_arrow_table()


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(
    effort: Effort, others: dict[str, Callable[[str], Callable[[], object]]]
) -> tuple[Report, dict[str, list[float]]]:
    """Times of each query by us and by others, turn by turn, and how many times as fast we are."""
    context = Context()
    context.from_dataset("t", dataset())

    def ours(title: str) -> Callable[[], pa.Table]:
        def run() -> pa.Table:
            (result,) = context.script(SQL[title])
            assert result.executor == "dense"
            return result.to_arrow_table()

        return run

    report = Report(["query", "here, ms", *(f"{name}, ms" for name in others)])
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for title in SQL:
        works = {"here": ours(title), **{name: make(title) for name, make in others.items()}}
        for work in works.values():
            work()
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(effort.repetitions):
            for name, work in works.items():
                taken[name].append(_seconds(work))
        middle = {name: median(times) for name, times in taken.items()}
        report.rows.append([title, *(f"{1000 * middle[name]:.0f}" for name in works)])
        for name in others:
            ratios[name].append(middle[name] / middle["here"])
    return report, ratios


@benchmark("SQL over 21 million cells in memory, against xarray and DuckDB")
def in_memory(effort: Effort) -> Report:
    """Plain xarray, xarray with numbagg, bottleneck and flox where they are installed, DuckDB over rows."""
    xarray, duck = by_xarray(), by_duckdb()

    def with_options(options: dict[str, bool]) -> Callable[[str], Callable[[], object]]:
        def made(title: str) -> Callable[[], object]:
            def run() -> object:
                with xr.set_options(**options):
                    return xarray[title]()

            return run

        return made

    others: dict[str, Callable[[str], Callable[[], object]]] = {
        "xarray": with_options(PLAIN),
        "xarray by its best": with_options(dict.fromkeys(PLAIN, True)),
        "DuckDB": lambda title: lambda: duck(SQL[title]),
    }
    report, ratios = compare(effort, others)
    for name, least in (("xarray", 2.5), ("xarray by its best", 1.0), ("DuckDB", 4.0)):
        found = geometric_mean(ratios[name])
        text = f"{found:.2f} times as fast as {name}, geometric mean of nine (to reach: {least:g})"
        report.verdicts.append(Verdict(text, found >= least))
    each = min(ratios["xarray"])
    report.verdicts.append(Verdict(f"{each:.2f} times as fast as xarray in the slowest (to reach: 1.2)", each >= 1.2))
    return report


@benchmark("SQL over 21 million cells in a Zarr store in chunks, against xarray with dask")
def on_disk(effort: Effort) -> Report:
    """Both read the same chunks, each on two threads or more."""
    queries = {
        "... GROUP BY lat": lambda ds: ds.air.mean(("time", "lon")),
        "... GROUP BY time": lambda ds: ds.air.mean(("lat", "lon")),
        "... GROUP BY lat, lon": lambda ds: ds.air.mean("time"),
        "covar_pop GROUP BY lat, lon": lambda ds: xr.cov(ds.air, ds.hum, "time", ddof=0),
    }
    report = Report(["query", "here, ms", "xarray with dask, ms"])
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/grid.zarr"
        sizes = {name: {"chunks": (365, *SHAPE[1:])} for name in ("air", "hum")}
        dataset().to_zarr(path, encoding=sizes, consolidated=False)
        lazy = xr.open_zarr(path, consolidated=False)
        context = Context()
        context.from_dataset("t", lazy)
        for title, work in queries.items():
            taken: dict[str, list[float]] = {"here": [], "xarray": []}
            for _ in range(effort.repetitions):
                taken["here"].append(_seconds(lambda: context.script(SQL[title])[0].to_arrow_table()))  # noqa: B023
                taken["xarray"].append(_seconds(lambda: work(lazy).compute()))  # noqa: B023
            here, other = median(taken["here"]), median(taken["xarray"])
            report.rows.append([title, f"{1000 * here:.0f}", f"{1000 * other:.0f}"])
            ratios.append(other / here)
    found = geometric_mean(ratios)
    report.verdicts.append(Verdict(f"{found:.2f} times as fast as xarray with dask (to reach: 1)", found >= 1))
    return report


LARGE = """
import subprocess
import sys
import tempfile
import time
import dask.array, numpy as np, xarray as xr
from sqlmagic_xr import Context
from tests.bench.harness import peak_memory

def made(block_info=None):
    (start, stop), *_ = block_info[None]["array-location"]
    return np.sin(np.arange(start, stop, dtype=np.float32))[:, None, None] + np.zeros((1, 500, 1000), np.float32)

field = dask.array.map_blocks(made, chunks=((10,) * 500, (500,), (1000,)), dtype=np.float32)
context = Context()
context.from_dataset("t", xr.Dataset({"v": (("time", "lat", "lon"), field)}))
before = peak_memory()
begin = time.perf_counter()
(result,) = context.script("SELECT lat, AVG(v) AS m, STDDEV(v) AS s, MAX(v) AS h, COUNT(*) AS n FROM t GROUP BY lat")
rows = result.to_arrow_table()
assert result.executor == "dense" and rows.num_rows == 500 and rows["n"][0].as_py() == 5_000_000
print(field.nbytes, time.perf_counter() - begin, peak_memory(), before)
"""


@benchmark("SQL over 10 GB of lazy data")
def larger_than_memory(effort: Effort) -> Report:
    """A process of its own, whose greatest memory is looked at; the data are generated chunk by chunk, 20 MB each."""
    out = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True).stdout.split()
    nbytes, seconds, peak, before = (float(word) for word in out)
    report = Report(["data, GB", "seconds", "most memory, MB", "before the query, MB"])
    report.rows.append([f"{nbytes / 1e9:.1f}", f"{seconds:.1f}", f"{peak / 2**20:.0f}", f"{before / 2**20:.0f}"])
    text = f"{peak / 2**20:.0f} MB at most for {nbytes / 1e9:.1f} GB (to reach: 500)"
    report.verdicts.append(Verdict(text, peak <= 500 * 2**20))
    return report
