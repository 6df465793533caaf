"""The groups of a grid by the keys of GROUP BY, along each axis or over several, and the order of its positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dense.node import Refused
from ...relation.columns import SortKey
from ...sql.expression import Expression
from .axes import INSIDE, Coding, coding, coding_over, positive
from .cells import Array
from .grid import CellGrid

Place = tuple[int, int]
"""Where a key is: the axis whose groups it belongs to, and its number among the keys of these."""


def codings_of(grid: CellGrid, keys: Sequence[Expression]) -> tuple[list[Place], list[Coding | None]]:
    """For each key its place, and for each axis its groups.

    Args:
        grid: whose cells are grouped.
        keys: over its columns.

    Raises:
        Refused: a key is none that varies along axes, or of too many cells.
    """
    spans = [grid.span(key) for key in keys]
    codings: list[Coding | None] = [None] * len(grid.axes)
    places: list[Place] = [(-1, -1)] * len(keys)
    for axes in _joined(spans):
        own = [number for number, span in enumerate(spans) if set(span) <= set(axes)]
        for place, number in enumerate(own):
            places[number] = (axes[0], place)
        if len(axes) == 1:
            codings[axes[0]] = coding([_along(grid, axes[0], keys[number]) for number in own])
            continue
        for axis in axes[1:]:
            codings[axis] = INSIDE
        shape = tuple(len(grid.axes[axis].kept) for axis in axes)
        values = [_over(grid, keys[number], spans[number], axes, shape) for number in own]
        codings[axes[0]] = coding_over(values, axes, shape)
    return places, codings


def ordered(grid: CellGrid, key: SortKey) -> tuple[int, Array]:
    """The axis along which a key of an ORDER BY varies, and the positions that are read in that order.

    Raises:
        Refused: it varies along several, or two positions have the same place.
    """
    expression = grid.source.resolved(key.expression)
    axis = grid.axis(expression)
    if axis is None:
        raise Refused("the order of what varies along several axes", key.expression.span)
    labels = positive(grid.along(axis, expression))
    if labels.null_count or len(labels.unique()) != len(labels):
        raise Refused("several rows have the same place in an order", key.expression.span)
    places = pc.array_sort_indices(labels, order="descending" if key.descending else "ascending")
    return axis, np.asarray(places).astype(np.int64)


def _joined(spans: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The axes that keys have in common, and those that hang together with them."""
    found: list[set[int]] = []
    for span in spans:
        touched = [axes for axes in found if axes & set(span)]
        found = [axes for axes in found if not axes & set(span)] + [set(span).union(*touched)]
    return [tuple(sorted(axes)) for axes in found]


def _along(grid: CellGrid, axis: int, key: Expression) -> pa.Array:
    return grid.over((axis,), key) if grid.axis(key) is None else grid.along(axis, key)


def _over(
    grid: CellGrid, key: Expression, span: tuple[int, ...], axes: tuple[int, ...], shape: tuple[int, ...]
) -> pa.Array:
    """A key written out over some axes; it is evaluated for those along which it varies."""
    if span == axes:
        return grid.over(axes, key)
    few = _along(grid, span[0], key) if len(span) == 1 else grid.over(span, key)
    own = [shape[axes.index(axis)] for axis in span]
    places = np.arange(len(few)).reshape([n if axis in span else 1 for axis, n in zip(axes, shape, strict=True)])
    assert len(few) == np.prod(own)
    return few.take(pa.array(np.broadcast_to(places, shape).reshape(-1)))
