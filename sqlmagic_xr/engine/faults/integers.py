"""Integers narrower than 64 bits wrap around in arithmetic, and so do unsigned ones below 0: all become BIGINT."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.clauses import operation, with_operands
from ...sql.pieces import bare, filled, minus_of, number, with_minus_of
from ...sql.places import OPERATION, SIGN
from ...sql.syntax import Tree
from .reading import Reading
from .types import TableTypes, gives_reals, kind_of, widest

SIGNS = r"[\w)\"]\s*\*\s*(?!FROM\b)[a-z_(\"]|[-+]\s*[a-z_(\"]|<<"

_ARITHMETIC = ("Plus", "Minus", "Multiply", "Divide", "Modulo", "PGBitwiseShiftLeft")
_WRAPPING = ("Plus", "Minus", "Multiply", "PGBitwiseShiftLeft")


def widened(reading: Reading) -> Tree:
    """The tree with BIGINT arithmetic where the engine would calculate in fewer bits, or without a sign.

    >>> import pyarrow as pa
    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"s": pa.int16(), "n": pa.int64()}})
    >>> tree = parse_one("SELECT sum(s * s) AS a, s * n AS b, -s AS c FROM d").tree
    >>> to_sql(widened(Reading(tree, tables)))
    'SELECT sum(CAST(s AS BIGINT) * s) AS a, s * n AS b, -CAST(s AS BIGINT) AS c FROM d'
    """
    chains = _Chains(reading.tables)

    def minus(node: dict[str, Any], scope: Scope) -> Tree | None:
        value = minus_of(node)
        if value is None or number(node) is not None:
            return None
        if not _wraps(kind_of(scope.read(value), scope, reading.tables)):
            return None
        return with_minus_of(node, _wide(value))

    return reading.rewritten({OPERATION: chains.binary, SIGN: minus})


class _Chains:
    """Makes arithmetic BIGINT, from the inner operators to the outer, and keeps what kind of value each gives.

    So the terms of a chain, which leans to the left, are looked at once.
    """

    def __init__(self, tables: TableTypes) -> None:
        self._tables = tables
        # by the id of a node, which is kept beside it, since the id of one that is gone may be another's
        self._kinds: dict[int, tuple[Tree, pa.DataType | None]] = {}

    def binary(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        operator, *sides = operation(node) or ("",)
        if operator not in _ARITHMETIC:
            return None
        kinds = [self._kind(side, scope) for side in sides]
        new, kind = None, widest(kinds)
        if operator in _WRAPPING and _wraps(kind) and all(number(side) is None for side in sides):
            left, right = sides
            wide = _wide(right) if kinds[1] is not None and pt.is_uint64(kinds[1]) else right
            new, kind = with_operands(node, _wide(left), wide), pa.int64()
        made = node if new is None else new
        self._kinds[id(made)] = (made, kind)
        return new

    def _kind(self, side: Tree, scope: Scope) -> pa.DataType | None:
        side = bare(side)
        if gives_reals(side):
            return pa.float64()  # a REAL or a DOUBLE: neither wraps
        known = self._kinds.get(id(side))
        return kind_of(scope.read(side), scope, self._tables) if known is None else known[1]


def _wraps(kind: pa.DataType | None) -> bool:
    return kind is not None and pt.is_integer(kind) and not pt.is_int64(kind)


def _wide(tree: Tree) -> Tree:
    return filled("CAST(X AS BIGINT)", X=tree)
