"""100,000 generations in a scratch table: what a commit costs, what it holds, and what reading one generation costs."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Sequence

import pyarrow as pa

from sqlmagic_xr.engine.context import Context
from sqlmagic_xr.engine.prepared import Prepared
from sqlmagic_xr.sql.syntax import parse_one
from tests.bench.harness import Effort, Report, Verdict, benchmark

_THOUSAND = 1_000
_LOOKUPS = 200


@benchmark("Scratch table: 100,000 commits of one row")
def commits(effort: Effort) -> Report:
    """CPU time, since wall time on a busy machine is that of its neighbours."""
    count = effort.steps(100)
    context = Context()
    context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)")
    read = context.prepare(parse_one("SELECT a, b FROM params WHERE step = :k"))
    costs: list[float] = []
    lookups: dict[int, float] = {}
    chunks: dict[int, int] = {}
    for thousand in range(count):
        costs.append(_append(context, range(thousand * _THOUSAND, (thousand + 1) * _THOUSAND)))
        rows = (thousand + 1) * _THOUSAND
        if rows in (_THOUSAND, 10 * _THOUSAND) or thousand == count - 1:
            lookups[rows] = _look_up(read, rows)
            chunks[rows] = len(context.store.table("params").chunks)
    report = Report(["commits", "us a commit", "us a lookup", "chunks"])
    for rows, lookup in lookups.items():
        cost = costs[rows // _THOUSAND - 1] / _THOUSAND
        report.rows.append((f"{rows:,}", f"{cost * 1e6:.0f}", f"{lookup * 1e6:.0f}", f"{chunks[rows]}"))
    last, second = costs[-1], costs[1]
    report.verdicts.append(
        Verdict(
            f"the last 1,000 commits take {last / second:.2f} times the second 1,000 (at most 1.3)",
            last <= 1.3 * second,
        )
    )
    first, final = lookups[_THOUSAND], lookups[max(lookups)]
    report.verdicts.append(
        Verdict(
            f"WHERE step = :k takes {final / first:.2f} times what it takes at 1,000 (at most 2)", final <= 2 * first
        )
    )
    return report


@benchmark("Scratch table: bytes held a row")
def held(effort: Effort) -> Report:
    """Python's own allocations and Arrow's, beyond the 24 bytes of a row of three columns."""
    count = effort.steps(100) * _THOUSAND
    gc.collect()
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    context = Context()
    context.script("CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE)")
    _append(context, range(count))
    gc.collect()
    python, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrow = pa.total_allocated_bytes() - arrow
    beyond = (python + arrow) / count - 24
    report = Report(["rows", "Python's bytes a row", "Arrow's bytes a row"])
    report.rows.append((f"{count:,}", f"{python / count:.1f}", f"{arrow / count:.1f}"))
    report.verdicts.append(Verdict(f"{beyond:.0f} bytes a row beyond its data (at most 200)", beyond <= 200))
    return report


def _append(context: Context, steps: Sequence[int]) -> float:
    """Commit one row a step; the CPU seconds of 1,000, by the median of tenths, which a neighbour disturbs less."""
    table = context.scratch("params")
    schema = table.schema
    tenths = []
    for start in range(0, len(steps), 100):
        batches = [
            pa.RecordBatch.from_arrays([pa.array([k]), pa.array([k * 0.5]), pa.array([k * 2.0])], schema=schema)
            for k in steps[start : start + 100]
        ]
        begin = time.process_time()
        for batch in batches:
            table.append(batch)
        tenths.append(time.process_time() - begin)
    return statistics.median(tenths) * 10


def _look_up(read: Prepared, rows: int) -> float:
    """The CPU seconds of one read of one generation, old and new ones in turn; the median."""
    for warm in range(20):
        read.run({"k": warm}).to_arrow_table()
    taken = []
    for n in range(_LOOKUPS):
        k = n * 7919 % rows
        begin = time.process_time()
        found = read.run({"k": k}).to_arrow_table()
        taken.append(time.process_time() - begin)
        assert found.to_pylist() == [{"a": k * 0.5, "b": k * 2.0}]
    return statistics.median(taken)
