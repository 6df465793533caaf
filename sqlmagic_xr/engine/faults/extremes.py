"""MIN and MAX with GROUP BY begin at the largest finite number: of a group of infinities it is what comes out."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ...errors import SqlError
from ...relation.layers import Scope
from ...sql.pieces import arguments, filled, function_name, over_of, path_of, with_arguments, with_function
from ...sql.selects import groups_rows, with_results
from ...sql.syntax import Tree, replace, walk
from ...sql.traversal import is_query
from .reading import SELECT, Reading
from .types import TableTypes, kind_of

SIGNS = r"\b(min|max)\s*\("

_LARGEST = {pa.float64(): ("1.7976931348623157e308", "DOUBLE"), pa.float32(): ("3.4028234663852886e38", "REAL")}


def unbounded(reading: Reading) -> Tree:
    """The tree with an infinity where a grouped MIN or MAX is the largest number and no row has that.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"g": pa.int64(), "x": pa.float64()}})
    >>> tree = parse_one("SELECT g, min(x) AS a, min(g) AS b FROM d GROUP BY g").tree
    >>> print(to_sql(unbounded(Reading(tree, tables))))
    SELECT g, CASE WHEN min(x) = CAST('1.7976931348623157e308' AS DOUBLE) AND \
NOT bool_or(x = CAST('1.7976931348623157e308' AS DOUBLE)) THEN CAST('Infinity' AS DOUBLE) ELSE min(x) END AS a, \
min(g) AS b FROM d GROUP BY g
    """

    tables = reading.tables

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        if not groups_rows(node) and not _is_correlated(node, scope):
            return None
        made = with_results(node, lambda part: _rewritten(part, scope, tables))
        return None if made is node else made

    return reading.rewritten({SELECT: change})


def _is_correlated(select: Tree, scope: Scope) -> bool:
    """Whether a SELECT names a column of the row around it: the engine then groups by what that is compared with."""
    if scope.outer is None:
        return False
    for node in walk(select):
        path = path_of(node)
        try:
            if path and not scope.owns(scope.resolve(path)[0]):
                return True
        except SqlError:  # the name of something else, or a column of a query inside
            continue
    return False


def _rewritten(part: Tree, scope: Scope, tables: TableTypes) -> Tree:
    def change(node: dict[str, Any]) -> Tree | None:
        if is_query(node):
            return node  # a query of its own
        name = function_name(node)
        if name not in ("min", "max") or over_of(node) is not None or len(arguments(node)) != 1:
            return None
        (value,) = arguments(node)
        kind = kind_of(scope.read(value), scope, tables)
        return _guarded(node, name, value, *_LARGEST[kind]) if kind in _LARGEST else None

    return replace(part, change)


def _guarded(node: Tree, name: str, value: Tree, text: str, kind: str) -> Tree:
    sign = "-" if name == "max" else ""
    largest = filled(f"CAST('{sign}{text}' AS {kind})")
    there = with_arguments(with_function(node, "bool_or"), [filled("X = Y", X=value, Y=largest)])
    return filled(
        f"CASE WHEN M = L AND NOT T THEN CAST('{sign}Infinity' AS {kind}) ELSE M END", M=node, L=largest, T=there
    )
