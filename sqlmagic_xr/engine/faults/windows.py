"""Windows that the engine slides wrongly: what is left over from the rows before is taken for a value."""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError
from ...relation.layers import Scope
from ...sql.pieces import (
    arguments,
    filled,
    function_name,
    ignores_nulls,
    number,
    order_of,
    over_of,
    text_of,
    window_of,
    with_arguments,
    with_function,
    with_parts,
)
from ...sql.places import CALL, OVER
from ...sql.syntax import Tree, identifier, span_of
from .reading import Reading

SIGNS = r"\bOVER\b"

_STALE = ("min", "max")
_COUNTED = ("first_value", "last_value", "nth_value")


def slid(reading: Reading) -> Tree:
    """The tree with windows that the engine calculates right; what it cannot is refused.

    - MIN and MAX over a frame that moves keep a value when all that is left is NULL: they are asked for only where
      the frame has a value.
    - LEAD(x, 2) IGNORE NULLS goes wrong, LAG does not: the one is the other over the reverse order.
    - REGR_COUNT of no row is NULL for 0.
    - A RANGE frame beside the current row goes on with rows that it has left; nothing else can be asked for.

    Raises:
        UnsupportedError: a frame that the engine calculates wrongly.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> def show(sql):
    ...     return to_sql(slid(Reading(parse_one(sql).tree)))
    >>> show("SELECT lead(x, 2) IGNORE NULLS OVER (ORDER BY t) AS a FROM d")
    'SELECT lag(x, 2) IGNORE NULLS OVER (ORDER BY t DESC NULLS FIRST) AS a FROM d'
    >>> show("SELECT regr_count(y, x) OVER (ORDER BY t ROWS 3 PRECEDING) AS a FROM d")
    'SELECT coalesce(regr_count(y, x) OVER (ORDER BY t ROWS 3 PRECEDING), CAST(0 AS BIGINT UNSIGNED)) AS a FROM d'
    """
    return reading.rewritten({CALL: _rewritten}, named=False)


def _rewritten(node: dict[str, Any], scope: Scope) -> Tree | None:
    name = function_name(node)
    over = over_of(node) if name else None
    if over is None:
        return None
    spec = specified(over, windows_of(scope))
    if spec is None:
        return None
    frame = spec["window_frame"]
    if frame is not None:
        _refuse(name, frame, node)
    if name in ("lead", "lag") and ignores_nulls(node):
        return _ignoring_nulls(name, node, spec)
    if name in _STALE and frame is not None and not _begins_with_all(frame):
        return _where_counted(node)
    return filled("coalesce(X, CAST(0 AS BIGINT UNSIGNED))", X=node) if name == "regr_count" else None


def windows_of(scope: Scope) -> dict[str, Tree]:
    """The windows that a SELECT gives names to."""
    named = (scope.select or {}).get("named_window") or ()
    return {identifier(name): window for name, window in named}


def specified(over: Tree, windows: dict[str, Tree]) -> Tree | None:
    """What stands behind OVER with the windows that it names put in; None where a name means nothing."""
    if "NamedWindow" in over:
        found = windows.get(identifier(over["NamedWindow"]))
        return None if found is None or found == over else specified(found, windows)
    spec = over[OVER]
    if spec["window_name"] is None:
        return spec
    base = specified({"NamedWindow": spec["window_name"]}, windows)
    if base is None:
        return None
    return {**base, **{key: value for key, value in spec.items() if value and key != "window_name"}}


def _begins_with_all(frame: Tree) -> bool:
    """Whether a frame loses no row: it begins where the partition does."""
    return bool(frame["start_bound"] == {"Preceding": None})


def _where_counted(node: Tree) -> Tree | None:
    """``CASE WHEN count(x) OVER (...) > 0 THEN min(x) OVER (...) END``."""
    if not arguments(node):
        return None
    return filled("CASE WHEN C > 0 THEN X END", C=with_function(node, "count"), X=node)


def _refuse(name: str, frame: Tree, node: Tree) -> None:
    start, end = frame["start_bound"], frame["end_bound"]
    negative = next((b for b in (start, end) if isinstance(b, dict) and _is_negative(next(iter(b.values())))), None)
    if negative is not None:
        raise UnsupportedError(
            "a frame's bound is negative",
            hint="Write 1 PRECEDING for -1 FOLLOWING, and the other way round.",
            span=span_of(node),
        )
    if frame["units"] == "Range" and _beside(start, end) and name not in _COUNTED:
        raise UnsupportedError(
            f"{name} over a RANGE that leaves out the current row is calculated wrongly by the engine",
            hint="Use ROWS, or join the table with itself: ON b.t BETWEEN a.t + 1 AND a.t + 2.",
            span=span_of(node),
        )


def _beside(start: Tree, end: Tree) -> bool:
    """Whether a frame lies before or after the current row, so that it may be empty."""
    after = isinstance(start, dict) and "Following" in start and number(start["Following"] or {}) != 0
    before = isinstance(end, dict) and "Preceding" in end and number(end["Preceding"] or {}) != 0
    return after or before


def _is_negative(bound: Tree) -> bool:
    if not isinstance(bound, dict):
        return False
    if "Interval" in bound:
        return _is_negative(bound["Interval"]["value"])
    text = text_of(bound)
    return (number(bound) or 0) < 0 if text is None else text.strip().startswith("-")


def _ignoring_nulls(name: str, node: Tree, spec: Tree) -> Tree | None:
    args = arguments(node)
    offset = number(args[1]) if len(args) > 1 else 1.0
    if offset is None:
        raise UnsupportedError(
            f"{name.upper()} ... IGNORE NULLS takes a number for its offset", span=span_of(node)
        )  # fmt: skip
    if offset == 0:
        return args[0]
    if (offset if name == "lead" else -offset) < 2:
        return None
    if not order_of(spec):
        raise UnsupportedError(f"{name.upper()} needs an ORDER BY in its window", span=span_of(node))
    steps = filled(str(int(abs(offset))))
    back = with_function(with_arguments(node, [args[0], steps, *args[2:]]), "lag")
    keys = [reverse(key) for key in order_of(spec)]
    return with_parts(back, over=window_of(spec, order_by=keys, window_frame=None))


def reverse(key: Tree) -> Tree:
    """A key of ORDER BY, for the reverse order."""
    ascending = key["options"]["asc"] is not False
    # The engine has NULL last, and first where it descends.
    first = not ascending if key["options"]["nulls_first"] is None else key["options"]["nulls_first"]
    return {**key, "options": {**key["options"], "asc": None if not ascending else False, "nulls_first": not first}}
