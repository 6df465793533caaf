"""How soon there is a first result: of a dataset of many chunks, and of a run over many rows."""

from __future__ import annotations

import time
from statistics import median

import dask.array
import numpy as np
import pandas as pd
import xarray as xr

from sqlmagic_xr import Context
from tests.bench.harness import Effort, Report, Verdict, benchmark

_STEP = """INSERT INTO p SELECT :next_step, p.a - 0.1 * AVG(2 * (p.a * d.x + p.b - d.y) * d.x),
           p.b - 0.1 * AVG(2 * (p.a * d.x + p.b - d.y)) FROM d CROSS JOIN p WHERE p.step = :step GROUP BY p.a, p.b"""


@benchmark("The start of a run over 5 million rows")
def run(effort: Effort) -> Report:
    """A run of one step less what a step takes: at first, and again over the same data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 100, 100))
    dims = ("time", "lat", "lon")
    context = Context()
    context.from_dataset("d", xr.Dataset({"x": (dims, x), "y": (dims, 2 * x + 1)}, {"lat": np.linspace(75, -75, 100)}))
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO p VALUES (0, 0.0, 0.0)")
    context.script("CREATE TABLE d0 AS SELECT 1.0 AS x, 2.0 AS y")
    context.train(_STEP.replace("FROM d ", "FROM d0 d "), steps=3, restart=True)  # what the session imports is in

    def seconds(steps: int) -> float:
        begin = time.perf_counter()
        context.train(_STEP, steps=steps, restart=True)
        return time.perf_counter() - begin

    first = seconds(1)
    again = median(seconds(1) for _ in range(effort.repetitions))
    step = (median(seconds(21) for _ in range(effort.repetitions)) - again) / 20
    report = Report(["run of one step", "ms"])
    report.rows += [
        ["the first", f"{1000 * first:.0f}"],
        ["again", f"{1000 * again:.0f}"],
        ["a step", f"{1000 * step:.1f}"],
    ]
    for name, taken in (("first", first), ("second", again)):
        start = taken - step
        report.verdicts.append(
            Verdict(f"{1000 * start:.0f} ms before the {name} run's step, at most 100", start <= 0.1)
        )
    return report


def many_chunks(count: int = 100_000) -> xr.Dataset:
    """A lazy field of many chunks of 1,000 cells."""

    def made(block_info: object = None) -> object:
        return np.ones((10, 10, 10), np.float32)

    field = dask.array.map_blocks(made, chunks=((10,) * count, (10,), (10,)), dtype=np.float32)
    time_ = pd.date_range("1900-01-01", periods=10 * count, freq="h")
    return xr.Dataset({"v": (("time", "lat", "lon"), field)}, {"time": time_, "lat": np.arange(10.0)})


@benchmark("The first result of a fresh context over a dataset of 100,000 chunks")
def chunks(effort: Effort) -> Report:
    """A context, the dataset registered in it, a query and its first rows; the session has imported what it needs."""
    dataset = many_chunks()
    queries = {
        "the first rows": "SELECT * FROM d LIMIT 5",
        "rows of one time": "SELECT * FROM d WHERE time = '1950-01-01'",
        "a mean over a month": "SELECT AVG(v) AS v FROM d WHERE time BETWEEN '1950-01-01' AND '1950-01-31'",
    }

    def first(sql: str) -> float:
        begin = time.perf_counter()
        context = Context()
        context.from_dataset("d", dataset)
        (result,) = context.script(sql)
        assert len(result.preview(5).rows)
        return time.perf_counter() - begin

    report = Report(["query", "ms"])
    for name, sql in queries.items():
        first(sql)
        taken = median(first(sql) for _ in range(effort.repetitions))
        report.rows.append([name, f"{1000 * taken:.0f}"])
        report.verdicts.append(Verdict(f"{name}: {1000 * taken:.0f} ms, at most 500", taken <= 0.5))
    return report
