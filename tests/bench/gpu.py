"""Training runs on a GPU against JAX by hand on the same card: one short script, for a machine that has one.

    python -m tests.bench.gpu [--device gpu|cpu] [--small]

Each run is as a user starts it: SQL in, every generation committed. It is timed from behind the first calls on, where
it is planned and compiled; of JAX by hand the steps alone, whose weights stay on the card.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa

from sqlmagic_xr import Context
from sqlmagic_xr.train.events import Stepped

LINE = """INSERT INTO params
SELECT :next_step, cur.a - 0.4 * AVG(-2.0 * d.x * (d.y - (cur.a * d.x + cur.b))),
       cur.b - 0.4 * AVG(-2.0 * (d.y - (cur.a * d.x + cur.b)))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur GROUP BY cur.a, cur.b"""
HEAD = """WITH z1 AS (SELECT x.s AS s, w.o AS o, SUM(x.v * w.v) AS v FROM x JOIN w1 w ON x.i = w.i WHERE w.step = :k
    GROUP BY x.s, w.o),
h AS (SELECT s, o, tanh(v) AS v FROM z1),
l AS (SELECT h.s AS s, w.o AS o, SUM(h.v * w.v) AS v FROM h JOIN w2 w ON h.o = w.i WHERE w.step = :k GROUP BY h.s, w.o),
m AS (SELECT s, MAX(v) AS v FROM l GROUP BY s),
e AS (SELECT l.s AS s, l.o AS o, exp(l.v - m.v) AS v FROM l JOIN m ON l.s = m.s),
se AS (SELECT s, SUM(v) AS v FROM e GROUP BY s),
d2 AS (SELECT e.s AS s, e.o AS o, (e.v / se.v - CASE WHEN e.o = y.label THEN 1.0 ELSE 0.0 END) / {rows}.0 AS v
       FROM e JOIN se ON e.s = se.s JOIN y ON y.s = e.s),
c1 AS (SELECT d.s AS s, w.i AS o, SUM(d.v * w.v) AS v FROM d2 d JOIN w2 w ON d.o = w.o WHERE w.step = :k
       GROUP BY d.s, w.i),
d1 AS (SELECT c.s AS s, c.o AS o, c.v * (1.0 - h.v * h.v) AS v FROM c1 c JOIN h ON c.s = h.s AND c.o = h.o)"""
W1 = """INSERT INTO w1 {head} SELECT :next_step, w.i, w.o, w.v - 0.5 * g.v FROM w1 w JOIN
    (SELECT x.i AS i, d.o AS o, SUM(x.v * d.v) AS v FROM x JOIN d1 d ON x.s = d.s GROUP BY x.i, d.o) g
    ON w.i = g.i AND w.o = g.o WHERE w.step = :k"""
W2 = """INSERT INTO w2 {head} SELECT :next_step, w.i, w.o, w.v - 0.5 * g.v FROM w2 w JOIN
    (SELECT h.o AS i, d.o AS o, SUM(h.v * d.v) AS v FROM h JOIN d2 d ON h.s = d.s GROUP BY h.o, d.o) g
    ON w.i = g.i AND w.o = g.o WHERE w.step = :k"""


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: for a person.
        make: gives a context and the cell.
        by_hand: gives a step of JAX and what it begins with.
        steps: how many a run makes.
        precision: of the floats.
    """

    name: str
    make: Callable[[], tuple[Context, str]]
    by_hand: Callable[[Any], tuple[Callable[[Any], Any], Any]]
    steps: int
    precision: str = "double"


def line(rows: int, steps: int) -> Case:
    """Linear regression."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=rows)
    y = 0.7 * x + 0.1 + rng.normal(scale=0.3, size=rows)

    def make() -> tuple[Context, str]:
        data = {"d": pa.table({"x": x, "y": y})}
        context = Context(namespace=lambda: data)
        context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)")
        context.script("INSERT INTO params VALUES (0, 0.0, 0.0)")
        return context, LINE

    def by_hand(real: Any) -> tuple[Callable[[Any], Any], Any]:
        data = jax.device_put((x.astype(real), y.astype(real)))

        def step(state: Any) -> Any:
            a, b, x, y = *state[0], *state[1]
            error = y - (a * x + b)
            return (a - 0.4 * jnp.mean(-2 * x * error), b - 0.4 * jnp.mean(-2 * error)), state[1]

        return step, ((jnp.asarray(0, real), jnp.asarray(0, real)), data)

    return Case(f"linear regression, {rows:,} rows", make, by_hand, steps)


def network(rows: int, features: int, hidden: int, steps: int, precision: str = "double") -> Case:
    """A network of two layers without biases, full batch."""
    rng = np.random.default_rng(3)
    images, labels = rng.random((rows, features)), rng.integers(0, 10, rows)
    first, second = rng.normal(0, 0.1, (features, hidden)), rng.normal(0, 0.1, (hidden, 10))

    def make() -> tuple[Context, str]:
        data = {"x": _long("si", images), "y": pa.table({"s": np.arange(rows), "label": labels})}
        context = Context(namespace=lambda: data)
        for name, value in (("w1", first), ("w2", second)):
            context.script(f"CREATE TABLE {name} (step BIGINT, i BIGINT, o BIGINT, v DOUBLE, PRIMARY KEY (step, i, o))")
            rows_of = _long("io", value)
            context.scratch(name).append(rows_of.add_column(0, "step", pa.array(np.zeros(len(rows_of), np.int64))))
        head = HEAD.format(rows=rows)
        return context, f"{W1.format(head=head)};\n{W2.format(head=head)}"

    def by_hand(real: Any) -> tuple[Callable[[Any], Any], Any]:
        data = jax.device_put((images.astype(real), np.eye(10, dtype=real)[labels]))

        def step(state: Any) -> Any:
            (w1, w2), (x, y) = state
            with jax.default_matmul_precision("highest"):
                h = jnp.tanh(x @ w1)
                out = h @ w2
                e = jnp.exp(out - out.max(1, keepdims=True))
                d = (e / e.sum(1, keepdims=True) - y) / rows
                back = (d @ w2.T) * (1 - h * h)
                return (w1 - 0.5 * (x.T @ back), w2 - 0.5 * (h.T @ d)), state[1]

        return step, (jax.device_put((first.astype(real), second.astype(real))), data)

    return Case(f"{features}-{hidden}-10, {rows:,} rows", make, by_hand, steps, precision)


def _long(dims: str, values: np.ndarray) -> pa.Table:
    grid = np.meshgrid(*[np.arange(n) for n in values.shape], indexing="ij")
    return pa.table({**{d: g.ravel() for d, g in zip(dims, grid, strict=True)}, "v": values.ravel()})


def ours(case: Case, device: str) -> tuple[float, float, str]:
    """Milliseconds a step of a training run, seconds until it is planned and compiled, and who calculates."""
    context, cell = case.make()
    begin = time.perf_counter()
    training = context.train(
        cell, steps=case.steps, stream=True, each_step=False, executor="dense", device=device, precision=case.precision
    )
    seen: list[tuple[int, float]] = []
    for event in training:
        if isinstance(event, Stepped):
            seen.append((event.step, time.perf_counter()))
    warm = next(n for n, (step, _) in enumerate(seen) if step >= case.steps // 4)
    (first, at), (last, end) = seen[warm], seen[-1]
    told = " ".join(str(note) for e in training.explain() for note in e.notes if note.kind == "a call")
    return 1000 * (end - at) / (last - first), seen[1][1] - begin, told


def by_hand(case: Case) -> float:
    """Milliseconds a step of JAX, many steps in one program."""
    with jax.enable_x64(True):
        step, begin = case.by_hand(np.float32 if case.precision == "single" else np.float64)
        count = max(case.steps // 2, 1)
        many = jax.jit(lambda state: jax.lax.fori_loop(0, count, lambda _, s: step(s), state))
        jax.block_until_ready(many(begin))
        at = time.perf_counter()
        jax.block_until_ready(many(begin))
        return 1000 * (time.perf_counter() - at) / count


def cases(*, small: bool) -> list[Case]:
    """What is run; small for a machine without a GPU."""
    if small:
        return [line(442, 400), line(20_000, 100), network(200, 16, 8, 60), network(200, 16, 8, 60, "single")]
    return [
        line(442, 20_000), line(10_000_000, 2_000), network(1_797, 64, 32, 4_000),
        network(10_000, 784, 512, 200), network(10_000, 784, 512, 400, "single"),
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args(argv)
    card = jax.devices(options.device)[0].device_kind
    print(f"| ms a step, {card} | training run | JAX by hand | ratio | seconds to begin |")
    print("|---|--:|--:|--:|--:|", flush=True)
    notes: Mapping[str, str] = {}
    for case in cases(small=options.small):
        mine, begin, told = ours(case, options.device)
        with jax.default_device(jax.devices(options.device)[0]):
            theirs = by_hand(case)
        name = f"{case.name}, {'f32' if case.precision == 'single' else 'f64'}"
        print(f"| {name} | {mine:.4f} | {theirs:.4f} | {mine / theirs:.2f} | {begin:.1f} |", flush=True)
        notes = {**notes, name: re.sub(r"\s+", " ", told)[:300]}
    for name, note in notes.items():
        print(f"- {name}: {note}")


if __name__ == "__main__":
    main()
