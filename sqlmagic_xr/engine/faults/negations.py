"""``-(n & 1)``: the engine takes the minus before a bitwise expression for a bitwise NOT."""

from __future__ import annotations

from typing import Any

from ...sql.pieces import filled, minus_of, number
from ...sql.places import SIGN
from ...sql.syntax import Tree
from .reading import Reading, plain

SIGNS = r"&|\|(?!\|)|\bxor\b|\^"


def subtracted(reading: Reading) -> Tree:
    """The tree of a statement with bitwise operators, each minus a subtraction from 0.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(subtracted(Reading(parse_one("SELECT -(n & 1) AS a, -1 AS b FROM t").tree)))
    'SELECT (0 - (n & 1)) AS a, -1 AS b FROM t'
    """
    return reading.rewritten(plain(_rewritten, SIGN), named=False)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    value = minus_of(node)
    return None if value is None or number(node) is not None else filled("(0 - X)", X=value)
