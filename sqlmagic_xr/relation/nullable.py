"""Whether an expression may be NULL."""

from __future__ import annotations

from collections.abc import Callable

from ..sql.expression import Call, Case, Cast, Expression, Literal, Star, bottom_up
from .columns import Field, Nested
from .functions import function

NullOf = Callable[[Field], bool]
"""Whether a column may be NULL."""

_STRICT = frozenset({"+", "-", "*", "=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "between", "not between", "in",
                     "not in", "||", "&", "|", "^", "/", "%"})  # fmt: skip
_NEVER = frozenset({"is null", "is not null", "is true", "is not true", "is false", "is not false", "is unknown",
                    "is not unknown", "is distinct from", "is not distinct from"})  # fmt: skip
_ANY = frozenset({"coalesce", "greatest", "least"})  # NULL only where all of their arguments are


def may_be_null(expression: Expression, of_column: NullOf) -> bool:
    """Whether an expression may be NULL; in doubt, it may.

    Args:
        expression: bound.
        of_column: whether a column may be.
    """
    found: bool = bottom_up(expression, lambda node, parts: _one(node, parts, of_column))
    return found


def _one(node: Expression, parts: list[bool], of_column: NullOf) -> bool:
    match node:
        case Field():
            return of_column(node)
        case Literal(value=value):
            return value is None
        case Star():
            return False
        case Cast(kind=kind):
            return kind == "TryCast" or parts[0]
        case Case():
            return node.default is None or any(node.results(parts))
        case Nested(kind="exists"):
            return False
        case Call():
            return _call(node, parts[: len(node.args)])
    return True


def _call(node: Call, args: list[bool]) -> bool:
    if node.name in _NEVER:
        return False
    row = function(node.name)
    if row is not None and row.name in _ANY:
        return all(args)
    strict = node.name in _STRICT or (row is not None and row.strict)
    return not strict or any(args)
