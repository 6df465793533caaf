"""Programs that are killed: run as ``python -m tests.storage.programs NAME FILE``, they go on until that happens.

Each tells what it has been promised, line by line, on standard output: what it told before it died must be in the file.
"""

import os
import sys
import time

from sqlmagic_xr import Context

DATA = (
    "CREATE TABLE d AS SELECT value AS i, value * 0.01 AS x, 1.5 * value * 0.01 + 0.25 AS y FROM generate_series(1, 60)"
)
STEPS = {
    "sgd": [
        "INSERT INTO w SELECT :next_step, i, val - 0.01 * g FROM w CROSS JOIN (SELECT AVG((p.val * x - y) * x) AS g "
        "FROM d CROSS JOIN (SELECT val FROM w WHERE step = :k AND i = 0) p) e WHERE step = :k"
    ],
    "momentum": [
        "INSERT INTO m SELECT :next_step, m.i, 0.9 * m.val + w.val * 0.1 FROM m JOIN w ON m.i = w.i "
        "WHERE m.step = :k AND w.step = :k",
        "INSERT INTO w SELECT :next_step, w.i, w.val - 0.1 * m.val FROM w JOIN m ON m.i = w.i "
        "WHERE w.step = :k AND m.step = :next_step",
    ],
    "adam": [
        "INSERT INTO m SELECT :next_step, m.i, 0.9 * m.val + 0.1 * w.val FROM m JOIN w ON m.i = w.i "
        "WHERE m.step = :k AND w.step = :k",
        "INSERT INTO v SELECT :next_step, v.i, 0.999 * v.val + 0.001 * w.val * w.val FROM v JOIN w ON v.i = w.i "
        "WHERE v.step = :k AND w.step = :k",
        "INSERT INTO w SELECT :next_step, w.i, w.val - 0.01 * (m.val / (1 - power(0.9, :next_step))) "
        "/ (sqrt(v.val / (1 - power(0.999, :next_step))) + 1e-8) FROM w JOIN m ON m.i = w.i JOIN v ON v.i = w.i "
        "WHERE w.step = :k AND m.step = :next_step AND v.step = :next_step",
    ],
    "random": [
        "INSERT INTO w SELECT :next_step, i, val - :lr * g FROM w CROSS JOIN (SELECT AVG((p.val * x - y) * x) AS g "
        "FROM d CROSS JOIN (SELECT val FROM w WHERE step = :k AND i = 0) p "
        "WHERE d.i % 7 = CAST(floor(:random * 7) AS BIGINT)) e WHERE step = :k"
    ],
}
OPTIONS = {"random": {"schedule": {"lr": "0.1 * power(0.999, :step)"}}}
KEEP = 0.2  # seconds between two writings of a run


def begin(name, path):
    """A context with what the step of that name needs, in memory where there is no path."""
    ctx = Context(store=path)
    if not ctx.store.entries():
        ctx.script(DATA)
        for table in ("w", "m", "v"):
            ctx.script(f"CREATE TABLE {table} (step BIGINT, i BIGINT, val DOUBLE, PRIMARY KEY (step, i))")
            ctx.script(f"INSERT INTO {table} SELECT 0, value, 0.5 + value FROM generate_series(0, 4)")
    return ctx


def train(ctx, name, steps, **options):
    """The run of that name."""
    return ctx.train(";\n".join(STEPS[name]), steps=steps, **{**OPTIONS.get(name, {}), **options})


def run(name, path):
    """Train until killed; tells the generation and when it was made."""

    def tell(event):
        if type(event).__name__ == "Stepped" and event.generation % 20 == 0:
            os.write(1, f"{event.generation} {time.time():.6f}\n".encode())

    train(begin(name, path), name, 10_000_000, keep_every=KEEP, on_event=tell)


def statements(path):
    """Change two tables together until killed; tells how often that was done."""
    ctx = Context(store=path)
    ctx.script("CREATE TABLE a (n BIGINT PRIMARY KEY); CREATE TABLE b (n BIGINT PRIMARY KEY, half DOUBLE)")
    for n in range(1_000_000):
        ctx.script(f"BEGIN; INSERT INTO a VALUES ({n}); INSERT INTO b VALUES ({n}, {n} * 0.5);"
                   f"UPDATE b SET half = -1 WHERE n = {n} - 1; DELETE FROM a WHERE n = {n} - 3; COMMIT")  # fmt: skip
        os.write(1, f"{n} {time.time():.6f}\n".encode())


if __name__ == "__main__":
    if sys.argv[1] == "statements":
        statements(sys.argv[2])
    else:
        run(sys.argv[1], sys.argv[2])
