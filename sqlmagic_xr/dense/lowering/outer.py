"""LEFT JOIN on axes: every row of the left side, and beside it what the right side has at its coordinates, or NULL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...relation.columns import Field
from ...sql.expression import Call, Expression
from ..node import FLOATS, SECOND, Axis, Graph, Node, Refused, Value
from .descending import descended, descent
from .failing import refuse_failing
from .relation import LoweredRelation, alike, axis_of, with_own_axes
from .scalar import Scalars
from .scans import equal_columns

Move = Callable[[Node], Node]
"""Gives a node of the right side along an axis of the left one."""


def extended(
    graph: Graph, left: LoweredRelation, right: LoweredRelation, on: Sequence[Expression],
    using: Sequence[tuple[Field, Field]], scalars: Callable[[LoweredRelation], Scalars],
) -> LoweredRelation:  # fmt: skip
    """The rows of the left side, with the columns of the right.

    A row has at most one partner: the condition names each axis of the right side once. What else it says is asked of
    that partner.

    Args:
        graph: where nodes are made.
        left, right: the sides.
        on: the conditions of ON that are not part of the right side's scan.
        using: the columns of both sides that USING says are equal.
        scalars: lowers the expressions over a relation.

    Raises:
        Refused: a row might have several partners.
    """
    right = with_own_axes(graph, left, right)
    named, rest = _named(left, right, on, using)
    partners: dict[Axis, Move] = {}
    found: list[Node] = []
    for mine, theirs in named:
        (axis,) = theirs.dims
        rows = axis_of(mine) if alike(mine.type, theirs.type) else None
        path = None if rows is None else descent(axis.origin, rows.origin)
        if rows is not None and path is not None:  # each row has a partner
            partners[axis] = partial(descended, graph, above=axis, below=rows, path=path)
            continue
        origin = _partner(graph, mine, theirs)
        partners[axis] = partial(_taken, graph, axis=axis, origin=origin)
        found.append(graph.make("found", (origin,), mine.dims, "boolean"))
    if set(partners) != set(right.axes):
        raise Refused("a LEFT JOIN in which a row may have several partners")
    scans = tuple(dict.fromkeys((*left.scans, *right.scans)))
    moved = right.mapped(lambda node: _moved(node, partners), ())
    pairs = LoweredRelation(left.axes, (*left.columns, *moved.columns), left.present, scans)
    there = graph.both(*found, moved.present, *(_holds(condition, scalars(pairs)) for condition in rest))
    columns = (replace(c, value=Value(c.value.cells, graph.both(there, c.value.valid))) for c in moved.columns)
    return replace(pairs, columns=(*left.columns, *columns))


def _named(
    left: LoweredRelation, right: LoweredRelation, on: Sequence[Expression], using: Sequence[tuple[Field, Field]]
) -> tuple[list[tuple[Value, Value]], list[Expression]]:
    """The pairs of columns by which a partner is found, the second an axis of the right side; and the other conditions.

    Raises:
        Refused: USING names a column that is none.
    """
    pairs: dict[Axis, tuple[Value, Value]] = {}
    rest = []
    conditions = [*on, *(Call("=", pair) for pair in using)]
    for condition in conditions:
        sides = _sides(left, right, condition)
        axis = None if sides is None else axis_of(sides[1])
        if sides is None or axis is None or axis in pairs:
            rest.append(condition)
        else:
            pairs[axis] = sides
    return list(pairs.values()), rest


def _sides(left: LoweredRelation, right: LoweredRelation, condition: Expression) -> tuple[Value, Value] | None:
    """The columns of the two sides that a condition says are equal."""
    for first, second in equal_columns(condition):
        if left.has(first) and right.has(second) and not (left.has(second) or right.has(first)):
            return left.resolve(first), right.resolve(second)
    return None


def _holds(condition: Expression, scalars: Scalars) -> Node:
    """Of which pairs of rows a condition is true.

    Raises:
        Refused: it may fail, and what stands beside a row without a partner is any row.
    """
    holds = scalars.condition(condition)
    refuse_failing(holds, condition)
    return holds


def _moved(node: Node, partners: Mapping[Axis, Move]) -> Node:
    for axis, move in partners.items():
        if axis in node.dims:
            node = move(node)
    return node


def _partner(graph: Graph, mine: Value, theirs: Value) -> Node:
    """What finds each row's place on the axis of the right side that a pair names."""
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
    return graph.make("partner", (rows.origin, axis.origin, mine.cells, *known), data=rows)


def _taken(graph: Graph, node: Node, axis: Axis, origin: Node) -> Node:
    rows: Axis = origin.data
    dims = tuple(rows if d == axis else d for d in node.dims)
    if len(set(dims)) < len(dims):
        raise Refused("a LEFT JOIN along one axis twice")
    return graph.make("take", (node, origin), dims, node.type, (node.dims.index(axis), SECOND))
