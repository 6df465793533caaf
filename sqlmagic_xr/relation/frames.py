"""The window behind an OVER: its partition, and its frame as two numbers of rows."""

from __future__ import annotations

from typing import Literal

from ..sql.expression import Literal as Constant
from ..sql.expression import from_tree
from ..sql.syntax import Tree

Frame = tuple[int | None, int | None]
"""The first and the last row of a frame, counted from its own row; None for that of the partition."""

Units = Literal["Rows", "Range", "Groups"]


def partition_of(window: Tree) -> list[Tree]:
    """What stands behind PARTITION BY in a window."""
    return list(window.get("WindowSpec", {}).get("partition_by", ()))


def is_whole(window: Tree) -> bool:
    """Whether a window has all rows of its partition for each of them."""
    spec = window.get("WindowSpec", {"order_by": True})
    return not spec["order_by"] and spec["window_frame"] is None and spec["window_name"] is None


def bounds(frame: Tree) -> tuple[Units, Frame] | None:
    """What a frame counts in, and from where to where it goes; None where a bound is no whole number.

    >>> from ..sql.syntax import parse_one
    >>> call = parse_one("SELECT sum(x) OVER (ORDER BY t ROWS 3 PRECEDING) FROM d").tree["Query"]["body"]["Select"]
    >>> over = call["projection"][0]["UnnamedExpr"]["Function"]["over"]["WindowSpec"]
    >>> bounds(over["window_frame"])
    ('Rows', (-3, 0))
    """
    ends = [_place(frame["start_bound"]), _place(frame["end_bound"] or "CurrentRow")]
    if "unknown" in ends:
        return None
    begin, end = (None if isinstance(place, str) else place for place in ends)
    return frame["units"], (begin, end)


def _place(bound: Tree) -> int | Literal["unknown"] | None:
    if bound == "CurrentRow":
        return 0
    ((side, rows),) = bound.items()
    if rows is None:
        return None
    found = from_tree(rows)
    count = found.number if isinstance(found, Constant) else None
    if count is None or count != int(count):
        return "unknown"
    return int(count) if side == "Following" else -int(count)
