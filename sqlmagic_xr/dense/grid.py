"""What a grid is: rows that are the cells of a product of axes, proved from the rows themselves.

Rows are columns of equal length; a grid of them has one axis for each key column and one array for each other column.
Duplicate keys are refused, missing cells are a mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .node import Refused

Array = npt.NDArray[Any]

_SPARSE = 4  # a grid with more than so many cells for each row is none


@dataclass(slots=True, eq=False)
class GridCells:
    """The cells of one column.

    Attributes:
        dims: the positions of the grid's axes along which they vary, in the order of the array's own.
        data: the array.
        valid: where a cell is not NULL, or None where none is; of ``data``'s shape.
    """

    dims: tuple[int, ...]
    data: Array
    valid: Array | None = None


@dataclass(slots=True, eq=False)
class Grid:
    """A relation as arrays.

    Attributes:
        axes: the coordinates of each axis: distinct, none of them NULL.
        names: the column that each axis is, or "" for one that is no column (the rows of a table without a key).
        columns: the other columns.
        present: which cells are rows; None where all are. Over all axes.
    """

    axes: tuple[Array, ...]
    names: tuple[str, ...]
    columns: Mapping[str, GridCells]
    present: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(axis) for axis in self.axes)


_FEW = 16  # parts, of which each is a query of its own


def dividing(grid: Grid) -> Iterator[tuple[str, Array]]:
    """The axes of a grid with holes at each of whose few coordinates the others are a grid without any.

    >>> import numpy as np
    >>> present = np.array([[True, True, False], [True, True, True]])
    >>> [name for name, _ in dividing(Grid((np.arange(2), np.arange(3)), ("layer", "unit"), {}, present))]
    ['layer', 'unit']
    """
    present = grid.present
    for place, (name, axis) in enumerate(zip(grid.names, grid.axes, strict=True)):
        few = 1 < len(axis) <= _FEW
        if few and present is not None and all(map(_is_box, np.moveaxis(present, place, 0))):
            yield name, axis


def _is_box(present: Array) -> bool:
    """Whether the cells that are there are a product of coordinates."""
    places = range(present.ndim)
    lengths = [np.count_nonzero(present.any(axis=tuple(p for p in places if p != place))) for place in places]
    return bool(np.count_nonzero(present) == math.prod(lengths))


@dataclass(frozen=True, eq=False)
class MaskedColumn:
    """A column of rows: values and, where some are NULL, which are not."""

    data: Array
    valid: Array | None = None


@dataclass
class Layout:
    """Where the rows of a relation go in its grid; found once for rows of equal keys.

    Attributes:
        axes: the coordinates.
        order: the cell of each row; None where the rows are the cells in their order.
        present: see :class:`Grid`.
    """

    axes: tuple[Array, ...]
    order: Array | None
    present: Array | None
    keys: tuple[Array, ...] = field(default=(), repr=False)


def grid(
    columns: Mapping[str, MaskedColumn], keys: Sequence[str], wanted: Sequence[str], like: Layout | None = None
) -> tuple[Grid, Layout | None]:
    """The grid of rows.

    Args:
        columns: the rows.
        keys: the columns that are its axes; none for a relation of one row.
        wanted: the other columns that are asked for.
        like: the layout of earlier rows, which is used again where the keys are the same.

    Raises:
        Refused: the rows are no grid of these keys.
    """
    if not keys:
        (rows,) = {len(c.data) for c in columns.values()} or {1}
        if rows != 1:
            raise Refused(f"a relation that had one row has {rows}")
        cells = {n: GridCells((), columns[n].data[0], _scalar(columns[n].valid)) for n in wanted}
        return Grid((), (), cells), None
    found = tuple(_key(columns[name], name) for name in keys)
    layout = like if like is not None and _same(like.keys, found) else _layout(found)
    cells = {name: _place(columns[name], layout) for name in wanted}
    return Grid(layout.axes, tuple(keys), cells, layout.present), layout


def rows(columns: Mapping[str, MaskedColumn], wanted: Sequence[str]) -> Grid:
    """The grid of one axis, no column, that rows without a key are."""
    (count,) = {len(c.data) for c in columns.values()}
    return Grid((np.arange(count),), ("",), {n: GridCells((0,), columns[n].data, columns[n].valid) for n in wanted})


def key_of(columns: Mapping[str, MaskedColumn], candidates: Sequence[str]) -> tuple[str, ...]:
    """The first of the candidates that together name every row, as many as are needed and no more; () where none do.

    >>> import numpy as np
    >>> a, b = MaskedColumn(np.array([0, 0, 1, 1])), MaskedColumn(np.array([3, 4, 3, 4]))
    >>> key_of({"a": a, "b": b}, ["a", "b"])
    ('a', 'b')
    """
    found: list[Array] = []
    cells, count = 1, len(next(iter(columns.values())).data) if columns else 0
    for place, name in enumerate(candidates):
        try:
            found.append(_key(columns[name], name))
        except Refused:
            return ()
        cells *= len(np.unique(found[-1]))
        if cells > count:
            return ()  # with one column more there are no fewer
        if cells == count:
            try:
                return tuple(candidates[: place + 1]) if _layout(tuple(found)).present is None else ()
            except Refused:
                continue
    return ()


def naming(columns: Mapping[str, MaskedColumn], candidates: Sequence[str]) -> tuple[str, ...]:
    """As :func:`key_of`, where cells of the grid may be missing.

    >>> import numpy as np
    >>> a, b = MaskedColumn(np.array([0, 0, 1])), MaskedColumn(np.array([3, 4, 3]))
    >>> key_of({"a": a, "b": b}, ["a", "b"]), naming({"a": a, "b": b}, ["a", "b"])
    ((), ('a', 'b'))
    """
    found: list[Array] = []
    for place, name in enumerate(candidates):
        try:
            found.append(_key(columns[name], name))
        except Refused:
            return ()
        try:
            _layout(tuple(found))
        except Refused:
            continue
        return tuple(candidates[: place + 1])
    return ()


def _scalar(valid: Array | None) -> Array | None:
    return None if valid is None or bool(valid[0]) else valid[0]


def _key(column: MaskedColumn, name: str) -> Array:
    if column.valid is not None:
        raise Refused(f"the key column {name} holds NULL")
    data = column.data
    if data.dtype.kind == "f" and (np.isnan(data).any() or ((data == 0) & np.signbit(data)).any()):
        raise Refused(f"the key column {name} holds NaN or a negative zero")
    return data


def _same(left: tuple[Array, ...], right: tuple[Array, ...]) -> bool:
    return len(left) == len(right) and all(a is b or np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def _layout(keys: tuple[Array, ...]) -> Layout:
    count = len(keys[0])
    whole = _rows_in_order(keys)
    if whole is not None:
        return Layout(whole, None, None, keys)
    found = [np.unique(key, return_inverse=True) for key in keys]
    axes = tuple(coordinates for coordinates, _ in found)
    shape = tuple(len(axis) for axis in axes)
    size = int(np.prod(shape, dtype=object))
    if size > _SPARSE * max(count, 1) + 64:
        raise Refused(f"{count} rows are spread over {size} cells")
    order = np.ravel_multi_index(tuple(codes.reshape(-1) for _, codes in found), shape) if count else np.arange(0)
    seen = np.zeros(size, np.bool_)
    seen[order] = True
    if int(seen.sum()) != count:
        raise Refused("several rows have the same key")
    sorted_already = size == count and bool((order == np.arange(count)).all())
    present = None if size == count else seen.reshape(shape)
    return Layout(axes, None if sorted_already else order, present, keys)


def _rows_in_order(keys: tuple[Array, ...]) -> tuple[Array, ...] | None:
    """The axes of rows that are all cells of a grid in their order, as a dataset gives them; None of any others.

    It compares, where the general way sorts: a hundredth of the time.
    """
    count, inner, axes = len(keys[0]), 1, list[Array]()
    for place in reversed(range(len(keys))):
        key = keys[place]
        if not count or count % inner or key.dtype.kind == "O":
            return None
        outer = key[::inner]
        again = np.flatnonzero(outer[1:] == outer[0])
        axis = outer[: int(again[0]) + 1] if len(again) else outer
        ascending = bool((axis[1:] > axis[:-1]).all())
        if (
            not ascending
            or len(outer) % len(axis)
            or not bool((key.reshape(-1, len(axis), inner) == axis[:, None]).all())
        ):
            return None
        axes.insert(0, axis)
        inner *= len(axis)
    return tuple(axes) if inner == count else None


def _place(column: MaskedColumn, layout: Layout) -> GridCells:
    shape = tuple(len(axis) for axis in layout.axes)
    dims = tuple(range(len(shape)))
    if layout.order is None:
        valid = None if column.valid is None else column.valid.reshape(shape)
        return GridCells(dims, column.data.reshape(shape), valid)
    data = np.zeros(int(np.prod(shape)), column.data.dtype)
    data[layout.order] = column.data
    if column.valid is None:
        return GridCells(dims, data.reshape(shape))
    valid = np.ones(data.size, np.bool_)
    valid[layout.order] = column.valid
    return GridCells(dims, data.reshape(shape), valid.reshape(shape))
