"""Rows back into the arrays of an xarray dataset: each row has a cell of its own, and a cell without a row is missing.

What is missing is NaN in numbers, NaT in times and None or NaN among objects (text, truth values, decimals), which
``isnull()`` finds. So whole numbers become floats where a cell is missing, as xarray makes them too, and only if floats
can tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xarray as xr

from ..errors import UsageError
from ..properties import kept_property
from ..storage.values import show
from .laid import Laid

_EXACT = 2**53
"""Up to here a float of 64 bits tells whole numbers apart."""


def grid(
    rows: pa.Table, dims: Sequence[str], labels: Mapping[str, Any] | None = None, fill_value: Any = None
) -> xr.Dataset:
    """Rows as a dataset over ``dims``; labels stand in the order in which they first come.

    Args:
        rows: the rows.
        dims: the columns that name a row's cell.
        labels: all labels of some dims, in their order, for a grid that is larger than the rows tell.
        fill_value: what stands in cells that no row names; None or NaN for missing.

    Raises:
        UsageError: the dims do not name the rows, or a column's missing cells cannot be told from its values.
    """
    refuse_names(rows.schema.names, dims)
    axes = {dim: _axis(rows.column(dim), dim, (labels or {}).get(dim)) for dim in dims}
    shape = tuple(len(index) for index, _ in axes.values())
    place = np.zeros(rows.num_rows, np.intp)
    for index, codes in axes.values():
        place = place * len(index) + codes
    _refuse_repeated(place, rows, dims)
    cells = _Cells(place, shape, None if fill_value is None or fill_value != fill_value else fill_value)
    names = [name for name in rows.schema.names if name not in dims]
    variables = {name: (tuple(dims), cells.hold(rows.column(name), name)) for name in names}
    return xr.Dataset(variables, coords={dim: index.values for dim, (index, _) in axes.items()})


def from_laid(laid: Laid, names: Sequence[str]) -> xr.Dataset:
    """Rows that lie as an array does, as a dataset over their own axes: no cell is looked for.

    Args:
        laid: the rows.
        names: their columns.

    Raises:
        UsageError: a column's missing cells cannot be told from its values.
    """
    dims = [names[number] for number in laid.axes]
    variables = {names[n]: (dims, _as_laid(cells, names[n], laid.shape)) for n, cells in sorted(laid.cells.items())}
    labels = {names[n]: pd.Index(_numpy(_decoded(pa.chunked_array([cells])))).values for n, cells in laid.axes.items()}
    return xr.Dataset(variables, coords=labels)


def _as_laid(cells: pa.Array, name: str, shape: tuple[int, ...]) -> Any:
    values = _decoded(pa.chunked_array([cells]))
    if values.null_count and pa.types.is_integer(values.type):
        values = _as_floats(values, name)
    found = _numpy(values).reshape(shape)
    return found.astype(object) if values.null_count and pa.types.is_boolean(values.type) else found


def refuse_names(columns: Sequence[str], dims: Sequence[str]) -> None:
    """Refuse dims that are no columns, or columns that no name tells apart.

    Raises:
        UsageError: names the first.
    """
    for name in columns:
        if columns.count(name) > 1:
            raise UsageError(f"two columns are named `{name}`", hint="Give one of them another name: ... AS name.")
    for dim in dims:
        if dim not in columns:
            raise UsageError(f"the dimension `{dim}` is no column of the result", hint=f"It has {', '.join(columns)}.")
        if list(dims).count(dim) > 1:
            raise UsageError(f"the dimension `{dim}` is named twice")


def _axis(column: pa.ChunkedArray, dim: str, labels: Any) -> tuple[pd.Index, Any]:
    """The labels of a dimension, and the number of each row's."""
    values = _decoded(column)
    if values.null_count and _missing(values.type) is None and not _is_text(values.type):
        raise UsageError(
            f"the dimension `{dim}` holds NULL, which names no cell", hint=f"Filter: WHERE {dim} IS NOT NULL."
        )
    array = _numpy(values)
    if labels is None:
        codes, found = pd.factorize(array, use_na_sentinel=False)
        return pd.Index(found), codes
    index = pd.Index(labels)
    codes = index.get_indexer(pd.Index(array)) if index.is_unique else np.full(len(array), -1)
    if (codes < 0).any():
        first = show(column[int((codes < 0).argmax())])
        raise UsageError(f"the template has no {dim} = {first}", hint="sparsity='result' takes the labels of the rows.")
    return index, codes


def _refuse_repeated(place: Any, rows: pa.Table, dims: Sequence[str]) -> None:
    again = pd.Series(place).duplicated().to_numpy()
    if not again.any():
        return
    first = int(again.argmax())
    named = ", ".join(f"{dim} = {show(rows.column(dim)[first])}" for dim in dims)
    count = int((place == place[first]).sum())
    raise UsageError(
        f"the dimensions do not name the rows: {count:,} rows have {named}"
        if dims
        else f"without a dimension there is one cell, and the result has {rows.num_rows:,} rows",
        hint=f"Name more columns as dimensions, or aggregate: GROUP BY {', '.join(dims) or '...'}.",
    )


@dataclass(frozen=True)
class _Cells:
    """Where rows stand in an array.

    Attributes:
        place: the number of each row's cell.
        shape: that of the array.
        fill: what stands in cells that no row names; None for missing.
    """

    place: Any
    shape: tuple[int, ...]
    fill: Any

    @kept_property
    def _sparse(self) -> bool:
        return len(self.place) < int(np.prod(self.shape, dtype=np.int64))

    @kept_property
    def _lies_so(self) -> bool:
        """Whether the rows are the array's cells in their order."""
        return not self._sparse and bool((self.place == np.arange(len(self.place))).all())

    def hold(self, column: pa.ChunkedArray, name: str) -> Any:
        """The values of a column as an array."""
        values = _decoded(column)
        if self._lies_so and not values.null_count:
            return _numpy(values).reshape(self.shape)
        lacking = values.null_count or (self._sparse and self.fill is None)
        if lacking and pa.types.is_integer(values.type):
            values = _as_floats(values, name)
        array = _numpy(values).astype(object) if lacking and pa.types.is_boolean(values.type) else _numpy(values)
        out = self._empty(array.dtype, values.type, name)
        out[self.place] = array
        return out.reshape(self.shape)

    def _empty(self, dtype: Any, kind: pa.DataType, name: str) -> Any:
        size = int(np.prod(self.shape, dtype=np.int64))
        if not self._sparse:
            return np.empty(size, dtype)
        if self.fill is None:
            return np.full(size, _missing(kind), dtype)
        try:
            filled = np.full(size, self.fill, dtype)
        except (TypeError, ValueError, OverflowError):
            filled = None
        if filled is None or (size and filled[0] != self.fill and dtype.kind in "iub"):
            raise UsageError(f"`{name}` is {kind} and cannot hold the fill_value {self.fill!r}")
        return filled


def _as_floats(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    largest = pc.min_max(values).as_py()
    if any(abs(end) > _EXACT for end in largest.values() if end is not None):
        raise UsageError(
            f"`{name}` has missing cells and whole numbers beyond 2**53, which NaN cannot stand among",
            hint=f"Fill them, coalesce({name}, 0) or fill_value=..., or keep them as text: CAST({name} AS VARCHAR).",
        )
    return values.cast(pa.float64())


def _missing(kind: pa.DataType) -> Any:
    """What is missing among values of a type."""
    if pa.types.is_floating(kind):
        return np.nan
    if pa.types.is_temporal(kind) and not pa.types.is_time(kind) and not pa.types.is_interval(kind):
        return "NaT"
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view())


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _numpy(values: pa.ChunkedArray) -> Any:
    """Values as NumPy has them: NULL is NaN, NaT or None."""
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = values.cast(pa.timestamp(values.type.unit))
    return values.to_numpy()
