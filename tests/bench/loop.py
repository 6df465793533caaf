"""What the training loop itself costs around a step: bookkeeping, inspection, events; with nothing displayed."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from sqlmagic_xr.context import Context
from tests.bench.harness import Effort, Report, Verdict, benchmark
from tests.bench.steps import run_steps, step_of

CREATE = "CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO params VALUES (0, 0.0, 0.0)"
SHRINK = "INSERT INTO params SELECT :next_step, a * 0.999, b + 0.1 FROM params WHERE step = :k"
DESCEND = """INSERT INTO params
SELECT :next_step, cur.a + 0.01 * AVG(2 * x * (y - (a*x + b))), cur.b + 0.01 * AVG(2 * (y - (a*x + b)))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur GROUP BY cur.a, cur.b"""
LOSS = "SELECT step, AVG(power(d.y - (a*d.x + b), 2)) AS loss FROM d CROSS JOIN params GROUP BY step ORDER BY step"
CELLS: Mapping[str, tuple[str, str]] = {
    "one row of two numbers": (SHRINK, ""),
    "linear regression, 442 rows": (DESCEND, ""),
    "the same, with its loss curve": (DESCEND, LOSS),
}
_MOST = 20e-6  # seconds a step


def context_of() -> Context:
    """Data of 442 rows, and a trajectory of a line's two numbers."""
    x = np.linspace(-1, 1, 442)
    data = pa.table({"i": np.arange(442), "x": x, "y": 2 * x + 1})
    context = Context(namespace=lambda: {"d": data})
    context.script(CREATE)
    return context


@benchmark("The loop around a step")
def bookkeeping(effort: Effort) -> Report:
    """The same steps, committed one by one: in a training run, and in a bare loop. What differs is the loop's."""
    count = effort.steps(3_000)
    report = Report(["step", "us bare", "us in a run", "us of the loop"])
    for name, (cell, curve) in CELLS.items():
        bare, run, rest = _compare(cell, curve, count, effort.repetitions)
        report.rows.append((name, *(f"{1e6 * t:.1f}" for t in (bare, run, rest))))
        if not curve:
            text = f"{name}: the loop takes {1e6 * rest:.1f} us a step (at most {1e6 * _MOST:.0f})"
            report.verdicts.append(Verdict(text, rest <= _MOST))
    report.notes.append("a curve's refreshes are in the last line, four a second; they are no cost of the loop")
    return report


def _compare(cell: str, curve: str, count: int, repetitions: int) -> tuple[float, float, float]:
    """Seconds of a processor a step, bare and in a run, of the quickest each; and the difference."""
    bare, run = [], []
    for _ in range(repetitions):
        context = context_of()
        step = step_of(context, [cell], writes={"params"})
        run_steps(context, step, 0, 10)
        bare.append(_processor(lambda: run_steps(context, step, 10, count)) / count)  # noqa: B023
        training = iter(context_of().train(f"{cell};\n{curve}", stream=True, steps=count + 10))
        deque((next(training) for _ in range(11)), maxlen=0)
        run.append(_processor(lambda: deque(training, maxlen=0)) / count)  # noqa: B023
    return min(bare), min(run), min(run) - min(bare)


def _processor(action: Callable[[], object]) -> float:
    """Seconds of a processor that an action takes in this thread: what neighbours do does not count."""
    gc.collect()
    gc.disable()
    try:
        begin = time.thread_time()
        action()
        return time.thread_time() - begin
    finally:
        gc.enable()
