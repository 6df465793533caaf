"""What a derivative asks about the names in an expression, and the error that points at a part of it."""

from __future__ import annotations

from typing import Protocol

from ..errors import DerivativeError
from ..relation.layers import ColumnType
from ..sql.expression import Call, Column, Expression, Verbatim


class Meanings(Protocol):
    """What a derivative asks about the names in an expression."""

    def derivative(self, column: Column) -> Expression | None:
        """The derivative of a column by the variable; None where it does not depend on it."""

    def depends(self, expression: Expression) -> bool:
        """Whether any column in an expression, also inside pieces that are kept opaque, depends on the variable."""

    def type_of(self, column: Column) -> ColumnType | None:
        """What kind of value a column holds; None where that is not known."""

    def is_real(self, column: Column) -> bool:
        """Whether a column is known to hold floating-point numbers, or no numbers."""

    def is_key(self, expression: Expression) -> bool:
        """Whether an expression is what its SELECT groups by, so that it stands there as it is."""

    def never_null(self, column: Column) -> bool:
        """Whether a column cannot be NULL."""

    def rows_of(self, call: Call) -> Verbatim | None:
        """The window with the very rows that an aggregate reads; None where no window below its SELECT has them."""

    def require_constant(self, call: Call) -> None:
        """Raise DerivativeError unless the variable has one value in all rows that an aggregate reads."""


def refused(node: Expression, what: str, hint: str) -> DerivativeError:
    """An error that points at the part of the user's text that has no derivative."""
    error = DerivativeError(what, hint=hint or None)
    error.span = node.span
    return error
