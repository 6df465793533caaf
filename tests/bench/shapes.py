"""Other shapes of a step: an xarray table, many state columns (Adam), a state of many rows (k-means), a long run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa
import xarray as xr
from sklearn.datasets import load_breast_cancer, load_digits

from sqlmagic_xr.engine.context import Context
from tests.bench.harness import Answer, Contender, Effort, Found, Report, Target, Verdict, benchmark, peak_memory, race
from tests.bench.linear import BEGIN, CREATE, OURS, RATE, last_of
from tests.bench.steps import How, run_steps, step_of


@cache
def cells() -> xr.Dataset:
    """7.68 million cells: 240 times, 160 latitudes, 200 longitudes, three variables of which a step uses two."""
    rng = np.random.default_rng(3)
    shape = (240, 160, 200)
    x = rng.normal(size=shape)
    dims = ("time", "lat", "lon")
    data = {"x": (dims, x), "y": (dims, 0.7 * x + 0.1), "unused": (dims, rng.normal(size=shape))}
    coords = {name: np.arange(size, dtype=np.float64) for name, size in zip(dims, shape, strict=True)}
    return xr.Dataset(data, coords=coords)


def _line_over(variable: object, *, how: How = "auto") -> Contender:
    def ready() -> Callable[[int], Found]:
        context = Context(namespace=lambda: {"d": variable})
        if isinstance(variable, xr.Dataset):
            context.from_dataset("d", variable, chunks={"time": 24})
        context.script(f"{CREATE}; {BEGIN}")
        step = step_of(context, [OURS], writes={"params"}, how=how)
        run_steps(context, step, 0, 1, lr=RATE)
        context.sql("DELETE FROM params WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps, lr=RATE)
            return lambda: last_of(context.scratch("params").to_arrow().to_pandas())

        return run

    return ready


@benchmark("Linear regression over an xarray table (7.7 million cells, chunked, 3-D)")
def xarray_table(effort: Effort) -> Report:
    """Lazy arrays cost no more than the same numbers in memory, once they have been read."""
    dataset = cells()
    in_memory = pa.table({name: dataset[name].to_numpy().ravel() for name in ("x", "y")})
    contenders = {
        "xarray table": _line_over(dataset),
        "Arrow in memory": _line_over(in_memory),
        "relational": _line_over(dataset, how="relational"),
        "verbatim": _line_over(dataset, how="verbatim"),
    }
    counts = {"xarray table": 6, "Arrow in memory": 6, "relational": 4, "verbatim": 2}
    targets = [Target("xarray table", "Arrow in memory", 1 / 1.3)]
    return race(contenders, steps=counts, effort=effort, targets=targets)


# --- logistic regression with Adam

FEATURES = 30
_COLUMNS = [f"{kind}{i}" for kind in "wmv" for i in range(FEATURES + 1)]


@cache
def cancer() -> pa.Table:
    """scikit-learn's breast_cancer: 569 rows, y and 30 standardised features f0 ... f29; f30 is 1, for the bias."""
    features, target = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(0)) / features.std(0)
    columns = {f"f{i}": features[:, i] for i in range(FEATURES)} | {f"f{FEATURES}": np.ones(len(target))}
    return pa.table({"y": target.astype(np.float64), **columns})


def adam_step(now: str, following: str) -> str:
    """One Adam step (Kingma and Ba, 2015) of 31 weights w, with the moments m and v as further columns."""
    every = range(FEATURES + 1)
    score = " + ".join(f"cur.w{i} * d.f{i}" for i in every)
    inner = ", ".join(f"d.f{i}" for i in every)
    slopes = ", ".join(f"AVG(r * f{i}) AS g{i}" for i in every)
    m = [f"(0.9 * cur.m{i} + 0.1 * g.g{i})" for i in every]
    v = [f"(0.999 * cur.v{i} + 0.001 * g.g{i} * g.g{i})" for i in every]
    w = [
        f"cur.w{i} - 0.05 * {m[i]} / (1 - power(0.9, {following})) / "
        f"(sqrt({v[i]} / (1 - power(0.999, {following}))) + 1e-8)"
        for i in every
    ]
    return f"""
        WITH cur AS (SELECT * FROM params WHERE step = {now}),
        e AS (SELECT 1 / (1 + exp(-({score}))) - d.y AS r, {inner} FROM d CROSS JOIN cur),
        g AS (SELECT {slopes} FROM e)
        SELECT {following}, {", ".join([*w, *m, *v])} FROM g CROSS JOIN cur"""


def _adam_tables(execute: Callable[[str], object]) -> None:
    execute(f"CREATE TABLE params (step BIGINT PRIMARY KEY, {', '.join(f'{c} DOUBLE' for c in _COLUMNS)})")
    execute(f"INSERT INTO params VALUES (0{', 0.0' * len(_COLUMNS)})")


def adam(*, how: How = "auto") -> Contender:
    """The step in one INSERT."""

    def ready() -> Callable[[int], Found]:
        context = Context(namespace=lambda: {"d": cancer()})
        _adam_tables(context.sql)
        text = "INSERT INTO params" + adam_step(":k", ":next_step")
        step = step_of(context, [text], writes={"params"}, how=how)
        run_steps(context, step, 0, 1)
        context.sql("DELETE FROM params WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps)
            return lambda: _newest(context.scratch("params").to_arrow())

        return run

    return ready


def adam_duckdb() -> Callable[[int], Found]:
    """DuckDB: the same INSERT at each step."""
    connection = duckdb.connect()
    connection.register("arrow_rows", cancer())
    connection.execute("CREATE TABLE d AS SELECT * FROM arrow_rows")
    _adam_tables(connection.execute)

    def run(steps: int) -> Found:
        for k in range(steps):
            connection.execute("INSERT INTO params" + adam_step(str(k), str(k + 1)))
        return lambda: _newest(connection.sql("SELECT * FROM params").to_arrow_table())

    return run


def adam_numpy() -> Callable[[int], Found]:
    """NumPy by hand."""
    table = cancer()
    x = np.column_stack([table[f"f{i}"].to_numpy() for i in range(FEATURES + 1)])
    y = table["y"].to_numpy()

    def run(steps: int) -> Answer:
        w, m, v = np.zeros((3, FEATURES + 1))
        for t in range(1, steps + 1):
            g = x.T @ (1 / (1 + np.exp(-(x @ w))) - y) / len(y)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w = w - 0.05 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return w

    return run


def _newest(params: pa.Table) -> Answer:
    last = params.to_pandas().sort_values("step").iloc[-1]
    return last[_COLUMNS[: FEATURES + 1]].to_numpy(dtype=np.float64)


@benchmark("Logistic regression with Adam in SQL, breast_cancer (569 rows, 30 features)")
def logistic(effort: Effort) -> Report:
    """93 state columns in one row."""
    contenders = {
        "sqlmagic_xr": adam(),
        "relational": adam(how="relational"),
        "verbatim": adam(how="verbatim"),
        "DuckDB INSERT": adam_duckdb,
        "NumPy": adam_numpy,
    }
    counts = {"sqlmagic_xr": 15, "relational": 15, "verbatim": 5, "DuckDB INSERT": 15, "NumPy": 300}
    return race(contenders, steps=counts, effort=effort, targets=[Target("sqlmagic_xr", "DuckDB INSERT", 1)])


# --- k-means

CLUSTERS = 10
K_MEANS = """
    WITH cur AS (SELECT k, pixel, val FROM centroid WHERE step = {now}),
    dist AS (SELECT d.i, c.k, SUM((d.val - c.val) * (d.val - c.val)) AS dist
             FROM digit d JOIN cur c ON d.pixel = c.pixel GROUP BY d.i, c.k),
    ranked AS (SELECT i, k, ROW_NUMBER() OVER (PARTITION BY i ORDER BY dist, k) AS place FROM dist),
    nearest AS (SELECT i, k FROM ranked WHERE place = 1)
    SELECT {following}, n.k, d.pixel, AVG(d.val) FROM digit d JOIN nearest n ON d.i = n.i GROUP BY n.k, d.pixel"""
CENTROID = "CREATE TABLE centroid (step BIGINT, k BIGINT, pixel BIGINT, val DOUBLE, PRIMARY KEY (step, k, pixel))"


@cache
def digits() -> tuple[pa.Table, pa.Table]:
    """scikit-learn's digits in long form (i, pixel, val), 115,008 rows; and the first ten images as centroids."""
    images = load_digits().data
    i, pixel = (a.ravel() for a in np.meshgrid(np.arange(len(images)), np.arange(64), indexing="ij"))
    begin = pa.table({"step": np.zeros(640, np.int64), "k": i[:640], "pixel": pixel[:640], "val": images.ravel()[:640]})
    return pa.table({"i": i, "pixel": pixel, "val": images.ravel()}), begin


def k_means(*, how: How = "auto") -> Contender:
    """The step in one INSERT."""

    def ready() -> Callable[[int], Found]:
        digit, begin = digits()
        context = Context(namespace=lambda: {"digit": digit})
        context.script(CENTROID)
        context.scratch("centroid").append(begin)
        text = "INSERT INTO centroid" + K_MEANS.format(now=":k", following=":next_step")
        step = step_of(context, [text], writes={"centroid"}, how=how)
        run_steps(context, step, 0, 1)
        context.sql("DELETE FROM centroid WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps)
            return lambda: _centroids(context.scratch("centroid").to_arrow())

        return run

    return ready


def k_means_duckdb() -> Callable[[int], Found]:
    """DuckDB: the same INSERT at each step."""
    connection = duckdb.connect()
    for name, table in zip(("digit", "begin_rows"), digits(), strict=True):
        connection.register(f"arrow_{name}", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arrow_{name}")
    connection.execute(CENTROID)
    connection.execute("INSERT INTO centroid SELECT * FROM begin_rows")

    def run(steps: int) -> Found:
        for k in range(steps):
            connection.execute("INSERT INTO centroid" + K_MEANS.format(now=k, following=k + 1))
        return lambda: _centroids(connection.sql("SELECT * FROM centroid").to_arrow_table())

    return run


def k_means_numpy() -> Callable[[int], Found]:
    """NumPy by hand."""
    images = load_digits().data

    def run(steps: int) -> Answer:
        centre = images[:CLUSTERS].copy()
        for _ in range(steps):
            nearest = ((images[:, None, :] - centre) ** 2).sum(2).argmin(1)
            centre = np.array([images[nearest == k].mean(0) for k in range(CLUSTERS)])
        return centre.ravel()

    return run


def _centroids(table: pa.Table) -> Answer:
    frame = table.to_pandas()
    return frame[frame.step == frame.step.max()].sort_values(["k", "pixel"])["val"].to_numpy()


@benchmark("k-means on digits (115,008 rows, a state of 640 rows), 30 steps")
def clusters(effort: Effort) -> Report:
    """A state of many rows is bound, not folded."""
    contenders = {
        "sqlmagic_xr": k_means(),
        "relational": k_means(how="relational"),
        "verbatim": k_means(how="verbatim"),
        "DuckDB INSERT": k_means_duckdb,
        "NumPy": k_means_numpy,
    }
    counts = dict.fromkeys(contenders, 30)
    targets = [Target("sqlmagic_xr", "verbatim", 1), Target("sqlmagic_xr", "relational", 20)]
    few = Effort(min(effort.repetitions, 3), effort.scale)
    return race(contenders, steps=counts, effort=few, check=30, targets=targets)


# --- a long run

LONG = 10_000


def long_run() -> dict[str, float]:
    """10,000 steps over 442 rows in this process: seconds a step near the 100th and near the last, and peak memory."""
    import statistics
    import time

    from tests.bench.linear import diabetes_rows

    context = Context(namespace=lambda: {"d": diabetes_rows()})
    context.script(f"{CREATE}; {BEGIN}")
    step = step_of(context, [OURS], writes={"params"})
    taken = []
    before = 0
    for k in range(LONG):
        begin = time.perf_counter()
        run_steps(context, step, k, 1, lr=RATE)
        taken.append(time.perf_counter() - begin)
        if k == 100:
            before = peak_memory()
    peak = peak_memory()
    early, late = statistics.median(taken[50:250]), statistics.median(taken[-200:])
    return {"early": early, "late": late, "grown": peak - before, "peak": peak}


@benchmark("10,000 steps over 442 rows")
def many_steps(effort: Effort) -> Report:
    """A run does not become slower as its history grows. It has a process of its own, for its memory."""
    command = [sys.executable, "-c", "import json, tests.bench.shapes as s; print(json.dumps(s.long_run()))"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    report = Report(["step", "ms a step (median of 200)"])
    report.rows = [["100", f"{1000 * found['early']:.3f}"], ["10,000", f"{1000 * found['late']:.3f}"]]
    ratio = found["late"] / found["early"]
    report.verdicts.append(
        Verdict(f"step 10,000 takes {ratio:.2f} times as long as step 100 (at most 1.2)", ratio <= 1.2)
    )
    report.notes.append(f"memory: {found['grown'] / 1e6:.0f} MB more after 10,000 steps than after 100, "
                        f"{found['peak'] / 1e6:.0f} MB in all")  # fmt: skip
    return report
