"""A recursion's term that names its working table where it reads it, so that what it asks of its rows is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..engine.recursion.names import name_read
from ..sql.build import table
from ..sql.syntax import Tree, identifier, replace


def direct(term: Tree, working: str) -> Tree:
    """A term in which the CTE that stands for the working table is that table.

    Args:
        term: the inside of a query.
        working: the table's name.
    """
    names = {_name(cte) for node in _around(term) for cte in _own_ctes(node) if _is_all_of(cte["query"], working)}
    if len(names) != 1:
        return term
    (name,) = names

    def change(node: dict[str, Any]) -> Tree | None:
        if any(_name(cte) == name and not _is_all_of(cte["query"], working) for cte in _own_ctes(node)):
            return node  # where a CTE of its own has the name
        if name_read(node) != name:
            return None
        read, own = node["Table"], table(working, name)["relation"]["Table"]
        return {"Table": {**read, "name": own["name"], "alias": read["alias"] or own["alias"]}}

    changed: Tree = replace(term, change)
    return changed


def _around(term: Tree) -> Iterator[Tree]:
    """The queries whose WITH clauses are around a term's own."""
    query: Tree | None = term
    while query is not None:
        yield query
        query = query["body"].get("Query")


def _own_ctes(node: dict[str, Any]) -> list[Tree]:
    """The CTEs of a query's WITH clause."""
    clause = node.get("with")
    return list(clause.get("cte_tables", ())) if isinstance(clause, dict) else []


def _name(cte: Tree) -> str:
    return identifier(cte["alias"]["name"])


def _is_all_of(query: Tree, working: str) -> bool:
    """Whether a query is all rows and columns of a table, as the one is that stands for a working table."""
    select = query["body"].get("Select")
    if select is None or select["selection"] is not None or len(select["from"]) != 1 or select["from"][0]["joins"]:
        return False
    return name_read(select["from"][0]["relation"]) == working and "Wildcard" in select["projection"][0]
