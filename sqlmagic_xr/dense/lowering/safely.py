"""Equalities that hold for two NULLs as well, which are plain ones where there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...relation.columns import Field
from ...relation.functions import is_given, usual
from ...sql.expression import Call, Expression, Literal


def plain(condition: Expression, may_be_null: Callable[[Field], bool]) -> Expression:
    """``a IS NOT DISTINCT FROM b`` or ``coalesce(a, 0) = coalesce(b, 0)`` as ``a = b``, where neither is ever NULL.

    Args:
        condition: any condition.
        may_be_null: whether a column may be NULL.
    """
    if not isinstance(condition, Call) or condition.name not in ("=", "is not distinct from"):
        return condition
    sides = tuple(map(_filled, condition.args)) if condition.name == "=" else condition.args
    if not all(isinstance(side, Field) and not may_be_null(side) for side in sides):
        return condition
    return replace(condition, name="=", args=sides)


def _filled(side: Expression) -> Expression:
    """The column that a value stands for where it is NULL."""
    if isinstance(side, Call) and not is_given(side.name) and usual(side.name) == "coalesce" and len(side.args) == 2:
        column, value = side.args
        return column if isinstance(value, Literal) else side
    return side
