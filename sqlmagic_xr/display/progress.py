"""How far a run has come, in a line: its step, its speed, and how long it will take."""

from __future__ import annotations

import math

_SETTLED = 1.0  # seconds after the first step, after which it is told how long a run will take


class Progress:
    """Tells the speed of a run from its first step on: planning and fetching are no measure of the steps to come.

    Args:
        steps: how many it will make at most; None where nobody knows.
    """

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self._first: tuple[int, float] | None = None

    def made(self, step: int, seconds: float) -> None:
        """Note that so many steps were made by then."""
        if self._first is None and step:
            self._first = step, seconds

    def line(self, step: int, seconds: float | None, behind: str = "", rows: int | None = None) -> str:
        """The line for a person.

        Args:
            step: how many steps are made.
            seconds: since the start; None while the run is paused.
            behind: what does not stand at this step yet, or "".
            rows: how many rows there are so far, where that is told.

        >>> progress = Progress(1_000_000)
        >>> progress.made(1, 2.0)
        >>> progress.line(1, 2.0), progress.line(5_001, 4.5)
        ('step 1 of 1,000,000', 'step 5,001 of 1,000,000 · 2,000 steps/s · 8 min 18 s left')
        """
        of = "" if self._steps is None else f" of {self._steps:,}"
        parts = [f"step {step:,}{of}" + ("" if rows is None else f", {rows:,} rows")]
        if seconds is None:
            parts.append("paused")
        else:
            parts += self._speed(step, seconds)
        return " · ".join([*parts, *([behind] if behind else [])])

    def _speed(self, step: int, seconds: float) -> list[str]:
        if self._first is None or step <= self._first[0] or seconds <= self._first[1]:
            return []
        since = seconds - self._first[1]
        rate = (step - self._first[0]) / since
        digits = ",.0f" if rate >= 100 else ",.3g"  # three digits would make 1.03e+03 of 1,030
        speed = f"{rate:{digits}} steps/s" if rate >= 0.1 else f"{1 / rate:,.3g} s/step"
        if self._steps is None or step >= self._steps or since < _SETTLED:
            return [speed]
        return [speed, f"{duration((self._steps - step) / rate)} left"]


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.4), duration(75), duration(7300), duration(1e6)
    ('1 s', '1 min 15 s', '2 h 1 min', '11 days 13 h')
    """
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days {minutes // 60 % 24} h"
    )
