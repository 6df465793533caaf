"""A walk over a statement that knows, at each expression, what the names in it mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from typing import Any

from ...relation.layers import Environment, Query, Scope
from ...sql.syntax import Tree, identifier, replace_branches
from .types import Tables


@dataclass(frozen=True)
class Rules:
    """What a rewrite does: with each expression, its parts done already, and with each SELECT, all in it done.

    Attributes:
        expression: an expression's node and its scope -> what stands in its place, or None to keep it.
        select: the same for a SELECT.
        query: the same for a whole query, with the query as a layer.
    """

    expression: Callable[[dict[str, Any], Scope], Tree | None]
    select: Callable[[dict[str, Any], Scope], Tree | None] = lambda node, scope: None
    query: Callable[[dict[str, Any], Query], Tree | None] = lambda node, query: None


def rewritten(tree: Tree, tables: Tables, rules: Rules) -> Tree:
    """The tree with the rules applied, the inner queries first; what is not changed is shared."""
    scope = Scope((), Environment(tables), None, None)
    return _Walk(rules).visit(tree, scope)


def walked(node: Tree, query: Query, rules: Rules) -> Tree:
    """A query's node with the rules applied; see :func:`rewritten`."""
    return _Walk(rules).query(node, query)


_BARREN = frozenset(
    ["span", "select_token", "wildcard_token", "name", "alias", "Identifier", "CompoundIdentifier", "Value"]
)
"""What no expression stands in."""
_INNER = frozenset((dict, list, tuple))


class _Walk:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def visit(self, node: Any, scope: Scope) -> Any:
        if type(node) is not dict:
            return self._each(node, scope) if type(node) in _INNER else node
        if "body" in node and "with" in node and "limit_clause" in node:
            return self.query(node, Query(node, scope.environment, scope if scope.items else scope.outer))
        if "Derived" in node:
            return self._derived(node, scope)
        links = []  # a chain of terms leans to the left, and is deep
        while isinstance(node.get("BinaryOp"), dict) and isinstance(node["BinaryOp"]["left"], dict):
            links.append(node)
            node = node["BinaryOp"]["left"]
        if not links:
            return self._changed(self._children(node, scope), scope)
        found = self.visit(node, scope)
        for link in reversed(links):
            found = self._changed(self._linked(link, found, scope), scope)
        return found

    def _each(self, nodes: Any, scope: Scope) -> Any:
        items = [self.visit(value, scope) for value in nodes]
        return nodes if all(map(is_, items, nodes)) else type(nodes)(items)

    def _linked(self, link: dict[str, Any], left: Tree, scope: Scope) -> dict[str, Any]:
        """An operator whose first operand is visited already."""
        body = link["BinaryOp"]
        rest = {key: value if key == "left" else self.visit(value, scope) for key, value in body.items()}
        new = {**rest, "left": left}
        return link if all(new[key] is body[key] for key in body) else {**link, "BinaryOp": new}

    def _changed(self, node: dict[str, Any], scope: Scope) -> Tree:
        changed = self._rules.expression(node, scope)
        return node if changed is None else changed

    def _derived(self, node: dict[str, Any], scope: Scope) -> dict[str, Any]:
        """A subquery in a FROM, which sees its neighbours only if it is LATERAL."""
        body = node["Derived"]
        outer = scope if body["lateral"] else scope.outer
        inner = self.query(body["subquery"], Query(body["subquery"], scope.environment, outer))
        return node if inner is body["subquery"] else {"Derived": {**body, "subquery": inner}}

    def _children(self, node: dict[str, Any], scope: Scope) -> dict[str, Any]:
        new = None
        for key, value in node.items():
            if type(value) not in _INNER or not value or key in _BARREN:
                continue
            changed = self.visit(value, scope)
            if changed is not value:
                new = {**node} if new is None else new
                new[key] = changed
        return node if new is None else new

    def query(self, node: dict[str, Any], query: Query) -> Tree:
        changes: dict[str, Any] = {}
        if node["with"]:
            ctes = [
                {**cte, "query": self.query(cte["query"], query.environment.ctes[_name(cte)])}
                for cte in node["with"]["cte_tables"]
            ]
            if any(a["query"] is not b["query"] for a, b in zip(ctes, node["with"]["cte_tables"], strict=True)):
                changes["with"] = {**node["with"], "cte_tables": ctes}
        changes["body"] = self._body(node["body"], query)
        if node["order_by"] and "Select" in node["body"]:
            changes["order_by"] = self.visit(node["order_by"], query.scope(node["body"]["Select"]))
        new = {**node, **changes}
        new = node if all(new[key] is node[key] for key in node) else new
        changed = self._rules.query(new, query)
        return new if changed is None else changed

    def _body(self, body: Tree, query: Query) -> Tree:
        ((kind, node),) = body.items()
        if kind == "Select":
            scope = query.scope(node)
            new = self._children(node, scope)
            changed = self._rules.select(new, scope)
            new = new if changed is None else changed
        elif kind == "Query":
            new = self.query(node, query.nested(node))
        elif kind == "SetOperation":
            return replace_branches(body, lambda side: self._body(side, query))
        else:
            new = self.visit(node, Scope((), query.environment, query.outer, None))
        return body if new is node else {kind: new}


def _name(cte: Tree) -> str:
    return identifier(cte["alias"]["name"])
