"""Gradients of whole queries: a network's step by one statement, against its backward pass by hand and NumPy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import xarray as xr

from sqlmagic_xr.autodiff.rewrite import _KNOWN, rewrite
from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.sql.syntax import parse_one
from tests.bench import arrays
from tests.bench.arrays import small, step_by
from tests.bench.harness import Answer, Contender, Effort, Found, Report, Target, Verdict, benchmark, race, time_of
from tests.bench.steps import run_steps

UNITS, RATE = 16, 1.0
VIEWS = """
CREATE TABLE weights (step BIGINT, layer BIGINT, inp BIGINT, out BIGINT, val DOUBLE NOT NULL,
                      PRIMARY KEY (step, layer, inp, out));
CREATE VIEW hidden AS SELECT step, image, out AS unit, SUM(ink * val) AS z
    FROM digits JOIN weights ON layer = 1 AND inp = pixel GROUP BY step, image, out;
CREATE VIEW scores AS SELECT w.step, image, out AS digit, SUM(tanh(z) * val) AS z
    FROM hidden h JOIN weights w ON w.step = h.step AND layer = 2 AND inp = unit GROUP BY w.step, image, out;
CREATE VIEW softmax AS SELECT step, image, digit, z, SUM(exp(z)) OVER (PARTITION BY step, image) AS total FROM scores;
CREATE VIEW answers AS SELECT step, s.image, ln(total) - z AS loss
    FROM softmax s JOIN labels l ON l.image = s.image AND label = digit
"""
ONE = """
INSERT INTO weights
WITH loss AS (SELECT AVG(loss) AS loss FROM answers WHERE step = :k AND image % 5 > 0 AND image % 11 = :k % 11)
SELECT :next_step, layer, inp, out, val - :lr * grad(loss.loss, val) FROM weights CROSS JOIN loss WHERE step = :k
"""
BY_HAND = """
CREATE OR REPLACE TABLE z1 AS SELECT image, out AS unit, SUM(ink * val) AS z
FROM digits JOIN weights w ON w.inp = pixel
WHERE w.step = :k AND w.layer = 1 AND image % 5 > 0 AND image % 11 = :k % 11 GROUP BY image, out;
CREATE OR REPLACE TABLE z2 AS SELECT image, out AS digit, SUM(tanh(z) * val) AS z
FROM z1 JOIN weights w ON w.inp = unit WHERE w.step = :k AND w.layer = 2 GROUP BY image, out;
CREATE OR REPLACE TABLE error2 AS
SELECT z2.image, digit, exp(z) / total - CASE WHEN digit = label THEN 1 ELSE 0 END AS delta
FROM z2 JOIN (SELECT image, SUM(exp(z)) AS total FROM z2 GROUP BY image) t ON t.image = z2.image
JOIN labels l ON l.image = z2.image;
CREATE OR REPLACE TABLE error1 AS SELECT image, unit, (1 - tanh(z) * tanh(z)) * arriving AS delta
FROM (SELECT z1.image, unit, z, SUM(val * delta) AS arriving FROM z1 JOIN weights w ON w.inp = unit
      JOIN error2 e ON e.image = z1.image AND digit = out WHERE w.step = :k AND w.layer = 2
      GROUP BY z1.image, unit, z) a;
INSERT INTO weights
SELECT :next_step, 1, inp, out, val - :lr * slope FROM weights w JOIN (
    SELECT pixel, unit, AVG(ink * delta) AS slope FROM digits d JOIN error1 e ON e.image = d.image GROUP BY pixel, unit
) g ON inp = pixel AND out = unit WHERE w.step = :k AND w.layer = 1
UNION ALL
SELECT :next_step, 2, inp, out, val - :lr * slope FROM weights w JOIN (
    SELECT unit, digit, AVG(tanh(z) * delta) AS slope FROM z1 JOIN error2 e ON e.image = z1.image GROUP BY unit, digit
) g ON inp = unit AND out = digit WHERE w.step = :k AND w.layer = 2
"""

SHRUNK = "INSERT INTO weights SELECT :next_step, layer, inp, out, 0.999 * val FROM weights WHERE step = :k"
"""Other weights for the next step, so that it has another loss: what a step takes beside the loss and its gradient."""
LOSS = """
INSERT INTO losses
SELECT :next_step, AVG(loss) AS loss FROM answers WHERE step = :k AND image % 5 > 0 AND image % 11 = :k % 11
"""


def _start() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    return {1: rng.normal(0, 0.15, (65, UNITS)), 2: rng.normal(0, 0.3, (UNITS, 10))}


def _inked() -> np.ndarray:
    images, _ = small()
    return np.hstack([np.ones((len(images), 1)), images])


def _context() -> Context:
    ink, (_, labels) = _inked(), small()
    images = np.arange(len(ink))
    names = {
        "digits": xr.Dataset({"ink": (("image", "pixel"), ink)}, coords={"image": images, "pixel": np.arange(65)}),
        "labels": xr.Dataset({"label": ("image", labels)}, coords={"image": images}),
    }
    context = Context(namespace=lambda: names)
    context.script(VIEWS)
    rows = [f"(0, {layer}, {i}, {o}, {float(v)!r})" for layer, w in _start().items() for (i, o), v in np.ndenumerate(w)]
    context.script(f"INSERT INTO weights VALUES {', '.join(rows)}")
    return context


def in_sql(texts: list[str], writes: list[str]) -> Contender:
    """The step as statements, as array code."""

    def ready() -> Callable[[int], Found]:
        context = _context()
        for text in texts[:-1]:  # the tables that the step makes are there when it is planned
            context.script(text, {"k": 0, "step": 0, "next_step": 1, "lr": RATE})
        step = step_by(context, texts, writes, True)
        run_steps(context, step, 0, 2, lr=RATE)
        context.script("DELETE FROM weights WHERE step > 0")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps, lr=RATE)
            query = f"SELECT val FROM weights WHERE step = {steps} ORDER BY layer, inp, out"
            return lambda: context.sql(query).to_arrow_table().column(0).to_numpy()

        return run

    return ready


def forward(texts: list[str], writes: list[str]) -> Contender:
    """Steps without a gradient, as array code; what they find are the losses."""

    def ready() -> Callable[[int], Found]:
        context = _context()
        context.script("CREATE TABLE losses (step BIGINT PRIMARY KEY, loss DOUBLE)")
        step = step_by(context, texts, writes, True)
        run_steps(context, step, 0, 2)
        context.script("DELETE FROM weights WHERE step > 0; DELETE FROM losses")

        def run(steps: int) -> Found:
            run_steps(context, step, 0, steps)
            return lambda: context.sql("SELECT loss FROM losses ORDER BY step").to_arrow_table().column(0).to_numpy()

        return run

    return ready


def in_numpy() -> Callable[[int], Answer]:
    """NumPy by hand."""
    ink, hot = _inked(), np.eye(10)[small()[1]]
    number = np.arange(len(ink))

    def run(steps: int) -> Answer:
        one, two = _start().values()
        for k in range(steps):
            batch = (number % 5 > 0) & (number % 11 == k % 11)
            unit = np.tanh(ink[batch] @ one)
            odds = np.exp(unit @ two)
            error = (odds / odds.sum(axis=1, keepdims=True) - hot[batch]) / batch.sum()
            back = error @ two.T * (1 - unit**2)
            one, two = one - RATE * ink[batch].T @ back, two - RATE * unit.T @ error
        return np.concatenate([one.ravel(), two.ravel()])

    return run


@benchmark("A network of notebook 05 by one statement, against five written by hand")
def network(effort: Effort) -> Report:
    """The derivative through four views, one of them a window."""
    tables = ["z1", "z2", "error2", "error1"]
    contenders = {
        "grad": in_sql([ONE], ["weights"]),
        "by hand": in_sql(BY_HAND.split(";"), ["weights", *tables]),
        "NumPy": in_numpy,
    }
    targets = [Target("grad", "by hand", 1 / 1.2)]
    return race(contenders, steps=100, effort=effort, targets=targets)


@benchmark("The backward pass of the network of notebook 05, against its forward pass")
def backward(effort: Effort) -> Report:
    """Each step writes its weights once, and one that does no more is taken off the forward pass; turn by turn."""
    steps = effort.steps(100)
    contenders = {
        "weights, loss and gradient": in_sql([ONE], ["weights"]),
        "weights and loss": forward([LOSS, SHRUNK], ["losses", "weights"]),
        "weights": forward([SHRUNK], ["weights"]),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(effort.repetitions):
        for name, ready in contenders.items():
            times[name].append(1000 * time_of(ready(), steps) / steps)
    whole, loss, alone = (statistics.median(taken) for taken in times.values())
    ratio = (whole - loss) / (loss - alone)
    rows = [[name, f"{statistics.median(taken):.3f}"] for name, taken in times.items()]
    return Report(["what", "ms a step"], rows,
                  [Verdict(f"backward {ratio:.2f} times forward, at most 2.5", ratio <= 2.5)])  # fmt: skip


FORWARD = """
WITH z1 AS (SELECT x.s, w.o, SUM(x.v * w.v) AS v FROM x JOIN w1 w ON x.i = w.i WHERE w.step = :k GROUP BY x.s, w.o),
h AS (SELECT z.s, z.o, tanh(z.v + b.v) AS v FROM z1 z JOIN b1 b ON z.o = b.o WHERE b.step = :k),
z2 AS (SELECT h.s, w.o, SUM(h.v * w.v) AS v FROM h JOIN w2 w ON h.o = w.i WHERE w.step = :k GROUP BY h.s, w.o),
l AS (SELECT z.s, z.o, z.v + b.v AS v FROM z2 z JOIN b2 b ON z.o = b.o WHERE b.step = :k),
m AS (SELECT s, MAX(v) AS v FROM l GROUP BY s),
se AS (SELECT l.s, SUM(exp(l.v - m.v)) AS v FROM l JOIN m ON l.s = m.s GROUP BY l.s),
loss AS (SELECT AVG(ln(se.v) + m.v - l.v) AS v
         FROM l JOIN y ON y.s = l.s AND y.label = l.o JOIN se ON se.s = l.s JOIN m ON m.s = l.s)
"""
KEYS = {"w1": "i, o", "b1": "o", "w2": "i, o", "b2": "o"}


@benchmark("A 64-32-10 network on digits, full batch, by the gradient of its loss, against its backward pass by hand")
def full_batch(effort: Effort) -> Report:
    """Four tables of weights: what their four statements have in common is calculated once."""
    images, labels = small()
    texts = [
        f"INSERT INTO {name} {FORWARD} SELECT :next_step, {key}, {name}.v - :lr * grad(loss.v, {name}.v) "
        f"FROM {name} CROSS JOIN loss WHERE step = :k"
        for name, key in KEYS.items()
    ]
    contenders = {
        "grad": arrays.network(images, labels, texts=texts),
        "by hand": arrays.network(images, labels),
        "NumPy": arrays.network_numpy(images, labels),
    }
    targets = [Target("grad", "by hand", 1 / 1.2), Target("grad", "NumPy", 1 / 2)]
    return race(contenders, steps=60, effort=effort, targets=targets)


@benchmark("Working out the gradient of a network")
def working_out(effort: Effort) -> Report:
    """Once for a statement; processor time, since nothing is waited for."""
    context = _context()
    taken = []
    for _ in range(max(3, effort.repetitions)):
        tree = parse_one(ONE).tree
        _KNOWN.clear()
        begin = time.process_time()
        rewrite(tree, context.tables)
        taken.append(1000 * (time.process_time() - begin))
    return Report(["what", "ms"], [["rewriting", f"{min(taken):.1f}"]],
                  [Verdict(f"{min(taken):.1f} ms, at most 50", min(taken) <= 50)])  # fmt: skip
