"""``mode(x)``, the most frequent value, by aggregates that the engine has: an element of the list of all values.

Where several are most frequent it is the least of them, whatever order rows come in.
"""

from __future__ import annotations

from typing import Any

from ..errors import SqlError, UnsupportedError
from . import build
from .syntax import NOWHERE, Tree, name_of, span_of

MODE, PLACE = "mode", "mode_place"
"""The aggregate, and the function that finds in a list of texts where the most frequent one is."""


def is_mode(node: Any) -> bool:
    """Whether a node is a call of ``mode``."""
    call = node.get("Function") if isinstance(node, dict) else None
    return isinstance(call, dict) and "args" in call and name_of(call["name"]) == (MODE,)


def as_lists(node: Tree) -> Tree:
    """A call of ``mode`` as an element of the list of all values.

    Raises:
        UnsupportedError: it has no one argument, or stands over a window.

    >>> from .syntax import parse_one, expression_sql
    >>> call = parse_one("SELECT mode(a)").tree["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]
    >>> expression_sql(as_lists(call))[:68]
    'array_element(array_agg(a) FILTER (WHERE a IS NOT NULL), mode_place('
    """
    call = node["Function"]
    value = _argument(call)
    if value is None or call["over"]:
        what = "mode takes one expression" if value is None else "mode is no window function"
        error: SqlError = UnsupportedError(what, hint="As in: SELECT g, mode(a) FROM t GROUP BY g")
        error.span = span_of(node)
        raise error
    there: Tree = {"IsNotNull": value}
    condition = there if call["filter"] is None else build.both(call["filter"], there)
    distinct = isinstance(call["args"], dict) and call["args"]["List"]["duplicate_treatment"] == "Distinct"
    if distinct:  # all of them are as frequent
        return {"Function": {**build.call("min", [value])["Function"], "filter": condition}}
    values = _all(value, condition)
    texts = _all(build.call("arrow_cast", [value, _text("Utf8")]), condition)  # in the order of the values
    place = build.call(PLACE, [texts, build.call("arrow_typeof", [values])])
    return build.call("array_element", [values, place])


def _argument(call: Tree) -> Tree | None:
    """What stands in ``mode(x)`` or in ``mode() WITHIN GROUP (ORDER BY x)``."""
    listed = call["args"]["List"]["args"] if "List" in call["args"] else []
    if call["within_group"]:
        return call["within_group"][0]["expr"] if len(call["within_group"]) == 1 and not listed else None
    return listed[0]["Unnamed"].get("Expr") if len(listed) == 1 and "Unnamed" in listed[0] else None


def _all(value: Tree, condition: Tree) -> Tree:
    """``array_agg(value) FILTER (WHERE condition)``."""
    return {"Function": {**build.array_agg(value)["Function"], "filter": condition}}


def _text(value: str) -> Tree:
    return {"Value": {"value": {"SingleQuotedString": value}, "span": NOWHERE}}
