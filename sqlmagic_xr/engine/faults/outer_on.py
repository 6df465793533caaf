"""``EXISTS (SELECT * FROM r JOIN u ON r.i = u.i AND r.k = t.k)``: ON inside a subquery that names the row around it.

Over scratch tables, which reach the engine as views, it cannot be planned: what ON says of the outer row is moved to
WHERE, where an inner join means the same. For an outer join it does not, and the engine gives wrong rows: refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from ...errors import UnsupportedError
from ...sql.build import true
from ...sql.clauses import SUBQUERIES, also, conjunction, conjuncts, subquery, with_query
from ...sql.pieces import path_of
from ...sql.selects import own_select, with_own_select
from ...sql.syntax import Tree, identifier, name_of, span_of, walk
from .reading import Reading, plain

SIGNS = r"\(\s*SELECT\b[\s\S]*\bJOIN\b"

_INNER = ("Inner", "Join")


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
        return frozenset(label for node in walk(reading.tree) for label in _label(node))

    def change(node: dict[str, Any]) -> Tree | None:
        query = subquery(node)
        after = _query(query, labels)
        return None if after is query else with_query(node, after)

    return reading.rewritten(plain(change, *SUBQUERIES), named=False)


def _query(query: Tree, labels: Callable[[], frozenset[str]]) -> Tree:
    select = own_select(query)
    if select is None or not any(on(join) is not None for item in select["from"] for join in item["joins"]):
        return query
    outer = labels() - {label for item in select["from"] for node in relations_of(item) for label in _label(node)}
    terms: list[Tree] = []
    items = [_item(item, outer, terms) for item in select["from"]]
    if not terms:
        return query
    return with_own_select(query, {**select, "from": items, "selection": also(select.get("selection"), terms)})


def _item(item: Tree, outer: frozenset[str], terms: list[Tree]) -> Tree:
    """An element of FROM without what its joins say of the outer row; that goes into ``terms``."""
    inner = all(kind(join) in (*_INNER, "CrossJoin") for join in item["joins"])
    joins = []
    for join in item["joins"]:
        condition = on(join)
        of_outer = [term for term in conjuncts(condition) if _names(term, outer)] if condition is not None else []
        if of_outer and not inner:
            error = UnsupportedError(
                "ON of an outer join names a row from around its subquery, which the engine answers wrongly",
                hint="Join with that relation in the outer FROM, or compare in WHERE.",
            )
            error.span = span_of(of_outer[0])
            raise error
        if of_outer:
            terms += of_outer
            kept = [term for term in conjuncts(condition) if not any(term is moved for moved in of_outer)]
            join = with_on(join, kept)
        joins.append(join)
    return {**item, "joins": joins}


def kind(join: Tree) -> str:
    """Which join it is, by the parser's word."""
    operator = join["join_operator"]
    return operator if isinstance(operator, str) else str(next(iter(operator)))


def on(join: Tree) -> Tree | None:
    """The condition after ON, if there is one."""
    operator = join["join_operator"]
    constraint = next(iter(operator.values())) if isinstance(operator, dict) else None
    return constraint.get("On") if isinstance(constraint, dict) else None


def with_on(join: Tree, conditions: list[Tree]) -> Tree:
    """A join with other conditions after ON."""
    return {**join, "join_operator": {kind(join): {"On": conjunction(conditions) or true()}}}


def relations_of(item: Tree) -> list[Tree]:
    """The relations that an element of FROM joins."""
    return [item["relation"], *(join["relation"] for join in item["joins"])]


def _names(term: Tree, labels: frozenset[str]) -> bool:
    """Whether a condition names a column of one of these relations."""
    return any(len(path) > 1 and path[-2] in labels for path in map(path_of, walk(term)))


def _label(node: dict[str, Any]) -> Iterator[str]:
    """What a relation in a FROM is called, its name where it has no alias."""
    for kind in ("Table", "Derived", "TableFunction", "UNNEST"):
        body = node.get(kind)
        if isinstance(body, dict):
            if body.get("alias"):
                yield identifier(body["alias"]["name"])
            elif isinstance(body.get("name"), list):
                yield name_of(body["name"])[-1]
