"""SELECT ... INTO name: a query that makes a table, as the CREATE TABLE that says the same."""

from __future__ import annotations

from ..sql.syntax import Tree, parse_one


def into_table(tree: Tree) -> Tree | None:
    """``SELECT ... INTO name ...`` as the CREATE TABLE that it stands for; None for any other query."""
    found: list[Tree] = []
    body = _without_into(tree["Query"]["body"], found)
    if not found:
        return None
    template = parse_one("CREATE TABLE a AS SELECT 1").tree["CreateTable"]
    return {"CreateTable": {**template, "name": found[0]["name"], "query": {**tree["Query"], "body": body}}}


def _without_into(body: Tree, found: list[Tree]) -> Tree:
    """The body of a query without the INTO of its first SELECT, which goes into ``found``."""
    select = body.get("Select")
    if select is not None and select.get("into"):
        found.append(select["into"])
        return {"Select": {**select, "into": None}}
    if "SetOperation" in body:
        operation = body["SetOperation"]
        return {"SetOperation": {**operation, "left": _without_into(operation["left"], found)}}
    if "Query" in body:
        return {"Query": {**body["Query"], "body": _without_into(body["Query"]["body"], found)}}
    return body
