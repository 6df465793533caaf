"""Whether a subquery reads the row around it."""

from __future__ import annotations

from typing import Any

from ...errors import SqlError
from ...relation.layers import Environment, Query, Scope
from ...sql.pieces import path_of
from ...sql.places import COLUMNS
from ...sql.syntax import Tree
from .reading import Reading
from .types import TableTypes


def is_correlated(query: Tree, tables: TableTypes) -> bool:
    """Whether a query names a column that none of its own relations has; in doubt, it does.

    >>> from ...sql.syntax import parse_one
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"r": {"b": None}, "t": {"a": None}})
    >>> [is_correlated(parse_one(f"SELECT b FROM r WHERE {c}").tree["Query"], tables) for c in ("b = 1", "r.b = t.a")]
    [False, True]
    """
    return bool(outer_columns(query, tables))


def outer_columns(query: Tree, tables: TableTypes) -> list[Tree]:
    """The columns' names in a query that none of its own relations has."""
    found: list[Tree] = []

    def look(node: dict[str, Any], scope: Scope) -> None:
        path = path_of(node)
        try:
            scope.resolve(path)
        except SqlError:
            found.append(node)

    reading = Reading(query, tables, layer=Query(query, Environment(tables)))
    reading.rewritten(dict.fromkeys(COLUMNS, look))
    return found
