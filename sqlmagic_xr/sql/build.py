"""Queries of our own, as trees: put together from the user's expressions, which keep their places in the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from .syntax import Tree, expression_sql, identifier, make_identifier, name_of, parse_one, walk


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


def struct(expressions: Sequence[Tree]) -> Tree:
    """``named_struct('c0', a, 'c1', b, ...)``."""
    template = _item("SELECT named_struct('c0', 0)")["UnnamedExpr"]["Function"]
    key = template["args"]["List"]["args"][0]["Unnamed"]["Expr"]["Value"]
    names = [{"Value": {**key, "value": {"SingleQuotedString": f"c{i}"}}} for i in range(len(expressions))]
    arguments = [{"Unnamed": {"Expr": e}} for pair in zip(names, expressions, strict=True) for e in pair]
    return {"Function": {**template, "args": {"List": {**template["args"]["List"], "args": arguments}}}}


def array_agg(expression: Tree) -> Tree:
    """``array_agg(expression)``."""
    template = _item("SELECT array_agg(0)")["UnnamedExpr"]["Function"]
    arguments = [{"Unnamed": {"Expr": expression}}]
    return {"Function": {**template, "args": {"List": {**template["args"]["List"], "args": arguments}}}}


def union_all(queries: Sequence[Tree]) -> Tree:
    """``first UNION ALL second ...``; each may have a WITH of its own."""
    whole = queries[0]
    template = _query("SELECT 1 UNION ALL SELECT 2")
    for other in queries[1:]:
        sides = {"left": {"Query": whole["Query"]}, "right": {"Query": other["Query"]}}
        whole = {"Query": {**template, "body": {"SetOperation": {**template["body"]["SetOperation"], **sides}}}}
    return whole


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
    template = _query("SELECT 0 FROM (SELECT 0) AS a")["body"]["Select"]["from"][0]
    relation = template["relation"]["Derived"]
    label = {**relation["alias"], "name": make_identifier(alias)}
    return {"relation": {"Derived": {**relation, "subquery": query, "alias": label}}, "joins": []}


def null() -> Tree:
    """The literal NULL."""
    return _template()["body"]["Select"]["projection"][0]["UnnamedExpr"]


def cast(expression: Tree, kind: Tree) -> Tree:
    """``CAST(expression AS kind)``; ``kind`` is a data type's tree."""
    template = _item("SELECT CAST(NULL AS INT)")["UnnamedExpr"]
    return {"Cast": {**template["Cast"], "expr": expression, "data_type": kind}}


def real(expression: Tree, *, narrow: bool) -> Tree:
    """``CAST(expression AS DOUBLE)``, or ``AS FLOAT`` where it is to be narrow."""
    template = _item(f"SELECT CAST(NULL AS {'FLOAT' if narrow else 'DOUBLE'})")["UnnamedExpr"]
    return {"Cast": {**template["Cast"], "expr": expression}}


def is_default(expression: Tree) -> bool:
    """Whether an expression is the word DEFAULT."""
    found = expression.get("Identifier") if isinstance(expression, dict) else None
    return found is not None and not found["quote_style"] and found["value"].upper() == "DEFAULT"


def with_both(outer: Tree | None, inner: Tree | None) -> Tree | None:
    """Two WITH clauses as one, the inner one's names after the outer's."""
    if outer is None or inner is None:
        return outer or inner
    tables = [*outer["cte_tables"], *inner["cte_tables"]]
    return {**outer, "recursive": outer["recursive"] or inner["recursive"], "cte_tables": tables}


def quoted(name: str) -> str:
    """A name as SQL text that means exactly it.

    >>> quoted("Größe"), quoted("a")
    ('"Größe"', 'a')
    """
    return expression_sql(column(name))


def relations(tree: Tree) -> Iterator[Any]:
    """Every table that a tree names in a FROM, as its ``Table`` node."""
    for node in walk(tree):
        factor = node.get("Table")
        if isinstance(factor, dict) and isinstance(factor.get("name"), list):
            yield factor


def cte_names(tree: Tree) -> set[str]:
    """The names of all common table expressions in a tree."""
    return {identifier(cte["alias"]["name"]) for node in walk(tree) for cte in node.get("cte_tables") or ()}


def _template() -> Any:
    return _query("SELECT NULL")


def _relation() -> Any:
    return _query("SELECT 0 FROM t AS a")["body"]["Select"]["from"][0]["relation"]


def _item(text: str) -> Any:
    """The one select item of a query of ours."""
    return _query(text)["body"]["Select"]["projection"][0]


@cache
def _query(text: str) -> Any:
    return parse_one(text).tree["Query"]


def wildcard(label: str) -> Tree:
    """A select item: ``label.*``."""
    template = _item("SELECT t.*")["QualifiedWildcard"]
    return {"QualifiedWildcard": [{"ObjectName": [{"Identifier": make_identifier(label)}]}, template[1]]}


def name(parts: list[Tree]) -> str:
    """The last part of an object's name."""
    return name_of(parts)[-1]


def false() -> Tree:
    """The literal FALSE."""
    return _item("SELECT FALSE")["UnnamedExpr"]


def both(left: Tree, right: Tree) -> Tree:
    """``left AND right``."""
    return {"BinaryOp": {"left": {"Nested": left}, "op": "And", "right": {"Nested": right}}}


def all_equal(expressions: Sequence[Tree]) -> Tree:
    """``e0 = e1 AND e0 = e2 ...``."""
    first, second, *rest = expressions
    whole: Tree = {"BinaryOp": {"left": first, "op": "Eq", "right": second}}
    for other in rest:
        whole = both(whole, {"BinaryOp": {"left": first, "op": "Eq", "right": other}})
    return whole


def true() -> Tree:
    """The literal TRUE."""
    return _item("SELECT TRUE")["UnnamedExpr"]


def star() -> Tree:
    """A select item: ``*``."""
    return _item("SELECT *")


def guarded(condition: Tree, value: Tree, otherwise: Tree | None = None) -> Tree:
    """``CASE WHEN condition THEN value [ELSE otherwise] END``."""
    template = _item("SELECT CASE WHEN TRUE THEN 0 END")
    case = {**template["UnnamedExpr"]["Case"], "else_result": otherwise}
    return {"Case": {**case, "conditions": [{**case["conditions"][0], "condition": condition, "result": value}]}}


def added(expression: Tree, number: int) -> Tree:
    """``(expression) + number``."""
    plus = _item("SELECT 1 + 0")["UnnamedExpr"]["BinaryOp"]
    return {"BinaryOp": {**plus, "left": {"Nested": expression}, "right": _item(f"SELECT {number:d}")["UnnamedExpr"]}}


def left_joined(left: Tree, right: Tree, on: Tree) -> Tree:
    """Two elements of FROM as one: ``left LEFT JOIN right ON on``."""
    (join,) = _query("SELECT 0 FROM a LEFT JOIN b ON TRUE")["body"]["Select"]["from"][0]["joins"]
    (how,) = join["join_operator"]
    joined = {**join, "relation": right["relation"], "join_operator": {how: {"On": on}}}
    return {**left, "joins": [*left["joins"], joined]}


def call(name: str, arguments: Sequence[Tree]) -> Tree:
    """``name(arguments)``."""
    template = _item("SELECT random()")["UnnamedExpr"]["Function"]
    listed = {**template["args"]["List"], "args": [{"Unnamed": {"Expr": a}} for a in arguments]}
    return {"Function": {**template, "name": [{"Identifier": make_identifier(name)}], "args": {"List": listed}}}


def limited(query: Tree, key: Tree, count: Tree) -> Tree:
    """The inside of a query with ``ORDER BY key LIMIT count``."""
    template = _query("SELECT 1 ORDER BY 1 LIMIT 1")
    order = template["order_by"]
    keys = [{**order["kind"]["Expressions"][0], "expr": key}]
    limit = {"LimitOffset": {**template["limit_clause"]["LimitOffset"], "limit": count}}
    return {**query, "order_by": {**order, "kind": {"Expressions": keys}}, "limit_clause": limit}


def grouped(query: Tree, keys: Sequence[Tree]) -> Tree:
    """The inside of a query with ``GROUP BY keys``."""
    return {**query, "body": {"Select": {**query["body"]["Select"], "group_by": {"Expressions": [list(keys), []]}}}}


def window(partition: Sequence[Tree], order: Sequence[Tree], frame: Tree | None) -> Tree:
    """What stands behind OVER: the expressions of PARTITION BY, the keys of ORDER BY, and the frame."""
    spec = {"window_name": None, "partition_by": [*partition], "order_by": [*order], "window_frame": frame}
    return {"WindowSpec": spec}
