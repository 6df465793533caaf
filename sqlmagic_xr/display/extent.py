"""The stretch of numbers that an axis has to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Extent:
    """From ``low`` to ``high``: numbers, or their decimal logarithms where ``log``."""

    low: float
    high: float
    log: bool = False


def extent_x(x: npt.NDArray[Any]) -> Extent:
    """What an axis shows of numbers or dates; 0 to 1 where there are none."""
    known = x[~np.isnat(x)].astype("datetime64[us]").astype(np.int64) if x.dtype.kind == "M" else x[np.isfinite(x)]
    return Extent(float(known.min()), float(known.max())) if len(known) else Extent(0.0, 1.0)


def extent_y(lines: Sequence[npt.NDArray[np.float64]], *, log: bool) -> Extent:
    """What an axis shows of some lines.

    Args:
        lines: NaN and infinities are not shown.
        log: as decimal logarithms, which is declined where a line has no positive value: it would vanish.
    """
    values = np.concatenate(lines) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    log = log and len(values) > 0 and all((line > 0).any() for line in lines)
    if log:
        values = values[values > 0]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return Extent(math.log10(low), math.log10(high), log=True) if log else Extent(low, high)
