"""A run of 200,000 short steps: what it holds in memory beyond its table and its curve, watched and unwatched."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.bench.harness import Effort, Report, Verdict, benchmark
from tests.bench.loop import DESCEND, LOSS, context_of

_STEPS = 200_000
_WARM = 0.1  # of the steps are made before it counts: caches and buffers are filled by then
_MOST = 16e6  # bytes
_WATCHERS = ("nobody", "a terminal", "the widget")


def run(watcher: str, steps: int) -> dict[str, float]:
    """A run in this process: how much its memory, its table and its curve grew after the first tenth, in bytes."""
    training = context_of().train(f"{DESCEND};\n{LOSS}", stream=True, steps=steps)
    monitor = _monitor(watcher, training)
    before = {"memory": 0, "table": 0}
    last: Any = None
    for last in training:
        if monitor is not None:
            monitor.receive(last)
        if not before["table"] and training.run.steps >= _WARM * steps:
            before = _held(training)
    after = _held(training)
    curve = training.run.curve
    assert training.run.status == "done"
    assert curve is not None
    assert curve.num_rows == steps + 1
    # The curve is held twice: as rows, and as the numbers that are drawn, in buffers of up to twice their length.
    share = 1 - _WARM
    drawn = sum(16 * len(line) for panel in last.panels for line in (panel.x, *panel.lines.values()))
    return {
        "memory": after["memory"] - before["memory"],
        "table": after["table"] - before["table"],
        "curve": share * (curve.nbytes + drawn),
    }


def _held(training: Any) -> dict[str, int]:
    gc.collect()
    pa.default_memory_pool().release_unused()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
    version = training._context.store.table("params")
    return {"memory": resident, "table": sum(chunk.nbytes for chunk in version.chunks)}


def _monitor(watcher: str, training: Any) -> Any:
    from sqlmagic_xr.display.live import LiveMonitor
    from sqlmagic_xr.display.monitor import TerminalMonitor

    class Handle:
        def update(self, *_: object, **__: object) -> None: ...

    if watcher == "nobody":
        return None
    if watcher == "a terminal":
        return TerminalMonitor(io.StringIO())
    return LiveMonitor(training.control, lambda *_, **__: Handle())


@benchmark("Memory: a run of 200,000 short steps")
def growth(effort: Effort) -> Report:
    """Each in a process of its own, for its memory; what is counted begins after the first tenth of the steps."""
    steps = effort.steps(_STEPS)
    report = Report(["watched by", "grown, MB", "the table, MB", "the curve, MB", "beyond them, MB"])
    for watcher in _WATCHERS:
        code = f"import json, tests.bench.growth as g; print(json.dumps(g.run({watcher!r}, {steps})))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        beyond = found["memory"] - found["table"] - found["curve"]
        report.rows.append(
            [watcher, *(f"{found[k] / 1e6:.1f}" for k in ("memory", "table", "curve")), f"{beyond / 1e6:.1f}"]
        )
        text = f"watched by {watcher}: {beyond / 1e6:.1f} MB beyond the table and its curve (at most {_MOST / 1e6:.0f})"
        report.verdicts.append(Verdict(text, beyond <= _MOST))
    return report
