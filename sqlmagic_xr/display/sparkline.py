"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[float], *, width: int = 32) -> str:
    """A line of bars: the mean of each of ``width`` equal stretches, between the least and the greatest.

    The scale is logarithmic where all values are positive and span two decades or more. A stretch without a finite
    value is a space.

    >>> sparkline([8, 7, 6, 5, 4, 3, 2, 1])
    '█▇▆▅▄▃▂▁'
    >>> sparkline([1000, 100, 10, 1, float("nan")])
    '█▆▃▁ '
    >>> sparkline([2.0, 2.0]), sparkline([])
    ('▁▁', '')
    """
    numbers = [float(v) for v in values]
    finite = [v for v in numbers if math.isfinite(v)]
    if not finite:
        return " " * min(len(numbers), width)
    if min(finite) > 0 and max(finite) >= 100 * min(finite):
        numbers = [math.log(v) if math.isfinite(v) else v for v in numbers]
    largest = max(abs(v) for v in numbers if math.isfinite(v)) or 1.0
    numbers = [v / largest for v in numbers]  # so that no difference or sum overflows
    count = min(len(numbers), width)
    means = [_mean(numbers[i * len(numbers) // count : (i + 1) * len(numbers) // count]) for i in range(count)]
    known = [m for m in means if m is not None]
    low, high = min(known), max(known)
    return "".join(" " if m is None else _bar(m - low, high - low) for m in means)


def _mean(values: list[float]) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return math.fsum(finite) / len(finite) if finite else None


def _bar(height: float, full: float) -> str:
    return _BARS[round(height / full * (len(_BARS) - 1))] if full > 0 else _BARS[0]
