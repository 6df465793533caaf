"""ROW_NUMBER: the places of cells among those of their partitions, and which of them are first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import total_order
from ..node import Node, Refused
from .align import aligner
from .buffers import Buffers
from .operations import Function, lengths


def ranked(node: Node, buffers: Buffers) -> Function:
    """ROW_NUMBER: the place of each cell among those of its partition; ties are refused."""
    keys, descending, masks, width = node.data
    aligners = [aligner(argument.dims, node.dims) for argument in node.args]

    def rank(*args: Any) -> Any:
        shape = tuple(len(a) for a in args[keys + masks :])
        flat = (lengths(shape[: len(shape) - width], empty=True), lengths(shape[len(shape) - width :], empty=True))
        whole = [a if align is None else align(a) for a, align in zip(args, aligners, strict=True)]
        columns = [np.broadcast_to(a, shape).reshape(flat) for a in whole[: keys + masks]]
        order_by = [_sortable(c, down) for c, down in zip(columns[:keys], descending, strict=True)]
        present = columns[keys] if masks else None
        first = [] if present is None else [~present]
        order = np.lexsort([*reversed(order_by), *first], axis=-1)
        _refuse_ties([np.take_along_axis(c, order, -1) for c in order_by],
                     None if present is None else np.take_along_axis(present, order, -1))  # fmt: skip
        ranks = np.empty(flat, np.uint64)
        np.put_along_axis(ranks, order, np.arange(1, flat[1] + 1, dtype=np.uint64)[None, :], -1)
        return ranks.reshape(shape)

    return rank


def first(node: Node) -> Function:
    """Where ROW_NUMBER is 1: the first cell of each partition, if one is before all others; others may be equal.

    Args:
        node: of operation ``row number``.
    """
    keys, descending, masks, width = node.data
    aligners = [aligner(argument.dims, node.dims) for argument in node.args]
    axes = tuple(range(len(node.dims) - width, len(node.dims)))

    def find(*args: Any) -> Any:
        shape = tuple(len(a) for a in args[keys + masks :])
        whole = [a if align is None else align(a) for a, align in zip(args, aligners, strict=True)]
        found = np.broadcast_to(whole[keys] if masks else np.True_, shape)
        for key, down in zip(whole[:keys], descending, strict=True):
            if not found.size:
                break
            order = np.broadcast_to(_sortable(key, down), shape)
            limit = np.iinfo(order.dtype).max
            best = np.min(np.where(found, order, limit) if masks or key is not whole[0] else order, axes, keepdims=True)
            found = found & (order == best)
            if (np.add.reduce(found, axes, np.intp) <= 1).all():
                return found
        if (np.add.reduce(found, axes, np.intp) > 1).any():
            raise Refused("ROW_NUMBER between equal rows")
        return found

    return find


def _sortable(column: Any, descending: bool) -> Any:
    """Integers in the order in which DataFusion sorts the cells, zeros of either sign being equal."""
    order = total_order(column.astype(np.float64, copy=False) + 0.0) if column.dtype.kind == "f" else column
    return ~order if descending else order


def _refuse_ties(columns: Sequence[Any], present: Any) -> None:
    tied = np.ones((columns[0].shape[0], max(columns[0].shape[1] - 1, 0)), np.bool_)
    for column in columns:
        tied &= column[:, 1:] == column[:, :-1]
    if present is not None:
        tied &= present[:, 1:]
    if tied.any():
        raise Refused("ROW_NUMBER between equal rows")
