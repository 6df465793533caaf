"""``i IN (SELECT r.i FROM r, u WHERE u.i = t.i)``: where two columns inside have one name, the engine takes either.

It takes what names the outer row out of the subquery, and finds the columns there by their name alone. So within a
subquery that reads the row around it every column gets a name of its own, and EXISTS selects 1, with a name.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...errors import SqlError, UnsupportedError
from ...relation.layers import Item, Query, Scope
from ...sql.build import column, item
from ...sql.clauses import SUBQUERIES, is_sorted, sort_keys, subquery, with_query
from ...sql.memberships import existence_of
from ...sql.pieces import filled, path_of
from ...sql.places import COLUMNS
from ...sql.selects import (
    alias_with_columns,
    body_of,
    elements,
    from_of,
    is_any_star,
    own_select,
    value_of,
    with_elements,
    with_own_select,
)
from ...sql.syntax import Tree, span_of, transform, walk
from .correlation import is_correlated
from .reading import Reading
from .types import TableTypes

SIGNS = r"\(\s*(SELECT|WITH)\b"


def with_distinct_names(reading: Reading) -> Tree:
    """The tree in whose correlated subqueries no two columns have one name.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"t": {"i": None}, "r": {"i": None}, "u": {"i": None, "k": None}})
    >>> sql = "SELECT 1 FROM t WHERE i IN (SELECT r.i FROM r, u WHERE u.i = t.i)"
    >>> to_sql(with_distinct_names(Reading(parse_one(sql).tree, tables))).partition("IN ")[2]
    '(SELECT r."i of r" FROM r AS r ("i of r"), u AS u ("i of u", k) WHERE u."i of u" = t.i)'
    """

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        query = subquery(node)
        after = _renamed(_without_columns(query) if existence_of(node) else query, scope, reading.tables)
        return None if after is query else with_query(node, after)

    return reading.rewritten(dict.fromkeys(SUBQUERIES, change))


def _without_columns(query: Tree) -> Tree:
    """The query of an EXISTS that selects 1 where it selected columns: what it selects does not matter."""
    select = own_select(query)
    if select is None or is_sorted(query) or not all(map(_is_column, elements(select))):
        return query
    return with_own_select(query, with_elements(select, [item(filled("1"), "exists_")]))


def _is_column(element: Tree) -> bool:
    value = None if is_any_star(element) else value_of(element)
    return value is None or bool(path_of(value))


def _renamed(query: Tree, around: Scope, tables: TableTypes) -> Tree:
    """A subquery in which no column is called as another one."""
    select = own_select(query)
    if select is None or not from_of(select):
        return query
    layer = Query(query, around.environment, around)
    scope = layer.scope(select)
    counted = Counter(name for item in scope.items for name in item.names or ())
    twice = {name for name, count in counted.items() if count > 1 or name in scope.aliases}
    if not twice or not is_correlated(query, tables):
        return query
    if _merges(scope, twice):
        _refuse_either(query, layer, scope, tables)
        twice -= scope.merging[1]
    items = [item for item in scope.items if item.path and twice & set(item.names or ())]
    if scope.merging[0] or not items:  # NATURAL joins by the names
        return query
    return _with_names(query, layer, scope, {id(item): item for item in items}, twice, tables)


def _with_names(
    query: Tree, layer: Query, scope: Scope, items: dict[int, Item], twice: set[str], tables: TableTypes
) -> Tree:  # fmt: skip
    labels = Counter(item.path[-1] for item in scope.items if item.path)
    if any(labels[item.path[-1]] > 1 for item in items.values()):
        raise UnsupportedError(
            "two relations of one name in a subquery that reads the row around it are answered wrongly by the engine",
            hint="Give them names: FROM a.t AS x, b.t AS y.",
            span=span_of(body_of(query)),
        )
    ordered = {id(node) for key in sort_keys(query) for node in walk(key) if _is_alias(node, scope)}

    def refer(node: dict[str, Any], inner: Scope) -> Tree | None:
        found = _resolved(node, inner) if id(node) not in ordered else None
        if found is None or id(found[0]) not in items or found[1] not in twice:
            return None
        return column(found[0].path[-1], _own(found[0], found[1]))

    after = Reading(query, tables, layer=layer).rewritten(dict.fromkeys(COLUMNS, refer))
    aliases = {id(item.tree): _aliased(item, twice) for item in items.values()}
    places = {id(_body(item.tree)): aliases[id(item.tree)] for item in items.values()}

    def rename(node: dict[str, Any]) -> Tree | None:
        alias = next((places[id(body)] for body in node.values() if id(body) in places), None)
        return None if alias is None else {kind: {**body, "alias": alias} for kind, body in node.items()}

    return transform(after, rename)


def _body(tree: Tree) -> Tree:
    return next(iter(tree.values()))


def _own(item: Item, name: str) -> str:
    return f"{name} of {item.path[-1]}"


def _aliased(item: Item, twice: set[str]) -> Tree:
    """The alias that gives a relation's columns their own names."""
    names = [_own(item, name) if name in twice else name for name in item.names or ()]
    return alias_with_columns(item.path[-1], names)


def _resolved(node: dict[str, Any], scope: Scope) -> tuple[Item, str] | None:
    path = path_of(node)
    if not path:
        return None
    try:
        return scope.resolve(path)
    except SqlError:
        return None


def _is_alias(node: dict[str, Any], scope: Scope) -> bool:
    path = path_of(node)
    return len(path) == 1 and path[0] in scope.aliases


def _merges(scope: Scope, twice: set[str]) -> bool:
    natural, using = scope.merging
    return natural or bool(using & twice)


def _refuse_either(query: Tree, layer: Query, scope: Scope, tables: TableTypes) -> None:
    """Refuse a query that reads a column of USING from either side of an outer join: they differ there."""
    if not any(item.nullable for item in scope.items):
        return
    read: dict[str, set[int]] = {}

    def look(node: dict[str, Any], inner: Scope) -> Tree | None:
        found = _resolved(node, inner)
        if found is not None and scope.owns(found[0]) and (scope.merging[0] or found[1] in scope.merging[1]):
            read.setdefault(found[1], set()).add(id(found[0]))
        return None

    Reading(query, tables, layer=layer).rewritten(dict.fromkeys(COLUMNS, look))
    name = next((name for name, items in read.items() if len(items) > 1), None)
    if name is not None:
        raise UnsupportedError(
            f"`{name}` of either side of an outer join, in a subquery that reads the row around it, is answered "
            "wrongly by the engine",
            hint=f"Join with ON instead of USING ({name}).",
            span=span_of(body_of(query)),
        )
