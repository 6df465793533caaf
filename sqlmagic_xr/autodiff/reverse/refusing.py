"""What no derivative goes through is refused with the reason, at the user's word."""

from __future__ import annotations

from ...errors import DerivativeError
from ...relation.functions import function
from ...sql.expression import Call, Expression, descend
from .blocks import Block, active


def refused(what: str, hint: str, *where: object) -> DerivativeError:
    """A query through which no derivative is taken, with the reason, at the first of the places that is known."""
    error = DerivativeError(what, hint=hint)
    error.span = next((s for s in (getattr(w, "span", None) for w in where) if s is not None), None)
    return error


def require_steady(expression: Expression) -> None:
    """Raise DerivativeError for what has another value each time it is evaluated."""
    for part in descend(expression):
        row = function(part.name) if isinstance(part, Call) else None
        if row is not None and row.varies == "call":
            raise refused(f"{row.name} is another value each time it is asked for",
                          "Keep its values in a table, and read them there.", part)  # fmt: skip


def require_free(block: Block, what: str, where: object) -> None:
    """Raise DerivativeError where what decides which rows there are depends on the cells."""
    if active(block):
        raise refused(f"{what} a value that depends on the parameter is a staircase: it has no derivative",
                      "Group by what does not depend on it.", where)  # fmt: skip
