"""LEFT JOIN on axes: every row of the left side, and beside it what the right side has at its coordinates, or NULL."""

from __future__ import annotations

from collections.abc import Sequence

from ...relation.columns import Field
from ...sql.expression import Expression
from ..node import FLOATS, SECOND, Axis, Graph, Node, Refused, Value
from .relation import Named, Relation, alike, with_own_axes
from .scans import equal_columns


def extended(
    graph: Graph, left: Relation, right: Relation, on: Sequence[Expression], using: Sequence[tuple[Field, Field]]
) -> Relation:
    """The rows of the left side, with the columns of the right.

    A row has at most one partner: the condition names each axis of the right side once.

    Args:
        graph: where nodes are made.
        left, right: the sides.
        on: the conditions of ON that are not part of the right side's scan.
        using: the columns of both sides that USING says are equal.

    Raises:
        Refused: a row might have several partners, or ON says more than that columns are equal.
    """
    right = with_own_axes(graph, left, right)
    pairs = [_sides(left, right, condition) for condition in on]
    pairs += [(left.resolve(mine), right.resolve(theirs)) for mine, theirs in using]
    partners: dict[Axis, Node] = {}
    found: list[Node] = []
    for mine, theirs in pairs:
        if mine.cells is theirs.cells and mine.valid is theirs.valid is None and not mine.dims:
            continue  # both are the same constant
        axis, origin = _partner(graph, mine, theirs)
        if axis in partners:
            raise Refused("a LEFT JOIN names an axis twice")
        partners[axis] = origin
        found.append(graph.make("found", (origin,), mine.dims, "boolean"))
    if set(partners) != set(right.axes):
        raise Refused("a LEFT JOIN in which a row may have several partners")

    def moved(node: Node) -> Node:
        for axis, origin in partners.items():
            if axis in node.dims:
                node = _taken(graph, node, axis, origin)
        return node

    there = graph.both(*found, None if right.present is None else moved(right.present))
    columns = []
    for column in right.columns:
        cells, valid = column.value.cells, column.value.valid
        known = graph.both(there, None if valid is None else moved(valid))
        columns.append(Named(column.owner, column.name, Value(moved(cells), known)))
    scans = tuple(dict.fromkeys((*left.scans, *right.scans)))
    return Relation(left.axes, (*left.columns, *columns), left.present, scans)


def _sides(left: Relation, right: Relation, condition: Expression) -> tuple[Value, Value]:
    """The columns of the two sides that a condition says are equal."""
    for first, second in equal_columns(condition):
        if left.has(first) and right.has(second) and not (left.has(second) or right.has(first)):
            return left.resolve(first), right.resolve(second)
    raise Refused("a LEFT JOIN whose ON is more than equalities of columns", condition.span)


def _partner(graph: Graph, mine: Value, theirs: Value) -> tuple[Axis, Node]:
    """The axis of the right side that a pair names, and the node that finds each row's place on it."""
    if theirs.cells.op != "coordinate" or theirs.valid is not None:
        raise Refused("a LEFT JOIN on what is no axis of its right side")
    if (
        len(mine.cells.dims) != 1
        or mine.dims != mine.cells.dims
        or not alike(mine.type, theirs.type)
        or theirs.type in FLOATS
    ):
        raise Refused("a LEFT JOIN on what varies along several axes or none, or on floating-point numbers")
    (axis,), (rows,) = theirs.dims, mine.dims
    if mine.valid is not None and mine.valid.dims != mine.dims:
        raise Refused("a LEFT JOIN on what may be NULL as a whole")
    known = () if mine.valid is None else (mine.valid,)
    return axis, graph.make("partner", (rows.origin, axis.origin, mine.cells, *known), data=rows)


def _taken(graph: Graph, node: Node, axis: Axis, origin: Node) -> Node:
    rows: Axis = origin.data
    dims = tuple(rows if d == axis else d for d in node.dims)
    if len(set(dims)) < len(dims):
        raise Refused("a LEFT JOIN along one axis twice")
    return graph.make("take", (node, origin), dims, node.type, (node.dims.index(axis), SECOND))
