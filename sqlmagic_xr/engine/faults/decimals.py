"""Sums of long decimals wrap around at 128 bits, and their mean ends the query: both are calculated in 256."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.expression import Call, Cast, Column, Expression, Verbatim, bottom_up
from ...sql.pieces import arguments, filled, function_name, with_arguments
from ...sql.places import CALL
from ...sql.syntax import Tree
from .reading import Reading
from .types import TableTypes, as_decimal, kind_of, of_column

SIGNS = r"\b(sum|avg|mean)\s*\("

_SHORT = 28  # digits; of so few the engine makes 38, which ten thousand million rows do not fill
_LONGEST = 38
_OPERATORS = frozenset("+-*")
_MORE = 4  # digits behind the point that a mean has more than what it is the mean of


def lengthened(reading: Reading) -> Tree:
    """The tree with sums and means of long decimals that neither wrap around nor fail.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"d": {"x": pa.decimal128(30, 1), "s": pa.decimal128(9, 1)}})
    >>> to_sql(lengthened(Reading(parse_one("SELECT sum(x) AS a, sum(s) AS b FROM d").tree, tables)))
    'SELECT CAST(sum(CAST(x AS DECIMAL(76,1))) AS DECIMAL(38,1)) AS a, sum(s) AS b FROM d'
    """

    tables = reading.tables

    def change(node: dict[str, Any], scope: Scope) -> Tree | None:
        name = function_name(node)
        if name not in ("sum", "avg", "mean") or len(args := arguments(node)) != 1:
            return None
        kind = decimal_of(scope.read(args[0]), scope, tables)
        if kind is None or kind.precision <= _SHORT:
            return None
        wide = with_arguments(node, [filled(f"CAST(X AS DECIMAL(76,{kind.scale}))", X=args[0])])
        if name == "sum":
            return filled(f"CAST(X AS DECIMAL({_LONGEST},{kind.scale}))", X=wide)
        if kind.precision + _MORE > _LONGEST:
            return wide  # what the engine calls it has no room for its digits
        return filled(f"CAST(X AS DECIMAL({kind.precision + _MORE},{kind.scale + _MORE}))", X=wide)

    return reading.rewritten({CALL: change})


def _of_column(path: tuple[str, ...], scope: Scope, tables: TableTypes) -> pa.Decimal128Type | None:
    """The decimals of a column; of a subquery's those that it calculates."""

    def of_table(table: tuple[str, ...], name: str) -> pa.Decimal128Type | None:
        return _if_decimal(tables.columns(table).get(name))

    kinds = of_column("decimal", path, scope, of_table, lambda e, s: decimal_of(e, s, tables))
    return kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else None


def decimal_of(expression: Expression, scope: Scope, tables: TableTypes) -> pa.Decimal128Type | None:
    """The type of a decimal expression as the engine makes it; None of any other, or where it is not known."""
    found: pa.Decimal128Type | None = bottom_up(
        expression, lambda node, told: _decimal_of(node, told, scope, tables), _terms
    )
    return found


def _terms(expression: Expression) -> Sequence[Expression]:
    return expression.args if isinstance(expression, Call) and expression.name in _OPERATORS else ()


def _decimal_of(
    expression: Expression, told: Sequence[pa.Decimal128Type | None], scope: Scope, tables: TableTypes
) -> pa.Decimal128Type | None:
    """The same of an expression, its terms having been told."""
    match expression:
        case Column(path):
            return _of_column(path, scope, tables)
        case Cast(_, type=Verbatim(tree)) if isinstance(tree, dict) and next(iter(tree)) in ("Decimal", "Numeric"):
            detail = next(iter(tree.values()))
            digits = detail.get("PrecisionAndScale") if isinstance(detail, dict) else None
            return pa.decimal128(*map(int, digits)) if digits and int(digits[0]) <= _LONGEST else None
        case Call(name, (left, right)) if name in _OPERATORS:
            a, b = told
            if a is None and b is None:
                return None
            a, b = a or _as_decimal(left, scope, tables), b or _as_decimal(right, scope, tables)
            return None if a is None or b is None else multiplied(a, b) if name == "*" else added(a, b)
    return _if_decimal(kind_of(expression, scope, tables))


def multiplied(a: pa.Decimal128Type, b: pa.Decimal128Type) -> pa.Decimal128Type:
    """The type of a product."""
    return pa.decimal128(min(a.precision + b.precision + 1, _LONGEST), min(a.scale + b.scale, _LONGEST))


def added(a: pa.Decimal128Type, b: pa.Decimal128Type) -> pa.Decimal128Type:
    """The type of a sum and of a difference."""
    whole, scale = max(a.precision - a.scale, b.precision - b.scale), max(a.scale, b.scale)
    return pa.decimal128(min(whole + scale + 1, _LONGEST), scale)


def _as_decimal(expression: Expression, scope: Scope, tables: TableTypes) -> pa.Decimal128Type | None:
    return as_decimal(kind_of(expression, scope, tables))


def _if_decimal(kind: pa.DataType | None) -> pa.Decimal128Type | None:
    return kind if kind is not None and pt.is_decimal128(kind) else None
