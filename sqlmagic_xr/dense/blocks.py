"""Sums over the rows of a long table, several at a time: block by block, so that what is between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from typing import Any

import numpy as np

from .arrays import MAPS
from .node import Axis, Node, Refused
from .operations import EMPTY, finite, masked_product

_BLOCK = 16_384  # cells; a block of float64 is 128 kB, so that a few fit a core's own cache
_ALONE = 8 * _BLOCK  # rows below which a second thread costs more than it gives


def bundles(nodes: Sequence[Node], still: Callable[[Node], bool]) -> list[Bundle]:
    """The sums among some nodes that run along one and the same axis, together where there is anything to share.

    Args:
        nodes: what a statement calculates.
        still: whether a node is calculated once for all steps.
    """
    groups: dict[Axis, list[Node]] = {}
    for node in nodes:
        axis = _only_axis(node)
        if axis is not None and not still(node):
            groups.setdefault(axis, []).append(node)
    found = (Bundle(axis, tuple(group), still) for axis, group in groups.items())
    return [bundle for bundle in found if bundle.inner]


def _only_axis(node: Node) -> Axis | None:
    """The one axis that a sum to a single number runs along."""
    if node.op != "sum" or node.dims:
        return None
    factors, masks, _ = node.data
    axes = {argument.dims for argument in node.args[: factors + masks]}
    return next(iter(axes))[0] if len(axes) == 1 and len(next(iter(axes))) == 1 else None


class Bundle:
    """Some sums along one axis.

    Args:
        axis: the axis.
        sums: nodes of operation ``sum``, without axes.
        still: see :func:`bundles`.

    Attributes:
        inner: the functions of cells that are calculated block by block, arguments first.
        leaves: the arrays and numbers that they are made of.
    """

    def __init__(self, axis: Axis, sums: tuple[Node, ...], still: Callable[[Node], bool]) -> None:
        self.sums = sums
        inner: dict[Node, None] = {}
        leaves: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node in inner or node in leaves:
                return
            if node.op != "map" or node.dims != (axis,) or still(node):
                leaves[node] = None
                return
            for argument in node.args:
                visit(argument)
            inner[node] = None

        for total in sums:
            factors, masks, _ = total.data
            for argument in total.args[: factors + masks]:
                visit(argument)
            leaves.update(dict.fromkeys(total.args[factors + masks :]))
        self.inner, self.leaves = tuple(inner), tuple(leaves)
        self._long = frozenset(leaf for leaf in leaves if leaf.dims)
        self._code = [(node, MAPS[node.data], node.args) for node in inner]

    def run(self, known: Mapping[Node, Any]) -> dict[Node, Any]:
        """The sums.

        Raises:
            Refused: there is no row, or a sum is not finite.
        """
        values = {leaf: known[leaf] for leaf in self.leaves}
        (rows,) = {len(values[leaf]) for leaf in self._long}
        if rows == 0:
            raise Refused(EMPTY)
        if rows < _ALONE:
            parts = [self._part(values, 0, rows)]
        else:
            workers = cpu_count() or 1
            step = -(-rows // workers)
            bounds = [(start, min(start + step, rows)) for start in range(0, rows, step)]
            parts = list(_workers().map(lambda bound: self._part(values, *bound), bounds))
        return {node: _finished(node, [part[i] for part in parts], values) for i, node in enumerate(self.sums)}

    def _part(self, values: Mapping[Node, Any], start: int, stop: int) -> list[Any]:
        """The sums over some rows."""
        totals: list[Any] = [0 for _ in self.sums]
        room: dict[Node, Any] = {}
        with np.errstate(all="ignore"):  # which each thread has for itself
            for low in range(start, stop, _BLOCK):
                high = min(low + _BLOCK, stop)
                cells = {leaf: v[low:high] if leaf in self._long else v for leaf, v in values.items()}
                for node, function, args in self._code:
                    out = room.get(node)
                    if out is not None and high - low == _BLOCK:
                        cells[node] = function(*[cells[a] for a in args], out=out)
                    else:
                        cells[node] = function(*[cells[a] for a in args])
                        if isinstance(function, np.ufunc) and high - low == _BLOCK:
                            room[node] = cells[node]
                for place, node in enumerate(self.sums):
                    totals[place] = totals[place] + _added(node, cells)
        return totals


def _added(node: Node, cells: Mapping[Node, Any]) -> Any:
    factors, masks, _ = node.data
    values = [cells[argument] for argument in node.args[: factors + masks]]
    return np.add.reduce(masked_product(values, factors))


def _finished(node: Node, parts: Sequence[Any], values: Mapping[Node, Any]) -> Any:
    factors, masks, names = node.data
    total = sum(parts[1:], start=parts[0])
    rest = node.args[factors + masks :]
    for name, scalar in zip(names, rest, strict=False):
        total = total * values[scalar] if name == "*" else total / values[scalar]
    for size in rest[len(names) :]:
        total = total * total.dtype.type(values[size])
        if not values[size]:
            raise Refused(EMPTY)
    if node.type == "float64":
        total = total + 0.0
        if not finite(total):
            raise Refused("a sum is not finite")
    return total


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_count() or 1, thread_name_prefix="arrays")
