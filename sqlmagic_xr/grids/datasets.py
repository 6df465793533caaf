"""A dataset as a grid: its variables are the cells, and no row is made in between."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from ..dense.arrays import DTYPES
from ..dense.grid import Array, Grid, GridCells
from ..dense.labels import Labels
from ..dense.node import Refused
from ..dense.tables import ScanRead, TableShape
from ..engine.columns import values_of
from ..engine.gridtable import GridColumn, GridTable
from .arrow import array_type, columns_of

_VALUES = "biuf"  # NumPy's kinds of what lies in a dataset as arrays hold it


class DatasetGrid:
    """The grid of a dataset whose labels are an axis each, in ascending order.

    Cells are the dataset's own arrays wherever that is possible: nothing may write into them.

    Args:
        table: the dataset as a table.
        wanted: the columns that are asked for, among them the key.
        labels: the codes of texts.

    Raises:
        Refused: it is none of these, and its rows have to tell.
    """

    def __init__(self, table: GridTable, wanted: Collection[str], labels: Labels) -> None:
        self._table = table
        self._axes: list[Array] = []
        self._orders: list[Any] = []
        if len(table.key) != len(table.dims) or not all(table.dataset.sizes[dim] for dim in table.dims):
            raise Refused("its labels are no axes")
        for name, dim in zip(table.key, table.dims, strict=True):
            self._add_axis(name, dim, labels)
        self._cells: dict[str, GridCells] = {}
        for name in wanted:
            if name not in table.key:
                self._cells[name] = self._read(table.columns[name])

    @property
    def described(self) -> TableShape:
        """What a program is to know of it."""
        read = {*self._table.key, *self._cells}
        types = {name: array_type(column.kind) for name, column in self._table.columns.items() if name in read}
        nulls = frozenset(name for name, cells in self._cells.items() if cells.valid is not None)
        return TableShape(types, self._table.key, nulls)

    def grid(self, read: ScanRead) -> Grid | None:
        """What a scan reads; None where it asks for other axes."""
        if read.key != self._table.key or any(name not in self._cells for name in read.columns):
            return None
        return Grid(tuple(self._axes), self._table.key, {name: self._cells[name] for name in read.columns})

    def _add_axis(self, name: str, dim: Any, labels: Labels) -> None:
        column = self._table.columns[name]
        if column.cells is None or column.variable.dims != (dim,) or array_type(column.kind) is None:
            raise Refused("its labels are no axes")
        if column.cells.null_count:
            raise Refused(f"the key column {name} holds NULL")
        found = columns_of(pa.table({name: column.cells}), [name], labels)[name].data
        if (found[1:] > found[:-1]).all():
            self._axes.append(found)
            self._orders.append(slice(None))
            return
        coordinates, order = np.unique(found, return_index=True)
        if len(coordinates) != len(found):
            raise Refused("several rows have the same key")
        self._axes.append(coordinates)
        self._orders.append(slice(None, None, -1) if (order == np.arange(len(order))[::-1]).all() else order)

    def _read(self, column: GridColumn) -> GridCells:
        """The cells of a variable over all axes, which are NULL where they are NaN."""
        variable, kind = column.variable, array_type(column.kind)
        if kind is None or kind not in DTYPES or variable.dtype.kind not in _VALUES:
            raise Refused(f"{variable.dtype} is no array of numbers")
        values = np.asarray(values_of(variable))
        values = values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
        if values.dtype != DTYPES[kind]:
            raise Refused(f"{variable.dtype} is no array of numbers")
        missing = values.dtype.kind == "f" and np.isnan(np.sum(values))  # as it lies, which is fastest
        dims, sizes = self._table.dims, self._table.dataset.sizes
        values = values.transpose([variable.dims.index(dim) for dim in dims if dim in variable.dims])
        values = values.reshape([sizes[dim] if dim in variable.dims else 1 for dim in dims])
        for axis, order in enumerate(self._orders):
            if values.shape[axis] > 1:
                values = values[(slice(None),) * axis + (order,)]
        known = None
        if missing:
            there = ~np.isnan(values)
            if not there.all():
                known, values = there, np.where(there, values, values.dtype.type(0))
        shape = tuple(len(axis) for axis in self._axes)
        return GridCells(
            tuple(range(len(shape))), _whole(values, shape), None if known is None else _whole(known, shape)
        )


class ReadDatasets:
    """Datasets that were read a moment ago, handed on to whoever reads the same next: all cells are looked at once.

    Of one with texts as labels nothing is kept: their codes are those of one reader.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, ...], tuple[GridTable, frozenset[str], DatasetGrid]] = {}

    def grid(self, name: tuple[str, ...], table: GridTable, wanted: Collection[str], labels: Labels) -> DatasetGrid:
        """The grid of a dataset; see :class:`DatasetGrid`.

        Args:
            name: what it is called.
            table, wanted, labels: see there.

        Raises:
            Refused: it is no grid as it lies.
        """
        known = self._read.pop(name, None)
        if known is not None and known[0] is table and known[1].issuperset(wanted):
            return known[2]
        made = DatasetGrid(table, wanted, labels)
        if not any(array_type(table.columns[key].kind) == "label" for key in table.key):
            self._read[name] = (table, frozenset(wanted), made)
        return made


def _whole(values: Array, shape: tuple[int, ...]) -> Array:
    """An array over all axes, which cannot be written into."""
    found = values.view() if values.shape == shape else np.ascontiguousarray(np.broadcast_to(values, shape))
    found.flags.writeable = False
    return found
