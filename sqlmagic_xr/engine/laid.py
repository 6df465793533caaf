"""Rows that are the cells of a grid: labels along axes, and arrays over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Laid:
    """The rows of a query that lie as an array does, so that none of them has to be looked up by its labels.

    Attributes:
        axes: number of a column -> the labels along its axis, each of which is there once; in the order of the axes.
        cells: number of a column -> its cells, the last axis varying fastest.
    """

    axes: Mapping[int, pa.Array]
    cells: Mapping[int, pa.Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(labels) for labels in self.axes.values())

    def rows(self, names: Sequence[str]) -> pa.Table:
        """The rows, their labels written out."""
        places = np.indices(self.shape, sparse=True)
        columns = dict(self.cells)
        for axis, (number, labels) in enumerate(self.axes.items()):
            columns[number] = labels.take(pa.array(np.broadcast_to(places[axis], self.shape).reshape(-1)))
        return pa.Table.from_arrays([columns[number] for number in range(len(names))], names=list(names))
