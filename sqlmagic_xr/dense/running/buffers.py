"""Room for the arrays of a step, used again by the next: fresh pages of memory cost more than the arithmetic."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from ..grid import Array

SMALL = 4096
"""Cells; smaller arrays come from memory that Python keeps at hand."""

_MOST = 64  # arrays of one shape


def _counted(room: list[Any]) -> int:
    """How many references :meth:`Buffers.take` counts to an array that its list alone refers to: in 3.14 fewer."""
    found = 0
    for array in room:
        found = getrefcount(array)
    return found


_ALONE = _counted([np.empty(1)])


class Buffers:
    """Arrays by shape and type; one is free as soon as nobody else refers to it or to a view of it."""

    def __init__(self) -> None:
        self._room: dict[Any, list[Array]] = {}

    def take(self, shape: tuple[int, ...], dtype: Any) -> Array | None:
        """An array that nobody uses, whatever it holds; None where a new one is as good."""
        size = 1
        for length in shape:
            size *= length
        if size < SMALL:
            return None
        room = self._room.setdefault((shape, dtype), [])
        for array in room:
            if getrefcount(array) == _ALONE:
                return array
        array = np.empty(shape, dtype)
        if len(room) < _MOST:
            room.append(array)
        return array
