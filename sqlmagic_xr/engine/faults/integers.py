"""Integers narrower than 64 bits wrap around in arithmetic, and so do unsigned ones below 0: all become BIGINT."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.expression import from_tree
from ...sql.syntax import Tree
from .layers import Rules, rewritten
from .pieces import bare, filled, number
from .types import Tables, gives_reals, kind_of, widest

SIGNS = r"[\w)\"]\s*\*\s*(?!FROM\b)[a-z_(\"]|[-+]\s*[a-z_(\"]|<<"

_ARITHMETIC = ("Plus", "Minus", "Multiply", "Divide", "Modulo", "PGBitwiseShiftLeft")
_WRAPPING = ("Plus", "Minus", "Multiply", "PGBitwiseShiftLeft")


def widened(tree: Tree, tables: Tables) -> Tree:
    """The tree with BIGINT arithmetic where the engine would calculate in fewer bits, or without a sign.

    >>> import pyarrow as pa
    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import Given
    >>> tables = Given({"d": {"s": pa.int16(), "n": pa.int64()}})
    >>> to_sql(widened(parse_one("SELECT sum(s * s) AS a, s * n AS b, -s AS c FROM d").tree, tables))
    'SELECT sum(CAST(s AS BIGINT) * s) AS a, s * n AS b, -CAST(s AS BIGINT) AS c FROM d'
    """

    chains = _Chains(tables)

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        if "BinaryOp" in node and node["BinaryOp"]["op"] in _ARITHMETIC:
            return chains.binary(node, scope)
        if "UnaryOp" in node and node["UnaryOp"]["op"] == "Minus" and number(node) is None:
            body = node["UnaryOp"]
            if _wraps(kind_of(from_tree(body["expr"]), scope, tables)):
                return {"UnaryOp": {**body, "expr": _wide(body["expr"])}}
        return None

    return rewritten(tree, tables, Rules(change))


class _Chains:
    """Makes arithmetic BIGINT, from the inner operators to the outer, and keeps what kind of value each gives.

    So the terms of a chain, which leans to the left, are looked at once.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        # by the id of a node, which is kept beside it, since the id of one that is gone may be another's
        self._kinds: dict[int, tuple[Tree, pa.DataType | None]] = {}

    def binary(self, node: dict[str, Any], scope: Scope) -> Tree | None:
        body = node["BinaryOp"]
        sides = [body["left"], body["right"]]
        kinds = [self._kind(side, scope) for side in sides]
        new, kind = None, widest(kinds)
        if body["op"] in _WRAPPING and _wraps(kind) and all(number(side) is None for side in sides):
            left, right = sides
            wide = _wide(right) if kinds[1] is not None and pt.is_uint64(kinds[1]) else right
            new, kind = {"BinaryOp": {**body, "left": _wide(left), "right": wide}}, pa.int64()
        made = node if new is None else new
        self._kinds[id(made)] = (made, kind)
        return new

    def _kind(self, side: Tree, scope: Scope) -> pa.DataType | None:
        side = bare(side)
        if gives_reals(side):
            return pa.float64()  # a REAL or a DOUBLE: neither wraps
        known = self._kinds.get(id(side))
        return kind_of(from_tree(side), scope, self._tables) if known is None else known[1]


def _wraps(kind: pa.DataType | None) -> bool:
    return kind is not None and pt.is_integer(kind) and not pt.is_int64(kind)


def _wide(tree: Tree) -> Tree:
    return filled("CAST(X AS BIGINT)", X=tree)
