"""Queries and runs over chunks on a cluster, and what is looked at meanwhile."""

import os
import time

import numpy as np
import pytest

from sqlmagic_xr import Context
from tests.cluster.data import context

UNHEARD = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of sockets, when a worker is killed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STEP = """INSERT INTO w SELECT :next_step, w.a - 0.1 * AVG(grad(power(w.a * t.hum + w.b - t.air / 100, 2), w.a)),
 w.b - 0.1 * AVG(grad(power(w.a * t.hum + w.b - t.air / 100, 2), w.b))
 FROM w CROSS JOIN t WHERE w.step = :k GROUP BY w.a, w.b"""


def rows(ctx, sql, executor="auto"):
    (result,) = ctx.script(sql, executor=executor)
    return result.to_arrow_table()


def told(ctx, sql):
    return ctx.script(f"EXPLAIN {sql}")[0].plan.splitlines()[0]


def over(dataset, **options):
    ctx = Context(**options)
    ctx.from_dataset("d", dataset)
    return ctx


def training(store, text=STEP, steps=4, **options):
    ctx = context(store, **options)
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO w VALUES (0, 0.0, 0.0)")
    return ctx, ctx.train(text, steps=steps, stream=True)


def trained(ctx):
    return ctx.sql("SELECT * FROM w ORDER BY step").to_arrow_table()


def finish(training, each=lambda event: None):
    for event in training:
        each(event)
    return training


def assert_the_same(ctx, expected):
    found = trained(ctx)
    for name in ("step", "a", "b"):
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12)


def pids(client):
    return [worker["pid"] for worker in client.run(lambda: {"pid": os.getpid()}).values()]


def left(client):
    """What a cluster has still to do for us: tasks, those that are at work, and calls."""

    def working(dask_worker):
        from sqlmagic_xr.cluster import worker

        return len(dask_worker.state.executing), len(worker._called)

    held = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
    tasks, calls = map(sum, zip(*client.run(working).values(), strict=True))
    return [key for key in held if "sql_" in key], tasks, calls


def on_the_shelf(dask_worker):
    shelf = dask_worker.plugins.get("sqlmagic_xr")
    return [] if shelf is None else [values for chunks in shelf.chunks.values() for each in chunks for values in each]


def nobody_is_at_work(run):
    """Wait until workers who have come have done what they were last asked to."""
    moves = [layout._move for layout in run._chunks._layouts.values()]
    in_time(lambda: all(move is None or move.has_ended() for move in moves))


def written_to_disk(dask_worker):
    """Have a worker write to disk what dask holds, as where its memory is full."""
    while dask_worker.data.fast:
        dask_worker.data.evict()
    return len(dask_worker.data.disk)


def full(share):
    from sqlmagic_xr.cluster import shelf

    shelf._FULL = share


def in_time(holds):
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert holds()
