"""``SELECT v + 1 AS v FROM (SELECT v + 1 AS v FROM ...)``: the engine takes the outer SELECT for the inner one.

Where two SELECTs of one list lie directly on each other it drops one of them, as if they said one thing: of two
additions one is left, of two swaps one. With a name between them nothing is dropped.
"""

from __future__ import annotations

from typing import Any

from ...relation.layers import Scope
from ...sql.build import item
from ...sql.clauses import called_subquery, is_star, unnamed
from ...sql.expression import Column
from ...sql.pieces import filled
from ...sql.selects import elements, from_of, with_elements, with_from
from ...sql.syntax import Tree
from .reading import SELECT, Reading

SIGNS = r"\bFROM\s*\([\s(]*(?:SELECT|WITH)\b"

_ALIAS = "_layer"


def with_named_subqueries(reading: Reading) -> Tree:
    """The tree in which a subquery of FROM that has no name gets one, where its reader calls its columns as it does.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tree = parse_one("SELECT -v AS v FROM (SELECT -v AS v FROM d)").tree
    >>> to_sql(with_named_subqueries(Reading(tree, GivenTables({"d": {}}))))
    'SELECT -v AS v FROM (SELECT -v AS v FROM d) AS _layer'
    """
    return reading.rewritten({SELECT: _select})


def _select(node: dict[str, Any], scope: Scope) -> Tree | None:
    if len(from_of(node)) != 1 or len(scope.items) != 1 or scope.items[0].path or not _may_repeat(scope):
        return None
    called = called_subquery(from_of(node)[0], _ALIAS)
    # An expression without a name is called as it is written; in parentheses it counts as changed, and keeps its name.
    items = [each if (value := unnamed(each)) is None else item(filled("(X)", X=value)) for each in elements(node)]
    return None if called is None else with_elements(with_from(node, [called]), items)


def _may_repeat(scope: Scope) -> bool:
    """Whether a SELECT may have the list of the subquery that it reads, and do something with what it reads."""
    outputs, below = scope.outputs, scope.items[0].names
    if outputs is None or below is None:
        return not all(map(is_star, elements(scope.select)))
    if all(isinstance(o.expression, Column) and o.expression.path[-1:] == (o.name,) for o in outputs):
        return False
    return len(outputs) == len(below) and all(o.name in (None, name) for o, name in zip(outputs, below, strict=True))
