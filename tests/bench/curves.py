"""What a curve that has to be evaluated whole takes of a run's time, with its last evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from sqlmagic_xr.train.curves.curve import Curve
from tests.bench.harness import Effort, Report, Verdict, benchmark
from tests.bench.loop import DESCEND, context_of

CURVES: Mapping[str, Sequence[str]] = {
    "a moving average": ("SELECT step, AVG(a) OVER (ORDER BY step ROWS 100 PRECEDING) AS m FROM params ORDER BY step",),
    "a histogram": ("SELECT floor(a * 50) AS bin, COUNT(*) AS n FROM params GROUP BY floor(a * 50) ORDER BY bin",),
    "the loss, and a running count": (
        "SELECT step, AVG(power(d.y - (a*d.x + b), 2)) AS loss, SUM(COUNT(*)) OVER (ORDER BY step) AS n "
        "FROM d CROSS JOIN params GROUP BY step ORDER BY step",
    ),
    "all three": (),
}
_SHARE = 0.1
_SECONDS = (2, 5, 15)
_REASONABLE = 5  # seconds: shorter runs are shown and not judged, since their last evaluation alone may be a tenth


@benchmark("Curves that are evaluated whole: their share of the run")
def share(effort: Effort) -> Report:
    """A run is stopped after some seconds; what its curves took is added up, the first and the last time too."""
    report = Report(["curve", "seconds", "steps", "evaluations", "last, ms", "share"])
    worst = 0.0
    for name, curves in CURVES.items():
        for seconds in _SECONDS:
            texts = curves or [text for others in CURVES.values() for text in others]
            steps, took, spent = _run(texts, max(1.0, seconds * effort.scale))
            part = sum(spent) / took
            cells = (f"{took:.1f}", f"{steps:,}", f"{len(spent)}", f"{1e3 * spent[-1]:.0f}", f"{part:.1%}")
            report.rows.append((name, *cells))
            worst = max(worst, part if seconds >= _REASONABLE else 0.0)
    text = f"from {_REASONABLE} s on, {worst:.1%} of the time at most (at most {_SHARE:.0%})"
    report.verdicts.append(Verdict(text, worst <= _SHARE))
    return report


def _run(curves: Sequence[str], seconds: float) -> tuple[int, float, list[float]]:
    """The steps that were made, how long it took, and what each evaluation cost."""
    training = context_of().train(";\n".join([DESCEND, *curves]), stream=True, steps=10**7)
    with _timed() as spent:
        begin = time.perf_counter()
        for _ in training:
            if time.perf_counter() - begin > seconds:
                training.control.stop()
        return training.run.steps, time.perf_counter() - begin, spent


@contextmanager
def _timed() -> Iterator[list[float]]:
    """What every refresh of a curve costs, in seconds."""
    spent: list[float] = []
    refresh: Callable[..., bool] = Curve.refresh

    def timed(*arguments: object) -> bool:
        begin = time.perf_counter()
        try:
            return refresh(*arguments)
        finally:
            spent.append(time.perf_counter() - begin)

    with patch.object(Curve, "refresh", timed):
        yield spent
