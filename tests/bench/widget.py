"""What the training widget takes of a run's time, in a real kernel whose front end reads every message.

The same cell runs with ``--no-display`` and with the widget, turn by turn, for the same number of steps. It is told
what is spent inside the monitor (pictures, text, messages as far as the cell's thread makes them), what the kernel's
other threads take while they sign and send, both as parts of the processor time of the cell; and by how much the whole
cell is slower by the clock, which says something on a machine that does nothing else. A step works in pure Python, so
it holds the interpreter's lock, which is the worst for all threads.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient, KernelManager

from tests.bench.harness import Effort, Report, Verdict, benchmark
from tests.bench.loop import CREATE, DESCEND, LOSS

_SHARE = 0.1
_PANELS = {1: [LOSS], 3: [LOSS, "SELECT step, a, b FROM params ORDER BY step", "SELECT step, a FROM params"]}
_WORK = {"as short as it is": 0.0, "1 ms": 0.001, "20 ms": 0.02, "300 ms": 0.3}  # seconds of work put into each step
_SECONDS = (2, 4, 10)  # of a processor, as all that is judged here
_ENDS = {1: 1.5, 3: 3.0}  # panels -> seconds; in a shorter run the last picture may be more than a tenth
_PREPARE = f'''
import json, threading, time
import numpy as np, pyarrow as pa
import sqlmagic_xr
from sqlmagic_xr.train import loop
get_ipython().run_line_magic("load_ext", "sqlmagic_xr")
x = np.linspace(-1, 1, 442)
d = pa.table({{"i": np.arange(442), "x": x, "y": 2 * x + 1}})
ctx = sqlmagic_xr.get_context()
ctx.script("{CREATE}")

def work(units):
    x = 1.0
    for _ in range(units):
        x = x * 1.0000001 + 1e-9
    return x

def unit():
    begin = time.perf_counter()
    work(20_000)
    return (time.perf_counter() - begin) / 20_000

UNIT, UNITS = min(unit() for _ in range(30)), 0

class Working(loop.PlannedStep):
    def run(self, values):
        super().run(values)
        work(UNITS)

loop.PlannedStep = Working
spent, begun, TAKEN = [0.0], [0.0, 0.0, 0.0], []

def threads():
    """Processor time of the kernel's own threads but the one that runs cells."""
    total = 0.0
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and "sqlmagic" not in thread.name:
            try:
                total += time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:  # it has ended meanwhile
                pass
    return total

def watch():
    from sqlmagic_xr.display import live
    for name in ("receive", "close"):
        def timed(self, *arguments, inner=getattr(live.LiveMonitor, name)):
            begin = time.thread_time()
            inner(self, *arguments)
            spent[0] += time.thread_time() - begin
        setattr(live.LiveMonitor, name, timed)

def begin():
    spent[0], begun[:] = 0.0, (time.perf_counter(), threads(), time.thread_time())

def end():
    wall, others, cell = time.perf_counter() - begun[0], threads() - begun[1], time.thread_time() - begun[2]
    TAKEN.append({{"wall": wall, "cell": cell, "monitor": spent[0], "threads": others}})

get_ipython().events.register("pre_execute", begin)
get_ipython().events.register("post_execute", end)
'''


@dataclass(frozen=True)
class Taken:
    """What a cell took: seconds of the clock, and of a processor for the cell, inside the monitor, in other threads."""

    wall: float
    cell: float
    monitor: float
    threads: float


class Kernel:
    """A kernel whose client lets cells ask for input, so that it takes the widget's way."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> str:
        """Run a cell; returns what it printed."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        answer = self._client.execute_interactive(code, allow_stdin=True, output_hook=hear, timeout=600)
        if answer["content"]["status"] != "ok":
            raise RuntimeError("\n".join(answer["content"]["traceback"]))
        return "".join(printed)

    def train(self, panels: int, steps: int, work: float, *, show: bool) -> Taken:
        """Run the cell, from the first generation on."""
        self.run(f"UNITS = round({work} / UNIT); TAKEN.clear()")
        line = f"%%xsql_train --restart -n {steps} -q" + ("" if show else " --no-display")
        self.run("\n".join([line, ";\n".join([DESCEND, *_PANELS[panels]])]))
        # The cells around it are clocked as well, and take no time.
        told = json.loads(self.run("print(json.dumps([max(TAKEN, key=lambda taken: taken['wall']), len(TAKEN)]))"))
        assert told[1] == 2, "the clocks have missed a cell"  # the one that clears and the one that trains
        return Taken(**told[0])


@contextmanager
def kernel() -> Iterator[Kernel]:
    """A kernel of this Python that has the data and the clocks."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        it = Kernel(client)
        it.run(_PREPARE)
        yield it
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@benchmark("The widget's share of a run")
def share(effort: Effort) -> Report:
    """For steps of several costs, runs of several lengths, one panel and three."""
    header = ["panels", "step", "seconds", "steps", "in the monitor", "other threads", "both", "slower by"]
    report, worst = Report(header), 0.0
    with kernel() as it:
        once = it.train(1, 2, 0.0, show=True).wall
        it.run("watch()")
        for panels in _PANELS:
            for name, work in _WORK.items():
                few = 100 if work < 0.1 else 5
                step = it.train(panels, few, work, show=False).cell / few
                for seconds in _SECONDS:
                    steps = max(2, round(seconds * effort.scale / step))
                    pairs = _pairs(it, panels, steps, work, max(1, effort.repetitions // 2))
                    inside = statistics.median(b.monitor / b.cell for _, b in pairs)
                    beside = statistics.median((b.threads - a.threads) / b.cell for a, b in pairs)
                    slower = 1 - min(a.wall for a, _ in pairs) / min(b.wall for _, b in pairs)
                    took, both = statistics.median(b.cell for _, b in pairs), inside + beside
                    figures = (f"{x:.1%}" for x in (inside, beside, both, slower))
                    report.rows.append((str(panels), name, f"{took:.1f}", f"{steps:,}", *figures))
                    worst = max(worst, both if took >= _ENDS[panels] else 0.0)
    text = f"{worst:.1%} at most of a run that is longer than {_ENDS[1]} s (three panels: {_ENDS[3]} s)"
    report.verdicts = [Verdict(f"{text} (at most {_SHARE:.0%})", worst <= _SHARE)]
    report.notes.append(f"the first run of a session takes {once:.1f} s more: it imports matplotlib and anywidget")
    return report


def _pairs(it: Kernel, panels: int, steps: int, work: float, repetitions: int) -> list[tuple[Taken, Taken]]:
    return [
        (it.train(panels, steps, work, show=False), it.train(panels, steps, work, show=True))
        for _ in range(repetitions)
    ]
