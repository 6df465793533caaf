"""Queries and training steps on a dask cluster of two worker processes on this machine, against the number of chunks.

    python -m tests.bench.cluster [--small] [chunks] [held] [large] [killed]

Cells are made by chunk where they are read, so no disk is measured. A step's overhead is what it takes beyond its work:
that of the same step over the same chunks with one cell each.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

from sqlmagic_xr import Context

GROUPS = "SELECT x, AVG(v) AS m, MAX(v) AS most FROM d GROUP BY x"
STEP = """INSERT INTO w SELECT :next_step, w.a - 0.1 * AVG(grad(power(w.a * d.v - 1, 2), w.a))
FROM w CROSS JOIN d WHERE w.step = :k GROUP BY w.a"""


def dataset(chunks: int, rows: int, columns: int) -> xr.Dataset:
    """Cells that are drawn where they are read, in chunks along the first axis."""
    shape = (chunks * rows, columns)
    cells = da.random.default_rng(0).random(shape, dtype=np.float32, chunks=(rows, columns))
    return xr.Dataset({"v": (("t", "x"), cells)})


def context(data: xr.Dataset) -> Context:
    """A context with the cells, and the parameter of a step."""
    ctx = Context()
    ctx.from_dataset("d", data)
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO w VALUES (0, 0.0)")
    return ctx


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    """How long it takes, by the median."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def steps(ctx: Context, count: int) -> list[float]:
    """How long each step of a run takes, the first one, which reads the chunks, among them."""
    found, begin = [], time.perf_counter()
    for event in ctx.train(STEP, steps=count, stream=True):
        if type(event).__name__ == "Stepped":
            found.append(time.perf_counter() - begin)
            begin = time.perf_counter()
    return found


@contextmanager
def cluster() -> Iterator[Client]:
    """Two workers of a thread and a gigabyte each."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit="1GB", dashboard_address=":0"
    ) as made, Client(made) as client:  # fmt: skip
        yield client


def peak(client: Client) -> float:
    """The most memory that a worker has had, in GB."""
    return max(client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).values()) / 1e6


def against_chunks(client: Client, most: int) -> None:
    """A query and a step over so many chunks of a few cells, a million cells in all."""
    print("\n| chunks | query, ms | step, ms | main thread, ms | the first step, ms |\n|---:|---:|---:|---:|---:|")
    for chunks in (c for c in (10, 100, 1_000, 10_000) if c <= most):
        rows = max(1, 1_000_000 // (chunks * 100))
        ctx = context(dataset(chunks, rows, 100))
        query = seconds(lambda ctx=ctx: ctx.script(GROUPS, executor="dense")[0].to_arrow_table(), 3)
        steps(ctx, 2)  # workers have imported what a step needs then; the next run reads the cells anew
        begin = time.thread_time()
        first, *others = steps(ctx, 12)
        here = (time.thread_time() - begin) / 12
        step = statistics.median(others)
        figures = " | ".join(f"{1e3 * figure:.0f}" for figure in (query, step, here, first))
        print(f"| {chunks:,} | {figures} |", flush=True)


def large(client: Client, cells: int) -> None:
    """An aggregate over cells of which no worker could hold a tenth."""
    chunks = cells // 10_000_000
    ctx = context(dataset(chunks, 10_000, 1_000))
    taken = seconds(lambda: ctx.script(GROUPS)[0].to_arrow_table())
    print(
        f"\n{cells:,} cells in {chunks} chunks, float32: {taken:.1f} s; a worker's most memory: {peak(client):.2f} GB"
    )


def held(client: Client, cells: int, count: int) -> None:
    """A run over cells in the workers' memory."""
    ctx = context(dataset(cells // 2_000_000, 2_000, 1_000))
    first, *others = steps(ctx, count)
    told = f"{cells:,} cells in the workers' memory, {count} steps: the first {first:.1f} s, the others"
    print(f"\n{told} {statistics.median(others):.2f} s each; a worker's most memory: {peak(client):.2f} GB")
    print(str(ctx.train(STEP, steps=1, stream=True).explain()[0]).splitlines()[2].strip())


def killed(client: Client, cells: int) -> None:
    """The time that a query loses with a worker, and a run over a tenth of the cells."""
    ctx = context(dataset(cells // 10_000_000, 10_000, 1_000))
    whole = seconds(lambda: ctx.script(GROUPS)[0].to_arrow_table())
    victim = next(iter(client.run(os.getpid).values()))
    timer = threading.Timer(whole / 2, os.kill, (victim, signal.SIGKILL))
    timer.start()
    again = seconds(lambda: ctx.script(GROUPS)[0].to_arrow_table())
    print(f"\n{cells:,} cells: {whole:.1f} s, and {again:.1f} s where a worker of two is killed half-way")
    timer.join()
    time.sleep(1.0)  # until it is missed
    client.wait_for_workers(2)
    ctx, found, begin = context(dataset(cells // 20_000_000, 2_000, 1_000)), list[float](), time.perf_counter()
    for event in ctx.train(STEP, steps=120, stream=True):
        if type(event).__name__ == "Stepped":
            found.append(time.perf_counter() - begin)
            if len(found) == 20:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            begin = time.perf_counter()
    before, behind, *later = statistics.median(found[1:20]), *found[20:]
    told = f"{before:.2f} s, {behind:.2f} s behind the kill, then {statistics.median(later):.2f} s"
    print(f"{cells // 10:,} held cells, a step: {told}, the slowest {max(later):.2f} s")


def main() -> None:
    """Measure all of it; with --small a tenth of the cells."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description=main.__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of the cells, and no more than 1,000 chunks")
    parser.add_argument("parts", nargs="*", help="chunks, held, large, killed; all of them where none is named")
    asked = parser.parse_args()
    small, part = asked.small, 10 if asked.small else 1
    measures: dict[str, Callable[[Client], None]] = {
        "chunks": lambda client: against_chunks(client, 1_000 if small else 10_000),
        "held": lambda client: held(client, 200_000_000 // part, 50 // part),
        "large": lambda client: large(client, 2_000_000_000 // part),
        "killed": lambda client: killed(client, 500_000_000 // part),
    }
    with cluster() as client:
        for name in asked.parts or measures:
            print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            measures[name](client)


if __name__ == "__main__":
    main()
