"""The instructions of a statement: what calculates the nodes of its result, in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from . import align, operations
from .align import Alignment
from .arrays import DTYPES
from .blocks import Bundle, bundles
from .buffers import Buffers
from .grid import Cells, Grid
from .node import FIRST, Axis, Node, Refused, ancestors
from .relation import Relation
from .seam import Changed, Output, Source
from .tables import Read

Instruction = tuple[Node, tuple[Node, ...], Callable[..., Any]]


class Code:
    """The instructions of one statement, in order.

    Args:
        parts: the grids of its result.
        done: what the statements before it calculate.
        buffers: room for arrays.
        still: tells which nodes depend on nothing but axes.

    Attributes:
        whole: everything that the result is made of.
        brief: what is left to do where the statements before it have run, and what does not change is known.
    """

    def __init__(self, parts: Sequence[Relation], done: frozenset[Node], buffers: Buffers, still: Still) -> None:
        self._parts, self._done = parts, done
        roots: list[Node] = []
        for part in parts:
            roots += [*part.scans, *(axis.origin for axis in part.axes)]
            roots += [part.present] if part.present is not None else []
            for column in part.columns:
                roots += [column.value.cells, *([column.value.valid] if column.value.valid is not None else [])]
        self._roots = roots
        together = {n: b for b in bundles([n for n in ancestors(roots) if n not in done], still) for n in b.sums}
        self.whole: list[Instruction] = []
        for node in ancestors(roots, {n: b.leaves for n, b in together.items()}):
            bundle = together.get(node)
            function = _function(node, buffers, still) if bundle is None else _Member(node, bundle)
            self.whole.append((node, node.args if bundle is None else bundle.leaves, function))
        self.brief: list[tuple[Node, tuple[Node, ...], Callable[..., Any], tuple[Node, ...]]] | None = None

    @property
    def uses(self) -> set[Node]:
        """What the brief instructions and the result need."""
        return {argument for _, args, _, _ in self.brief or () for argument in args} | set(self._roots)

    def abridge(self, kept: Mapping[Node, Any]) -> None:
        """Leave out what is kept or done before."""
        self.brief = [(*step, ()) for step in self.whole if step[0] not in kept and step[0] not in self._done]

    def drop(self, nodes: set[Node]) -> None:
        """Forget these nodes, which nobody needs after this statement, as soon as it is done with them."""
        left = nodes - set(self._roots)
        brief = []
        for node, args, function, _ in reversed(self.brief or ()):
            gone = tuple(dict.fromkeys(argument for argument in args if argument in left))
            left.difference_update(gone)
            brief.append((node, args, function, gone))
        self.brief = brief[::-1]

    def run(
        self, known: dict[Node, Any], source: Source, parameters: Mapping[str, Any], *, whole: bool
    ) -> list[Output]:
        """Calculate what is not known yet.

        Raises:
            Refused, Changed: the data are not what they were taken for.
        """
        with np.errstate(all="ignore"):
            if whole or self.brief is None:
                for node, args, function in self.whole:
                    if node not in known:
                        _calculate(node, args, function, known, source, parameters)
            else:
                for node, args, function, gone in self.brief:
                    _calculate(node, args, function, known, source, parameters)
                    for dead in gone:
                        del known[dead]
        found = [_output(part, known) for part in self._parts]
        if not any(output.any for output in found):
            # DataFusion gives the type that it first guessed where there is no row, e.g. that of CASE's first branch.
            raise Refused("the result has no row, and then its types may be others")
        return found


def _calculate(
    node: Node, args: Sequence[Node], function: Callable[..., Any], known: dict[Node, Any], source: Source,
    parameters: Mapping[str, Any],
) -> None:  # fmt: skip
    if node.op == "scan":
        known[node] = scan(node, [known[a] for a in args], source)
    elif node.op == "parameter":
        known[node] = _parameter(node, parameters)
    elif isinstance(function, _Member):
        function.calculate(known)
    else:
        known[node] = function(*[known[a] for a in args])


class _Member:
    """One of the sums of a bundle: the first that is asked for calculates all."""

    def __init__(self, node: Node, bundle: Bundle) -> None:
        self._node, self._bundle = node, bundle

    def __call__(self) -> None:
        raise TypeError("a sum of a bundle is calculated together with the others")

    def calculate(self, known: dict[Node, Any]) -> None:
        """Put the sums of the bundle among what is known, unless another has done so."""
        if self._node not in known:
            known.update(self._bundle.run(known))


def _output(part: Relation, known: Mapping[Node, Any]) -> Output:
    axes = tuple(known[axis.origin].coordinates for axis in part.axes)
    places = {axis: place for place, axis in enumerate(part.axes)}
    columns = []
    for column in part.columns:
        value = column.value
        dims, cells = value.cells.dims, known[value.cells]
        valid = None if value.valid is None else known[value.valid]
        if value.valid is not None and value.valid.dims != dims:
            dims = value.dims
            shape = [len(axes[places[axis]]) for axis in dims]
            cells = np.broadcast_to(_aligned(cells, value.cells.dims, dims), shape)
            valid = np.broadcast_to(_aligned(valid, value.valid.dims, dims), shape)
        columns.append((column.name, value.type, Cells(tuple(places[axis] for axis in dims), cells, valid)))
    present = None
    if part.present is not None:
        present = _aligned(known[part.present], part.present.dims, part.axes)
        present = np.broadcast_to(present, [len(axis) for axis in axes])
    return Output(Grid(axes, ("",) * len(axes), {}, present), tuple(columns))


def _aligned(array: Any, have: tuple[Axis, ...], want: tuple[Axis, ...]) -> Any:
    change = align.aligner(have, want)
    return array if change is None else change(array)


def scan(node: Node, fixed: Sequence[Any], source: Source) -> Grid:
    """The grid that a scan reads.

    Raises:
        Changed: cells are missing where none was.
    """
    read: Read = node.data
    grid = source.grid(read, {name: np.asarray(v)[()] for name, v in zip(read.fixed, fixed, strict=True)})
    if grid.present is not None and not read.holes:
        raise Changed(read.table, None)
    return grid


def _parameter(node: Node, parameters: Mapping[str, Any]) -> Any:
    value = parameters[node.data]
    return np.asarray(value)[()] if node.type == "label" else DTYPES[node.type](value)


class Still:
    """Tells which nodes depend on nothing but axes and tables that do not change: they are not calculated again."""

    def __init__(self, changing: Collection[Any]) -> None:
        self._changing, self._known = changing, dict[Node, bool]()

    def __call__(self, node: Node) -> bool:
        """Whether a node stays as it is from step to step."""
        known = self._known.get(node)
        if known is None:
            if node.op in ("scan", "parameter"):
                known = node.op == "scan" and not node.args and node.data.table not in self._changing
            else:
                known = node.op == "axis" or all(self(argument) for argument in node.args)
            self._known[node] = known
        return known


def _function(node: Node, buffers: Buffers, still: Still) -> Callable[..., Any]:
    """What calculates a node from its arguments."""
    calculated = _CALCULATIONS.get(node.op)
    function = _READS[node.op](node) if calculated is None else calculated(node, buffers)
    # The arrays of other nodes may be the same objects with other cells at the next step.
    return _remembered(function)(node) if node.args and still(node) else function


def _constant(node: Node) -> Callable[..., Any]:
    value = node.data[1]
    array = np.asarray(value)[()] if node.type == "label" else DTYPES.get(node.type, np.int64)(value)
    return lambda: array


def _cells(node: Node) -> Callable[..., Any]:
    name, nullable = node.data
    table = node.args[0].data.table

    def read(grid: Grid) -> Any:
        cells = grid.columns[name]
        if cells.valid is not None and not nullable:
            raise Changed(table, name)
        return _along(cells.data, cells.dims, grid)

    return read


def _known(node: Node) -> Callable[..., Any]:
    def read(grid: Grid) -> Any:
        cells = grid.columns[node.data]
        return _along(np.True_, (), grid) if cells.valid is None else _along(cells.valid, cells.dims, grid)

    return read


def _along(data: Any, dims: tuple[int, ...], grid: Grid) -> Any:
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
        last: list[Any] = [(), None]

        def apply(*args: Any) -> Any:
            if len(last[0]) != len(args) or any(a is not b for a, b in zip(args, last[0], strict=True)):
                last[:] = [args, function(*args)]
            return last[1]

        return apply

    return build


def _take(node: Node) -> Callable[..., Any]:
    place, side = node.data

    def take(array: Any, alignment: Alignment) -> Any:
        index = alignment.first if side == FIRST else alignment.second
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


def _found(node: Node) -> Callable[..., Any]:
    return lambda alignment: (
        np.ones(len(alignment.coordinates), np.bool_) if alignment.found is None else alignment.found
    )


def _differ(left: Any, right: Any) -> bool:
    if left == right:
        raise Refused("a statement reads the generation that another has just written")
    return True


_READS: Mapping[str, Callable[[Node], Callable[..., Any]]] = {
    "constant": _constant, "unheld": lambda node: lambda: None,
    "parameter": lambda node: lambda: None,
    "scan": lambda node: lambda: None,
    "axis": _axis, "cells": _cells, "known": _known, "present": _present,
    "match": _remembered(align.match), "lookup": lambda node: align.lookup, "restrict": lambda node: align.restrict,
    "partner": lambda node: align.partner, "found": _found,
    "distinct": lambda node: align.distinct, "member": lambda node: align.member,
    "differ": lambda node: _differ,
    "coordinate": lambda node: lambda alignment: alignment.coordinates,
    "size": lambda node: lambda alignment: len(alignment.coordinates),
    "take": _take_once, "same": lambda node: lambda array: array, "diagonal": _diagonal,
}  # fmt: skip
_CALCULATIONS: Mapping[str, Callable[[Node, Buffers], Callable[..., Any]]] = {
    "map": operations.mapped, "count": operations.counted, "sum": operations.summed, "min": operations.extreme,
    "max": operations.extreme, "squares": operations.squared, "row number": operations.ranked,
}  # fmt: skip
