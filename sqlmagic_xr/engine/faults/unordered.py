"""``count(x ORDER BY t)`` in groups: an order that says nothing is handed to the aggregate as one more argument."""

from __future__ import annotations

from typing import Any

from ...relation.functions import is_aggregate, is_given
from ...sql.clauses import sort_keys, with_keys_at
from ...sql.pieces import function_name
from ...sql.places import CALL
from ...sql.syntax import Tree
from .reading import Reading, plain

_IN_ORDER = frozenset({"first_value", "last_value", "nth_value", "array_agg", "string_agg"})
_NAMES = "count|min|max|avg|mean|sum|median|(?:var|std|bit_|bool_|covar|regr_|approx_)\\w*|corr"
_ARGUMENT = r"(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*"

SIGNS = rf"\b(?:{_NAMES})\s*\({_ARGUMENT}\bORDER\s+BY\b"


def without_order(reading: Reading) -> Tree:
    """The tree without the order of rows in aggregates that come out the same in any.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> text = "SELECT g, avg(x ORDER BY t) AS a, array_agg(x ORDER BY t) AS b FROM d GROUP BY g"
    >>> to_sql(without_order(Reading(parse_one(text).tree)))
    'SELECT g, avg(x) AS a, array_agg(x ORDER BY t) AS b FROM d GROUP BY g'
    """
    return reading.rewritten(plain(_rewritten, CALL))


def _rewritten(call: dict[str, Any]) -> Tree | None:
    name = function_name(call) or ""
    if name in _IN_ORDER or not is_aggregate(name) or is_given(name) or not sort_keys(call):
        return None
    return with_keys_at(call, [])
