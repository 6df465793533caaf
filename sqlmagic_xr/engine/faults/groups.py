"""Keys of groups, of DISTINCT, of set operations and of JOIN ... USING, each replaced wherever it stands for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...errors import SqlError
from ...relation.functions import is_aggregate
from ...relation.layers import Item, Query, Scope
from ...sql.build import column
from ...sql.build import item as element_of
from ...sql.clauses import aliases, operation, sort_keys, with_sort_keys
from ...sql.expression import Column, Expression, from_tree
from ...sql.joins import joined_inside, plain_label, with_joined_inside, with_relations
from ...sql.pieces import bare, filled, function_name, number, over_of, path_of
from ...sql.selects import (
    alias_of,
    behind_groups,
    compared_selects,
    distinct_keys,
    elements,
    from_of,
    group_keys,
    groups_rows,
    is_any_star,
    own_select,
    takes_once,
    value_of,
    with_columns,
    with_distinct_keys,
    with_elements,
    with_from,
    with_value,
)
from ...sql.syntax import Tree, expression_sql, replace, walk
from ...sql.traversal import is_query

Change = Callable[[Tree, Scope], Tree | None]
"""An expression and its scope -> what stands in its place as a key, or None."""


class KeyRules:
    """The rules for a SELECT and a query (see :class:`.reading.Rules`) that change keys.

    Args:
        change: what becomes of a key.
        bodies: those of the statement's queries.
    """

    def __init__(self, change: Change, bodies: Iterable[Tree]) -> None:
        self._change = change
        self._sides = {id(side) for body in bodies for side in compared_selects(body)}
        self._changed: dict[int, dict[Expression, Tree]] = {}
        self._at_source: dict[int, dict[str, set[str]]] = {}
        self._kept: list[Any] = []  # an id is only good while its object lives

    def select(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        """A SELECT whose keys are changed."""
        new = self._changed_sources(node, scope)
        if takes_once(new) or id(scope.select) in self._sides:
            new = self._distinct(new, scope)
        if groups_rows(new):
            new = self._grouped(new, scope)
        return None if new is node else new

    def query(self, node: dict[str, Any], query: Query) -> Tree | None:
        """A query whose ORDER BY names the changed keys, or sorts by several."""
        select, keys = own_select(node), sort_keys(node)
        if not keys or select is None:
            return None
        found = self._changed.get(id(select))
        if found is not None:
            given = set(aliases(select))
            new = [_exchanged(key, found, given) for key in keys]
        elif _sorts_rows(select, keys):
            scope = query.scope(own_select(query.tree))
            new = [self._change(key, scope) or key for key in keys]
        else:
            return None
        return None if _same(new, keys) else with_sort_keys(node, new)

    # --- GROUP BY

    def _grouped(self, node: Tree, scope: Scope) -> Tree:
        keys, listed = group_keys(node), elements(node)
        if keys is None:  # GROUP BY ALL
            return self._each_item(node, scope, lambda expression: not _aggregates(expression))
        found: dict[Expression, Tree] = {}
        for key in keys:
            place = _place(key, listed, scope)
            tree = key if place is None else value_of(listed[place])
            new = None if tree is None else self._change(tree, scope)
            if new is None:
                continue
            if place is not None:
                listed[place] = with_value(listed[place], new)
            else:
                found[_resolved(from_tree(key), scope)] = new
        return self._with_keys(node, listed, found, scope) if found else _with_list(node, listed)

    def _with_keys(self, node: Tree, listed: list[Tree], found: dict[Expression, Tree], scope: Scope) -> Tree:
        """A SELECT in which keys that are no outputs are changed wherever they stand."""
        lookup = _Lookup(found, scope)
        listed = [with_value(item, new) if (new := _replaced(item, lookup)) is not None else item for item in listed]
        made = with_elements(behind_groups(node, lambda part: replace(part, lookup.change)), listed)
        self._changed[id(made)] = found
        self._kept.append(made)
        return made

    # --- DISTINCT and set operations

    def _distinct(self, node: Tree, scope: Scope) -> Tree:
        old = distinct_keys(node)
        if old is not None:
            keys = [self._change(key, scope) or key for key in old]
            return node if _same(keys, old) else with_distinct_keys(node, keys)
        outputs = scope.outputs
        if any(map(is_any_star, elements(node))) and outputs is not None:
            spelled = [_column(output.expression) for output in outputs]
            changed = [self._change(tree, scope) for tree in spelled]
            if not any(c is not None for c in changed):
                return node
            items = [element_of(c or t, str(o.name)) for c, t, o in zip(changed, spelled, outputs, strict=True)]
            return with_elements(node, items)
        return self._each_item(node, scope, lambda expression: True)

    def _each_item(self, node: Tree, scope: Scope, asked: Callable[[Tree], bool]) -> Tree:
        items = []
        for item in elements(node):
            tree = value_of(item)
            new = self._change(tree, scope) if tree is not None and asked(tree) else None
            items.append(item if new is None else with_value(item, new))
        return _with_list(node, items)

    # --- JOIN ... USING, and what a correlated subquery compares with the row around it

    def keep_column(self, column: Column, scope: Scope) -> bool:
        """Let a column be changed where its table is read, so that it stays a column; False where that cannot be."""
        try:
            item, name = scope.resolve(column.path)
        except SqlError:
            return False
        if item.renamed or not item.path or plain_label(item.tree) != item.path[-1]:
            return False
        self._at_source.setdefault(id(scope), {}).setdefault(item.path[-1], set()).add(name)
        self._kept.append(scope)
        return True

    def _changed_sources(self, node: Tree, scope: Scope) -> Tree:
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
            changed = {n: tree for n in sorted(names) if (tree := self._change(_of(item, n), scope)) is not None}
            if changed:
                new[item.path[-1]] = {n: filled(_sum(tree), X=column(n)) for n, tree in changed.items()}
        return with_from(node, [_with_sources(element, new) for element in from_of(node)]) if new else node


def _same(new: Sequence[Tree], old: Sequence[Tree]) -> bool:
    """Whether nothing among trees has changed."""
    return all(a is b for a, b in zip(new, old, strict=True))


def _with_list(select: Tree, listed: list[Tree]) -> Tree:
    """A SELECT of other elements; itself where they are its own."""
    return select if _same(listed, elements(select)) else with_elements(select, listed)


def _with_sources(element: Tree, new: dict[str, dict[str, Tree]]) -> Tree:
    """An element of FROM, the relations of these labels with changed columns."""

    def changed(relation: Tree) -> Tree:
        inside = joined_inside(relation)
        if inside is not None:
            return with_joined_inside(relation, _with_sources(inside, new))
        label = plain_label(relation)
        return with_columns(relation, label, new[label]) if label in new else relation

    return with_relations(element, changed)


def _sorts_rows(select: Tree, keys: list[Tree]) -> bool:
    """Whether it matters to an ORDER BY which of two zeros comes first, and its keys need not be outputs."""
    if distinct_keys(select) is not None:
        return True
    return len(keys) > 1 and not takes_once(select) and not groups_rows(select)


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
        if len(node) != 1:
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


def _of(item: Item, name: str) -> Tree:
    return column(*item.path, name)


def _sum(changed: Tree) -> str:
    """The text of a changed column with a blank for the column."""
    _, _, added = operation(bare(changed)) or ("", None, None)
    return f"X + {expression_sql(added)}"
