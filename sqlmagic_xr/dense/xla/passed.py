"""What is the same at each step, as it is passed to a program of XLA and as it stands within it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..running.align import Alignment


def passed(value: Any, real: Any) -> Any:
    """What is passed to the program.

    Args:
        value: the same at each step.
        real: the type of the floats.
    """
    if isinstance(value, Alignment):
        parts = (value.coordinates, value.first, value.second, value.found)
        return [part for part in parts if isinstance(part, np.ndarray)]
    # A number is a part of the program: shapes, and which power is a root, are told by some of them.
    return [] if np.ndim(value) == 0 else np.asarray(value, real_of(np.asarray(value).dtype, real))


def within(value: Any, given: Any, real: Any) -> Any:
    """The same within the program, to which :func:`passed` has given it."""
    if isinstance(value, Alignment):
        parts = iter(given)
        all_parts = (value.coordinates, value.first, value.second, value.found)
        found: list[Any] = [next(parts) if isinstance(part, np.ndarray) else part for part in all_parts]
        return Alignment(found[0], found[1], found[2], found[3])
    if not isinstance(given, list):
        return given
    return real(value) if isinstance(value, np.float64) else value


def real_of(kind: Any, real: Any) -> Any:
    """The type in which cells of a type are held."""
    return np.dtype(real) if kind == np.float64 else kind


def nbytes(value: Any) -> int:
    """The bytes of something that has a shape and a type."""
    return int(prod(value.shape) * np.dtype(value.dtype).itemsize)
