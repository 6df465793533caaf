"""Which array code may fail where DataFusion fails, and so must be calculated where somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...sql.expression import Expression
from ..node import WHOLE, Node, ancestors
from .refusing import refuse


def is_constant(node: Node, holds: Callable[[Any], bool]) -> bool:
    """Whether a node is a literal of which something holds."""
    return node.op == "constant" and holds(node.data[1])


_FAILING = {"integer /", "integer %", "to int32", "to int64", "power unless zero"}


def refuse_failing(cells: Node, where: Expression) -> None:
    """Refuse to ask only whether a value is NULL where DataFusion may fail to calculate it.

    Raises:
        Refused: there is an integer division, a cast or a negative power in it.
    """
    if any(node.op == "map" and node.data in _FAILING and not (_widens(node) or _divides(node))
           for node in ancestors([cells])):  # fmt: skip
        raise refuse(where)


def _divides(node: Node) -> bool:
    """Whether a division of whole numbers is by one that divides all of them: neither 0 nor -1."""
    return node.data in ("integer /", "integer %") and is_constant(node.args[1], lambda number: number not in (0, -1))


def _widens(node: Node) -> bool:
    """Whether a cast to whole numbers holds all that it may be given, as it does any number of rows."""
    (cells,) = node.args if node.data == "to int64" else (node,)
    while cells.op == "take":
        cells = cells.args[0]
    return node.data == "to int64" and (cells.op == "row number" or cells.type in WHOLE - {"uint64"})
