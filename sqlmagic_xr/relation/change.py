"""Bound queries changed: relations and columns exchanged everywhere below a query, what stays being shared.

A node that is exchanged takes its columns with it: whoever used a column of the old one uses that of the new one, by
its name. What cannot be said so is an error where the change is made, not in the rows that come out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as parts_of
from dataclasses import replace
from typing import Any

from ..sql.expression import Expression
from ..sql.identity import IdentityMap
from ..sql.syntax import Tree
from ..sql.syntax import replace as swapped
from .columns import Field, Measure, Nested, Output, SortKey
from .nodes import Relation, Scan, Shared, relations
from .rebuild import substituted
from .write import derived, written

Exchange = Callable[[Relation], Relation | None]
"""Given a relation, what stands in its place, or None to look into it."""


Columns = Mapping[Any, Expression]
"""Columns, or queries in parentheses, and what is used instead of them."""


def exchanged(
    root: Relation, exchange: Exchange, columns: Columns | None = None,
    remade: Callable[[Relation], Relation] = lambda relation: relation,
) -> Relation:  # fmt: skip
    """A query in which relations are others.

    Args:
        root: the query; returned itself where nothing changes.
        exchange: asked of every relation, the outer ones first; what it returns is not looked into.
        columns: columns and queries in parentheses, and what is used instead of them.
        remade: given every relation that was looked into, the inner ones first, what stands in its place.

    Raises:
        UnboundError: a column is used that the new relation has not.
    """
    return _Changing(exchange, columns or {}, remade).relation(root)


def without_columns(root: Relation, columns: Columns) -> Relation:
    """A query that uses other expressions for some columns."""
    return exchanged(root, lambda relation: None, columns)


class _Changing:
    def __init__(self, exchange: Exchange, columns: Columns, remade: Callable[[Relation], Relation]) -> None:
        self._exchange, self._columns, self._remade = exchange, columns, remade
        self._done: dict[Relation, Relation] = {}
        self._new: dict[Relation, Relation] = {}

    def relation(self, old: Relation) -> Relation:
        found = self._done.get(old)
        if found is None:
            found = self._exchange(old)
            found = self._remade(self._inside(old)) if found is None else found
            self._done[old] = found
            if found is not old:
                self._new[old] = found
        return found

    def _inside(self, old: Relation) -> Relation:
        changes: dict[str, Any] = {}
        # The relations first: the expressions use their columns.
        for part in sorted(parts_of(old), key=lambda p: not isinstance(getattr(old, p.name), Relation)):
            value = getattr(old, part.name)
            new = self._part(value) if part.name != "tree" else value
            if new is not value:
                changes[part.name] = new
        return replace(old, **changes) if changes else old

    def _part(self, value: Any) -> Any:
        match value:
            case Relation():
                return self.relation(value)
            case Expression():
                return self._expression(value)
            case Output() | SortKey():
                new = self._expression(value.expression)
                return value if new is value.expression else replace(value, expression=new)
            case Measure():
                measure = replace(value, call=self._part(value.call), order=self._part(value.order),
                              partition=self._part(value.partition))  # fmt: skip
                return value if measure == value and measure.call is value.call else measure
            case tuple():
                items = [self._part(item) for item in value]
                return value if all(a is b for a, b in zip(items, value, strict=True)) else tuple(items)
        return value

    def _expression(self, expression: Expression) -> Expression:
        def change(part: Expression) -> Expression | None:
            if isinstance(part, Field):
                if part in self._columns:
                    return self._columns[part]
                new = self._new.get(part.relation)
                return None if new is None else Field(new, part.name, origin=_spelling(part))
            if isinstance(part, Nested):
                if part in self._columns:
                    return self._columns[part]
                query = self.relation(part.query)
                operand = None if part.operand is None else self._expression(part.operand)
                same = query is part.query and operand is part.operand
                return None if same else replace(part, query=query, operand=operand)
            return None

        return substituted(expression, change)


def _spelling(column: Field) -> Tree:
    """A column as the user wrote it, unless a schema stands before its relation's name: only the alias stays."""
    path = (column.origin or {}).get("CompoundIdentifier", ())
    return None if len(path) > 2 else column.origin


def exchanged_tree(tree: Tree, bound: Relation, exchange: Callable[[Scan], Tree | None]) -> Tree:
    """A query's tree in which readings of tables are other relations; the rest is as it was written.

    A view that reads such a table becomes the subquery that it is.

    Args:
        tree: the inside of a ``Query`` node.
        bound: the query.
        exchange: for a reading, what stands in its place in FROM, or None to leave it.
    """
    new: IdentityMap[Tree, Tree] = IdentityMap()
    for node in relations(bound):
        if isinstance(node, Scan) and (found := exchange(node)) is not None:
            new[node.tree] = found

    # The views inside views first: of what relations() gives, the inner ones come last.
    for node in reversed(list(relations(bound))):
        if isinstance(node, Shared) and node.kind == "view":
            inside = written(node.query)
            changed = swapped(inside, new.get)
            if changed is not inside:
                own = None if node.renamed else node.tree["Table"]["alias"]
                new[node.tree] = derived(changed, node.path[-1], node.renamed, own)
    return swapped(tree, new.get)
