"""Frames that go on from a sorted one: the rows that are skipped, their order, and more rows than there is room for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from numbers import Integral
from typing import Any

from datafusion import DataFrame, col
from datafusion.expr import SortExpr

from ..errors import UsageError
from ..sql.build import quoted

_ENDLESS = 2**60
_MANY = 1_000_000
"""Groups, for which the engine takes 150 MB."""

_SKIPS = re.compile(r"(?: *(?:Projection|SubqueryAlias): .*\n)* *Limit: skip=[1-9]\d*, fetch=None\n")
_SEEN = re.compile(r"(?: *(?:Projection|SubqueryAlias|Limit): .*\n)* *Sort: ")
"""A plan whose sort sees how many rows are taken."""

_GROUPS = re.compile(r"^ *(Aggregate|Distinct)", re.MULTILINE)


def skipping(frame: DataFrame) -> DataFrame:
    """A frame to derive from, whose OFFSET skips the first rows: without a LIMIT it would skip any, once read further.

    Example:
        >>> from datafusion import SessionContext
        >>> frame = SessionContext().sql("SELECT n FROM (VALUES (3), (1), (2)) AS t(n) ORDER BY n OFFSET 1")
        >>> skipping(frame).union(skipping(frame)).sort("n").to_pydict()
        {'n': [2, 2, 3, 3]}

    Raises:
        UsageError: it is one of groups, of which the engine cannot take as many as there are.
    """
    if not _SKIPS.match(frame.logical_plan().display_indent()):
        return frame
    if _sorts_groups(frame):
        raise UsageError(
            "the rows of a sorted GROUP BY that are left of an OFFSET are not selected from further",
            hint="Give the OFFSET a LIMIT, or call cache() first.",
        )
    return frame.limit(_ENDLESS)


def in_order(frame: DataFrame) -> DataFrame:
    """A frame to run, whose rows have the order of the one that it is selected from, where the engine would lose it.

    Where the keys are among the columns, it is sorted once more; else the sort is made to stay. Not kept is the order
    by what is not selected where the rows are groups, where values are calculated of them, or where some of a number of
    them are chosen.

    Example:
        >>> from datafusion import SessionContext
        >>> frame = SessionContext().sql("SELECT n, n + (SELECT 1) AS m FROM (VALUES (3), (1), (2)) AS t(n) ORDER BY n")
        >>> in_order(frame.select("m")).to_pydict()
        {'m': [2, 3, 4]}
    """
    if "Sort:" not in frame.logical_plan().display_indent():
        return frame
    way = _way(frame)
    if way is None or not way.loses:
        return frame
    if way.keys:
        return frame.sort(*way.keys)
    return frame if _sorts_groups(frame) else frame.limit(_ENDLESS)


def limiting(frame: DataFrame, name: str) -> Callable[..., DataFrame]:
    """A method of a frame that takes so many of its rows, as they are sorted.

    For as many groups the engine would take room before there is one; across a repartition it does not see the number.

    Args:
        frame: the engine's frame.
        name: the method's: ``limit``, ``head`` or ``tail``.
    """

    @wraps(getattr(frame, name))
    def limit(*args: Any, **options: Any) -> DataFrame:
        numbers = [int(each) for each in (*args, *options.values()) if isinstance(each, Integral)]
        if wrong := [number for number in numbers if not 0 <= number < 2**63]:
            raise UsageError(f"{name} takes a number of rows, and {wrong[0]} is none")
        read = _sorted(frame, name)
        if sum(numbers) > _MANY and _sorts_groups(read):
            read = skipping(read).repartition(1)
        found: DataFrame = getattr(read, name)(*args, **options)
        return found

    return limit


def _sorted(frame: DataFrame, name: str) -> DataFrame:
    """A frame whose first rows are meant.

    Raises:
        UsageError: it is not known any more which they are.
    """
    plan = frame.logical_plan().display_indent()
    if "Sort:" not in plan or _SEEN.match(plan):
        return frame
    way = _way(frame)
    if way is not None and way.chooses and not way.keys:
        raise UsageError(
            f"{name} takes the first rows, and what they are sorted by is not among the columns any more",
            hint=f"Select the sort keys as well, or call sort() before {name}().",
        )
    return in_order(frame)


def _sorts_groups(frame: DataFrame) -> bool:
    plan = _optimized(frame)
    text = "" if plan is None else plan.display_indent()
    return "Sort:" in text and _GROUPS.search(text) is not None


def _optimized(frame: DataFrame) -> Any:
    """The plan of a frame; None where there is none: running it says better why."""
    try:
        return frame.optimized_logical_plan()
    except Exception:
        return None


@dataclass(frozen=True)
class _BehindSort:
    """What lies between a sort and the columns of a frame.

    Attributes:
        keys: the sort keys, as the frame has them; () where it has not all.
        loses: whether the engine may lose the order there.
        chooses: whether rows are chosen from some of the sorted ones.
    """

    keys: tuple[SortExpr, ...]
    loses: bool
    chooses: bool


def _way(frame: DataFrame) -> _BehindSort | None:
    """The way of a frame's rows from where they are sorted; None where they are not."""
    plan = _optimized(frame)
    if plan is None:
        return None
    columns = frame.schema().names
    names: dict[str, str] = {name: name for name in columns if columns.count(name) == 1}
    loses, chooses, first = "(<subquery>)" in plan.display_indent(), False, True
    while (kind := type(node := plan.to_variant()).__name__) != "Sort":
        if kind == "Projection":
            below = _below(node.projections())
            loses = loses or len(below) < len(node.projections())
            names = {below[name]: shown for name, shown in names.items() if name in below}
        elif kind == "Filter":  # one that is not of some of the rows stands below the sort
            loses = chooses = True
        elif kind not in ("SubqueryAlias", "Limit"):
            return None
        plan, first = plan.inputs()[0], False
    return _BehindSort(_shown(node.sort_exprs(), names), loses and not first, chooses)


def _below(projections: list[Any]) -> dict[str, str]:
    """The columns that a projection passes on, by the names that it gives them."""
    found = {}
    for expression in projections:
        name = ""
        if expression.variant_name() == "Alias":
            alias = expression.to_variant()
            name, expression = alias.alias(), alias.expr()
        if (column := _column(expression)) is not None:
            found[name or column] = column
    return found


def _shown(keys: list[Any], names: Mapping[str, str]) -> tuple[SortExpr, ...]:
    """Sort keys by the names that columns have further up; () where one has none."""
    found = []
    for key in keys:
        column = _column(key.expr())
        if column is None or column not in names:
            return ()
        found.append(col(quoted(names[column])).sort(key.ascending(), key.nulls_first()))
    return tuple(found)


def _column(expression: Any) -> str | None:
    """The column that an expression is; None for any other, of which most cannot be taken to Python."""
    return expression.to_variant().name() if expression.variant_name() == "Column" else None
