"""Keys of groups, of DISTINCT, of set operations and of JOIN ... USING, each replaced wherever it stands for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...errors import SqlError
from ...relation.functions import is_aggregate
from ...relation.layers import NO_GROUP, Item, Query, Scope
from ...sql.build import column
from ...sql.build import item as element_of
from ...sql.expression import Column, Expression, from_tree
from ...sql.pieces import filled, function_name, number, over_of, path_of
from ...sql.selects import alias_of, is_any_star, own_select, value_of, with_columns, with_value
from ...sql.syntax import Tree, expression_sql, identifier, name_of, replace, walk
from ...sql.traversal import is_query

Change = Callable[[Tree, Scope], Tree | None]
"""An expression and its scope -> what stands in its place as a key, or None."""


class Groups:
    """The rules for a SELECT and a query (see :class:`.reading.Rules`) that change keys.

    Args:
        change: what becomes of a key.
        bodies: those of the statement's queries.
    """

    def __init__(self, change: Change, bodies: Iterable[Tree]) -> None:
        self._change = change
        self._sides = {id(side) for body in bodies for node in _sets(body) for side in _selects(node)}
        self._changed: dict[int, dict[Expression, Tree]] = {}
        self._at_source: dict[int, dict[str, set[str]]] = {}
        self._kept: list[Any] = []  # an id is only good while its object lives

    def select(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        """A SELECT whose keys are changed."""
        new = self._changed_sources(node, scope)
        if new["distinct"] is not None or id(scope.select) in self._sides:
            new = self._distinct(new, scope)
        if new["group_by"] != NO_GROUP:
            new = self._grouped(new, scope)
        return None if new is node else new

    def query(self, node: dict[str, Any], query: Query) -> Tree | None:
        """A query whose ORDER BY names the changed keys, or sorts by several."""
        select = own_select(node)
        order = node["order_by"]
        if not order or select is None or "Expressions" not in order["kind"]:
            return None
        keys = order["kind"]["Expressions"]
        found = self._changed.get(id(select))
        if found is not None:
            given = {name for item in select["projection"] if (name := alias_of(item)) is not None}
            new = [{**key, "expr": _exchanged(key["expr"], found, given)} for key in keys]
        elif _sorts_rows(select, keys):
            scope = query.scope(own_select(query.tree))
            new = [{**key, "expr": self._change(key["expr"], scope) or key["expr"]} for key in keys]
        else:
            return None
        if all(a["expr"] is b["expr"] for a, b in zip(new, keys, strict=True)):
            return None
        return {**node, "order_by": {**order, "kind": {"Expressions": new}}}

    # --- GROUP BY

    def _grouped(self, node: dict[str, Any], scope: Scope) -> dict[str, Any]:
        if "Expressions" not in node["group_by"]:  # GROUP BY ALL
            return self._each_item(node, scope, lambda expression: not _aggregates(expression))
        projection = list(node["projection"])
        found: dict[Expression, Tree] = {}
        for key in _keys(node["group_by"]["Expressions"][0]):
            place = _place(key, projection, scope)
            tree = key if place is None else value_of(projection[place])
            new = None if tree is None else self._change(tree, scope)
            if new is None:
                continue
            if place is not None:
                projection[place] = with_value(projection[place], new)
            else:
                found[_resolved(from_tree(key), scope)] = new
        parts: dict[str, Any] = {"projection": projection}
        if found:
            lookup = _Lookup(found, scope)
            parts["group_by"] = replace(node["group_by"], lookup.change)
            parts["having"] = replace(node["having"], lookup.change)
            parts["projection"] = [
                with_value(item, new) if (new := _replaced(item, lookup)) is not None else item for item in projection
            ]
        same = all(a is b for a, b in zip(parts["projection"], node["projection"], strict=True))
        if same and not found:
            return node
        new_node = {**node, **parts}
        if found:
            self._changed[id(new_node)] = found
            self._kept.append(new_node)
        return new_node

    # --- DISTINCT and set operations

    def _distinct(self, node: dict[str, Any], scope: Scope) -> dict[str, Any]:
        if isinstance(node["distinct"], dict):  # DISTINCT ON
            keys = [self._change(key, scope) or key for key in node["distinct"]["On"]]
            same = all(a is b for a, b in zip(keys, node["distinct"]["On"], strict=True))
            return node if same else {**node, "distinct": {"On": keys}}
        outputs = scope.outputs
        if any(map(is_any_star, node["projection"])) and outputs is not None:
            spelled = [_column(output.expression) for output in outputs]
            changed = [self._change(tree, scope) for tree in spelled]
            if not any(c is not None for c in changed):
                return node
            items = [element_of(c or t, str(o.name)) for c, t, o in zip(changed, spelled, outputs, strict=True)]
            return {**node, "projection": items}
        return self._each_item(node, scope, lambda expression: True)

    def _each_item(self, node: dict[str, Any], scope: Scope, asked: Callable[[Tree], bool]) -> dict[str, Any]:
        items = []
        for item in node["projection"]:
            tree = value_of(item)
            new = self._change(tree, scope) if tree is not None and asked(tree) else None
            items.append(item if new is None else with_value(item, new))
        same = all(a is b for a, b in zip(items, node["projection"], strict=True))
        return node if same else {**node, "projection": items}

    # --- JOIN ... USING, and what a correlated subquery compares with the row around it

    def keep_column(self, column: Column, scope: Scope) -> bool:
        """Let a column be changed where its table is read, so that it stays a column; False where that cannot be."""
        try:
            item, name = scope.resolve(column.path)
        except SqlError:
            return False
        if item.renamed or not item.path or _label(item.tree) != item.path[-1]:
            return False
        self._at_source.setdefault(id(scope), {}).setdefault(item.path[-1], set()).add(name)
        self._kept.append(scope)
        return True

    def _changed_sources(self, node: dict[str, Any], scope: Scope) -> dict[str, Any]:
        wanted = dict(self._at_source.get(id(scope), {}))
        natural, using = scope.merging
        for item in scope.items if natural or using else ():
            others = [other for other in scope.items if other is not item]
            shared = {n for n in item.names or () if natural and any(o.has(n) for o in others)}
            if item.path and not item.renamed:
                wanted[item.path[-1]] = wanted.get(item.path[-1], set()) | ((using | shared) & set(item.names or ()))
        new = {}
        for item in scope.items:
            names = wanted.get(item.path[-1], ()) if item.path else ()
            changed = {n: tree for n in names if (tree := self._change(_of(item, n), scope)) is not None}
            if changed:
                new[item.path[-1]] = {n: filled(_sum(tree), X=column(n)) for n, tree in changed.items()}
        return {**node, "from": [_with_sources(element, new) for element in node["from"]]} if new else node


def _with_sources(element: Tree, new: dict[str, dict[str, Tree]]) -> Tree:
    """An element of FROM, the relations of these labels with changed columns."""

    def changed(relation: Tree) -> Tree:
        if "NestedJoin" in relation:
            body = relation["NestedJoin"]
            return {"NestedJoin": {**body, "table_with_joins": _with_sources(body["table_with_joins"], new)}}
        label = _label(relation)
        return with_columns(relation, label, new[label]) if label in new else relation

    joins = [{**join, "relation": changed(join["relation"])} for join in element["joins"]]
    return {**element, "relation": changed(element["relation"]), "joins": joins}


def _label(relation: Tree) -> str:
    """What a table or a subquery is called in its FROM; "" for anything else."""
    kind, body = next(iter(relation.items()))
    if kind not in ("Table", "Derived") or body.get("lateral") or body.get("args"):
        return ""
    if body["alias"]:
        return "" if body["alias"]["columns"] else identifier(body["alias"]["name"])
    return name_of(body["name"])[-1] if kind == "Table" else ""


def _sorts_rows(select: Tree, keys: list[Tree]) -> bool:
    """Whether it matters to an ORDER BY which of two zeros comes first, and its keys need not be outputs."""
    if isinstance(select["distinct"], dict):
        return True
    return len(keys) > 1 and select["distinct"] is None and bool(select["group_by"] == NO_GROUP)


class _Lookup:
    """Finds the keys in what stands beside aggregates."""

    def __init__(self, found: dict[Expression, Tree], scope: Scope) -> None:
        self._found, self._scope = found, scope
        self._only_columns = all(isinstance(key, Column) for key in found)

    def change(self, node: dict[str, Any]) -> Tree | None:
        name = function_name(node)
        if is_query(node):
            return node  # a query of its own
        if name and over_of(node) is None and is_aggregate(name):
            return node  # its rows are not grouped yet
        if self._only_columns and not path_of(node):
            return None
        if not isinstance(node.get("Identifier", node), dict) or len(node) != 1:
            return None
        return self._found.get(_resolved(from_tree(node), self._scope))


def _resolved(expression: Expression, scope: Scope) -> Expression:
    """The expression, a column with the one path that all of its spellings have."""
    if isinstance(expression, Column):
        try:
            item, name = scope.resolve(expression.path)
        except SqlError:
            return expression
        return Column((str(id(item)), name))
    return expression


def _exchanged(tree: Tree, found: dict[Expression, Tree], given: set[str]) -> Tree:
    expression = from_tree(tree)
    if isinstance(expression, Column) and len(expression.path) > 1:
        return column(expression.name) if expression.name in given else tree
    return found.get(expression, tree)


def _keys(keys: Any) -> Iterator[Tree]:
    """The expressions of a GROUP BY, those inside ROLLUP, CUBE and GROUPING SETS too."""
    for key in keys:
        kind = next(iter(key)) if isinstance(key, dict) else ""
        if kind in ("Rollup", "Cube", "GroupingSets"):
            yield from (inner for part in key[kind] for inner in part)
        else:
            yield key


def _place(key: Tree, projection: list[Tree], scope: Scope) -> int | None:
    """The output that a key names by its position or by its alias; None for a key of its own."""
    value = number(key)
    if value is not None:
        return int(value) - 1 if 0 < value <= len(projection) else None
    expression = from_tree(key)
    if not isinstance(expression, Column) or len(expression.path) > 1:
        return None
    if any(item.has(expression.name) for item in scope.items):
        return None
    named = [i for i, item in enumerate(projection) if alias_of(item) == expression.name]
    return named[0] if named else None


def _replaced(item: Tree, lookup: _Lookup) -> Tree | None:
    tree = value_of(item)
    if tree is None:
        return None
    new = replace(tree, lookup.change)
    return None if new is tree else new


def _column(expression: Expression) -> Tree:
    if expression.origin is not None:
        return expression.origin
    assert isinstance(expression, Column)
    return column(*expression.path)


def _aggregates(tree: Tree) -> bool:
    return any(is_aggregate(function_name(node)) for node in walk(tree))


def _sets(body: Tree) -> Iterator[Tree]:
    """The set operations in a query's body that take rows which are equal for one."""
    todo = [body]
    while todo:
        node = todo.pop().get("SetOperation")
        if node is not None:
            if not (node["op"] == "Union" and "All" in str(node["set_quantifier"])):
                yield node
            todo += [node["left"], node["right"]]


def _selects(body: Tree) -> Iterator[Tree]:
    for side in (body["left"], body["right"]):
        while "Query" in side:
            side = side["Query"]["body"]
        if "Select" in side:
            yield side["Select"]
        elif "SetOperation" in side:
            yield from _selects(side["SetOperation"])


def _of(item: Item, name: str) -> Tree:
    return column(*item.path, name)


def _sum(changed: Tree) -> str:
    """The text of a changed column with a blank for the column."""
    body = changed["Nested"]["BinaryOp"]
    return f"X + {expression_sql(body['right'])}"
