"""Queries of our own, as trees: put together from the user's expressions, which keep their places in the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from ..sql.syntax import Tree, make_identifier, parse_one, to_sql, walk


def select(
    projection: Sequence[Tree], tables: Sequence[Tree] = (), where: Tree | None = None, ctes: Tree | None = None
) -> Tree:
    """``WITH ctes SELECT projection FROM tables WHERE where``.

    Args:
        projection: select items (see :func:`item`).
        tables: the elements of FROM: ``{"relation": ..., "joins": [...]}``.
        where: an expression.
        ctes: the tree of a WITH clause.
    """
    query = _template()
    body = {**query["body"]["Select"], "projection": list(projection), "from": list(tables), "selection": where}
    return {"Query": {**query, "with": ctes, "body": {"Select": body}}}


def item(expression: Tree, name: str | None = None) -> Tree:
    """A select item: ``expression AS name``."""
    if name is None:
        return {"UnnamedExpr": expression}
    return {"ExprWithAlias": {"expr": expression, "alias": make_identifier(name)}}


def table(name: str, alias: str | None = None) -> Tree:
    """An element of FROM: ``name AS alias``."""
    relation = _relation()["Table"]
    label = None if alias is None else {**relation["alias"], "name": make_identifier(alias)}
    return {
        "relation": {"Table": {**relation, "name": [{"Identifier": make_identifier(name)}], "alias": label}},
        "joins": [],
    }


def column(*parts: str) -> Tree:
    """A column's name: ``t.a``."""
    names = [make_identifier(p) for p in parts]
    return {"Identifier": names[0]} if len(names) == 1 else {"CompoundIdentifier": names}


def derived(query: Tree, alias: str) -> Tree:
    """An element of FROM: ``(query) AS alias``; ``query`` is the inside of a Query node."""
    relation = parse_one("SELECT 0 FROM (SELECT 0) AS a").tree["Query"]["body"]["Select"]["from"][0]["relation"][
        "Derived"
    ]
    label = {**relation["alias"], "name": make_identifier(alias)}
    return {"relation": {"Derived": {**relation, "subquery": query, "alias": label}}, "joins": []}


def null() -> Tree:
    """The literal NULL."""
    return _template()["body"]["Select"]["projection"][0]["UnnamedExpr"]


def cast(expression: Tree, kind: Tree) -> Tree:
    """``CAST(expression AS kind)``; ``kind`` is a data type's tree."""
    template = parse_one("SELECT CAST(NULL AS INT)").tree["Query"]["body"]["Select"]["projection"][0]["UnnamedExpr"]
    return {"Cast": {**template["Cast"], "expr": expression, "data_type": kind}}


def with_both(outer: Tree | None, inner: Tree | None) -> Tree | None:
    """Two WITH clauses as one, the inner one's names after the outer's."""
    if outer is None or inner is None:
        return outer or inner
    tables = [*outer["cte_tables"], *inner["cte_tables"]]
    return {**outer, "recursive": outer["recursive"] or inner["recursive"], "cte_tables": tables}


def expression_text(expression: Tree) -> str:
    """The SQL text of an expression."""
    return to_sql(select([item(expression)])).removeprefix("SELECT ")


def quoted(name: str) -> str:
    """A name as SQL text that means exactly it.

    >>> quoted("Größe"), quoted("a")
    ('"Größe"', 'a')
    """
    return expression_text(column(name))


def relations(tree: Tree) -> Iterator[Any]:
    """Every table that a tree names in a FROM, as its ``Table`` node."""
    for node in walk(tree):
        factor = node.get("Table")
        if isinstance(factor, dict) and isinstance(factor.get("name"), list):
            yield factor


@cache
def _template() -> Any:
    return parse_one("SELECT NULL").tree["Query"]


@cache
def _relation() -> Any:
    return parse_one("SELECT 0 FROM t AS a").tree["Query"]["body"]["Select"]["from"][0]["relation"]
