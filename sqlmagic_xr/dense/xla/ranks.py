"""ROW_NUMBER in JAX: the place of each cell among those of its partition; what ties is NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import Node
from .functions import Kit


def first_of(node: Node) -> Node | None:
    """The ranks of ``ROW_NUMBER() OVER (...) = 1``, of which none but the first is asked for."""
    if node.op != "map" or node.data != "=":
        return None
    rank, one = node.args
    if one.op != "constant" or one.data[1] != 1 or rank.op != "map" or rank.data != "to int64":
        return None
    (numbers,) = rank.args
    return numbers if numbers.op == "row number" and numbers.dims == node.dims else None


def sortable(kit: Kit, column: Any, descending: bool) -> Any:
    """Integers in the order in which cells are sorted."""
    floats = np.dtype(column.dtype).kind == "f"
    order = kit.order(kit.unsigned(column.astype(kit.real))) if floats else column
    return ~order if descending else order


def first(kit: Kit, columns: Sequence[Any], mask: Any, shape: tuple[int, ...], width: int) -> Any:
    """Where ROW_NUMBER is 1.

    Args:
        kit: is told of ties.
        columns: what is sorted by.
        mask: which cells there are; None for all.
        shape: of all partitions together.
        width: how many of the last axes a partition has.
    """
    axes = tuple(range(len(shape) - width, len(shape)))
    found = jnp.ones(shape, np.bool_) if mask is None else mask
    for order in columns:
        limit = order.dtype.type(np.iinfo(order.dtype).max)
        found = found & (order == jnp.min(jnp.where(found, order, limit), axis=axes, keepdims=True))
    kit.flag(jnp.any(jnp.sum(found, axis=axes) > 1))
    return found


def ranks(kit: Kit, columns: Sequence[Any], mask: Any, shape: tuple[int, ...], width: int) -> Any:
    """ROW_NUMBER of each cell; see :func:`first`."""
    cut = len(shape) - width
    flat = (prod(shape[:cut]), prod(shape[cut:]))
    order_by = [column.reshape(flat) for column in columns]
    hidden = [] if mask is None else [~mask.reshape(flat)]
    order = jnp.lexsort([*reversed(order_by), *hidden], axis=-1)
    tied = jnp.ones((flat[0], flat[1] - 1), np.bool_)
    for column in order_by:
        ordered = jnp.take_along_axis(column, order, -1)
        tied = tied & (ordered[:, 1:] == ordered[:, :-1])
    if mask is not None:
        tied = tied & jnp.take_along_axis(mask.reshape(flat), order, -1)[:, 1:]
    kit.flag(jnp.any(tied))
    return (jnp.argsort(order, axis=-1) + 1).astype(np.uint64).reshape(shape)
