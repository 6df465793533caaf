"""What stands between a program and whoever has the rows: grids in, grids out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from .arrays import DTYPES
from .grid import Array, Grid
from .labels import Labels
from .node import Node, Type
from .tables import ScanRead


class Source(Protocol):
    """Gives the rows of tables as grids while a program runs."""

    def grid(self, read: ScanRead, fixed: Mapping[str, Any]) -> Grid:
        """The grid that a scan asks for, in the order of ``read.key``; the same object where nothing has changed.

        Args:
            read: what is asked for.
            fixed: the values of the columns ``read.fixed``.

        Raises:
            Refused: the rows are no such grid.
        """

    def settled(self, table: tuple[str, ...]) -> bool:
        """Whether the rows of a table stay as they are as long as there is this source."""


class Changed(Exception):  # noqa: N818 - no error: the program is lowered again
    """The data are not what the program was lowered for: a NULL or a hole where there was none.

    Args:
        table: whose.
        column: the column that holds a NULL, or None where cells of the grid are missing.
        read: where cells are missing, what was asked for.
        grid: what was found instead; None where the rows are in other parts than those that were known.
    """

    def __init__(
        self, table: tuple[str, ...], column: str | None, read: ScanRead | None = None, grid: Grid | None = None
    ) -> None:
        super().__init__(table, column)
        self.table, self.column, self.read, self.grid = table, column, read, grid


class Unlike(Changed):
    """Two axes that were the same have other coordinates now.

    Args:
        one, other: their origins.
    """

    def __init__(self, one: Node, other: Node) -> None:
        super().__init__((), None)
        self.axes = one, other


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """What is the same at each step of the rows that a query gives.

    Attributes:
        axes: how many there are.
        names: of the columns, in the order of SELECT.
        types: theirs.
        dims: for each column the axes along which it varies, by their places, in the order of its array's own.
        coordinates: the columns that are the coordinates of an axis, and which one.
        constants: the places of the columns that are one value, not NULL, for all rows.
        nullable: whether a column may be NULL somewhere.
        labels: the codes of the texts in them.
        owned: for each column whether its array is calculated anew at each step, and so nobody else's.
    """

    axes: int
    names: tuple[str, ...]
    types: tuple[Type, ...]
    dims: tuple[tuple[int, ...], ...]
    coordinates: Mapping[str, int]
    constants: tuple[int, ...]
    nullable: bool
    labels: Labels
    owned: tuple[bool, ...]


@dataclass(eq=False, slots=True)
class GridOutput:
    """The rows of a query, as the cells of one grid.

    Attributes:
        form: the columns.
        axes: the coordinates of each axis: distinct, none of them NULL.
        cells: the array of each column; a scalar for one that does not vary.
        valid: where each column is not NULL, of its array's shape; None where it is nowhere.
        present: which cells of the grid are rows, over all axes; None where all are.
    """

    form: Form
    axes: tuple[Array, ...]
    cells: tuple[Any, ...]
    valid: tuple[Any, ...]
    present: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return prod(self.shape) if self.present is None else int(np.count_nonzero(self.present))

    def column(self, place: int) -> Array:
        """The values of a column, row by row; a new array, or one that is nobody else's where the form says so."""
        kind = self.form.types[place]
        data = self._spread(self.cells[place], place)
        return self.form.labels.texts(data) if kind == "label" else data.astype(DTYPES[kind], copy=False)

    def distinct(self, place: int) -> Any:
        """An array in which each value of a column stands at least once, where all cells are rows."""
        cells = self.cells[place]
        return self.form.labels.texts(cells) if self.form.types[place] == "label" else cells

    def rows(self) -> dict[str, tuple[Array, Array | None]]:
        """The rows: for each column the values, and where they are not NULL (None where nowhere)."""
        return {
            name: (self.column(place), None if known is None else self._spread(known, place))
            for place, (name, known) in enumerate(zip(self.form.names, self.valid, strict=True))
        }

    def _spread(self, data: Array, place: int) -> Array:
        return spread(data, self.form.dims[place], self.shape, self.present)


def spread(data: Array, dims: tuple[int, ...], shape: tuple[int, ...], present: Array | None) -> Array:
    """The cell of each row.

    Args:
        data: the cells, along some axes.
        dims: which, in the order of the array's own.
        shape: the lengths of all axes.
        present: which cells of them are rows; None where all are.
    """
    data = np.asarray(data)
    if dims != tuple(range(len(shape))):
        data = data.transpose(sorted(range(len(dims)), key=lambda place: dims[place]))
        data = np.broadcast_to(data.reshape([n if i in dims else 1 for i, n in enumerate(shape)]), shape)
    return data.reshape(-1) if present is None else data[present]
