"""Frames of frames, of which nothing is lost: of two projections of one list the engine keeps one.

As if ``select(x + 1)`` twice were once; and what a frame skips, or how many rows it takes, goes wrong further on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from datafusion import DataFrame
from xarray_sql.ds import XarrayDataFrame

from ..errors import UsageError
from .ordered import limiting, skipping

_PROJECT = frozenset(["select", "select_exprs", "with_column", "with_columns", "cast", "fill_null"])
"""Methods of DataFusion's frames that calculate columns."""

_LIMIT = frozenset(["limit", "head", "tail"])

_DERIVE = _PROJECT | _LIMIT | {
    "aggregate", "alias", "distinct", "distinct_on", "drop", "except_all", "filter", "intersect", "into_view", "join",
    "join_on", "repartition", "repartition_by_hash", "sort", "sort_by", "union", "union_by_name", "union_distinct",
    "unnest_columns", "window", "with_column_renamed",
}  # fmt: skip
"""Methods whose frame reads this one."""

_LAYER = "_layer"


def derives(name: str) -> bool:
    """Whether a method of that name gives a frame that reads the one that it is called of."""
    return name in _DERIVE


def derivation(frame: DataFrame, name: str) -> Callable[..., Any]:
    """A method that gives a frame which reads this one, without what the engine makes of it wrongly.

    Args:
        frame: the engine's frame.
        name: the method's.
    """
    if name in _LIMIT:
        return limiting(frame, name)
    if name in _PROJECT:
        return projecting(skipping(frame), name)

    @wraps(getattr(frame, name))
    def derive(*args: Any, **options: Any) -> Any:
        return getattr(skipping(frame), name)(
            *map(to_read, args), **{key: to_read(each) for key, each in options.items()}
        )

    return derive


def to_read(argument: Any) -> Any:
    """An argument; of a frame the engine's, as it can be read further."""
    frame = argument._inner if isinstance(argument, XarrayDataFrame) else argument
    return skipping(frame) if isinstance(frame, DataFrame) else frame


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
