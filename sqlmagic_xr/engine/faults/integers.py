"""Integers narrower than 64 bits wrap around in arithmetic, and so do unsigned ones below 0: all become BIGINT."""

from __future__ import annotations

from typing import Any

import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.expression import from_tree
from ...sql.syntax import Tree
from .layers import Rules, rewritten
from .pieces import filled, number
from .types import Tables, kind_of, widest

SIGNS = r"[\w)\"]\s*\*\s*(?!FROM\b)[a-z_(\"]|[-+]\s*[a-z_(\"]|<<"

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

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        if "BinaryOp" in node and node["BinaryOp"]["op"] in _WRAPPING:
            return _binary(node["BinaryOp"], scope, tables)
        if "UnaryOp" in node and node["UnaryOp"]["op"] == "Minus" and number(node) is None:
            body = node["UnaryOp"]
            if _wraps([body["expr"]], scope, tables):
                return {"UnaryOp": {**body, "expr": _wide(body["expr"])}}
        return None

    return rewritten(tree, tables, Rules(change))


def _binary(body: Tree, scope: Scope, tables: Tables) -> Tree | None:
    sides = [body["left"], body["right"]]
    if any(number(side) is not None for side in sides) or not _wraps(sides, scope, tables):
        return None
    left, right = sides
    both = pt.is_uint64(kind_of(from_tree(right), scope, tables))
    return {"BinaryOp": {**body, "left": _wide(left), "right": _wide(right) if both else right}}


def _wraps(sides: list[Tree], scope: Scope, tables: Tables) -> bool:
    kind = widest([kind_of(from_tree(side), scope, tables) for side in sides])
    return kind is not None and pt.is_integer(kind) and not pt.is_int64(kind)


def _wide(tree: Tree) -> Tree:
    return filled("CAST(X AS BIGINT)", X=tree)
