"""Sums of reals over a frame that moves: the engine takes out what has gone, and keeps what that has cost in digits."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...relation.functions import SAME
from ...relation.layers import Scope
from ...sql.pieces import (
    arguments,
    filled,
    filter_of,
    function_name,
    has_clauses,
    number,
    order_of,
    over_of,
    window_of,
    with_arguments,
    with_function,
    with_parts,
)
from ...sql.places import CALL
from ...sql.syntax import Tree
from ..moving import FUNCTIONS, LISTS, ROWS
from . import keyed
from .reading import Reading
from .types import kind_of
from .windows import reverse, specified, windows_of

SIGNS = r"\b(sum|avg|mean|var\w*|stddev\w*|regr_\w+)\s*\([\s\S]*\b(ROWS|RANGE|GROUPS)\b"

_UNBOUNDED = ({"Preceding": None}, {"Following": None})


def summed_anew(reading: Reading) -> Tree:
    """The tree with moments over moving frames that are calculated from the rows of each frame.

    All frames of a partition are looked at at once: ROWS between two numbers, and RANGE or GROUPS over one key that is
    a number or a time. What another frame holds is collected into a list. A frame that only loses rows is one that
    only wins them in the reverse order.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"k": pa.int64(), "x": pa.float64()}})
    >>> def made(frame):
    ...     tree = parse_one(f"SELECT sum(x) OVER (ORDER BY {frame}) AS a FROM d").tree
    ...     return to_sql(summed_anew(Reading(tree, tables)))
    >>> made("k ROWS 3 PRECEDING")
    'SELECT sqlmagic_rows_sum(CAST(x AS DOUBLE), -3, 0) OVER (ORDER BY k) AS a FROM d'
    >>> print(made("k RANGE 3 PRECEDING"))
    SELECT sqlmagic_keys_int('sum', CAST(x AS DOUBLE), CAST(x AS DOUBLE), 'LOW,HIGH', arrow_cast(k, 'Int64'), (-3), 0) \
OVER (ORDER BY k) AS a FROM d
    >>> made("k, x GROUPS 3 PRECEDING")
    'SELECT sqlmagic_list_sum(array_agg(CAST(x AS DOUBLE)) OVER (ORDER BY k, x GROUPS 3 PRECEDING)) AS a FROM d'
    """

    tables = reading.tables

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        name = function_name(node)
        name = SAME.get(name, name)
        if name not in FUNCTIONS or over_of(node) is None or has_clauses(node):
            return None
        args, spec = arguments(node), specified(over_of(node), windows_of(scope))
        frame = None if spec is None else spec["window_frame"]
        if frame is None or frame["start_bound"] == _UNBOUNDED[0] or len(args) != FUNCTIONS[name][0]:
            return None
        if name in ("sum", "avg") and not _loses(kind_of(scope.read(args[0]), scope, tables), name):
            return None
        condition = filter_of(node)
        reals = [_real(arg, condition) for arg in args]
        call = keyed.called(name, spec, reals, lambda key: kind_of(scope.read(key), scope, tables))
        if call is not None:
            return with_parts(call, over=_unframed(spec))
        return _by_place(name, node, spec, reals) or _by_lists(name, node, spec, reals)

    return reading.rewritten({CALL: change})


def _loses(kind: pa.DataType | None, name: str) -> bool:
    """Whether a sum is one of doubles: those of integers and decimals lose nothing, nor does the mean of decimals."""
    return kind is not None and (pt.is_floating(kind) or (name == "avg" and pt.is_integer(kind)))


def _real(value: Tree, condition: Tree | None) -> Tree:
    if condition is None:
        return filled("CAST(X AS DOUBLE)", X=value)
    return filled("CASE WHEN C THEN CAST(X AS DOUBLE) END", C=condition, X=value)


def _by_place(name: str, node: Tree, spec: Tree, reals: list[Tree]) -> Tree | None:
    frame = spec["window_frame"]
    begin, end = _place(frame["start_bound"]), _place(frame["end_bound"] or "CurrentRow")
    if frame["units"] != "Rows" or begin is None or end is None:
        return None
    call = with_function(with_arguments(node, [*reals, filled(begin), filled(end)]), ROWS + name)
    return with_parts(call, over=_unframed(spec), filter=None)


def _unframed(spec: Tree) -> Tree:
    return window_of(spec, window_frame=None)


def _place(bound: Tree) -> str | None:
    """Where a frame of ROWS begins or ends, counted from its row; None where that is no number."""
    if bound == "CurrentRow" or bound in _UNBOUNDED:
        return "0" if bound == "CurrentRow" else "NULL"
    ((side, rows),) = bound.items()
    count = number(rows)
    return None if count is None else str(int(count) if side == "Following" else -int(count))


def _mirrored(bound: Tree) -> Tree:
    if bound == "CurrentRow":
        return bound
    ((side, what),) = bound.items()
    return {"Following" if side == "Preceding" else "Preceding": what}


def _by_lists(name: str, node: Tree, spec: Tree, reals: list[Tree]) -> Tree:
    frame = spec["window_frame"]
    if frame["end_bound"] == _UNBOUNDED[1] and order_of(spec):
        mirrored = {**frame, "start_bound": _UNBOUNDED[0], "end_bound": _mirrored(frame["start_bound"])}
        keys = [reverse(key) for key in order_of(spec)]
        return with_parts(node, over=window_of(spec, order_by=keys, window_frame=mirrored))
    lists = [with_function(with_arguments(node, [real]), "array_agg") for real in reals]
    calls = [with_parts(each, over=window_of(spec), filter=None) for each in lists]
    values = {f"X{i}": call for i, call in enumerate(calls)}
    return filled(f"{LISTS}{name}({', '.join(values)})", **values)
