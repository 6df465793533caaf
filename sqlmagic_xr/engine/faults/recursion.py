"""A recursive CTE of which not all columns are read: the engine leaves out what the next round needs."""

from __future__ import annotations

from typing import Any

from ...relation.layers import Query
from ...sql.syntax import Tree, expression_sql, identifier, make_identifier, name_of, replace
from .layers import Rules, rewritten
from .pieces import filled
from .types import Tables

SIGNS = r"\bRECURSIVE\b"


def read_whole(tree: Tree, tables: Tables) -> Tree:
    """The tree with every recursive CTE read behind a condition that always holds and mentions all of its columns.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import Given
    >>> sql = "WITH RECURSIVE c AS (SELECT 1 AS a, 2 AS b UNION ALL SELECT a + 1, b FROM c WHERE a < 3) SELECT b FROM c"
    >>> to_sql(read_whole(parse_one(sql).tree, Given())).partition(") SELECT ")[2]
    "b FROM (SELECT * FROM c WHERE concat(a, b) >= '') AS c"
    """
    return rewritten(tree, tables, Rules(lambda node, scope: None, query=_rewritten))


def _rewritten(node: dict[str, Any], query: Query) -> Tree | None:
    if not node["with"] or not node["with"]["recursive"]:
        return None
    new, ctes = node, list(node["with"]["cte_tables"])
    for place, cte in enumerate(ctes):
        name = identifier(cte["alias"]["name"])
        found = query.environment.ctes[name]
        if found.recursive is None or not found.names:
            continue
        columns = ", ".join(expression_sql({"Identifier": make_identifier(column)}) for column in found.names)
        for later in range(place + 1, len(ctes)):
            ctes[later] = {**ctes[later], "query": _read(ctes[later]["query"], name, columns)}
        new = {**new, "body": _read(new["body"], name, columns), "order_by": _read(new["order_by"], name, columns)}
    return None if new is node else {**new, "with": {**node["with"], "cte_tables": ctes}}


def _read(tree: Tree, name: str, columns: str) -> Tree:
    """The tree with each read of the CTE behind the condition."""
    text = f"(SELECT 0 FROM (SELECT * FROM x WHERE concat({columns}) >= '') AS y)"
    derived = filled(text)["Subquery"]["body"]["Select"]["from"][0]["relation"]["Derived"]

    def change(node: dict[str, Any]) -> Tree | None:
        table = node.get("Table")
        if not isinstance(table, dict) or table.get("args") or name_of(table["name"]) != (name,):
            return None
        source = {"relation": {"Table": {**table, "alias": None}}, "joins": []}
        select = {**derived["subquery"]["body"]["Select"], "from": [source]}
        label = table["alias"] or {**derived["alias"], "name": make_identifier(name)}
        subquery = {**derived["subquery"], "body": {"Select": select}}
        return {"Derived": {**derived, "subquery": subquery, "alias": label}}

    return replace(tree, change)
