"""What stands between a program and whoever has the rows: grids in, grids out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from .arrays import DTYPES
from .grid import Array, Cells, Grid
from .node import Type
from .tables import Read


class Source(Protocol):
    """Gives the rows of tables as grids while a program runs."""

    def grid(self, read: Read, fixed: Mapping[str, Any]) -> Grid:
        """The grid that a scan asks for, in the order of ``read.key``; the same object where nothing has changed.

        Args:
            read: what is asked for.
            fixed: the values of the columns ``read.fixed``.

        Raises:
            Refused: the rows are no such grid.
        """


class Changed(Exception):  # noqa: N818 - no error: the program is lowered again
    """The data are not what the program was lowered for: a NULL or a hole where there was none.

    Args:
        table: whose.
        column: the column that holds a NULL, or None where cells of the grid are missing.
    """

    def __init__(self, table: tuple[str, ...], column: str | None) -> None:
        super().__init__(table, column)
        self.table, self.column = table, column


@dataclass(frozen=True)
class Output:
    """The rows of a query, as one of the grids that they are the cells of.

    Attributes:
        grid: the cells; the names of its axes are not those of columns (see ``columns``).
        columns: each column's name, type and cells, in the order of SELECT; coordinates among them.
    """

    grid: Grid
    columns: tuple[tuple[str, Type, Cells], ...]

    @cached_property
    def constants(self) -> Mapping[str, Any]:
        """The columns that are one value, not NULL, for all rows."""
        return {name: cells.data[()] for name, _, cells in self.columns if not cells.dims and cells.valid is None}

    @cached_property
    def coordinates(self) -> Mapping[str, int]:
        """The columns that are the coordinates of an axis, and which one."""
        return {name: cells.dims[0] for name, _, cells in self.columns
                if len(cells.dims) == 1 and cells.data is self.grid.axes[cells.dims[0]]}  # fmt: skip

    @property
    def any(self) -> bool:
        """Whether there is a row."""
        return 0 not in self.grid.shape and (self.grid.present is None or bool(self.grid.present.any()))

    def rows(self) -> dict[str, tuple[Array, Array | None]]:
        """The rows: for each column the values, and where they are not NULL (None where nowhere)."""
        shape, present = self.grid.shape, self.grid.present
        found = {}
        for name, kind, cells in self.columns:
            data = _spread(cells.data, cells.dims, shape, present)
            if kind != "label":
                data = data.astype(DTYPES[kind], copy=False)
            valid = None if cells.valid is None else _spread(cells.valid, cells.dims, shape, present)
            found[name] = (data, valid)
        return found


def _spread(data: Array, dims: tuple[int, ...], shape: tuple[int, ...], present: Array | None) -> Array:
    data = np.asarray(data)
    if dims != tuple(range(len(shape))):
        data = data.transpose(sorted(range(len(dims)), key=lambda place: dims[place]))
        data = np.broadcast_to(data.reshape([n if i in dims else 1 for i, n in enumerate(shape)]), shape)
    return data.reshape(-1) if present is None else data[present]
