"""A dataset as a table: its columns, the variables that are none and why, and the rows of one chunk.

A row is one cell. The columns are the coordinates of the dimensions (of one that has none, the positions; of a
MultiIndex, its levels), then the variables, all of which have the same dimensions, then the other coordinates: those of
fewer dimensions than the table, or of its dimensions in another way, such as the latitudes of a curvilinear grid.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xarray as xr
from xarray_sql.df import group_vars_by_dims

from ..properties import kept_property
from .columns import UnreadableError, arrow, arrow_type, values_of

Block = Mapping[Any, slice]

SMALL = 65_536
"""Cells of an array in memory that can be gone through each time it is asked about."""

CHANGED = "sqlmagic: the array of {name} was written to in place"
"""What is said of an array that has other numbers than a query was planned for, for who translates it."""

_BATCH = 65_536
_EXPANDED = 8_388_608  # a coordinate of a chunk of more rows is written out a batch at a time


@dataclass(frozen=True)
class GridColumn:
    """A column of a table.

    Attributes:
        variable: the variable that it shows.
        kind, calendar: the type of its cells, and the calendar of its times where that is not ours.
        cells: of a coordinate, its values along its dimension; None for any other.
    """

    variable: xr.Variable
    kind: pa.DataType
    calendar: str | None = None
    cells: pa.Array | None = None


@dataclass(frozen=True)
class GridTable:
    """A table of an xarray dataset.

    Attributes:
        dataset: the variables that it shows, with the coordinates that belong to them.
        dims: the axes in their order.
        columns: the columns by name.
        key: the columns that name a row; () where a dimension has no column.
        unread: variable that is no column -> why.
        together: dimension -> how many neighbouring chunks the engine scans as one.
    """

    dataset: xr.Dataset
    dims: tuple[Any, ...]
    columns: Mapping[str, GridColumn]
    key: tuple[str, ...]
    unread: Mapping[str, str]
    together: dict[Any, int] = field(default_factory=dict, repr=False, compare=False)
    _bounds: dict[str, tuple[int, int] | None] = field(default_factory=dict, repr=False, compare=False)

    @kept_property
    def schema(self) -> pa.Schema:
        """The names and types of the columns."""
        return pa.schema([(name, column.kind) for name, column in self.columns.items()])

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return math.prod(self.dataset.sizes[dim] for dim in self.dims)

    def bounds(self, name: str) -> tuple[int, int] | None:
        """The least and the greatest value of a column of integers that is in memory; None of any other.

        Arrays can be written to in place. A small one is looked at again each time; of a large one whoever reads the
        rows makes sure that they keep what was said here, since a query may have been planned on it (:meth:`_keep`).

        Returns:
            The same object as before where it is still true.
        """
        column = self.columns.get(name)
        if column is None:
            return None
        known = self._bounds.get(name)
        if name not in self._bounds or (column.cells is None and column.variable.size <= SMALL):
            found = _bounds(column)
            self._bounds[name] = known = known if found == known else found
        return known

    def _keep(self, name: str, values: Any) -> None:
        """Make sure that values lie where queries have been told that they do.

        Raises:
            ValueError: they do not; the next query is told anew.
        """
        known = self._bounds.get(name)
        if known is None or not values.size:
            return
        if values.min() < known[0] or values.max() > known[1]:
            self._bounds.pop(name, None)
            raise ValueError(CHANGED.format(name=name))

    @property
    def calendars(self) -> set[str]:
        """The calendars of its times, as far as they are not ours."""
        return {column.calendar for column in self.columns.values() if column.calendar is not None}

    def batches(self, block: Block, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of one chunk, these columns of them; nothing is read before the first is asked for."""
        sizes = {d: len(range(*block.get(d, slice(None)).indices(self.dataset.sizes[d]))) for d in self.dims}
        shape = tuple(sizes.values())
        schema = pa.schema([self.schema.field(name) for name in names])
        parts = [self._part(name, block, shape) for name in names]
        for start in range(0, math.prod(shape), _BATCH):
            stop = min(start + _BATCH, math.prod(shape))
            yield pa.RecordBatch.from_arrays([part(start, stop) for part in parts], schema=schema)

    def _part(self, name: str, block: Block, shape: tuple[int, ...]) -> Any:
        """What gives the rows of one column from one number to another."""
        column = self.columns[name]
        if column.cells is not None:
            (dim,) = column.variable.dims
            start, stop, _ = block.get(dim, slice(None)).indices(len(column.cells))
            return _spread(column.cells.slice(start, stop - start), self.dims.index(dim), shape)
        variable = column.variable
        values = values_of(variable.isel({d: s for d, s in block.items() if d in variable.dims}))
        flat = values.reshape(-1) if isinstance(values, np.ndarray) else values

        def cells(start: int, stop: int) -> pa.Array:
            if name in self._bounds:
                self._keep(name, flat[start:stop])
            try:
                return arrow(flat[start:stop], column.kind, column.calendar)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                raise ValueError(f"a value of the variable {name} is no {column.kind}: {error}") from error

        if variable.dims == self.dims:
            return cells
        few = cells(0, len(flat))
        places = _places(variable.dims, self.dims, shape)
        return lambda start, stop: few.take(pa.array(places(start, stop)))


def _places(own: tuple[Any, ...], dims: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """What gives, for the rows from one number to another, which cell of a variable of fewer dims is in each."""
    axes = [dims.index(dim) for dim in own]
    sizes = [shape[axis] for axis in axes]

    def places(start: int, stop: int) -> Any:
        rows, found = np.arange(start, stop), np.zeros(stop - start, np.int64)
        for place, axis in enumerate(axes):
            found += rows // math.prod(shape[axis + 1 :]) % shape[axis] * math.prod(sizes[place + 1 :])
        return found

    return places


def _bounds(column: GridColumn) -> tuple[int, int] | None:
    if column.cells is not None and pa.types.is_integer(column.kind) and len(column.cells):
        limits = pc.min_max(column.cells).as_py()
        return None if limits["min"] is None else (limits["min"], limits["max"])
    variable = column.variable
    if column.cells is not None or not variable._in_memory or variable.dtype.kind not in "iu" or not variable.size:
        return None
    values = variable.values
    return int(values.min()), int(values.max())


def _spread(cells: pa.Array, axis: int, shape: tuple[int, ...]) -> Any:
    """A coordinate along one axis as a column over all of them."""
    inner = math.prod(shape[axis + 1 :])
    if len(shape) == 1:
        return lambda start, stop: cells.slice(start, stop - start)
    if math.prod(shape) <= _EXPANDED and cells.null_count == 0 and pa.types.is_primitive(cells.type):
        column = np.tile(np.repeat(cells.to_numpy(zero_copy_only=False), inner), math.prod(shape[:axis]))
        written = pa.array(column, cells.type)
        return lambda start, stop: written.slice(start, stop - start)
    return lambda start, stop: cells.take(pa.array(np.arange(start, stop) // inner % shape[axis]))


def grid_tables(dataset: xr.Dataset) -> dict[tuple[Any, ...], GridTable]:
    """The tables of a dataset by their dims: one for the variables of the same dims.

    A coordinate is a column of each table whose dimensions it varies along, if along any. One with a dimension that no
    variable has is in none of them: bounds, or what a selection has left over.

    Raises:
        ValueError: none of its variables can be read.
    """
    groups = {dims: _table(dataset, dataset[names], dims) for dims, names in group_vars_by_dims(dataset).items()}
    if not groups:
        return {tuple(dataset.sizes): _table(dataset, dataset, tuple(dataset.sizes))}
    found = {dims: table for dims, table in groups.items() if table.dataset.data_vars}
    if not found:
        unread = "; ".join(f"{name}: {why}" for table in groups.values() for name, why in table.unread.items())
        raise ValueError(f"none of its variables can be read ({unread})")
    lost = {name: why for table in groups.values() if not table.dataset.data_vars for name, why in table.unread.items()}
    return {dims: replace(table, unread={**lost, **table.unread}) for dims, table in found.items()} if lost else found


def _table(whole: xr.Dataset, dataset: xr.Dataset, dims: tuple[Any, ...]) -> GridTable:
    """The table of a part of a dataset."""
    known = [dim for dim in dataset.coords if dim in dims]
    by_dim = {dim: _coordinates(dataset, dim) for dim in dict.fromkeys([*known, *dims])}
    coordinates = {name: variable for found in by_dim.values() for name, variable in found.items()}
    columns, unread = _columns(coordinates, coordinate=True)
    others, why = _columns(dict(dataset.data_vars.variables), coordinate=False, taken=columns)
    beside = {name: dataset.variables[name] for name in _beside(dataset, dims) if name not in coordinates}
    more, odd = _columns(beside, coordinate=False, taken={**columns, **others})
    unread |= why | odd
    key = tuple(str(name) for dim in dims for name in by_dim[dim])
    aside = {str(name): _why_none(whole, name) for name in whole.coords if name not in {*coordinates, *beside}}
    return GridTable(
        dataset.drop_vars([name for name in dataset.data_vars if str(name) in unread]),
        dims,
        {**columns, **others, **more},
        key if all(name in columns for name in key) else (),
        {**aside, **unread},
    )


def _columns(
    variables: Mapping[Any, xr.Variable], *, coordinate: bool, taken: Collection[str] = ()
) -> tuple[dict[str, GridColumn], dict[str, str]]:
    """The columns that variables are, and why the others are none."""
    columns: dict[str, GridColumn] = {}
    unread: dict[str, str] = {}
    for name, variable in variables.items():
        try:
            if str(name) in columns or str(name) in taken:
                raise UnreadableError("there are two variables of that name")
            columns[str(name)] = _column(variable, coordinate=coordinate)
        except UnreadableError as reason:
            unread[str(name)] = str(reason)
    return columns, unread


def _beside(dataset: xr.Dataset, dims: tuple[Any, ...]) -> list[Any]:
    """The coordinates that vary along some of these dimensions, or along none, and are none of them."""
    coordinates = dataset.coords.variables
    return [name for name, found in coordinates.items() if name not in dims and set(found.dims) <= set(dims)]


def _why_none(dataset: xr.Dataset, coordinate: Any) -> str:
    index = dataset.indexes.get(coordinate)
    if isinstance(index, pd.MultiIndex) and coordinate not in index.names:
        return f"it is a MultiIndex, whose levels are columns: {', '.join(map(str, index.names))}"
    return "no variable of this table has all its dimensions"


def _coordinates(dataset: xr.Dataset, dim: Any) -> dict[Any, xr.Variable]:
    """The variables that say where one is along a dimension."""
    index = dataset.indexes.get(dim)
    if isinstance(index, pd.MultiIndex):
        return {level: dataset.variables[level] for level in index.names}
    known = dataset.variables.get(dim)
    return {dim: xr.Variable((dim,), np.arange(dataset.sizes[dim])) if known is None else known}


def _column(variable: xr.Variable, *, coordinate: bool) -> GridColumn:
    kind, calendar = arrow_type(variable)
    if not coordinate:
        return GridColumn(variable, kind, calendar)
    cells = arrow(values_of(variable), kind, calendar)
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        cells = pc.add(cells, pa.scalar(0.0, kind))  # which the engine tells from -0.0, and this makes one of both
    return GridColumn(variable, kind, calendar, cells)


def bounds(column: GridColumn) -> Any:
    """The values of a coordinate as they are compared where chunks are left out; None where they cannot be."""
    cells = column.cells
    return None if cells is None or cells.null_count else cells.to_numpy(zero_copy_only=False)
