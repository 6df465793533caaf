"""``power(x, 0)`` and ``log(x, x)`` of a NULL: the engine folds them to a number before it has seen x."""

from __future__ import annotations

from typing import Any

from ...sql.expression import from_tree
from ...sql.memberships import scalar_query
from ...sql.pieces import arguments, filled, function_name, number, path_of, with_arguments
from ...sql.places import CALL
from ...sql.syntax import Tree, walk
from .reading import Reading, plain

SIGNS = r"\b(power|pow|log)\b"


def guarded(reading: Reading) -> Tree:
    """The tree with NULL where a power or a logarithm of NULL would be folded.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(guarded(Reading(parse_one("SELECT power(x, 0) AS a, power(x, 2) AS b, log(x, x) AS c FROM t").tree)))
    'SELECT CASE WHEN x IS NOT NULL THEN power(x, 0) END AS a, power(x, 2) AS b, log(x, x + 0.0) AS c FROM t'
    """
    return reading.rewritten(plain(_rewritten, CALL), named=False)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    name = function_name(node)
    if name not in ("power", "pow", "log") or len(args := arguments(node)) != 2:
        return None
    base, other = args
    if number(base) is not None:
        return None
    if name == "log" and (from_tree(other) == from_tree(base) or function_name(other) in ("power", "pow")):
        return with_arguments(node, [base, filled("X + 0.0", X=other)])
    value = number(other)
    folds = value == (1.0 if name == "log" else 0.0) if value is not None else _is_constant(other)
    return filled("CASE WHEN X IS NOT NULL THEN Y END", X=base, Y=node) if folds else None


def _is_constant(tree: Tree) -> bool:
    """Whether an expression reads nothing, so that the engine may find it to be zero."""
    return not any(path_of(node) or function_name(node) or scalar_query(node) for node in walk(tree))
