"""MINIMIZE: beside the step written by hand, in every cell of a grid at once, and for the networks of nn2sql.

nn2sql (Schüle et al. 2023) trains 4-20-3 on iris and 784-20-10 on MNIST by gradient descent on the squared error of two
sigmoid layers. Its own figures, from its own machine: arrays inside a compiling database take 12 and 200 times as long
as NumPy, plain SQL 120 times and more. MNIST comes over the network only, so the images here are random ones of that
shape: a step costs the same whatever is on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xarray as xr
from scipy.optimize import curve_fit
from sklearn.datasets import load_iris

from sqlmagic_xr.context import Context
from tests.bench.harness import Contender, Effort, Found, Report, Target, Verdict, benchmark, race, time_of
from tests.bench.linear import BEGIN, CREATE, RATE, diabetes_rows

Matrix = npt.NDArray[np.float64]

LOSS = "SELECT AVG(power(d.y - (p.a * d.x + p.b), 2)) FROM d CROSS JOIN params p WHERE p.step = :k"
BY_HAND = """
    INSERT INTO params
    SELECT :next_step, p.a - :lr * AVG(grad(power(d.y - (p.a * d.x + p.b), 2), p.a)),
           p.b - :lr * AVG(grad(power(d.y - (p.a * d.x + p.b), 2), p.b))
    FROM d CROSS JOIN params p WHERE p.step = :k GROUP BY p.a, p.b;
    SELECT p.step, AVG(power(d.y - (p.a * d.x + p.b), 2)) AS loss FROM d CROSS JOIN params p GROUP BY p.step
"""


def _trained(cell: str) -> Contender:
    def ready() -> Callable[[int], Found]:
        context = Context(namespace=lambda: {"d": diabetes_rows()})
        context.script(f"{CREATE}; {BEGIN}")

        def run(steps: int) -> Found:
            context.train(cell, steps=steps, params={"lr": RATE})
            found = context.sql("SELECT a, b FROM params ORDER BY step").to_arrow_table()
            return np.column_stack([column.to_numpy() for column in found.columns])

        return run

    return ready


@benchmark("MINIMIZE, 442 rows, beside the step by hand")
def by_hand(effort: Effort) -> Report:
    """A whole run of each, its curve of the loss with it."""
    ways = {"by hand": _trained(BY_HAND), "MINIMIZE": _trained(f"MINIMIZE ({LOSS}) OVER params USING sgd(lr => :lr)")}
    targets = [Target("MINIMIZE", "by hand", 1 / 1.1)]
    return race(ways, steps=20_000, effort=effort, targets=targets)


# --- fits


_LAT, _LON, _TIMES = 72, 144, 240
_MODEL = "p.level + p.trend * (g.t / 120.0 - 1) + p.season * cos(g.t * pi() / 6)"
_FIT = f"""
    SELECT g.lat, g.lon, AVG(power(g.temperature - ({_MODEL}), 2)) AS loss
    FROM grid g JOIN fits p ON p.lat = g.lat AND p.lon = g.lon WHERE p.step = :k GROUP BY g.lat, g.lon
"""


@cache
def _grid() -> xr.Dataset:
    """Twenty years of months in cells of 2.5 degrees: a trend, a season and noise that differ from cell to cell."""
    rng = np.random.default_rng(3)
    level, trend, season = rng.normal(size=(3, 1, _LAT, _LON))
    t = np.arange(_TIMES)[:, None, None]
    values = 10 * level + trend * (t / 120 - 1) + season * np.cos(t * np.pi / 6)
    values += rng.normal(size=values.shape)
    return xr.Dataset(
        {"temperature": (("t", "lat", "lon"), values)},
        coords={"t": np.arange(_TIMES), "lat": np.arange(_LAT), "lon": np.arange(_LON)},
    )


def _design() -> Matrix:
    t = np.arange(_TIMES)
    return np.stack([np.ones(_TIMES), t / 120 - 1, np.cos(t * np.pi / 6)], axis=1)


def _newton() -> Callable[[int], Found]:
    context = Context(namespace=lambda: {"grid": _grid()})
    context.script("""
        CREATE TABLE fits (step BIGINT, lat BIGINT, lon BIGINT, level DOUBLE, trend DOUBLE, season DOUBLE,
                           PRIMARY KEY (step, lat, lon));
        INSERT INTO fits SELECT 0, lat, lon, 0, 0, 0 FROM grid WHERE t = 0
    """)

    def run(steps: int) -> Found:
        for _ in range(steps):
            context.minimize(_FIT, "fits", per=["lat", "lon"], using="newton()", steps=1, restart=True)

        def found() -> Matrix:
            rows = context.sql("SELECT level, trend, season FROM fits WHERE step = 1 ORDER BY lat, lon")
            return np.array([column.to_numpy() for column in rows.to_arrow_table().columns])

        return found

    return run


def _lstsq() -> Callable[[int], Found]:
    values, design = _grid().temperature.to_numpy(), _design()

    def run(steps: int) -> Found:
        for _ in range(steps):
            found, *_ = np.linalg.lstsq(design, values.reshape(_TIMES, -1))
        return found

    return run


def _curve_fit(cells: int) -> float:
    """Seconds that a loop over all cells would take, from some of them."""
    values, t = _grid().temperature.to_numpy().reshape(_TIMES, -1), np.arange(_TIMES)
    season = np.cos(t * np.pi / 6)

    def model(t: Any, level: float, trend: float, amplitude: float) -> Any:
        return level + trend * (t / 120 - 1) + amplitude * season

    begin = time.perf_counter()
    for cell in range(cells):
        curve_fit(model, t, values[:, cell], p0=[0.0, 0.0, 0.0])
    return (time.perf_counter() - begin) / cells * _LAT * _LON


@benchmark("MINIMIZE, 10,368 fits of a trend and a season at once")
def fits(effort: Effort) -> Report:
    """72 x 144 cells, 240 months: Newton's one step, the run around it included, against least squares in NumPy."""
    report = race(
        {"numpy.linalg.lstsq": _lstsq, "MINIMIZE, newton": _newton}, steps=3, effort=Effort(effort.repetitions, 1.0),
        check=1, targets=[Target("MINIMIZE, newton", "numpy.linalg.lstsq", 1 / 3)], tolerance=1e-8,
    )  # fmt: skip
    cells = 200
    taken, ours = _curve_fit(cells), time_of(_newton(), 3) / 3
    text = f"MINIMIZE {taken / ours:.0f} times as fast as a loop of curve_fit (to reach: 20)"
    report.verdicts.append(Verdict(text, taken / ours >= 20))
    report.notes.append(f"the loop of curve_fit: {taken:.1f} s for all cells, from {cells} of them")
    return report


# --- networks


def _sigmoid(x: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-x))


@cache
def _network(name: str) -> tuple[Matrix, npt.NDArray[np.int64], Matrix, Matrix]:
    """Inputs, classes, and the weights to begin with."""
    rng = np.random.default_rng(1)
    if name == "iris":
        features, classes = load_iris(return_X_y=True)
        features = features / 10
    else:
        features, classes = rng.uniform(size=(6_000, 784)), rng.integers(10, size=6_000)
    wide, out = features.shape[1], int(classes.max()) + 1
    return features, classes, rng.uniform(-1, 1, (wide, 20)) * wide**-0.5, rng.uniform(-1, 1, (20, out))


_VIEWS = """
    CREATE VIEW hidden AS
    SELECT w.step, i.row, w.unit, 1 / (1 + exp(-SUM(i.value * w.val))) AS value
    FROM inputs i JOIN first w ON w.feature = i.feature GROUP BY w.step, i.row, w.unit;
    CREATE VIEW predicted AS
    SELECT w.step, h.row, w.class, 1 / (1 + exp(-SUM(h.value * w.val))) AS value
    FROM hidden h JOIN second w ON w.unit = h.unit AND w.step = h.step GROUP BY w.step, h.row, w.class
"""
_SQUARES = """
    SELECT SUM(power(p.value - t.value, 2)) FROM predicted p JOIN targets t ON t.row = p.row AND t.class = p.class
    WHERE p.step = :k
"""


def _by_minimize(name: str, rate: float, batch: int) -> Contender:
    features, classes, first, second = _network(name)
    rows, wide = features.shape
    data = xr.Dataset(
        {"value": (("row", "feature"), features)}, coords={"row": np.arange(rows), "feature": np.arange(wide)}
    )
    hot = (classes[:, None] == np.arange(second.shape[1])).astype(float)
    targets = xr.Dataset(
        {"value": (("row", "class"), hot)}, coords={"row": np.arange(rows), "class": np.arange(second.shape[1])}
    )

    def ready() -> Callable[[int], Found]:
        context = Context(namespace=lambda: {"inputs": data, "targets": targets})
        context.script("""
            CREATE TABLE first (
                step BIGINT, feature BIGINT, unit BIGINT, val DOUBLE, PRIMARY KEY (step, feature, unit));
            CREATE TABLE second (step BIGINT, unit BIGINT, class BIGINT, val DOUBLE, PRIMARY KEY (step, unit, class))
        """)
        for table, (one, other), weights in (
            ("first", ("feature", "unit"), first), ("second", ("unit", "class"), second)
        ):  # fmt: skip
            places = np.indices(weights.shape).reshape(2, -1)
            context.scratch(table).append(
                pa.table(
                    {"step": np.zeros(weights.size, int), one: places[0], other: places[1], "val": weights.ravel()}
                )
            )
        context.script(_VIEWS)
        turn = f"(:k % {rows // (batch or rows)})"
        clause = f" BATCH p.row >= {batch} * {turn} AND p.row < {batch} * ({turn} + 1)"
        cell = f"MINIMIZE ({_SQUARES}) OVER first.val, second.val USING sgd(lr => {rate})" + (clause if batch else "")

        def run(steps: int) -> Found:
            context.train(cell, steps=steps)

            def found() -> Matrix:
                query = f"SELECT val FROM second WHERE step = {steps} ORDER BY unit, class"
                return np.asarray(context.sql(query).to_arrow_table()["val"].to_numpy())

            return found

        return run

    return ready


def _by_numpy(name: str, rate: float, batch: int) -> Contender:
    features, classes, first, second = _network(name)
    hot = (classes[:, None] == np.arange(second.shape[1])).astype(float)
    size = batch or len(features)

    def ready() -> Callable[[int], Found]:
        def run(steps: int) -> Found:
            w1, w2 = first, second
            history, losses = [(w1, w2)], []  # what MINIMIZE keeps, too
            for k in range(steps):
                begin = k * size % len(features)
                x, y = features[begin : begin + size], hot[begin : begin + size]
                hidden = _sigmoid(x @ w1)
                found = _sigmoid(hidden @ w2)
                rest = found - y
                losses.append(np.sum(rest**2))
                outer = 2 * rest * found * (1 - found)
                inner = outer @ w2.T * hidden * (1 - hidden)
                w1, w2 = w1 - rate * (x.T @ inner), w2 - rate * (hidden.T @ outer)
                history.append((w1, w2))
            return w2.ravel()

        return run

    return ready


def _with_first(contender: Contender, steps: int, compared: Callable[[], Report]) -> Report:
    """A comparison with a note: the first run of a process reads, derives and lowers what later ones find."""
    first = time_of(contender(), steps)
    report = compared()
    report.notes.append(f"the first run of this cell in a process: {1000 * first:.0f} ms in all")
    return report


@benchmark("MINIMIZE, iris 4-20-3 of nn2sql, 1,000 iterations")
def iris(effort: Effort) -> Report:
    """150 rows, the whole of them at each step; a run from its text to its end."""
    ways = {"NumPy by hand": _by_numpy("iris", 0.01, 0), "MINIMIZE": _by_minimize("iris", 0.01, 0)}
    targets = [Target("MINIMIZE", "NumPy by hand", 0.5)]
    return _with_first(
        ways["MINIMIZE"], 1_000, lambda: race(ways, steps=1_000, effort=effort, targets=targets, tolerance=1e-8)
    )


@benchmark("MINIMIZE, MNIST's shape 784-20-10 of nn2sql, batches of 200, 30 iterations")
def mnist(effort: Effort) -> Report:
    """Random images of MNIST's shape; a run from its text to its end."""
    ways = {"NumPy by hand": _by_numpy("mnist", 0.01, 200), "MINIMIZE": _by_minimize("mnist", 0.01, 200)}
    targets = [Target("MINIMIZE", "NumPy by hand", 0.5)]
    fixed = Effort(effort.repetitions, 1.0)
    return _with_first(
        ways["MINIMIZE"], 30, lambda: race(ways, steps=30, effort=fixed, targets=targets, tolerance=1e-8)
    )
