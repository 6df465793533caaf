"""What calculates a node from its arguments, once it is known which node that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import is_not
from typing import Any

import numpy as np

from ..arrays import DTYPES
from ..grid import Grid
from ..node import FIRST, Node, Refused
from ..ports import Changed, Source, Unlike
from ..tables import ScanRead
from . import align, operations, ranks, segments
from .align import Alignment
from .buffers import Buffers

Instruction = tuple[Node, tuple[Node, ...], Callable[..., Any]]
"""A node, what it is calculated from, and by what."""


def scan(node: Node, fixed: Sequence[Any], source: Source) -> Grid:
    """The grid that a scan reads.

    Raises:
        Changed: cells are missing where none was.
    """
    read: ScanRead = node.data
    grid = source.grid(read, {name: np.asarray(v)[()] for name, v in zip(read.fixed, fixed, strict=True)})
    if grid.present is not None and not read.holes:
        refuse_holes(node, grid)
    return grid


def refuse_holes(node: Node, grid: Grid) -> None:
    """Say that cells of a scan are missing where none was.

    Raises:
        Changed: always.
    """
    raise Changed(node.data.table, None, node.data, grid)


def parameter(node: Node, parameters: Mapping[str, Any]) -> Any:
    """The value of a parameter, as an array's cell."""
    value = parameters[node.data]
    return DTYPES[node.type](value)


class Still:
    """Tells which nodes depend on nothing but axes and tables that do not change: they are not calculated again."""

    def __init__(self, changing: Collection[Any]) -> None:
        self._changing, self._known = changing, dict[Node, bool]()

    def __call__(self, node: Node) -> bool:
        """Whether a node stays as it is from step to step."""
        pending = [node]
        while pending:  # a chain of operators is deep
            one = pending[-1]
            made_of = () if one.op in ("scan", "parameter", "axis") else one.args
            unknown = [argument for argument in made_of if argument not in self._known]
            if unknown:
                pending += unknown
                continue
            pending.pop()
            self._known[one] = self._reads_alone(one) if not made_of else all(map(self._known.__getitem__, made_of))
        return self._known[node]

    def _reads_alone(self, node: Node) -> bool:
        """Whether what is made of no other node stays as it is."""
        if node.op == "scan":
            return not node.args and node.data.table not in self._changing
        return node.op != "parameter"


def function_of(node: Node, buffers: Buffers, still: Still) -> Callable[..., Any]:
    """What calculates a node from its arguments."""
    calculated = _CALCULATIONS.get(node.op)
    function = _READS[node.op](node) if calculated is None else calculated(node, buffers)
    # The arrays of other nodes may be the same objects with other cells at the next step.
    return _remembered(function)(node) if node.args and still(node) else function


def _constant(node: Node) -> Callable[..., Any]:
    value = node.data[1]
    array = np.int64(value.code) if node.type == "label" else DTYPES.get(node.type, np.int64)(value)
    return lambda: array


def _cells(node: Node) -> Callable[..., Any]:
    name, nullable = node.data
    table = node.args[0].data.table

    def read(grid: Grid) -> Any:
        cells = grid.columns[name]
        if cells.valid is not None and not nullable:
            raise Changed(table, name)
        return along(cells.data, cells.dims, grid) if node.dims else _single(cells.data, cells.dims, name)

    return read


def _known(node: Node) -> Callable[..., Any]:
    def read(grid: Grid) -> Any:
        cells = grid.columns[node.data]
        data, dims = (np.True_, ()) if cells.valid is None else (cells.valid, cells.dims)
        return along(data, dims, grid) if node.dims else _single(data, dims, node.data)

    return read


def _single(data: Any, dims: tuple[int, ...], name: str) -> Any:
    """The one value of a column that is the same in all rows."""
    if dims:
        raise Refused(f"{name} is not the same in all rows any more")
    return data


def along(data: Any, dims: tuple[int, ...], grid: Grid) -> Any:
    """An array over some axes of a grid as one over all of them."""
    every = tuple(range(len(grid.axes)))
    if dims == every:
        return data
    data = np.transpose(data, sorted(range(len(dims)), key=lambda place: dims[place]))
    sizes = [len(axis) if place in dims else 1 for place, axis in enumerate(grid.axes)]
    return np.broadcast_to(np.reshape(data, sizes), grid.shape)


def _axis(node: Node) -> Callable[..., Any]:
    place = node.data
    last = Alignment(np.arange(0))

    def read(grid: Grid) -> Alignment:
        nonlocal last
        if last.coordinates is not grid.axes[place]:
            last = Alignment(grid.axes[place])
        return last

    return read


def _remembered(function: Callable[..., Any]) -> Callable[[Node], Callable[..., Any]]:
    """A function of alignments and arrays that is not called again for the very same ones."""

    def build(node: Node) -> Callable[..., Any]:
        last: tuple[Any, ...] = ()
        result: Any = None

        def apply(*args: Any) -> Any:
            nonlocal last, result
            if len(last) != len(args) or any(map(is_not, args, last)):
                last, result = args, function(*args)
            return result

        return apply

    return build


def _take(node: Node) -> Callable[..., Any]:
    place, side = node.data
    before = (slice(None),) * place

    def take(array: Any, alignment: Alignment) -> Any:
        index = alignment.first if side == FIRST else alignment.second
        if isinstance(index, slice):
            return array[(*before, index)]
        return array if index is None else np.take(array, index, axis=place)

    return take


def _take_once(node: Node) -> Callable[..., Any]:
    """A take of coordinates is remembered, so that what stands on it is."""
    take = _take(node)
    return _remembered(take)(node) if node.args[0].op == "coordinate" else take


def _diagonal(node: Node) -> Callable[..., Any]:
    one, other = node.data
    first, second = sorted((one, other))

    def diagonal(array: Any) -> Any:
        return np.moveaxis(np.diagonal(array, axis1=first, axis2=second), -1, first)

    return diagonal


def _present(node: Node) -> Callable[..., Any]:
    return lambda grid: np.broadcast_to(np.True_, grid.shape) if grid.present is None else grid.present


def _differ(left: Any, right: Any) -> bool:
    if left == right:
        raise Refused("a statement reads the generation that another has just written")
    return True


def _alike(node: Node) -> Callable[..., Any]:
    one, other = node.args

    def check(left: Alignment, right: Alignment) -> bool:
        a, b = left.coordinates, right.coordinates
        if a is not b and not (len(a) == len(b) and bool((a == b).all())):
            raise Unlike(one, other)
        return True

    return check


_READS: Mapping[str, Callable[[Node], Callable[..., Any]]] = {
    "constant": _constant, "unheld": lambda node: lambda: None,
    "parameter": lambda node: lambda: None,
    "scan": lambda node: lambda: None,
    "axis": _axis, "cells": _cells, "known": _known, "present": _present,
    "match": _remembered(align.match), "lookup": lambda node: align.lookup, "restrict": lambda node: align.restrict,
    "partner": lambda node: align.partner, "found": lambda node: align.partnered,
    "distinct": lambda node: align.distinct, "member": lambda node: align.member,
    "differ": lambda node: _differ, "alike": lambda node: _alike(node),
    "coordinate": lambda node: lambda alignment: alignment.coordinates,
    "size": lambda node: lambda alignment: len(alignment.coordinates),
    "take": _take_once, "same": lambda node: lambda array: array, "diagonal": _diagonal,
}  # fmt: skip
_CALCULATIONS: Mapping[str, Callable[[Node, Buffers], Callable[..., Any]]] = {
    "map": operations.mapped, "count": operations.counted, "sum": operations.summed, "min": operations.extreme,
    "max": operations.extreme, "squares": operations.squared, "row number": ranks.ranked,
    "sum by value": segments.summed, "count by value": segments.counted,
}  # fmt: skip
