"""A curve in one line of text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

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
    numbers = np.array(values if isinstance(values, np.ndarray) else [float(v) for v in values], np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return " " * min(len(numbers), width)
    if finite.min() > 0 and finite.max() >= 100 * finite.min():
        numbers, finite = np.where(np.isfinite(numbers), np.log(np.abs(numbers)), np.nan), np.log(finite)
    numbers = numbers / (np.abs(finite).max() or 1.0)  # so that no difference or sum overflows
    count = min(len(numbers), width)
    ends = [i * len(numbers) // count for i in range(count + 1)]
    means = [_mean(numbers[low:high]) for low, high in pairwise(ends)]
    known = [m for m in means if m is not None]
    low, high = min(known), max(known)
    return "".join(" " if m is None else _bar(m - low, high - low) for m in means)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _bar(height: float, full: float) -> str:
    return _BARS[round(height / full * (len(_BARS) - 1))] if full > 0 else _BARS[0]
