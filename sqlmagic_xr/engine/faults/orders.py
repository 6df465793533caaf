"""``SELECT b + (SELECT 1) FROM d ORDER BY k``: the engine forgets the order, since no column shows it.

Where a statement has a scalar subquery, the engine takes a sort out that it cannot see in what is selected. A first key
that is the same for all rows, and that is calculated from what is selected, shows it and orders nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.types as pt

from ...relation.functions import function, is_aggregate, is_given, varies
from ...relation.layers import Query, Scope
from ...sql.build import column
from ...sql.clauses import distinct_on, outermost, with_keys_beside
from ...sql.limit import takes_all, without_end
from ...sql.ordering import elements, hides_a_key, is_window, reads
from ...sql.pieces import atom, filled, function_name, path_of
from ...sql.selects import own_select
from ...sql.syntax import Tree, walk
from .reading import QUERY, Reading
from .types import TableTypes, kind_of

SIGNS = r"\bORDER\s+BY\b"


def shown(reading: Reading) -> Tree:
    """The tree with a first sort key from what is selected, where the engine would forget a key that is not.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"k": None, "b": None}})
    >>> text = "SELECT b + (SELECT 1) AS x FROM d ORDER BY k"
    >>> to_sql(shown(Reading(parse_one(text).tree, tables)))
    'SELECT b + (SELECT 1) AS x FROM d ORDER BY (nullif(x, x) IS NOT NULL), k'
    """
    hidden = [query for query in outermost(reading.tree) if takes_all(query) and hides_a_key(query)]
    if not hidden or not _asks_scalars(reading.tree, reading.tables):
        return reading.tree
    chosen = set(map(id, hidden))

    def of_query(node: dict[str, Any], layer: Query) -> Tree | None:
        if id(layer.tree) not in chosen:
            return None
        still = None if distinct_on(node) else unchanging(node, layer.scope(own_select(layer.tree)), reading.tables)
        return without_end(node) if still is None else with_keys_beside(node, first=[still])

    return reading.rewritten({QUERY: of_query})


def unchanging(query: Tree, scope: Scope, tables: TableTypes) -> Tree | None:
    """A condition on all that a SELECT selects, which is false in each row without that the engine can tell so.

    None where there is nothing that an ORDER BY may repeat and that changes from row to row.

    Args:
        query: whose SELECT it is.
        scope: that of its SELECT.
        tables: what is known of tables.
    """
    items = elements(query)
    given = {name for _, name, _ in items if name is not None}
    parts = [
        part
        for value, name, relation in items
        for part in (_of_star(relation, scope) if value is None else _repeated(value, name, given))
    ]
    found: Tree | None = None
    for part in parts:
        if not is_nested(part, scope, tables):
            one = filled("nullif(X, X) IS NOT NULL", X=part)
            found = one if found is None else filled("F OR (N)", F=found, N=one)
    return None if found is None else atom(found)


def _repeated(value: Tree, name: str | None, given: set[str]) -> Iterator[Tree]:
    """What an ORDER BY may say for what is selected: its name, or what it is where that is the same each time."""
    inner = list(walk(value))
    if any(function_name(node) or path_of(node) for node in inner):
        if name is not None:
            yield column(name)
        elif all(_is_the_same(node, given) for node in inner):
            yield value


def _is_the_same(node: Tree, given: set[str]) -> bool:
    """Whether an ORDER BY means by it what the SELECT does: a name that is given hides a column."""
    path, name = path_of(node), function_name(node)
    if not name:
        return len(path) != 1 or path[0] not in given
    known = is_aggregate(name) or function(name) is not None
    return known and not is_window(node) and not is_given(name) and varies(name) == "never"


def _of_star(relation: tuple[str, ...] | None, scope: Scope) -> Iterator[Tree]:
    for item in scope.items if relation is not None else ():
        if item.names is not None and item.path and (not relation or item.path[-len(relation) :] == relation):
            yield from (column(item.path[-1], name) for name in item.names)


def is_nested(part: Tree, scope: Scope, tables: TableTypes) -> bool:
    """Whether it is a list, a struct or a map, as far as that is known: maps cannot be compared."""
    kind = kind_of(scope.read(part), scope, tables)
    return kind is not None and pt.is_nested(kind)


def _asks_scalars(tree: Tree, tables: TableTypes) -> bool:
    """Whether a statement, or a view that it reads, may hold a scalar subquery."""
    todo, seen = [tree], set()
    while todo:
        for scalar, name in reads(todo.pop()):
            if scalar or (name not in seen and tables.hides_query(name)):
                return True
            relation = None if name in seen else tables.relation(name)
            seen.add(name)
            if relation is not None and relation.definition is not None:
                todo.append(relation.definition)
    return False
