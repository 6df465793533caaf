"""``EXISTS (SELECT * FROM r JOIN u ON r.i = u.i AND r.k = t.k)``: ON inside a subquery that names the row around it.

Over scratch tables, which reach the engine as views, it cannot be planned: what ON says of the outer row is moved to
WHERE, where an inner join means the same. For an outer join it does not, and the engine gives wrong rows: refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from functools import cache
from typing import Any

from ...errors import UnsupportedError
from ...sql.clauses import SUBQUERIES, also, subquery, with_query
from ...sql.joins import (
    conditions_of,
    is_cross,
    is_inner,
    joins_of,
    label_of,
    relations_of,
    with_conditions,
    with_joins_changed,
)
from ...sql.pieces import path_of
from ...sql.selects import from_of, own_select, where_of, with_own_select, with_source
from ...sql.syntax import Tree, span_of, walk
from .reading import Reading, plain

SIGNS = r"\(\s*SELECT\b[\s\S]*\bJOIN\b"


def moved_to_where(reading: Reading) -> Tree:
    """The tree in which no ON of a subquery's inner joins names a relation from around the subquery.

    Raises:
        UnsupportedError: the ON of an outer join does.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> sql = "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM r JOIN u ON r.i = u.i AND r.k = t.k)"
    >>> to_sql(moved_to_where(Reading(parse_one(sql).tree))).partition("EXISTS ")[2]
    '(SELECT 1 FROM r JOIN u ON r.i = u.i WHERE r.k = t.k)'
    """

    @cache
    def labels() -> frozenset[str]:
        return _labels(walk(reading.tree))

    def change(node: dict[str, Any]) -> Tree | None:
        query = subquery(node)
        after = _query(query, labels)
        return None if after is query else with_query(node, after)

    return reading.rewritten(plain(change, *SUBQUERIES), named=False)


def _query(query: Tree, labels: Callable[[], frozenset[str]]) -> Tree:
    select = own_select(query)
    items = [] if select is None else from_of(select)
    if not any(conditions_of(join) for item in items for join in joins_of(item)):
        return query
    outer = labels() - _labels(relation for item in items for relation in relations_of(item))
    terms: list[Tree] = []
    items = [_item(item, outer, terms) for item in items]
    if not terms:
        return query
    return with_own_select(query, with_source(select, items, also(where_of(select), terms)))


def _item(item: Tree, outer: Set[str], terms: list[Tree]) -> Tree:
    """An element of FROM without what its joins say of the outer row; that goes into ``terms``."""
    movable = all(is_inner(join) or is_cross(join) for join in joins_of(item))

    def without(join: Tree) -> Tree:
        said = conditions_of(join)
        of_outer = [term for term in said if _names(term, outer)]
        if not of_outer:
            return join
        if not movable:
            raise UnsupportedError(
                "ON of an outer join names a row from around its subquery, which the engine answers wrongly",
                hint="Join with that relation in the outer FROM, or compare in WHERE.",
                span=span_of(of_outer[0]),
            )
        terms.extend(of_outer)
        return with_conditions(join, [term for term in said if not any(term is moved for moved in of_outer)])

    return with_joins_changed(item, without)


def _names(term: Tree, labels: Set[str]) -> bool:
    """Whether a condition names a column of one of these relations."""
    return any(len(path) > 1 and path[-2] in labels for path in map(path_of, walk(term)))


def _labels(nodes: Iterable[Tree]) -> frozenset[str]:
    """What relations in a FROM are called."""
    return frozenset(label for node in nodes if (label := label_of(node)) is not None)
