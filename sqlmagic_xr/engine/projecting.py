"""Projections of frames: of two of one list the engine keeps one, as if ``select(x + 1)`` twice were once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from datafusion import DataFrame

from ..errors import UsageError

PROJECT = frozenset(["select", "select_exprs", "with_column", "with_columns", "cast", "fill_null"])
"""Methods of DataFusion's frames that calculate columns."""

_LAYER = "_layer"


def projecting(frame: DataFrame, name: str) -> Callable[..., DataFrame]:
    """A method of a frame that calculates columns, of which nothing is lost.

    Example:
        >>> from datafusion import SessionContext, col, lit
        >>> frame, more = SessionContext().sql("SELECT 1 AS x"), (col("x") + lit(1)).alias("x")
        >>> frame.select(more).select(more).to_pydict(), projecting(frame.select(more), "select")(more).to_pydict()
        ({'x': [2]}, {'x': [3]})

    Args:
        frame: the engine's frame.
        name: the method's.
    """

    @wraps(getattr(frame, name))
    def project(*args: Any, **options: Any) -> DataFrame:
        found = _frame(getattr(frame, name)(*args, **options))
        if not _repeats(found):
            return found
        try:
            return _frame(getattr(frame.alias(_LAYER), name)(*args, **options))
        except Exception as error:
            raise UsageError(
                f"the same {name} twice, of which the engine would keep one",
                hint="Name columns without their table, or call cache() between the two.",
            ) from error

    return project


def _frame(found: Any) -> DataFrame:
    """A frame that can be used; of ``select_exprs`` the engine gives a bare one."""
    return found if isinstance(found, DataFrame) else DataFrame(found)


def _repeats(frame: DataFrame) -> bool:
    """Whether a frame's outermost projection stands below once more, and calculates something."""
    top, *below = (line.strip() for line in frame.logical_plan().display_indent().split("\n"))
    return top.startswith("Projection:") and " AS " in top and top in below
