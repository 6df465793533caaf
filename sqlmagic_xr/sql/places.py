"""Where expressions stand in a tree, and a node with others in their places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .traversal import Tree, replace

INNER = (dict, list, tuple)

# Node -> where expressions stand in its body; [""] for the body itself. Of any other node everything is looked into.
_OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Identifier", "CompoundIdentifier", "Value", "TypedString"), ()),
    **dict.fromkeys(("Nested", "IsNull", "IsNotNull", "IsDistinctFrom", "IsNotDistinctFrom", "Subquery"), ("",)),
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
_BARREN = frozenset(["span", "select_token", "wildcard_token", "name", "alias", "quote_style"])
"""What no expression stands in."""


def inside(node: dict[str, Any]) -> Iterator[Any]:
    """What of a node may hold expressions, in the order of the text."""
    body: Any = node
    keys: Iterable[str] = node
    if len(node) == 1:
        ((kind, whole),) = node.items()
        known = _OPERANDS.get(kind)
        if known is not None and (isinstance(whole, dict) or not any(known)):
            body, keys = (whole, known) if any(known) else (node, (kind,) * len(known))
    for key in keys:
        value = body.get(key)
        if value and isinstance(value, INNER) and key not in _BARREN:
            yield value


def around(node: Tree, new: Mapping[int, Tree]) -> Tree:
    """A node with others in the place of some that stand in it.

    Args:
        node: the node.
        new: what stands in the place of each, by its id; one that stays is in its own place, and is not looked into.
    """
    return replace(node, lambda inner: new.get(id(inner)))
