"""What a node of a statement is about, for who looks for the one that a message of the engine means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..sql.syntax import identifier, name_of

Suspect = Callable[[str, Any], bool]
"""Whether a node of one variant (its name and its content) can be what the message is about."""


def names_of_node(kind: str, node: Any) -> tuple[str, ...]:
    """The name that an expression node is, or ()."""
    if kind == "Identifier":
        return (identifier(node),)
    return tuple(identifier(p) for p in node) if kind == "CompoundIdentifier" else ()


def relation_of_node(node: dict[str, Any]) -> tuple[str, ...]:
    """The name of the relation that a node reads, or ()."""
    return name_of(node.get("name") or node.get("table_name") or [])


def calls(name: str) -> Suspect:
    """Calls of a function, and relations made by one."""

    def suspect(kind: str, node: Any) -> bool:
        if kind in _SYNTAX_OF:
            return _SYNTAX_OF[kind] == name.lower()
        called = name_of(node["name"]) if kind == "Function" or (kind == "Table" and node.get("args")) else ()
        return called[-1:] == (name.lower(),)

    return suspect


_SYNTAX_OF = {"Ceil": "ceil", "Floor": "floor", "Substring": "substr", "Position": "strpos", "Extract": "date_part"}


def string_of_node(node: Any) -> str | None:
    """The text of a string that a node is, or None."""
    value = node.get("value")
    return value.get("SingleQuotedString") if isinstance(value, dict) else None
