"""Finds grad, jvp and vjp in a statement, works them out and puts the derivative in their place.

The tree is read once, every call in the scope it stands in, and then built anew: calls replaced, companions (see
:mod:`.layers`) added to the queries that compute what is derived, wildcards kept from showing them.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import DerivativeError, SqlError
from ..sql.expression import Call, Column, Expression, Opaque, from_tree, parse, replace_parts, to_sql, to_tree
from ..sql.scope import Catalog, Environment, Item, Query, Scope
from ..sql.syntax import Tree, identifier, make_identifier, name_of, span_of, walk
from .derivative import refused
from .layers import Companion, Layers, NoTables, Variable
from .rules import CALLS, RULES, Rules
from .simplify import ZERO


def rewrite(tree: Tree, catalog: Catalog, *, rules: Rules = RULES) -> Tree:
    """A statement's tree with every derivative worked out; ``tree`` itself where there is none.

    Args:
        tree: the statement; parameters in it are constants.
        catalog: what its tables' names mean.
        rules: function -> partial derivatives, see :mod:`.rules`.

    Raises:
        DerivativeError: a part that depends on the variable and has no derivative.
        UnknownNameError: a column that nothing has, or more than one relation.
    """
    if not any(is_call(node) for node in walk(tree)):
        return tree
    work = Rewriting(catalog, rules)
    work.statement(tree)
    return work.finish(tree)


def differentiate(expression: str, column: str, *, rules: Rules = RULES) -> str:
    """The derivative of a SQL expression by one of its columns, as SQL.

    Every name in the expression is taken for a column of real numbers.

    Args:
        expression: any scalar SQL expression; grad, jvp and vjp may stand in it.
        column: the column's name as written in the expression: ``x``, ``t.x``, ``"X"``.
        rules: function -> partial derivatives, see :mod:`.rules`.

    Raises:
        DerivativeError: a part that depends on the column and has no derivative.
        ParseError: a text that is not one expression.

    >>> differentiate("power(y - (a * x + b), 2)", "a")
    '-2.0 * (y - (a * x + b)) * x'
    """
    item = Item({}, ("",))
    scope = _AnyColumn([item], Environment(NoTables()))
    variable = parse(column)
    if not isinstance(variable, Column):
        raise DerivativeError(f"a derivative is taken by a column, not by {column}", hint="For example: x, t.x")
    layers = Layers(rules)
    text = f"SELECT {expression}"
    try:
        found = layers.derivative(parse(expression), scope, Variable(item, ".".join(variable.path)))
    except SqlError as error:
        raise error.locate(text, error.span) from None
    return to_sql(found.expression if found else ZERO)


def is_call(node: Tree) -> bool:
    """Whether a node of a tree is a call of grad, jvp or vjp."""
    if not isinstance(node, dict) or "Function" not in node or not isinstance(node["Function"], dict):
        return False
    name = node["Function"]["name"][-1].get("Identifier")
    return name is not None and len(node["Function"]["name"]) == 1 and name["value"].lower() in CALLS


class _AnyColumn(Scope):
    """A scope in which every name is a column of one relation."""

    def _resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        return self.items[0], ".".join(path)

    def owns(self, item: Item) -> bool:
        return False  # so that the column is a constant to every aggregate


class Rewriting:
    """The rewriting of one statement: first every call is worked out, then the tree is built anew.

    Args:
        catalog: what the tables' names mean.
        rules: function -> partial derivatives.
    """

    def __init__(self, catalog: Catalog, rules: Rules) -> None:
        self.layers = Layers(rules)
        self.environment = Environment(catalog)
        self._worked: dict[int, Expression] = {}
        self._queries: list[Query] = []
        self._scopes: dict[int, Scope] = {}
        self._items: list[Item] = []
        # what is built: the SELECTs, aliases and views that get the companions' columns
        self._extra: dict[int, list[Tree]] = {}
        self._aliases: dict[int, list[str]] = {}
        self._views: dict[int, Item] = {}

    # -------------------------------------------------------------------------------------------------- reading

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
        self._queries.append(query)
        for cte in (query.tree["with"] or {}).get("cte_tables", []):
            self.query(query.environment.ctes[identifier(cte["alias"]["name"])])
        self._body(query, query.tree["body"])
        rest = {key: value for key, value in query.tree.items() if key not in ("with", "body")}
        scope = query.first or Scope((), query.environment, query.outer)
        self.visit(rest, scope, named=query.first is not None)

    def _body(self, query: Query, body: Tree) -> None:
        ((kind, node),) = body.items()
        if kind == "Select":
            self._select(query.scope(node))
        elif kind == "SetOperation":
            self._body(query, node["left"])
            self._body(query, node["right"])
        elif kind == "Query":
            self.query(query.nested(node))
        else:
            self.visit(node, Scope((), query.environment, query.outer))

    def _select(self, scope: Scope) -> None:
        self._scopes[id(scope.select)] = scope
        self._visit_items(scope)
        for key, value in scope.select.items():
            self.visit(value, scope, named=key in ("group_by", "having", "qualify"))

    def _visit_items(self, scope: Scope) -> None:
        for item in scope.items:
            self._items.append(item)
            if item.query is not None and ("Derived" in item.tree or item.query.view is not None):
                self.query(item.query)

    def visit(self, node: Tree, scope: Scope, *, named: bool = False) -> None:
        """Work out every call in a part of a statement.

        Args:
            node: the part.
            scope: what names mean there.
            named: whether names may also be the aliases of the SELECT.
        """
        if isinstance(node, (list, tuple)):
            for part in node:
                self.visit(part, scope, named=named)
        elif isinstance(node, dict):
            if "Derived" in node:  # an item of the scope, visited already
                return
            if "body" in node and "with" in node:
                self.query(Query(node, scope.environment, scope))
                return
            if is_call(node):
                self._work_out(node, scope, named)
            for part in node.values():
                self.visit(part, scope, named=named)

    def _work_out(self, node: Tree, scope: Scope, named: bool) -> None:
        call = from_tree(node)
        if not isinstance(call, Call):
            raise refused(Opaque(node, origin=node), "this call cannot be read", "Write grad(expression, column).")
        if named:
            call = replace_parts(call, lambda part: _named(part, scope))
            assert isinstance(call, Call)
        try:
            worked = self.layers.call(call, scope)
        except SqlError as error:
            error.span = error.span or span_of(node)
            raise
        self.layers.want(worked.needs)
        self._worked[id(node)] = worked.expression

    # ------------------------------------------------------------------------------------------------- building

    def finish(self, tree: Tree) -> Tree:
        """The statement with what was worked out in its place."""
        added: dict[int, list[str]] = {}
        for companion in self.layers.companions:
            if companion.wanted:
                added.setdefault(id(companion.query), []).append(companion.name)
                for branch, expression in zip(companion.query.branches or (), companion.branches, strict=True):
                    self._extra.setdefault(id(branch.select), []).append(_output(expression, companion.name))
        for query in self._queries:
            for cte in (query.tree["with"] or {}).get("cte_tables", []):
                inner = query.environment.ctes[identifier(cte["alias"]["name"])]
                if cte["alias"]["columns"] and id(inner) in added:
                    self._aliases[id(cte["alias"])] = added[id(inner)]
        for item in self._items:
            if item.query is not None and id(item.query) in added:
                self._prepare(item, added[id(item.query)])
        return self.build(tree)

    def _prepare(self, item: Item, names: list[str]) -> None:
        body = next(iter(item.tree.values()))
        if item.renamed:
            self._aliases[id(body["alias"])] = names
        if item.query is not None and item.query.view is not None:
            self._views[id(item.tree)] = item

    def build(self, node: Tree) -> Tree:
        """A part of the statement, rebuilt where anything in it changes."""
        if isinstance(node, (list, tuple)):
            parts = [self.build(part) for part in node]
            return node if all(a is b for a, b in zip(parts, node, strict=True)) else type(node)(parts)
        if not isinstance(node, dict):
            return node
        if id(node) in self._worked:
            return self.build(to_tree(self._worked[id(node)]))
        if id(node) in self._views:
            return self._inlined(self._views[id(node)])
        new = {key: self.build(value) for key, value in node.items()}
        changed = any(new[key] is not node[key] for key in node)
        if changed and ("BinaryOp" in node or "UnaryOp" in node):
            new = _parenthesised(node, new)
        if id(node) in self._scopes:
            shown = self._shown(new, self._scopes[id(node)])
            extra = [self.build(output) for output in self._extra.get(id(node), ())]
            changed = changed or bool(extra) or shown is not new["projection"]
            new = {**new, "projection": [*shown, *extra]}
        if id(node) in self._aliases:
            more = [_alias_column(name, node["columns"]) for name in self._aliases[id(node)]]
            new, changed = {**new, "columns": [*new["columns"], *more]}, True
        return new if changed else node

    def _shown(self, select: Tree, scope: Scope) -> Tree:
        """The projection of a SELECT, its wildcards kept from showing companions."""
        hidden = [
            (item, name)
            for item in scope.items
            if item.query is not None
            for name, companion in item.query.added.items()
            if isinstance(companion, Companion) and companion.wanted
        ]
        return [_hide(node, hidden) for node in select["projection"]] if hidden else select["projection"]

    def _inlined(self, item: Item) -> Tree:
        """A view as the subquery that it is, so that it can have a companion."""
        assert item.query is not None
        body = next(iter(item.tree.values()))
        alias = body["alias"] or {"explicit": True, "name": make_identifier(item.path[-1]), "columns": []}
        return {"Derived": {"lateral": False, "subquery": self.build(item.query.tree), "alias": self.build(alias),
                            "sample": None}}  # fmt: skip


def _named(part: Expression, scope: Scope) -> Expression | None:
    """What an alias of the SELECT stands for."""
    if isinstance(part, Column) and len(part.path) == 1:
        meant = scope.aliases.get(part.name) if scope.select is not None else None
        return meant if meant is not None and not isinstance(meant, Column) else None
    return None


def _output(expression: Expression, name: str) -> Tree:
    return {"ExprWithAlias": {"expr": to_tree(expression), "alias": make_identifier(name)}}


def _alias_column(name: str, others: list[Tree]) -> Tree:
    """A further name in ``AS t(a, b)`` or ``WITH t(a, b)``, whose columns may have types."""
    return {**others[0], "name": make_identifier(name)}


def _parenthesised(old: Tree, new: Tree) -> Tree:
    """An operator whose operands are in parentheses where they were replaced by an operator."""
    ((kind, operands),) = new.items()
    before = next(iter(old.values()))

    def operand(key: str) -> Tree:
        tree = operands[key]
        loose = isinstance(tree, dict) and ("BinaryOp" in tree or "UnaryOp" in tree) and is_call(before[key])
        return {"Nested": tree} if loose else tree

    return {kind: {key: operand(key) if key in ("left", "right", "expr") else operands[key] for key in operands}}


def _hide(node: Tree, hidden: list[tuple[Item, str]]) -> Tree:
    """A wildcard that leaves companions out."""
    ((kind, body),) = node.items()
    if kind not in ("Wildcard", "QualifiedWildcard"):
        return node
    names = [name for _, name in hidden]
    if kind == "QualifiedWildcard":
        qualifier = name_of(body[0][0]["ObjectName"] if isinstance(body[0], (list, tuple)) else body[0]["ObjectName"])
        names = [name for item, name in hidden if item.path[-len(qualifier) :] == qualifier]
    options = body if kind == "Wildcard" else body[1]
    already = [n for key in ("opt_exclude", "opt_except") for n in walk(options[key]) if "quote_style" in n]
    if not names:
        return node
    left_out = {"Multiple": [*already, *(make_identifier(name) for name in dict.fromkeys(names))]}
    options = {**options, "opt_exclude": left_out, "opt_except": None}
    return {kind: options if kind == "Wildcard" else [body[0], options]}
