"""Views with a recursion in them, put where they are read: a recursion is worked out for the query that reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...sql.build import derived, table
from ...sql.reads import cte_name
from ...sql.syntax import NOWHERE, Tree, local_name, make_identifier, name_of, replace, transform
from ...storage.transaction import Entries, View
from .names import is_query

RECURSIVE = re.compile(r"\bRECURSIVE\b", re.IGNORECASE)
"""Found in the text of every statement with a recursion in it."""


def recursive_views(entries: Entries) -> dict[str, View]:
    """The views that are recursive, or read one that is."""
    views = {name: entry for name, entry in entries.items() if isinstance(entry, View)}
    found = {name: view for name, view in views.items() if RECURSIVE.search(view.text)}
    more = bool(found)
    while more:
        readers = {n: v for n, v in views.items() if n not in found and any(r[-1] in found for r in v.reads)}
        found.update(readers)
        more = bool(readers)
    return found


def with_views(tree: Tree, views: Mapping[str, View]) -> Tree:
    """The tree with the queries of these views in the places of their names."""
    return _Inlining(views).visit(tree, frozenset(), within=False) if views else tree


class _Inlining:
    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = views

    def visit(self, tree: Tree, hidden: frozenset[str], *, within: bool) -> Tree:
        """A tree with views written out.

        Args:
            tree: a piece of a statement, or of a view's query.
            hidden: the CTEs that are in sight.
            within: whether it is a view's, whose tables no CTE of the statement may hide.
        """

        def change(node: dict[str, Any]) -> Tree | None:
            if is_query(node) and node["with"]:
                return self._with(node, hidden, within=within)
            name = _name(node)
            if not name or (name in hidden and len(node["Table"]["name"]) == 1):
                return None
            return self._derived(node, name) if name in self._views else _qualified(node, name) if within else None

        return replace(tree, change)

    def _with(self, node: Tree, hidden: frozenset[str], *, within: bool) -> Tree:
        """A query whose CTEs hide tables and views of their names."""
        clause, ctes = node["with"], []
        every = hidden | {cte_name(cte) for cte in clause["cte_tables"]}
        for cte in clause["cte_tables"]:
            inner = every if clause["recursive"] else hidden
            ctes.append({**cte, "query": self.visit(cte["query"], inner, within=within)})
            hidden = hidden | {cte_name(cte)}
        rest = {key: self.visit(value, every, within=within) for key, value in node.items() if key != "with"}
        return {**rest, "with": {**clause, "cte_tables": ctes}}

    def _derived(self, node: dict[str, Any], name: str) -> Tree:
        query = self.visit(transform(self._views[name].query, _nowhere), frozenset(), within=True)["Query"]
        relation = derived(query, name)["relation"]["Derived"]
        return {"Derived": {**relation, "alias": node["Table"]["alias"] or relation["alias"]}}


def _qualified(node: dict[str, Any], name: str) -> Tree:
    """A table that no CTE can hide."""
    body = node["Table"]
    alias = body["alias"] or table(name, name)["relation"]["Table"]["alias"]
    parts = [{"Identifier": make_identifier(part)} for part in ("public", name)]
    return {"Table": {**body, "name": parts, "alias": alias}}


def _name(node: dict[str, Any]) -> str:
    """The name of a relation of the default schema that a node stands for; "" for any other."""
    body = node.get("Table")
    if not isinstance(body, dict) or not isinstance(body.get("name"), list) or body.get("args") is not None:
        return ""
    name = local_name(name_of(body["name"]))
    return name[0] if len(name) == 1 else ""


def _nowhere(node: dict[str, Any]) -> Tree | None:
    """A view's places are those of another text."""
    return {**node, "span": NOWHERE} if "span" in node else None
