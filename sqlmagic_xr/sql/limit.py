"""LIMIT as numbers, and what a query reads that takes no more than some rows."""

from __future__ import annotations

from typing import Any

from .traversal import Tree, walk


def limit_of(clause: Tree | None) -> tuple[int, int | None]:
    """The rows to skip and to take of a LIMIT; None to take all.

    Raises:
        ValueError: it is not one of numbers; says what it is instead, for a person.
    """
    if clause is None:
        return 0, None
    body = clause.get("LimitOffset")
    if body is None or body["limit_by"]:
        raise ValueError("says more than numbers")
    offset = body["offset"]
    return _count(offset["value"]) if offset else 0, _count(body["limit"]) if body["limit"] else None


def _count(tree: Any) -> int:
    value = tree["Value"]["value"] if isinstance(tree, dict) and "Value" in tree else None
    if isinstance(value, dict) and "Number" in value and str(value["Number"][0]).isdecimal():
        return int(value["Number"][0])
    raise ValueError("is no number")


_NO_MORE = ("selection", "distinct", "having", "qualify", "top", "lateral_views", "sort_by", "connect_by")


def rows_taken(query: Tree) -> int | None:
    """How many rows of its FROM a query takes that selects, and has a LIMIT of numbers and nothing else; else None.

    ``SELECT n FROM r LIMIT 100`` needs no more than a hundred rows of ``r``, which may have no end.
    """
    select, clause = query["body"].get("Select"), query["limit_clause"]
    if select is None or query["order_by"] or clause is None or any(select.get(key) for key in _NO_MORE):
        return None
    grouped = select["group_by"].get("Expressions")
    if grouped is None or grouped[0] or grouped[1] or not all(map(_is_plain, select["projection"])):
        return None
    try:
        skip, limit = limit_of(clause)
    except ValueError:
        return None
    return None if limit is None else skip + limit


def _is_plain(output: Tree) -> bool:
    """Whether an output is a star, or computed from columns and numbers without calling anything."""
    return all(_CALLING.isdisjoint(node) for node in walk(output))


_CALLING = frozenset({"Function", "Subquery", "Exists", "InSubquery"})
