"""Common table expressions and views, put where they are read: a WITH says nothing that a subquery does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...sql import build as query
from ...sql.syntax import Tree, identifier, name_of, replace, walk
from .block import UnsureError, is_query

_LARGE = 20_000  # nodes; a chain of CTEs that are each read twice doubles with every link

ViewOf = Callable[[tuple[str, ...]], "Tree | None"]
"""The query of a view by its name; None for anything else."""

Known = Mapping[str, tuple[Tree, list[Tree]]]
"""CTE -> the inside of its query, and the names that its columns are given."""


def inlined(tree: Tree, view_of: ViewOf) -> Tree:
    """A statement's tree without WITH (a recursive one apart) and without views.

    The engine plans each mention of a CTE on its own too, so nothing is evaluated more often than before.

    Raises:
        UnsureError: the result would be out of proportion.
    """
    budget = [_LARGE]

    def visit(node: Any, known: Known) -> Tree:
        def change(inner: dict[str, Any]) -> Tree | None:
            if is_query(inner) and inner["with"]:
                taken, within = _with_taken_in(inner, known, visit)
                new = {key: visit(value, within) for key, value in taken.items()}
                return inner if all(new[key] is inner[key] for key in inner) else new
            table = inner.get("Table")
            if isinstance(table, dict) and isinstance(table.get("name"), list):
                return _as_derived(inner, known, view_of, visit, budget)
            return None

        return replace(node, change)

    return visit(tree, {})


def _with_taken_in(node: Tree, known: Known, visit: Callable[[Any, Known], Tree]) -> tuple[Tree, Known]:
    names = {identifier(cte["alias"]["name"]) for cte in node["with"]["cte_tables"]}
    if node["with"]["recursive"]:
        return node, {name: found for name, found in known.items() if name not in names}
    inner = dict(known)
    for cte in node["with"]["cte_tables"]:
        inner[identifier(cte["alias"]["name"])] = (visit(cte["query"], inner), cte["alias"]["columns"])
    return {**node, "with": None}, inner


def _as_derived(
    node: Tree, known: Known, view_of: ViewOf, visit: Callable[[Any, Known], Tree], budget: list[int]
) -> Tree:
    table = node["Table"]
    name = name_of(table["name"])
    view = None
    if len(name) == 1 and name[0] in known:
        inside, columns = known[name[0]]
    else:
        view = view_of(name)
        if view is None:
            return node
        inside, columns = visit(view["Query"], {}), []
    budget[0] -= sum(1 for _ in walk(inside))
    if budget[0] < 0:
        raise UnsureError("its CTEs and views, written out, are too large")
    derived = query.derived(inside, name[-1])["relation"]["Derived"]
    alias = {**derived["alias"], "columns": columns}
    if table["alias"] is not None:
        alias = {**table["alias"], "columns": table["alias"]["columns"] or columns}
    return {"Derived": {**derived, "alias": alias}}
