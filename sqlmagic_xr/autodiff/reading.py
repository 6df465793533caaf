"""Reads a statement: what its names mean, and what every call of grad, jvp and vjp in it is equal to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from ..errors import SqlError
from ..relation.layers import Environment, Item, LayerCatalog, Query, Scope
from ..relation.scopes import BELOW, NAMING, calls_aggregate, is_derived
from ..sql.clauses import sort_keys
from ..sql.expression import Call, Column, Expression, Verbatim, replace_parts
from ..sql.identity import IdentityMap
from ..sql.pieces import function_name
from ..sql.selects import is_any_star, own_select
from ..sql.syntax import Tree, name_of, span_of, walk
from ..sql.traversal import is_query
from .layers import Layers
from .names import refused
from .rules import CALLS, Rules


def is_call(node: Tree) -> bool:
    """Whether a node of a tree is a call of grad, jvp or vjp."""
    return function_name(node) in CALLS and len(node["Function"]["name"]) == 1


@dataclass(frozen=True)
class StandingCall:
    """A call of grad, jvp or vjp in a SELECT, above its FROM and WHERE.

    Attributes:
        node: its tree.
        scope: the SELECT's.
        derived: what is derived there.
        row: whether it is computed row by row there: inside an aggregate, or in a SELECT that has none.
    """

    node: Tree
    scope: Scope
    derived: Expression
    row: bool


class WorkedStatement:
    """A statement read: every call worked out, every layer known.

    Args:
        catalog: what the tables' names mean.
        rules: function -> partial derivatives.
    """

    def __init__(self, catalog: LayerCatalog, rules: Rules) -> None:
        self.layers = Layers(rules, self.may_share)
        self.environment = Environment(catalog)
        self.worked: IdentityMap[Tree, Expression] = IdentityMap()
        self.standing: list[StandingCall] = []
        self.queries: list[Query] = []
        self.scopes: IdentityMap[Tree, Scope] = IdentityMap()
        self.owners: IdentityMap[Tree, Query] = IdentityMap()
        self.items: list[Item] = []

    def statement(self, tree: Tree) -> None:
        """Work out every call in a statement."""
        ((kind, body),) = tree.items() if isinstance(tree, dict) else [("", tree)]
        readers: dict[str, Callable[[Tree], Scope]] = {
            "Insert": self._insert, "Update": self._update, "Delete": self._delete, "Merge": self._merge,
        }  # fmt: skip
        if kind == "Query":
            self.query(Query(body, self.environment))
        elif kind == "Explain":
            self.statement(body["statement"])
        else:
            scope = readers[kind](body) if kind in readers else Scope((), self.environment)
            self._visit_items(scope)
            self.visit(body, scope)

    def _insert(self, body: Tree) -> Scope:
        name = name_of(body["table"]["TableName"]) if "TableName" in body["table"] else ()
        relation, query = self.environment.table(name) if name else (None, None)
        own = [Item(body, name, relation, query), Item(body, ("excluded",), relation, query)]
        return Scope(own if body.get("on") else (), self.environment)

    def _update(self, body: Tree) -> Scope:
        tables = [body["table"], *next(iter((body["from"] or {"": []}).values()))]
        return Scope(self.environment.items(tables, None), self.environment)

    def _delete(self, body: Tree) -> Scope:
        tables = [*next(iter(body["from"].values())), *(body["using"] or [])]
        return Scope(self.environment.items(tables, None), self.environment)

    def _merge(self, body: Tree) -> Scope:
        tables = [{"relation": body[part], "joins": []} for part in ("table", "source")]
        return Scope(self.environment.items(tables, None), self.environment)

    def query(self, query: Query) -> None:
        """Work out every call in a query."""
        self.queries.append(query)
        for _, cte in query.own_ctes:
            self.query(cte)
        self._body(query, query.body)
        scope = query.first or Scope((), query.environment, query.outer)
        row = None if own_select(query.tree) is None else not scope.groups
        self.visit(query.behind, scope, names="outputs" if query.first is not None else None, row=row)

    def _body(self, query: Query, body: Tree) -> None:
        ((kind, node),) = body.items()
        if kind == "Select":
            self.owners[node] = query
            self._select(query.scope(node))
        elif kind == "SetOperation":
            self._body(query, node["left"])
            self._body(query, node["right"])
        elif kind == "Query":
            self.query(query.nested(node))
        else:
            self.visit(node, Scope((), query.environment, query.outer))

    def _select(self, scope: Scope) -> None:
        self.scopes[scope.select] = scope
        self._visit_items(scope)
        for key, value in scope.select.items():
            row = None if key in BELOW else not scope.groups
            self.visit(value, scope, names="both" if key in NAMING else None, row=row)

    def may_share(self, scope: Scope) -> bool:
        """Whether a SELECT can read a CTE instead of its FROM: nothing in it reads that FROM from within a subquery."""
        owner = self.owners.get(scope.select)
        if owner is None or owner.recursive is not None or scope.outer is not None or not scope.items:
            return False
        if any(map(is_query, walk([scope.above, *sort_keys(owner.tree)]))):
            return False
        if len(scope.items) == 1 and len(scope.items[0].path) < 2:
            return True
        wild = any(map(is_any_star, scope.elements))
        names = [output.name for output in scope.outputs or () if isinstance(output.expression, Column)]
        twice = len(set(names)) < len(names)  # a.i and b.i are two columns only while they are qualified
        return not wild and not twice and all(item.names is not None for item in scope.items)

    def _visit_items(self, scope: Scope) -> None:
        for item in scope.items:
            self.items.append(item)
            if item.query is not None and item.computed:
                self.query(item.query)

    def visit(self, node: Tree, scope: Scope, *, names: Names = None, row: bool | None = None) -> None:
        """Work out every call in a part of a statement.

        Args:
            node: the part.
            scope: what names mean there.
            names: whether names may also be those of the SELECT's outputs.
            row: as in :class:`StandingCall`; None where a part is not above the FROM and WHERE of a SELECT.
        """
        if isinstance(node, (list, tuple)):
            for part in node:
                self.visit(part, scope, names=names, row=row)
        elif isinstance(node, dict):
            if is_derived(node):  # an item of the scope, visited already
                return
            if is_query(node):
                outer = scope if scope.items else scope.outer  # what an INSERT inserts reads no row around it
                self.query(Query(node, scope.environment, outer))
                return
            if is_call(node):
                self._work_out(node, scope, names, row)
                row = None
                if not any(is_call(part) or is_query(part) for part in islice(walk(node), 1, None)):
                    return
            elif row is False and calls_aggregate(node):
                row = True
            for key, part in node.items():
                if key != "span" and isinstance(part, (dict, list, tuple)):
                    self.visit(part, scope, names=names, row=row)

    def _work_out(self, node: Tree, scope: Scope, names: Names, row: bool | None) -> None:
        call = scope.read(node)
        if not isinstance(call, Call):
            raise refused(Verbatim(node, origin=node), "this call cannot be read", "Write grad(expression, column).")
        if names is not None:
            call = replace_parts(call, lambda part: _named(part, scope, names))
            assert isinstance(call, Call)
        try:
            call = self.layers.one(call)
            worked = self.layers.call(call, scope)
        except SqlError as error:
            error.span = error.span or span_of(node)
            raise
        self.layers.want(worked.needs)
        self.worked[node] = worked.expression
        if row is not None:
            self.standing.append(StandingCall(node, scope, call.args[0], row))


Names = Literal["outputs", "both"] | None
"""Whose names may stand in a part of a SELECT beside its FROM's columns: those of its outputs (where a column has the
name too, in ORDER BY the output is meant, elsewhere the column), or nobody's."""


def _named(part: Expression, scope: Scope, names: Names) -> Expression | None:
    """What the name of an output stands for."""
    if not isinstance(part, Column) or len(part.path) > 1 or scope.select is None:
        return None
    meant = scope.aliases.get(part.name)
    own = any(item.has(part.name) for item in scope.items)
    # DataFusion finds an output that is a column under another column's name by itself.
    return None if own and (names == "both" or isinstance(meant, Column)) else meant
