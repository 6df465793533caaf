"""What is said of an expression that has no array code."""

from __future__ import annotations

from ...relation.columns import Field, Nested, Piece
from ...relation.rebuild import substituted
from ...sql.expression import Column, Expression, Verbatim, from_tree, to_sql
from ..node import Refused


def refuse(expression: Expression) -> Refused:
    """That an expression has no array code here."""
    what = "this expression" if isinstance(expression, (Nested, Piece)) else to_sql(substituted(expression, _shown))
    return Refused(f"no array code for {what if len(what) < 60 else what[:57] + '...'}", expression.span)


def _shown(part: Expression) -> Expression | None:
    """A column, and what is no calculation, as it was written."""
    if isinstance(part, Field):
        return Column((part.name,)) if part.origin is None else from_tree(part.origin)
    return Verbatim(part.origin) if isinstance(part, (Nested, Piece)) else None
