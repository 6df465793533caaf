"""Between which numbers an integer expression lies, as far as the tables tell: what cannot overflow needs no check."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as pt

from ...relation.layers import Scope
from ...sql.expression import Call, Case, Cast, Column, Expression, Literal
from .types import TableTypes, kind_of, of_column, once

Bounds = tuple[int, int]
"""The least and the greatest that a value may be, both included."""

LEAST, GREATEST = -(2**63), 2**63 - 1
UNCOUNTED = 2**32 - 1
"""An aggregate over a table whose rows nobody has counted is taken to have no more of them."""

_COUNTS = 2**40
_OF_ARGUMENTS = frozenset(
    ["least", "greatest", "coalesce", "nvl", "ifnull", "nullif", "min", "max", "first_value", "last_value", "any_value"]
)
_COUNTING = frozenset(
    ["count", "row_number", "rank", "dense_rank", "ntile", "length", "char_length", "character_length", "cardinality",
     "array_length", "date_part", "extract", "strpos", "octet_length", "ascii"]
)  # fmt: skip


def bounds_of(expression: Expression, scope: Scope, tables: TableTypes) -> Bounds | None:
    """The bounds of an integer; None of what is no integer, or is not known to be one.

    Example:
        >>> from ...sql.expression import parse
        >>> from .tables import GivenTables
        >>> from ...relation.layers import Environment
        >>> nowhere = Scope((), Environment(GivenTables()))
        >>> bounds_of(parse("abs(3 - 10) * 2"), nowhere, GivenTables())
        (0, 14)
    """
    about = expression.path if isinstance(expression, Column) else expression
    return once("bounds", about, scope, lambda: _bounds_of(expression, scope, tables))


def _bounds_of(expression: Expression, scope: Scope, tables: TableTypes) -> Bounds | None:
    found = _within(expression, scope, tables)
    if found is not None:
        return found if found[0] >= LEAST and found[1] <= 2**64 else None
    return of_type(kind_of(expression, scope, tables))


def of_type(kind: pa.DataType | None) -> Bounds | None:
    """The bounds of a type of integers."""
    if kind is None or not pt.is_integer(kind):
        return None
    width = int(kind.bit_width)
    return (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if pt.is_signed_integer(kind) else (0, 2**width - 1)


def combined(operator: str, one: Bounds, other: Bounds) -> Bounds:
    """The bounds of a sum, difference or product.

    >>> combined("-", (0, 5), (1, 2)), combined("*", (-2, 3), (-10, 1))
    ((-2, 4), (-30, 20))
    """
    if operator == "+":
        return one[0] + other[0], one[1] + other[1]
    if operator == "-":
        return one[0] - other[1], one[1] - other[0]
    products = [a * b for a in one for b in other]
    return min(products), max(products)


def rows_of(scope: Scope, tables: TableTypes) -> int:
    """No fewer than the rows that a SELECT's FROM may have, where its tables have been counted."""
    counts = [None if item.relation is None else tables.rows(item.relation.name) for item in scope.items]
    total = 1
    for count in counts:
        total *= UNCOUNTED if count is None else max(count, 1)
    return total if None not in counts else min(total, UNCOUNTED)


def _within(expression: Expression, scope: Scope, tables: TableTypes) -> Bounds | None:
    match expression:
        case Literal(value):
            return (value, value) if isinstance(value, int) and not isinstance(value, bool) else None
        case Column(path):
            each = of_column("bounds", path, scope, tables.bounds, lambda e, s: bounds_of(e, s, tables), grows=False)
            return None if each is None else _union(each)
        case Cast(value):
            kind = kind_of(expression, scope, tables)
            return bounds_of(value, scope, tables) if kind is not None and pt.is_int64(kind) else None
        case Case(cases, default):
            return _around([r for _, r in cases] + ([] if default is None else [default]), scope, tables)
        case Call("+" | "-" | "*", (_, _)):
            return _of_chain(expression, scope, tables)
        case Call(name, args):
            return _of_call(name, args, scope, tables)
    return None


def _of_chain(call: Call, scope: Scope, tables: TableTypes) -> Bounds | None:
    """A chain of operators leans to the left, and may be thousands long."""
    links: list[tuple[str, Expression]] = []
    first: Expression = call
    while isinstance(first, Call) and first.name in ("+", "-", "*") and len(first.args) == 2:
        links.append((first.name, first.args[1]))
        first = first.args[0]
    found = bounds_of(first, scope, tables)
    for name, right in reversed(links):
        other = bounds_of(right, scope, tables)
        if found is None or other is None:
            return None
        found = combined(name, found, other)
        if found[0] < LEAST or found[1] > GREATEST:
            found = LEAST, GREATEST  # what goes beyond is an error
    return found


def _of_call(name: str, args: tuple[Expression, ...], scope: Scope, tables: TableTypes) -> Bounds | None:
    if name in _COUNTING:
        return 0, _COUNTS
    if name in _OF_ARGUMENTS:
        return _around(args, scope, tables)
    if name in ("-", "abs") and len(args) == 1:
        inner = bounds_of(args[0], scope, tables)
        if inner is None:
            return None
        return (-inner[1], -inner[0]) if name == "-" else (0, max(map(abs, inner)))
    if name == "%" and isinstance(args[1], Literal) and isinstance(args[1].value, int) and args[1].value:
        inner, most = bounds_of(args[0], scope, tables), abs(args[1].value) - 1
        return None if inner is None else (0 if inner[0] >= 0 else -most, most)
    return None


def _around(parts: Iterable[Expression], scope: Scope, tables: TableTypes) -> Bounds | None:
    some = [part for part in parts if not (isinstance(part, Literal) and part.value is None)]
    return _union([bounds_of(part, scope, tables) for part in some])


def _union(each: list[Bounds | None]) -> Bounds | None:
    known = [bounds for bounds in each if bounds is not None]
    return (min(b[0] for b in known), max(b[1] for b in known)) if known and len(known) == len(each) else None
