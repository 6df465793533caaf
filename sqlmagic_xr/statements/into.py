"""SELECT ... INTO name: a query that makes a table, as the CREATE TABLE that says the same."""

from __future__ import annotations

from ..sql.syntax import Tree, parse_one, replace


def into_table(tree: Tree) -> Tree | None:
    """``SELECT ... INTO name ...`` as the CREATE TABLE that it stands for; None for any other query."""
    body = tree["Query"]["body"]
    first = _first_select(body)
    if first is None or not first.get("into"):
        return None
    bare = {"Select": {**first, "into": None}}
    body = replace(body, lambda node: bare if node.get("Select") is first else None)
    template = parse_one("CREATE TABLE a AS SELECT 1").tree["CreateTable"]
    return {"CreateTable": {**template, "name": first["into"]["name"], "query": {**tree["Query"], "body": body}}}


def _first_select(body: Tree) -> Tree | None:
    """The SELECT that a query begins with, if it begins with one."""
    while "Select" not in body:
        if "SetOperation" in body:
            body = body["SetOperation"]["left"]
        elif "Query" in body:
            body = body["Query"]["body"]
        else:
            return None
    return body["Select"]
