"""Relations as axes and columns over them, and what FROM and WHERE do to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from ...relation import nodes
from ...relation.columns import Field
from ..node import (
    FIRST,
    FLOATS,
    GATHER,
    SECOND,
    WHOLE,
    Axis,
    Graph,
    Node,
    Refused,
    Type,
    Value,
    conjuncts,
)
from .descending import descended, descent, holds


@dataclass(frozen=True)
class NamedColumn:
    """A column of a relation.

    Attributes:
        owner: the bound relation whose column expressions know it as; None for a column of a query's result.
        name: its name there; "" for none.
        value: its cells.
    """

    owner: nodes.Relation | None
    name: str
    value: Value


@dataclass(frozen=True)
class LoweredRelation:
    """The rows of a query.

    Attributes:
        axes: its cells are those of their product; an axis may be no column.
        columns: what there is to select.
        present: which cells are rows; None where all are.
        scans: the tables that it is made of; they are read although no column of theirs is asked for.
    """

    axes: tuple[Axis, ...]
    columns: tuple[NamedColumn, ...]
    present: Node | None = None
    scans: tuple[Node, ...] = ()

    def has(self, column: Field) -> bool:
        """Whether a column is one of these."""
        return any(c.name == column.name and c.owner is column.relation for c in self.columns)

    def resolve(self, column: Field) -> Value:
        """The value of a column.

        Raises:
            Refused: it is one of the query around, or of a type that arrays do not hold.
        """
        for mine in self.columns:
            if mine.name == column.name and mine.owner is column.relation:
                if mine.value.cells.op == "unheld":
                    raise Refused(f"the type of {column.name} is none that arrays hold", column.span)
                return mine.value
        raise Refused(f"no column {column.name}: a subquery uses the query around it", column.span)

    def mapped(self, change: Callable[[Node], Node], axes: Iterable[Axis]) -> LoweredRelation:
        """The same relation with every array changed."""

        def value(old: Value) -> Value:
            return Value(change(old.cells), None if old.valid is None else change(old.valid))

        columns = tuple(NamedColumn(c.owner, c.name, value(c.value)) for c in self.columns)
        present = None if self.present is None else change(self.present)
        return LoweredRelation(tuple(dict.fromkeys(axes)), columns, present, self.scans)

    def called(self, leaf: nodes.Leaf) -> LoweredRelation:
        """The relation as it stands in a FROM, its columns called as there."""
        names = leaf.names or ()
        return self.of(NamedColumn(leaf, name or "", c.value) for c, name in zip(self.columns, names, strict=True))

    def of(self, columns: Iterable[NamedColumn]) -> LoweredRelation:
        """The same rows with other columns."""
        return LoweredRelation(self.axes, tuple(columns), self.present, self.scans)


def with_own_axes(graph: Graph, left: LoweredRelation, right: LoweredRelation) -> LoweredRelation:
    """The second relation, its axes told apart from those of the first."""
    for axis in right.axes:
        if axis in left.axes:
            taken = {a.copy for a in (*left.axes, *right.axes) if a.origin is axis.origin}
            free = next(copy for copy in range(len(taken) + 1) if copy not in taken)
            right = _relabelled(graph, right, axis, Axis(axis.origin, free))
    return right


def alike(left: Type, right: Type) -> bool:
    """Whether equal values of two types are equal numbers, or labels, so that axes of them can be aligned."""
    return left == right or (left in WHOLE and right in WHOLE)


def cross(graph: Graph, left: LoweredRelation, right: LoweredRelation) -> LoweredRelation:
    """All pairs of rows; the axes that both have are told apart."""
    right = with_own_axes(graph, left, right)
    present = graph.both(left.present, right.present)
    scans = tuple(dict.fromkeys((*left.scans, *right.scans)))
    return LoweredRelation((*left.axes, *right.axes), (*left.columns, *right.columns), present, scans)


def equate(graph: Graph, relation: LoweredRelation, left: Value, right: Value) -> LoweredRelation | None:
    """The rows in which two columns are equal, if that can be had by aligning axes; else None."""
    one, other = axis_of(left), axis_of(right)
    if not alike(left.type, right.type):
        return None
    if one is not None and other is not None:
        if one == other:
            return relation
        if one.origin is other.origin:
            return _relabelled(graph, relation, other, one)
        for above, below in ((one, other), (other, one)):
            path = descent(above.origin, below.origin)
            if path is not None:
                axes = (below if axis == above else axis for axis in relation.axes)
                return relation.mapped(lambda n: descended(graph, n, above, below, path), axes)  # noqa: B023 - at once
        origin = graph.make("match", (one.origin, other.origin))
        return _taken(graph, relation, Axis(origin, one.copy), (one, FIRST), (other, SECOND))
    if one is None and other is None:
        return None
    axis, value = (one, right) if one is not None else (other, left)
    assert axis is not None
    if len(value.dims) != 1 or axis in value.dims or value.type in FLOATS:
        return None
    (rows,) = value.dims
    known = () if value.valid is None else (value.valid,)
    origin = graph.make("lookup", (rows.origin, axis.origin, value.cells, *known))
    return _taken(graph, relation, Axis(origin, rows.copy), (rows, FIRST), (axis, GATHER))


def restrict(graph: Graph, relation: LoweredRelation, condition: Node) -> LoweredRelation:
    """The rows in which a condition is true; what it asks to be known along an axis is no NULL there."""
    if condition.op == "constant" and condition.data[1] is True:
        return relation
    if len(condition.dims) != 1:
        return replace(relation, present=graph.both(relation.present, condition))
    if holds(condition):
        return relation
    (axis,) = condition.dims
    true = set(conjuncts(condition))
    relation = relation.of(replace(c, value=_known(c.value, true)) for c in relation.columns)
    origin = graph.make("restrict", (axis.origin, condition))
    return _taken(graph, relation, Axis(origin, axis.copy), (axis, FIRST))


def _known(value: Value, true: Collection[Node]) -> Value:
    """A column where some masks are true."""
    if value.valid is None or not all(mask in true for mask in conjuncts(value.valid)):
        return value
    return replace(value, valid=None)


def axis_of(value: Value) -> Axis | None:
    """The axis whose coordinates a column is; None for one that is NULL at some of them: NULLs are no place there."""
    return value.cells.dims[0] if value.cells.op == "coordinate" and value.valid is None else None


def _relabelled(graph: Graph, relation: LoweredRelation, old: Axis, new: Axis) -> LoweredRelation:
    axes = (new if a == old else a for a in relation.axes)
    return relation.mapped(lambda node: graph.relabel(node, old, new), axes)


def _taken(graph: Graph, relation: LoweredRelation, new: Axis, *parts: tuple[Axis, int]) -> LoweredRelation:
    """The relation along ``new`` instead of the axes of ``parts``."""
    while new in relation.axes:
        new = Axis(new.origin, new.copy + 1)

    def change(node: Node) -> Node:
        involved = [(axis, side) for axis, side in parts if axis in node.dims]
        if len(involved) == 2:  # both axes become one: along the first, then along the second, then the diagonal
            (first, side), (second, other) = involved
            apart = Axis(new.origin, -1)
            node = graph.take(graph.take(node, first, new, side), second, apart, other)
            return graph.relabel(node, apart, new)
        for axis, side in involved:
            node = graph.take(node, axis, new, side)
        return node

    old = {axis for axis, _ in parts}
    return relation.mapped(change, (new if a in old else a for a in relation.axes))
