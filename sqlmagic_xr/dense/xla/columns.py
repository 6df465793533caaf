"""The columns of many steps on a device, and their way out: numbers of one type leave it as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from .lanes import Places, apart, stacked
from .passed import nbytes

_STEPS = 512  # that leave the device at a time, at most
_BYTES = 4 * 2**20  # of them, at most


class Packing:
    """Which columns share a room.

    Args:
        columns: the shapes and types of one step's.
        shared: whether the device's memory is the host's.

    Attributes:
        rooms: the shapes and types of one step's part of each room.
        nbytes: all of them.
    """

    def __init__(self, columns: Sequence[Any], *, shared: bool = False) -> None:
        self._shared = shared
        self._numbers: dict[Any, list[int]] = {}
        self._arrays = [place for place, column in enumerate(columns) if column.shape]
        for place, column in enumerate(columns):
            if not column.shape:
                self._numbers.setdefault(column.dtype, []).append(place)
        self.rooms = [jax.ShapeDtypeStruct((len(some),), kind) for kind, some in self._numbers.items()]
        self.rooms += [columns[place] for place in self._arrays]
        self.nbytes = sum(map(nbytes, self.rooms))
        self._count = len(columns)
        # So many steps leave the device at a time: one program copies out any number of them, and is compiled once.
        self._piece = max(1, min(_STEPS, 1 << (_BYTES // max(1, self.nbytes)).bit_length() >> 1))
        self._cut = jax.jit(_cut, static_argnums=2)

    def packed(self, columns: Sequence[Any], places: Places) -> list[Any]:
        """One step's part of each room; ``places`` says which of the columns are lanes."""
        numbers = [stacked([columns[place] for place in some], places) for some in self._numbers.values()]
        return [*numbers, *(columns[place] for place in self._arrays)]

    def apart(self, parts: Sequence[Any], places: Places) -> list[Any]:
        """The columns of one step's part of each room; ``places`` is told which are lanes."""
        columns: list[Any] = [None] * self._count
        for numbers, some in zip(parts, self._numbers.values(), strict=False):
            for place, column in zip(some, apart(numbers, places), strict=True):
                columns[place] = column
        for array, place in zip(parts[len(self._numbers) :], self._arrays, strict=True):
            columns[place] = array
        return columns

    def filled(self, columns: Sequence[Any]) -> list[Any]:
        """The same of columns that the host has: numbers of one type as one array."""
        numbers = [np.array([columns[place] for place in some], kind) for kind, some in self._numbers.items()]
        return [*numbers, *(columns[place] for place in self._arrays)]

    def arrays(self, parts: Sequence[Any]) -> list[Any]:
        """The columns that are arrays, of one step's part of each room; None where there is a number."""
        columns: list[Any] = [None] * self._count
        for place, array in zip(self._arrays, parts[len(self._numbers) :], strict=True):
            columns[place] = array
        return columns

    def unpacked(self, rooms: Sequence[Any], made: int) -> list[Any]:
        """The columns of the first steps, each as one array of the host's."""
        if not made:
            return []
        found = self._heads(rooms, made)
        columns: list[Any] = [None] * self._count
        for numbers, some in zip(found, self._numbers.values(), strict=False):
            for column, place in zip(np.ascontiguousarray(numbers.T), some, strict=True):
                columns[place] = column
        for array, place in zip(found[len(self._numbers) :], self._arrays, strict=True):
            columns[place] = array
        return columns

    def _heads(self, rooms: Sequence[Any], made: int) -> list[Any]:
        """The first steps of each room, on the host."""
        if self._shared:
            # Looked at where they stand and copied once: a look that lasted would keep them from being written again.
            jax.block_until_ready(rooms)
            return [np.from_dlpack(room)[:made].copy() for room in rooms]
        size = min(self._piece, len(rooms[0]))
        begins = [min(begin, len(rooms[0]) - size) for begin in range(0, made, size)]
        pieces = [self._cut(rooms, np.int64(begin), size) for begin in begins]  # all of them, before one is waited for
        heads = [np.empty((made, *room.shape[1:]), room.dtype) for room in rooms]
        for begin, piece in zip(begins, pieces, strict=True):
            for head, part in zip(heads, piece, strict=True):
                head[begin : begin + size] = np.asarray(part)[: made - begin]
        return heads


def _cut(rooms: Sequence[Any], begin: Any, size: int) -> list[Any]:
    return [lax.dynamic_slice_in_dim(room, begin, size) for room in rooms]
