"""Where expressions stand in a tree, and a node with others in their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .traversal import Tree, replace

_LISTS = (list, tuple)
_LEAVES = frozenset(["Value", "TypedString"])
_WHOLE = ("",)  # the body itself

# Node -> where expressions stand in its body. Of any other node everything is looked into.
_OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Identifier", "CompoundIdentifier"), ()),
    **dict.fromkeys(("Nested", "IsNull", "IsNotNull", "IsDistinctFrom", "IsNotDistinctFrom", "Subquery"), _WHOLE),
    "BinaryOp": ("left", "right"),
    "UnaryOp": ("expr",),
    "Cast": ("expr",),
    "Between": ("expr", "low", "high"),
    "InList": ("expr", "list"),
    "InSubquery": ("expr", "subquery"),
    "Exists": ("subquery",),
    "Case": ("operand", "conditions", "else_result"),
    "Function": ("parameters", "args", "filter", "over", "within_group"),
    "WindowSpec": ("partition_by", "order_by", "window_frame"),
}
COLUMNS = ("Identifier", "CompoundIdentifier")
"""The parser's names of columns."""
CALL, OPERATION, SIGN, PARENTHESES, OVER = "Function", "BinaryOp", "UnaryOp", "Nested", "WindowSpec"
"""The parser's names of calls, of operators over two operands and one, of parentheses, and of what follows OVER."""
EXPRESSIONS = frozenset(
    ["BinaryOp", "UnaryOp", "Nested", "Function", "Between", "InList", "IsDistinctFrom", "IsNotDistinctFrom", "Case",
     "InSubquery", "Exists", "Subquery", "WindowSpec", "Cast", *COLUMNS]
)  # fmt: skip
"""The expressions that rewrites ask for, by the parser's names."""
_BARREN = frozenset(["span", "select_token", "wildcard_token", "name", "alias", "quote_style"])
"""What no expression stands in."""


def inside(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a node that may be or hold expressions, in the order of the text; no numbers and strings."""
    found: list[dict[str, Any]] = []
    if len(node) == 1:
        ((kind, body),) = node.items()
        keys = _OPERANDS.get(kind)
        if keys is not None and (keys == _WHOLE or not keys):
            _gather([body] if keys else (), found)
            return found
        if keys is not None and type(body) is dict:
            _gather([body.get(key) for key in keys], found)
            return found
    _gather([value for key, value in node.items() if key not in _BARREN], found)
    return found


def _gather(values: Iterable[Any], found: list[dict[str, Any]]) -> None:
    for value in values:
        if type(value) is dict:
            if value and next(iter(value)) not in _LEAVES:
                found.append(value)
        elif value and type(value) in _LISTS:
            _gather(value, found)


def around(node: Tree, new: Mapping[int, Tree]) -> Tree:
    """A node with others in the place of some that stand in it.

    Args:
        node: the node.
        new: what stands in the place of each, by its id; one that stays is in its own place, and is not looked into.
    """
    return replace(node, lambda inner: new.get(id(inner)))
