"""The columns of many steps on a device, and their way out: numbers of one type leave it as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .lanes import Places, apart, stacked
from .passed import nbytes


class Packing:
    """Which columns share a room.

    Args:
        columns: the shapes and types of one step's.

    Attributes:
        rooms: the shapes and types of one step's part of each room.
        nbytes: all of them.
    """

    def __init__(self, columns: Sequence[Any]) -> None:
        self._numbers: dict[Any, list[int]] = {}
        self._arrays = [place for place, column in enumerate(columns) if column.shape]
        for place, column in enumerate(columns):
            if not column.shape:
                self._numbers.setdefault(column.dtype, []).append(place)
        self.rooms = [jax.ShapeDtypeStruct((len(some),), kind) for kind, some in self._numbers.items()]
        self.rooms += [columns[place] for place in self._arrays]
        self.nbytes = sum(map(nbytes, self.rooms))
        self._count = len(columns)
        self._heads = jax.jit(_heads, static_argnums=1)

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

    def unpacked(self, rooms: Sequence[Any], made: int) -> list[Any]:
        """The columns of the first steps, each as one array of the host's."""
        if not made:
            return []
        most = len(rooms[0])
        # A power of two, so that few programs copy any number of steps out.
        heads = self._heads(rooms, min(most, 1 << (made - 1).bit_length()))
        found = [np.asarray(head)[:made] for head in heads]
        columns: list[Any] = [None] * self._count
        for numbers, some in zip(found, self._numbers.values(), strict=False):
            for column, place in zip(np.ascontiguousarray(numbers.T), some, strict=True):
                columns[place] = column
        for array, place in zip(found[len(self._numbers) :], self._arrays, strict=True):
            columns[place] = array
        return columns


def _heads(rooms: Sequence[Any], size: int) -> list[Any]:
    return [room[:size] for room in rooms]
