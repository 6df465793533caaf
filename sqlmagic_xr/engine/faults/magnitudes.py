"""How large a number may be, as far as the tables tell: what cannot overflow when it is squared needs no check."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.expression import Call, Case, Cast, Column, Expression, Literal
from .types import TableTypes, kind_of, of_column, once

UNKNOWN = math.inf

_OF_ARGUMENTS = frozenset(
    ["least", "greatest", "coalesce", "nvl", "ifnull", "nullif", "min", "max", "first_value", "last_value",
     "any_value", "avg", "mean", "median", "abs", "lag", "lead"]
)  # fmt: skip
_TO_ONE = frozenset(["sin", "cos", "tanh", "random", "signum", "percent_rank", "cume_dist"])


def magnitude_of(expression: Expression, scope: Scope, tables: TableTypes) -> float:
    """No less than the absolute value of a number; infinity where that is not known.

    Example:
        >>> from ...sql.expression import parse
        >>> from .tables import GivenTables
        >>> from ...relation.layers import Environment
        >>> nowhere = Scope((), Environment(GivenTables()))
        >>> magnitude_of(parse("(3.0 - 10) * 2 / 4"), nowhere, GivenTables())
        6.5
    """
    about = expression.path if isinstance(expression, Column) else expression
    return once("magnitude", about, scope, lambda: _magnitude(expression, scope, tables))


def _magnitude(expression: Expression, scope: Scope, tables: TableTypes) -> float:
    return min(_within(expression, scope, tables), of_type(kind_of(expression, scope, tables)))


def of_type(kind: pa.DataType | None) -> float:
    """The largest number of a type that tells; infinity of any other."""
    if kind is None:
        return UNKNOWN
    if pt.is_decimal(kind):
        return float(10 ** max(kind.precision - kind.scale, 0))
    if pt.is_integer(kind):
        return float(2**kind.bit_width)
    return {"float": 3.5e38, "halffloat": 65504.0}.get(str(kind), UNKNOWN)


def _within(expression: Expression, scope: Scope, tables: TableTypes) -> float:
    match expression:
        case Literal(value):
            return 0.0 if value is None else _of_value(value)
        case Column(path):
            each = of_column(
                "magnitude", path, scope, lambda table, name: _of_table(table, name, tables),
                lambda e, s: magnitude_of(e, s, tables), grows=False,
            )  # fmt: skip
            return UNKNOWN if each is None else max(each, default=UNKNOWN)
        case Cast(value):
            return magnitude_of(value, scope, tables)
        case Case(cases, default):
            return _largest([r for _, r in cases] + ([] if default is None else [default]), scope, tables)
        case Call("+" | "-" | "*" | "/", (_, _)):
            return _of_chain(expression, scope, tables)
        case Call(name, args):
            return 1.0 if name in _TO_ONE else _of_call(name, args, scope, tables)
    return UNKNOWN


def _of_value(value: object) -> float:
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return abs(float(value)) if known and isinstance(value, (int, float)) else UNKNOWN


def _of_table(table: tuple[str, ...], name: str, tables: TableTypes) -> float:
    found = tables.magnitude(table, name)
    return of_type(tables.columns(table).get(name)) if found is None or math.isnan(found) else found


def _of_chain(call: Call, scope: Scope, tables: TableTypes) -> float:
    """A chain of operators leans to the left, and may be thousands long."""
    links: list[tuple[str, Expression]] = []
    first: Expression = call
    while isinstance(first, Call) and first.name in ("+", "-", "*", "/") and len(first.args) == 2:
        links.append((first.name, first.args[1]))
        first = first.args[0]
    found = magnitude_of(first, scope, tables)
    for name, right in reversed(links):
        if name == "/":
            by = _of_value(right.value) if isinstance(right, Literal) and right.value is not None else 0.0
            found = found / by if by and math.isfinite(by) else UNKNOWN
            continue
        other = magnitude_of(right, scope, tables)
        known = math.isfinite(found) and math.isfinite(other)
        found = UNKNOWN if not known else found * other if name == "*" else found + other
    return found


def _of_call(name: str, args: tuple[Expression, ...], scope: Scope, tables: TableTypes) -> float:
    if name in _OF_ARGUMENTS:
        return _largest(args, scope, tables)
    if len(args) == 1 and name == "-":
        return magnitude_of(args[0], scope, tables)
    return max(1.0, magnitude_of(args[0], scope, tables)) if len(args) == 1 and name == "sqrt" else UNKNOWN


def _largest(parts: Iterable[Expression], scope: Scope, tables: TableTypes) -> float:
    return max((magnitude_of(part, scope, tables) for part in parts), default=UNKNOWN)
