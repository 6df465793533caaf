"""``a IS [NOT] DISTINCT FROM b AND c``: the parser takes ``b AND c`` for what a is compared with."""

from __future__ import annotations

import re
from typing import Any

from .syntax import Tree, replace

_SIGNS = re.compile(r"\bDISTINCT\b", re.IGNORECASE)

_STRENGTH = {"Or": 1, "Xor": 2, "And": 3}
_NOT = 4
_COMPARISONS = ("IsDistinctFrom", "IsNotDistinctFrom")


def rebound(tree: Tree, sql: str) -> Tree:
    """The tree of a text with NOT, AND, XOR and OR bound less strongly than IS [NOT] DISTINCT FROM, as SQL says.

    >>> from .syntax import parse_one, to_sql
    >>> sql = "SELECT 1 FROM t WHERE NOT a IS DISTINCT FROM b AND c OR d"
    >>> to_sql(rebound(parse_one(sql).tree, sql))
    'SELECT 1 FROM t WHERE NOT (a IS DISTINCT FROM b) AND c OR d'
    """
    return replace(tree, _rebound) if _SIGNS.search(sql) else tree


def _rebound(node: dict[str, Any]) -> Tree | None:
    if not _is_loose(node) and next(iter(node), None) not in _COMPARISONS:
        return None
    items, moved = _items(node)
    return _OperandReader(items).expression(0) if moved else None


def _is_loose(node: Tree) -> bool:
    if not isinstance(node, dict):
        return False
    if "BinaryOp" in node:
        return isinstance(node["BinaryOp"]["op"], str) and node["BinaryOp"]["op"] in _STRENGTH
    return "UnaryOp" in node and node["UnaryOp"]["op"] == "Not"


def _items(node: Tree) -> tuple[list[Any], bool]:
    """An expression's operands with the loose operators between them, in the text's order; whether one was misbound."""
    if "BinaryOp" in node and _is_loose(node):
        left, one = _items(node["BinaryOp"]["left"])
        right, other = _items(node["BinaryOp"]["right"])
        return [*left, node["BinaryOp"]["op"], *right], one or other
    if _is_loose(node):
        inner, moved = _items(node["UnaryOp"]["expr"])
        return ["Not", *inner], moved
    kind = next(iter(node))
    if kind in _COMPARISONS and _is_loose(node[kind][1]) and "BinaryOp" in node[kind][1]:
        (first, *rest), _ = _items(node[kind][1])
        if first != "Not":
            return [{"Nested": {kind: [replace(node[kind][0], _rebound), first]}}, *rest], True
    return [replace(node, lambda inner: None if inner is node else _rebound(inner))], False


class _OperandReader:
    """Reads operands and operators by the operators' strength."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self._at = 0

    def expression(self, strength: int) -> Tree:
        left = self._operand()
        while self._at < len(self._items) and _STRENGTH[self._items[self._at]] > strength:
            op = self._items[self._at]
            self._at += 1
            left = {"BinaryOp": {"left": left, "op": op, "right": self.expression(_STRENGTH[op])}}
        return left

    def _operand(self) -> Tree:
        item = self._items[self._at]
        self._at += 1
        return {"UnaryOp": {"op": "Not", "expr": self.expression(_NOT)}} if item == "Not" else item
