"""Choices between values: CASE and coalesce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from ...sql.expression import Expression
from ..node import NUMBERS, Graph, Node, Type, Value
from .coercion import common
from .failing import is_constant
from .refusing import refuse

To = Callable[[Node, Type], Node]
"""Gives the same cells as another type of number."""


def choose(
    graph: Graph, to: To, conditions: Sequence[Node], results: Sequence[Value], default: Value, where: Expression
) -> Value:  # fmt: skip
    """The first of the results whose condition is true, or the default: nested choices, the last one innermost.

    Raises:
        Refused: of types that have no one type in common.
    """
    kind = _kind([*results, default], where)
    value = _as(graph, to, default, kind)
    for condition, result in reversed(list(zip(conditions, results, strict=True))):
        branch = _as(graph, to, result, kind)
        if is_constant(condition, lambda true: true is True):
            value = branch
        elif not is_constant(condition, lambda true: true is False):
            cells = graph.elementwise("where", (condition, branch.cells, value.cells), kind)
            value = Value(cells, _known(graph, condition, branch.valid, value.valid))
    return value


def _kind(values: Sequence[Value], where: Expression) -> Type:
    kinds = {v.type for v in values} - {"null"}
    if not kinds or (len(kinds) > 1 and not kinds <= NUMBERS - {"uint64"}) or "label" in kinds:
        raise refuse(where)
    return reduce(common, sorted(kinds)) if len(kinds) > 1 else kinds.pop()


def _known(graph: Graph, condition: Node, first: Node | None, other: Node | None) -> Node | None:
    """Where a choice is not NULL."""
    if first is condition:  # coalesce takes what is known where it is
        return None if other is None else graph.elementwise("or", (condition, other), "boolean")
    if first is None and other is None:
        return None
    true = graph.constant(True, "boolean")
    return graph.elementwise("where", (condition, first or true, other or true), "boolean")


def _as(graph: Graph, to: To, value: Value, kind: Type) -> Value:
    if value.type == "null":
        zero = {"float64": 0.0, "float32": 0.0, "boolean": False}.get(kind, 0)
        return Value(graph.constant(zero, kind), value.valid)
    return Value(to(value.cells, kind) if kind in NUMBERS else value.cells, value.valid)
