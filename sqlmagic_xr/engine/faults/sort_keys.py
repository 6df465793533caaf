"""A sort key that stands twice: the first of a group in that order, as DISTINCT ON asks for it, ends the query."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ...errors import SqlError
from ...relation.layers import Query, Scope
from ...sql.clauses import distinct_on, sort_keys, with_distinct_on, with_keys_at
from ...sql.expression import from_tree
from ...sql.pieces import path_of
from ...sql.places import CALL
from ...sql.syntax import Tree
from .reading import QUERY, Reading

SIGNS = r"\bDISTINCT\s+ON\b|\b(?:first_value|last_value|nth_value|array_agg|string_agg)\s*\((?s:.*?)\bORDER\s+BY\b"


def once(reading: Reading) -> Tree:
    """The tree with each sort key where it stands first, in which rows of the same key already are.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> import pyarrow as pa
    >>> tables = GivenTables({"d": {"g": pa.int64(), "x": pa.float64()}})
    >>> text = "SELECT DISTINCT ON (g) g, last_value(x ORDER BY x, d.x DESC) OVER () FROM d ORDER BY g, x, g DESC"
    >>> to_sql(once(Reading(parse_one(text).tree, tables)))
    'SELECT DISTINCT ON (g) g, last_value(x ORDER BY x) OVER () FROM d ORDER BY g, x'
    """

    def of_call(node: dict[str, Any], scope: Scope) -> Tree | None:
        return _once(node, scope)

    def of_query(node: dict[str, Any], layer: Query) -> Tree | None:
        found = distinct_on(node)
        if found is None:
            return None
        select, on = found
        scope = layer.scope(select)
        kept = _places(on, scope)
        query = node if len(kept) == len(on) else with_distinct_on(node, [on[place] for place in kept])
        new = _once(query, scope)
        return query if new is None and query is not node else new

    return reading.rewritten({CALL: of_call, QUERY: of_query})


def _once(node: dict[str, Any], scope: Scope) -> Tree | None:
    keys = sort_keys(node)
    kept = _places(keys, scope)
    return with_keys_at(node, kept) if len(kept) < len(keys) else None


def _places(keys: list[Tree], scope: Scope) -> list[int]:
    """Where each key stands first."""
    return sorted({_meaning(key, scope): place for place, key in reversed(list(enumerate(keys)))}.values())


def _meaning(key: Tree, scope: Scope) -> Hashable:
    """What two keys have in common that are one: the column, or the text."""
    path = path_of(key)
    try:
        item, name = scope.resolve(path) if path else (None, "")
    except SqlError:  # the name of something that is selected
        return path
    meant: Hashable = from_tree(key) if item is None else (id(item), name)
    return meant
