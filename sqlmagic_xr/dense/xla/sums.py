"""Sums over one long axis, all in one pass over the rows: what is added is calculated there and written nowhere.

XLA's own sums are programs of others, so what two of them read is written out before, and read again by each. The
processor waits for memory then: a step of a line through 5 million points takes 2.5 times as long.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..node import Node
from ..running.layout import StepLayout

LONG = 2**15  # rows; fewer stay in cache
_ROW = 1024  # rows whose cells are added one after the other; such sums are then added by halves

Together = Mapping[Node, tuple[Node, ...]]
"""For each sum those that are made in one pass, itself among them."""


def together(ordered: Sequence[Node], layout: StepLayout, arguments: Mapping[Node, Sequence[Node]]) -> Together:
    """Which sums are made in one pass: over the same long axis, and none of what another one gives.

    Args:
        ordered: what a step calculates, arguments first.
        layout: which of it is the same at each step.
        arguments: what each is calculated from.
    """
    long = _long(layout)
    depth: dict[Node, int] = {}
    groups: dict[tuple[Node, int], list[Node]] = {}
    for node in ordered:
        deepest = max((depth.get(argument, 0) for argument in arguments[node]), default=0)
        alone = _is_sum_of_rows(node, long)
        if alone:
            groups.setdefault((node.args[0].dims[0].origin, deepest), []).append(node)
        depth[node] = deepest + alone
    return {node: tuple(group) for group in groups.values() if len(group) > 1 for node in group}


def _long(layout: StepLayout) -> frozenset[Node]:
    """The origins of the long axes that stay."""
    arrays = ((node.dims, np.shape(value)) for node, value in layout.unmoved.items() if node.dims)
    found = (pair for dims, shape in arrays for pair in zip(dims, shape, strict=True))
    return frozenset(axis.origin for axis, size in found if size >= LONG)


def _is_sum_of_rows(node: Node, long: Collection[Node]) -> bool:
    """Whether a node is one number, the sum of products along a long axis."""
    if node.op != "sum" or node.type != "float64" or node.dims:
        return False
    arrays = node.args[: node.data[0] + node.data[1]]
    if any(len(array.dims) != 1 or array.dims != arrays[0].dims for array in arrays):
        return False
    origin = arrays[0].dims[0].origin
    while origin.op == "restrict" and origin not in long:  # all rows are kept, whichever there are
        origin = origin.args[0]
    return origin in long


def without(groups: Together, others: Collection[Node]) -> Together:
    """The groups none of which is among some nodes."""
    return {node: group for node, group in groups.items() if not any(one in others for one in group)}


def summed(columns: Sequence[Any]) -> list[Any]:
    """The sum of each of some columns of one length."""
    whole = len(columns[0]) // _ROW * _ROW
    rows = [jnp.reshape(column[:whole], (-1, _ROW)) for column in columns]
    ends = _added([column[whole:] for column in columns], 0)
    return [jnp.sum(part) + end for part, end in zip(_added(rows, 1), ends, strict=True)]


def _added(arrays: Sequence[Any], axis: int) -> Sequence[Any]:
    zeros = tuple(array.dtype.type(0) for array in arrays)
    found: Sequence[Any] = lax.reduce(
        tuple(arrays), zeros, lambda left, right: tuple(a + b for a, b in zip(left, right, strict=True)), (axis,)
    )
    return found
