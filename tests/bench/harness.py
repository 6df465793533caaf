"""How a benchmark is written: what runs against what, what must agree, which ratio is to be reached.

A benchmark is a function that gives a :class:`Report`; ``@benchmark(title)`` puts it on the list. Most are races: the
same work done in several ways, in one process, turn by turn, so that a ratio means something on a busy machine::

    @benchmark("Linear regression, 442 rows")
    def diabetes(effort: Effort) -> Report:
        return race({"ours": ours, "NumPy": numpy}, steps=200, effort=effort, targets=[Target("ours", "NumPy", 0.5)])

A contender is a function without arguments that makes everything ready and returns ``run(steps)``, which makes that
many steps from the beginning and returns the numbers it has come to, or a function that reads them from a table: that
is not timed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

Answer = npt.NDArray[np.float64]
Found = Answer | Callable[[], Answer]
Contender = Callable[[], Callable[[int], Found]]


@dataclass(frozen=True)
class Effort:
    """How much time to spend.

    Attributes:
        repetitions: how often each contender runs; the median counts.
        scale: a factor on the number of steps.
    """

    repetitions: int = 5
    scale: float = 1.0

    def steps(self, count: int) -> int:
        """So many steps, scaled."""
        return max(2, round(count * self.scale))


@dataclass(frozen=True)
class Target:
    """``who`` shall be at least ``ratio`` times as fast as ``against``."""

    who: str
    against: str
    ratio: float


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured: ``text`` for a person, and whether it is reached."""

    text: str
    reached: bool


@dataclass
class Report:
    """What a benchmark found: a table, and targets.

    Attributes:
        header, rows: the table, as text.
        verdicts: the targets.
        notes: lines below the table.
    """

    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table and the targets as Markdown."""
        widths = [max(len(row[i]) for row in [self.header, *self.rows]) for i in range(len(self.header))]
        rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
        lines = [_line(row, widths) for row in [self.header, rule, *self.rows]]
        lines += [""] if self.verdicts or self.notes else []
        lines += [f"- {'reached' if v.reached else 'MISSED'}: {v.text}" for v in self.verdicts]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])


Benchmark = Callable[[Effort], Report]
BENCHMARKS: dict[str, Benchmark] = {}
"""Title -> benchmark, in the order in which they run."""


def benchmark(title: str) -> Callable[[Benchmark], Benchmark]:
    """Put a benchmark on the list."""

    def enlist(function: Benchmark) -> Benchmark:
        BENCHMARKS[title] = function
        return function

    return enlist


def race(
    contenders: Mapping[str, Contender],
    *,
    steps: int | Mapping[str, int],
    effort: Effort,
    check: int = 3,
    targets: Sequence[Target] = (),
    tolerance: float = 1e-9,
) -> Report:
    """Let contenders do the same work, assert that they come to the same numbers, and compare their time per step.

    Args:
        contenders: name -> contender; the first one's numbers are what the others must agree with.
        steps: how many steps are timed; by name where a slow contender shall do fewer.
        effort: how often.
        check: how many steps are made before the numbers are compared.
        targets: the ratios to reach.
        tolerance: relative, and absolute for numbers near zero.
    """
    answers = {name: numbers(make()(check)) for name, make in contenders.items()}
    first = next(iter(answers))
    for name, answer in answers.items():
        np.testing.assert_allclose(answer, answers[first], tolerance, tolerance, err_msg=f"{name} against {first}")
    count = {name: effort.steps(steps if isinstance(steps, int) else steps[name]) for name in contenders}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(effort.repetitions):
        for name, make in contenders.items():
            times[name].append(time_of(make(), count[name]) / count[name])
    middle = {name: statistics.median(t) for name, t in times.items()}
    report = Report(["who", "ms a step", "fastest", "slowest", "times " + first])
    for name, taken in times.items():
        shown = (middle[name], min(taken), max(taken))
        ratio = f"{middle[name] / middle[first]:.2f}"
        report.rows.append([name, *(f"{1000 * t:.3f}" for t in shown), ratio])
    for target in targets:
        reached = middle[target.against] / middle[target.who]
        text = f"{target.who} {reached:.2f} times as fast as {target.against} (to reach: {target.ratio:g})"
        report.verdicts.append(Verdict(text, reached >= target.ratio))
    return report


def numbers(found: Found) -> Answer:
    """What a contender has come to."""
    return found() if callable(found) else found


def time_of(run: Callable[[int], object], steps: int) -> float:
    """Seconds that ``run(steps)`` takes, without the collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        run(steps)
        return time.perf_counter() - begin
    finally:
        gc.enable()


def peak_memory() -> int:
    """The most bytes that this process has held at a time; what its parent held does not count, as in getrusage."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return "| " + " | ".join([first, *others]) + " |"
