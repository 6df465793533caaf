"""``CAST(0.1234567890123456789 AS DECIMAL(38,19))``: the number is a float first, and loses its last digits."""

from __future__ import annotations

from typing import Any

from ...sql.exact import MANY, exact
from ...sql.pieces import cast_of_decimal, recast
from ...sql.syntax import Tree
from .reading import Reading, plain

SIGNS = MANY


def kept(reading: Reading) -> Tree:
    """The tree with numbers that are cast to decimals as the decimals that are written.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(kept(Reading(parse_one("SELECT CAST(12345678901234567.89 AS DECIMAL(38,2)) AS a").tree)))
    "SELECT CAST(CAST('12345678901234567.89' AS DECIMAL(19,2)) AS DECIMAL(38,2)) AS a"
    """
    return reading.rewritten(plain(_rewritten, "Cast"), named=False)


def _rewritten(node: dict[str, Any]) -> Tree | None:
    value = cast_of_decimal(node)
    new = None if value is None else exact(value)
    return None if new is value else recast(node, new)
