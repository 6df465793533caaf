"""SELECT ... INTO name: a query that makes a table, as the CREATE TABLE that says the same."""

from __future__ import annotations

from ..sql.clauses import first_select
from ..sql.syntax import Tree, parse_one, replace


def into_table(tree: Tree) -> Tree | None:
    """``SELECT ... INTO name ...`` as the CREATE TABLE that it stands for; None for any other query."""
    body = tree["Query"]["body"]
    first = first_select(body)
    if first is None or not first.get("into"):
        return None
    bare = {"Select": {**first, "into": None}}
    body = replace(body, lambda node: bare if node.get("Select") is first else None)
    template = parse_one("CREATE TABLE a AS SELECT 1").tree["CreateTable"]
    return {"CreateTable": {**template, "name": first["into"]["name"], "query": {**tree["Query"], "body": body}}}
