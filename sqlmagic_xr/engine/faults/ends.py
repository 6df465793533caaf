"""OFFSET without LIMIT, and LIMIT of very many groups.

``SELECT max(x) FROM (SELECT x FROM d ORDER BY k OFFSET 2)``: within another query the engine does not sort what is to
be skipped, unless there is a LIMIT as well.
``SELECT k FROM d GROUP BY k ORDER BY k LIMIT 2000000000``: it takes room for that many groups before there is one,
which ends the process; it does not where there are two sort keys.
"""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError
from ...relation.layers import Query
from ...sql.build import column
from ...sql.clauses import sort_keys, with_keys_beside
from ...sql.limit import most, skips, takes_all, without_end
from ...sql.ordering import is_distinct, is_grouped
from ...sql.pieces import filled, whole_number
from ...sql.selects import own_select
from ...sql.syntax import Tree
from .orders import is_nested, unchanging
from .reading import QUERY, Reading
from .types import TableTypes

SIGNS = r"\bOFFSET\b|\bLIMIT\b(?!\s+\d{1,6}\s*(?:[);]|$))"

_MANY = 1_000_000
"""Groups, for which the engine takes 150 MB."""


def kept(reading: Reading) -> Tree:
    """The tree in which an OFFSET within another query has a LIMIT, and a LIMIT of many groups a second sort key.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"k": None, "b": None}})
    >>> text = "SELECT max(b) FROM (SELECT b FROM d ORDER BY k OFFSET 2) AS q"
    >>> to_sql(kept(Reading(parse_one(text).tree, tables)))
    'SELECT max(b) FROM (SELECT b FROM d ORDER BY k LIMIT 1152921504606846976 OFFSET 2) AS q'
    >>> to_sql(kept(Reading(parse_one("SELECT k FROM d GROUP BY k ORDER BY k LIMIT 2000000000").tree)))
    'SELECT k FROM d GROUP BY k ORDER BY k, count(*) LIMIT 2000000000'
    """
    statement = reading.tree["Explain"]["statement"] if "Explain" in reading.tree else reading.tree
    alone = None if reading.of_view else statement.get("Query")

    def of_query(node: dict[str, Any], layer: Query) -> Tree | None:
        keys = sort_keys(node)
        endless = bool(keys) and layer.tree is not alone and skips(node) and takes_all(node)
        new = without_end(node) if endless else node
        if len(keys) == 1 and most(new) > _MANY and not takes_all(new):
            still = _still(node, layer, reading.tables)
            return new if still is None else with_keys_beside(new, last=[still])
        return new if endless else None

    return reading.rewritten({QUERY: of_query})


def _still(query: Tree, layer: Query, tables: TableTypes) -> Tree | None:
    """A second sort key that orders nothing, for a query whose rows may be groups; None for any other."""
    select = own_select(layer.tree)
    if select is None:
        return _of_key(_key(query, layer))
    scope = layer.scope(select)
    if is_distinct(query):
        return unchanging(query, scope, tables)
    if is_grouped(query):
        return filled("count(*)")
    if all(i.relation is not None and not tables.hides_query(i.relation.name) for i in scope.items):
        return None
    key = _key(query, layer)
    return None if is_nested(key, scope, tables) else _of_key(key)


def _key(query: Tree, layer: Query) -> Tree:
    """What a query sorts by, a column's number as what it stands for."""
    key = sort_keys(query)[0]
    place, columns = whole_number(key), layer.first and layer.first.outputs
    if place is None or place < 1:
        return key
    if columns and place <= len(columns):
        output = columns[place - 1]
        if output.name is not None:
            return column(output.name)
        if own_select(query) is not None:
            return output.expression.origin
    raise UnsupportedError(
        f"ORDER BY {place} with a LIMIT of more than {_MANY:,} rows of a query like this ends the process",
        hint="Sort by the column's name, or leave out the LIMIT.",
    )


def _of_key(key: Tree) -> Tree:
    return filled("nullif(X, X) IS NOT NULL", X=key)
