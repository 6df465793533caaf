"""How long the text of an expression is, without writing it."""

from __future__ import annotations

from ..sql.expression import (
    OPERATORS,
    Call,
    Case,
    Cast,
    Column,
    Expression,
    Literal,
    Parameter,
    Star,
    Verbatim,
    descend,
    settle,
)


def size(expression: Expression) -> int:
    """About how many characters the text of an expression has, shared parts counted each time (worked out once)."""
    if "_size" not in expression.__dict__:
        settle(expression, "_size", lambda node: _own_size(node) + sum(part.__dict__["_size"] for part in node.parts))
    found: int = expression.__dict__["_size"]
    return found


def distinct_size(expression: Expression) -> int:
    """The same, each shared part counted once."""
    return sum(map(_own_size, descend(expression)))


def _own_size(node: Expression) -> int:
    match node:
        case Column():
            return sum(len(part) + 1 for part in node.path) - 1
        case Call():
            return (3 if node.name in OPERATORS else len(node.name) + 2 * len(node.args)) + 4 * (
                node.window is not None
            )
        case Case():
            return 9 + 11 * len(node.branches)
        case Cast():
            return 16
        case Verbatim():
            return 10
        case Parameter():
            return len(node.name)
        case Star():
            return 1
        case Literal():
            return len(str(node.value))
    return 0
