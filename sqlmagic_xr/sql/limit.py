"""LIMIT as numbers, and what a query reads that takes no more than some rows."""

from __future__ import annotations

from math import inf
from typing import Any

from .syntax import parse_one
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


def most(query: Tree) -> float:
    """How many rows a query reads at most by its LIMIT and OFFSET; infinity without a LIMIT, or of one of no number."""
    clauses = list((query["limit_clause"] or {}).values())
    counts = [body["limit"] for body in clauses if body["limit"]]
    skipped = [body["offset"] for body in clauses if body["offset"]]
    try:
        return _count(counts[0]) + sum(map(_skipped, skipped)) if counts else inf
    except ValueError:
        return inf


def _skipped(offset: Tree) -> int:
    return _count(offset.get("value", offset))


def takes_all(query: Tree) -> bool:
    """Whether a query leaves out no row behind the first that it takes: it has no LIMIT, as far as that is said."""
    clause = (query["limit_clause"] or {}).get("LimitOffset")
    return query["limit_clause"] is None or (clause is not None and not clause["limit"] and not clause["limit_by"])


def skips(query: Tree) -> bool:
    """Whether a query has an OFFSET."""
    return any(body["offset"] is not None for body in (query["limit_clause"] or {}).values())


def without_end(query: Tree) -> Tree:
    """A query without a LIMIT, with one that is beyond the rows of anything: what is limited is sorted."""
    template = parse_one(f"SELECT 0 LIMIT {_ENDLESS}").tree["Query"]["limit_clause"]
    own = (query["limit_clause"] or template)["LimitOffset"]
    limited = {**own, "limit": template["LimitOffset"]["limit"]}
    return {**query, "limit_clause": {"LimitOffset": limited}}


_ENDLESS = 2**60


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


def is_limited(query: Tree) -> bool:
    """Whether something behind a query leaves rows out: a LIMIT, an OFFSET or a FETCH."""
    return query["limit_clause"] is not None or bool(query["fetch"])


def offset_of(query: Tree) -> Tree | None:
    """The expression of a query's OFFSET; None without."""
    offset = ((query["limit_clause"] or {}).get("LimitOffset") or {}).get("offset")
    return None if offset is None else offset["value"]
