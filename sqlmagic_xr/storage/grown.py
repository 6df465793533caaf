"""A scratch table over a Zarr store: its rows are whole slabs of a grid, appended along one dimension.

In memory it is a table like others, so that queries, curves and training runs know nothing of it. At each commit the
rows that came are looked at: they fill every cell of the steps that they bring once, or nothing is committed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..errors import ConstraintError, ImmutableError, StorageError, TypeMismatchError, UnsupportedError
from .chunk import SETTLED, Chunk
from .grid import GridStore
from .scratch import Version, single_batch
from .values import show

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Where a Zarr store has the rows of a chunk: so many of its steps, from one on. See :class:`.chunk.Home`."""

    kept: Any
    first: int
    stop: int

    def read(self, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """All rows, of all columns or of some."""
        return self.kept.rows_of(self.first, self.stop, columns)


class Grown:
    """What a table over a Zarr store writes, and when.

    Args:
        store: the store.
        schema: the table's columns: dimensions, the one that grows first, then variables.

    Attributes:
        store: the store.
        written: how many of the table's rows the store has.
    """

    def __init__(self, store: GridStore, schema: pa.Schema) -> None:
        self.store, self._schema = store, schema
        self.written = 0
        self._at = time.monotonic()

    def chunks(self) -> tuple[Chunk, ...]:
        """The store's rows, which are read when somebody reads them."""
        dataset = self.store.dataset
        if dataset is None:
            return ()
        steps, cells = len(self.store.steps), self._cells()
        self.written = steps * cells
        along = max(1, 2 * SETTLED // max(cells, 1))
        found = []
        for first in range(0, steps, along):
            stop = min(first + along, steps)
            width = sum(max(1, f.type.bit_width // 8) if f.type != pa.string() else 16 for f in self._schema)
            chunk = Chunk((), (stop - first) * cells, nbytes=(stop - first) * cells * width)
            chunk.home = StoredRows(self, first, stop)
            found.append(chunk)
        return tuple(found) if cells else ()

    def rows_of(self, first: int, stop: int, columns: Sequence[int] | None) -> pa.RecordBatch:
        """The rows of some steps of the store."""
        dataset = self.store.dataset
        assert dataset is not None
        part = dataset.isel({self.store.append_dim: slice(first, stop)})
        sizes = [part.sizes[d] for d in self.store.dims]
        arrays, fields = [], []
        for place in range(len(self._schema)) if columns is None else columns:
            field = self._schema.field(place)
            if field.name in self.store.dims:
                axis = self.store.dims.index(field.name)
                shape = [-1 if n == axis else 1 for n in range(len(sizes))]
                values = np.broadcast_to(part[field.name].values.reshape(shape), sizes)
            else:
                values = part[field.name].values
            arrays.append(pa.array(values.ravel(), field.type, from_pandas=True))
            fields.append(field)
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def look(self, version: Version, before: Version | None) -> None:
        """Before a commit: the rows that come are whole slabs, behind those that are there.

        Args:
            version: the table as it is to be.
            before: as it is; None for a table that is new, whose rows are the store's.

        Raises:
            ImmutableError: other rows than new ones have changed.
            ConstraintError: names the first cell that is missing, there twice, or outside of the grid.
            StorageError: the store has rows that the table has not.
        """
        if before is None or (version.rows == before.rows and version.origin is before.origin):
            return
        if version.origin is not before.origin:
            raise ImmutableError(
                f"`{version.name}` grows in {self.store.path.name}: rows can be inserted, and not changed or removed",
                hint=f"CREATE TABLE ... AS SELECT * FROM {version.name} makes a table that can be changed.",
            )
        if before.rows < self.written:
            raise StorageError(
                f"{self.store.path.name} has rows that `{version.name}` has not: an interrupt came between the two",
                hint=f"DROP TABLE {version.name}, and open it again: it has them then.",
            )
        steps = self._slab(version, before.rows)[self.store.append_dim].values
        if before.rows and steps[0] <= (last := self._last_step(before)):
            stands = f"`{version.name}` stands at {self.store.append_dim} = {show(last)}"
            raise ConstraintError(f"{stands}: {show(steps[0])} comes too late")

    def _last_step(self, version: Version) -> Any:
        last = version.take(np.array([version.rows - 1])).column(self.store.append_dim)
        return last.to_numpy(zero_copy_only=False)[0]

    def write(self, version: Version, every: float | None) -> None:
        """Append what the store has not yet; with ``every``, only if so many seconds have gone by.

        Raises:
            StorageError: it cannot be written.
        """
        if version.rows == self.written or (every is not None and time.monotonic() - self._at < every):
            return
        self.store.append(self._slab(version, self.written))
        self.written, self._at = version.rows, time.monotonic()

    def _cells(self) -> int:
        dataset = self.store.dataset
        assert dataset is not None
        return int(np.prod([dataset.sizes[d] for d in self.store.dims[1:]]))

    def _slab(self, version: Version, start: int) -> xr.Dataset:
        """The rows from ``start`` on as slabs of the grid."""
        import xarray

        parts = [chunk.behind(max(start - first, 0)) for chunk, first in _starts(version) if first + chunk.rows > start]
        rows = single_batch(pa.Table.from_batches(parts, schema=version.definition.schema))
        name, dims, dataset = version.name, self.store.dims, self.store.dataset
        for column in rows.schema.names:
            if rows.column(column).null_count and not pa.types.is_floating(rows.schema.field(column).type):
                raise ConstraintError(f"`{name}.{column}`: a grid has no place for NULL but in floating-point numbers")
        axes = []
        for place, dim in enumerate(dims):
            values = rows.column(dim).to_numpy(zero_copy_only=False)
            given = np.unique(values)
            axis = given if place == 0 or dataset is None else dataset[dim].values
            axes.append((dim, values, pd.Index(axis)))
        places = [index.get_indexer(pd.Index(values)) for _, values, index in axes]
        for (dim, values, _), found in zip(axes, places, strict=True):
            if (found < 0).any():
                raise ConstraintError(f"`{name}` has no cell at {dim} = {show(values[int(np.argmax(found < 0))])}")
        shape = tuple(len(index) for _, _, index in axes)
        flat = np.ravel_multi_index(tuple(places), shape)
        counts = np.bincount(flat, minlength=int(np.prod(shape)))
        if (counts != 1).any():
            first = int(np.argmax(counts != 1))
            cell = np.unravel_index(first, shape)
            where = ", ".join(f"{dim} = {show(index[at])}" for (dim, _, index), at in zip(axes, cell, strict=True))
            what = "is missing" if counts[first] == 0 else "comes twice"
            raise ConstraintError(
                f"the rows for `{name}` fill no whole slab: the cell at {where} {what}",
                hint="Nothing of them was kept.",
            )
        data = {}
        for field in rows.schema:
            if field.name not in dims:
                values = rows.column(field.name).to_numpy(zero_copy_only=False)
                array = np.empty(len(values), values.dtype)
                array[flat] = values
                data[field.name] = (dims, array.reshape(shape))
        return xarray.Dataset(data, coords={dim: index.values for dim, _, index in axes})


def _starts(version: Version) -> list[tuple[Chunk, int]]:
    ends = np.cumsum([0, *(chunk.rows for chunk in version.chunks)])
    return [(chunk, int(first)) for chunk, first in zip(version.chunks, ends, strict=False)]


def arrow_type(dtype: Any, name: str) -> pa.DataType:
    """The type of a column over a variable.

    Raises:
        UnsupportedError: it has none.
    """
    if dtype.kind in "OUST":
        return pa.string()
    if dtype.kind == "M":
        return pa.timestamp("ns")
    try:
        if dtype.kind in "biuf":
            return pa.from_numpy_dtype(dtype)
    except pa.ArrowNotImplementedError:
        pass
    raise UnsupportedError(f"the variable {name} is of the type {dtype}, which a growing table cannot hold")


def storable(kind: pa.DataType, column: str) -> None:
    """Refuse a column's type that a Zarr store does not hold as it is.

    Raises:
        TypeMismatchError: it is one.
    """
    fits = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp, pa.types.is_string)
    if not any(holds(kind) for holds in fits) or getattr(kind, "tz", None):
        raise TypeMismatchError(f"`{column}`: a Zarr store does not hold {kind} as it is")
