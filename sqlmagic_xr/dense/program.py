"""The program of a step: queries lowered into one graph, and what calculates it statement by statement.

The seam to the engine is narrow: a :class:`Source` gives grids of tables, and each statement gives back grids. Nothing
here knows where the rows come from or where they go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..sql.syntax import Tree
from . import align, operations
from .align import Alignment
from .arrays import DTYPES
from .blocks import Bundle, bundles
from .buffers import Buffers
from .grid import Array, Cells, Grid
from .lower import Lowering, Read, Table, Tables
from .node import FIRST, Axis, Node, Refused, Type, ancestors
from .relation import Relation


class Source(Protocol):
    """Gives the rows of tables as grids while a program runs."""

    def grid(self, read: Read, fixed: Mapping[str, Any]) -> Grid:
        """The grid that a scan asks for, in the order of ``read.key``; the same object where nothing has changed.

        Args:
            read: what is asked for.
            fixed: the values of the columns ``read.fixed``.

        Raises:
            Refused: the rows are no such grid.
        """


class Changed(Exception):  # noqa: N818 - no error: the program is lowered again
    """The data are not what the program was lowered for: a NULL or a hole where there was none.

    Args:
        table: whose.
        column: the column that holds a NULL, or None where cells of the grid are missing.
    """

    def __init__(self, table: tuple[str, ...], column: str | None) -> None:
        super().__init__(table, column)
        self.table, self.column = table, column


@dataclass(frozen=True)
class Output:
    """The rows of a query, as one of the grids that they are the cells of.

    Attributes:
        grid: the cells; the names of its axes are not those of columns (see ``columns``).
        columns: each column's name, type and cells, in the order of SELECT; coordinates among them.
    """

    grid: Grid
    columns: tuple[tuple[str, Type, Cells], ...]

    @cached_property
    def constants(self) -> Mapping[str, Any]:
        """The columns that are one value, not NULL, for all rows."""
        return {name: cells.data[()] for name, _, cells in self.columns if not cells.dims and cells.valid is None}

    @cached_property
    def coordinates(self) -> Mapping[str, int]:
        """The columns that are the coordinates of an axis, and which one."""
        return {name: cells.dims[0] for name, _, cells in self.columns
                if len(cells.dims) == 1 and cells.data is self.grid.axes[cells.dims[0]]}  # fmt: skip

    @property
    def any(self) -> bool:
        """Whether there is a row."""
        return 0 not in self.grid.shape and (self.grid.present is None or bool(self.grid.present.any()))

    def rows(self) -> dict[str, tuple[Array, Array | None]]:
        """The rows: for each column the values, and where they are not NULL (None where nowhere)."""
        shape, present = self.grid.shape, self.grid.present
        found = {}
        for name, kind, cells in self.columns:
            data = _spread(cells.data, cells.dims, shape, present)
            if kind != "label":
                data = data.astype(DTYPES[kind], copy=False)
            valid = None if cells.valid is None else _spread(cells.valid, cells.dims, shape, present)
            found[name] = (data, valid)
        return found


def _spread(data: Array, dims: tuple[int, ...], shape: tuple[int, ...], present: Array | None) -> Array:
    data = np.asarray(data)
    if dims != tuple(range(len(shape))):
        data = data.transpose(sorted(range(len(dims)), key=lambda place: dims[place]))
        data = np.broadcast_to(data.reshape([n if i in dims else 1 for i, n in enumerate(shape)]), shape)
    return data.reshape(-1) if present is None else data[present]


@dataclass
class _Facts:
    """The tables as they were seen, with the NULLs and holes that have been met since."""

    tables: Tables
    nulls: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    holes: set[tuple[str, ...]] = field(default_factory=set)

    def table(self, name: tuple[str, ...]) -> Table | None:
        found = self.tables.table(name)
        if found is None:
            return None
        nulls = found.nulls | {column for table, column in self.nulls if table == name}
        return replace(found, nulls=nulls, holes=found.holes or name in self.holes)

    def learn(self, change: Changed) -> None:
        if change.column is None:
            self.holes.add(change.table)
        else:
            self.nulls.add((change.table, change.column))


@dataclass(frozen=True)
class Query:
    """A statement of a program.

    Attributes:
        tree: the inside of a ``Query`` node; None for a statement that others run.
        writes: the tables that it may change.
        replaces: whether the one table consists of nothing but its rows afterwards (CREATE TABLE AS).
        columns: the names under which its columns are written; () for those of SELECT.
    """

    tree: Tree | None
    writes: tuple[tuple[str, ...], ...] = ()
    replaces: bool = False
    columns: tuple[str, ...] = ()


class Program:
    """Some queries of a step, lowered together.

    Args:
        queries: the statements, in their order.
        tables: what tables there are, as they are now.
        parameters: the type of each parameter.

    Attributes:
        refusals: for each query why it is not lowered, or None.
    """

    def __init__(self, queries: Sequence[Query], tables: Tables, parameters: Mapping[str, Type]) -> None:
        self._queries, self._parameters = tuple(queries), dict(parameters)
        self._facts = _Facts(tables)
        self._changing = {table for query in queries for table in query.writes}
        self._lower()

    def _lower(self) -> None:
        lowering = Lowering(self._facts, self._parameters)
        scope: dict[str, Relation] = {}
        self._parts: list[list[Relation]] = []
        self.refusals: list[Refused | None] = []
        for query in self._queries:
            parts: list[Relation] = []
            try:
                if query.tree is None:
                    raise Refused("it is not a query")
                parts = _named(lowering.parts(query.tree, scope), query.columns)
                self.refusals.append(None)
            except Refused as reason:
                self.refusals.append(reason)
            self._parts.append(parts)
            for table in query.writes:
                appends = query.tree is not None and not query.replaces and parts
                lowering.writes.setdefault(table, []).append([_scalars(part) for part in parts] if appends else None)
                scope.pop(table[-1], None)
                if query.replaces and len(parts) == 1:
                    scope[table[-1]] = parts[0]
        self._code: list[_Code | None] = []
        self._kept: dict[Node, Any] = {}
        buffers, done = Buffers(), dict[Node, None]()
        still = _Still(self._changing)
        for parts, refusal in zip(self._parts, self.refusals, strict=True):
            code = None if refusal is not None else _Code(parts, frozenset(done), buffers, still)
            self._code.append(code)
            done.update(dict.fromkeys(node for node, _, _ in code.whole) if code else ())

    def known(self, source: Source) -> dict[Node, Any]:
        """What the last step has calculated from nothing but tables that are still as they were."""
        changed = {node.data.table for node, grid in self._kept.items()
                   if node.op == "scan" and _scan(node, (), source) is not grid}  # fmt: skip
        if changed:
            self._changing |= changed
            self._kept = {}
            for code in self._code:
                if code is not None:
                    code.brief = None
        return dict(self._kept)

    def keep(self, known: Mapping[Node, Any]) -> None:
        """Keep what the next step will find the same, and leave it out of what is done then."""
        codes = [code for code in self._code if code is not None]
        for code in codes:
            for node, args, _ in code.whole:
                varies = node.op == "parameter" or (node.op == "scan" and (args or node.data.table in self._changing))
                if node in known and not varies and all(argument in self._kept for argument in args):
                    self._kept[node] = known[node]
        last: dict[Node, _Code] = {}
        for code in codes:
            code.abridge(self._kept)
            for node in code.uses:
                last[node] = code
        for code in codes:
            code.drop({node for node, user in last.items() if user is code} - self._kept.keys())

    def step(self, source: Source, parameters: Mapping[str, Any]) -> Step:
        """Begin a step."""
        return Step(self, source, parameters)

    def code(self, index: int) -> _Code | None:
        """The instructions of a statement, if it is lowered."""
        return self._code[index]

    def before(self, index: int) -> set[int]:
        """The lowered statements in front of one, whose results it uses."""
        return {place for place, code in enumerate(self._code[:index]) if code is not None}

    @property
    def lowered(self) -> int:
        """How many statements are lowered."""
        return sum(code is not None for code in self._code)

    def relearn(self, change: Changed) -> None:
        """Lower everything again for what the data turned out to be."""
        self._facts.learn(change)
        self._lower()


class Step:
    """One run of a program: its statements are run one after the other, and what they share is calculated once.

    Args:
        program: what is run.
        source: gives the tables' rows, which earlier statements of the step may have changed.
        parameters: the values of the parameters.
    """

    def __init__(self, program: Program, source: Source, parameters: Mapping[str, Any]) -> None:
        self._program, self._source, self._parameters = program, source, parameters
        self._known: dict[Node, Any] = program.known(source)
        self._ran: set[int] = set()

    def run(self, index: int) -> list[Output]:
        """The rows of a statement, as grids whose rows together are its rows.

        Raises:
            Refused: the statement or its data are none of ours.
        """
        program = self._program
        while True:
            reason, code = program.refusals[index], program.code(index)
            if reason is not None or code is None:
                raise reason or Refused("it is not lowered")
            whole = code.brief is None or not program.before(index) <= self._ran
            try:
                found = code.run(self._known, self._source, self._parameters, whole=whole)
            except Changed as change:
                self._known, self._ran = {}, set()
                program.relearn(change)
            except (TypeError, MemoryError) as error:
                raise Refused(f"arrays cannot: {error}") from error
            else:
                self._ran.add(index)
                if whole and len(self._ran) == program.lowered:
                    program.keep(self._known)
                return found


def _scalars(part: Relation) -> dict[str, Node]:
    """The columns that are one number for all rows."""
    found = {column.name: column.value for column in part.columns}
    return {name: value.cells for name, value in found.items() if not value.dims and value.valid is None}


def _differ(left: Any, right: Any) -> bool:
    if left == right:
        raise Refused("a statement reads the generation that another has just written")
    return True


def _named(parts: Sequence[Relation], names: tuple[str, ...]) -> list[Relation]:
    """The parts of a result under one set of names: those given, or those of the first part."""
    names = names or tuple(column.name for column in parts[0].columns)
    types = [column.value.type for column in parts[0].columns]
    if "" in names or len(set(names)) < len(names):
        raise Refused("a column of the result has no name of its own")
    named = []
    for part in parts:
        if len(part.columns) != len(names):
            raise Refused(f"{len(part.columns)} columns for {len(names)}")
        if [column.value.type for column in part.columns] != types or "null" in types:
            raise Refused("the types of the result's columns are open")
        columns = (replace(c, name=name) for c, name in zip(part.columns, names, strict=True))
        named.append(replace(part, columns=tuple(columns)))
    return named


Instruction = tuple[Node, tuple[Node, ...], Callable[..., Any]]


class _Code:
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

    def __init__(self, parts: Sequence[Relation], done: frozenset[Node], buffers: Buffers, still: _Still) -> None:
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
            raise Refused("there is no row in the result")
        return found


def _calculate(
    node: Node, args: Sequence[Node], function: Callable[..., Any], known: dict[Node, Any], source: Source,
    parameters: Mapping[str, Any],
) -> None:  # fmt: skip
    if node.op == "scan":
        known[node] = _scan(node, [known[a] for a in args], source)
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


def _scan(node: Node, fixed: Sequence[Any], source: Source) -> Grid:
    read: Read = node.data
    grid = source.grid(read, {name: np.asarray(v)[()] for name, v in zip(read.fixed, fixed, strict=True)})
    if grid.present is not None and not read.holes:
        raise Changed(read.table, None)
    return grid


def _parameter(node: Node, parameters: Mapping[str, Any]) -> Any:
    value = parameters[node.data]
    return np.asarray(value)[()] if node.type == "label" else DTYPES[node.type](value)


class _Still:
    """Tells which nodes depend on nothing but axes and tables that do not change: they are not calculated again."""

    def __init__(self, changing: Collection[Any]) -> None:
        self._changing, self._known = changing, dict[Node, bool]()

    def __call__(self, node: Node) -> bool:
        known = self._known.get(node)
        if known is None:
            if node.op in ("scan", "parameter"):
                known = node.op == "scan" and not node.args and node.data.table not in self._changing
            else:
                known = node.op == "axis" or all(self(argument) for argument in node.args)
            self._known[node] = known
        return known


def _function(node: Node, buffers: Buffers, still: _Still) -> Callable[..., Any]:
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


_READS: Mapping[str, Callable[[Node], Callable[..., Any]]] = {
    "constant": _constant,
    "parameter": lambda node: lambda: None,
    "scan": lambda node: lambda: None,
    "axis": _axis, "cells": _cells, "known": _known, "present": _present,
    "match": _remembered(align.match), "lookup": lambda node: align.lookup, "restrict": lambda node: align.restrict,
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
