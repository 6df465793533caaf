"""OFFSET without LIMIT, and LIMIT of very many groups.

``SELECT max(x) FROM (SELECT x FROM d ORDER BY k OFFSET 2)``: within another query the engine does not sort what is to
be skipped, unless there is a LIMIT as well.
``SELECT k FROM d GROUP BY k ORDER BY k LIMIT 2000000000``: it takes room for that many groups before there is one,
which ends the process; it does not where there are two sort keys.
"""

from __future__ import annotations

from typing import Any

from ...relation.layers import Query
from ...sql.clauses import sort_keys, with_keys_beside
from ...sql.limit import most, skips, takes_all, without_end
from ...sql.ordering import is_distinct, is_grouped
from ...sql.pieces import filled
from ...sql.selects import own_select
from ...sql.syntax import Tree
from .orders import unchanging
from .reading import QUERY, Reading

SIGNS = r"\bOFFSET\b|\bLIMIT\s+\d{7}"

_MANY = 1_000_000
"""Groups, for which the engine takes 150 MB."""


def kept(reading: Reading) -> Tree:
    """The tree in which an OFFSET within another query has a LIMIT, and a LIMIT of many groups a second sort key.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> text = "SELECT max(b) FROM (SELECT b FROM d ORDER BY k OFFSET 2) AS q"
    >>> to_sql(kept(Reading(parse_one(text).tree)))
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
            select = own_select(layer.tree)
            still = unchanging(node, layer.scope(select), reading.tables) if is_distinct(node) else None
            still = filled("count(*)") if is_grouped(node) and not is_distinct(node) else still
            return new if still is None else with_keys_beside(new, last=[still])
        return new if endless else None

    return reading.rewritten({QUERY: of_query})
