"""``d + 0.1234567890123456789`` of decimals ``d``: the number is a float first, and loses its last digits.

A number of more digits than a float keeps, which stands without an exponent, is a decimal where it meets one: in sums,
differences, remainders, products that have room for all digits, comparisons, lists, choices, columns of UNION and
VALUES, and casts. So is an expression of nothing but numbers. Anywhere else, as beside a DOUBLE, it is the float that
it is to the engine, and so is a quotient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from ...errors import SqlError
from ...relation.layers import Query, Scope
from ...sql.alike import (
    among,
    calculated,
    chosen,
    compared,
    in_parentheses,
    is_null,
    opened,
    rows,
    scalar,
    selecting,
    sides,
    signed,
)
from ...sql.exact import MANY, decimal, written
from ...sql.pieces import arguments, bare, cast_of_decimal, function_name, minus_of, path_of
from ...sql.places import EXPRESSIONS, around
from ...sql.selects import own_select
from ...sql.syntax import Tree, walk
from .decimals import added, decimal_of, multiplied
from .reading import QUERY, Reading
from .types import as_decimal, common_decimal, kind_of

SIGNS = MANY

_KEPT = frozenset(["sum", "min", "max", "abs", "round", "trunc", "lag", "lead", "first_value", "last_value",
                   "any_value"])  # fmt: skip
_RESULTS = {"Plus": added, "Minus": added, "Modulo": added, "Multiply": multiplied}
"""What comes of two decimals; a quotient has no end."""
_LONGEST = 38


class _DecimalValue(NamedTuple):
    """What an expression gives, as far as a decimal is concerned.

    Attributes:
        type: the decimal that it is or can be; None of NULL.
        trees: the expressions that make it that decimal, where it is none yet: nothing but numbers.
        long: whether one of these numbers has more digits than a float keeps.
        real: whether the engine takes it for a float where nobody changes it.
        whole: whether it is integers, which are no decimals unless beside one.
    """

    type: pa.Decimal128Type | None
    trees: tuple[Tree, ...] = ()
    long: bool = False
    real: bool = False
    whole: bool = False

    @property
    def is_decimal(self) -> bool:
        return self.type is not None and not self.trees and not self.whole


_NULL = _DecimalValue(None)


def kept(reading: Reading) -> Tree:
    """The tree with numbers that meet decimals as the decimals that are written.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import GivenTables
    >>> tables = GivenTables({"t": {"d": pa.decimal128(20, 19), "x": pa.float64()}})
    >>> def show(sql):
    ...     print(to_sql(kept(Reading(parse_one(sql).tree, tables))))
    >>> show("SELECT d + 0.12345678901234567 AS a, x + 0.12345678901234567 AS b FROM t")
    SELECT d + CAST('0.12345678901234567' AS DECIMAL(17,17)) AS a, x + 0.12345678901234567 AS b FROM t
    >>> show("SELECT CAST(12345678901234567.89 AS DECIMAL(38,2)) AS a")
    SELECT CAST(CAST('12345678901234567.89' AS DECIMAL(19,2)) AS DECIMAL(38,2)) AS a
    """
    meetings = _Meetings(reading)
    for kind, node, _, means in reversed(reading.places):  # the inner ones first
        meetings.look(kind, node, means)
    return around(reading.tree, meetings.decimals) if meetings.decimals else reading.tree


class _Meetings:
    """Finds which numbers meet decimals: each place is looked at once, what stands in it before it."""

    def __init__(self, reading: Reading) -> None:
        self._tables = reading.tables
        self._known: dict[int, _DecimalValue | None] = {}  # by the id of a node, which the tree keeps
        self._given: dict[int, list[list[_DecimalValue | None]] | None] = {}  # by that of a query
        self.decimals: dict[int, Tree] = {}

    def look(self, kind: str, node: Tree, means: Any) -> None:
        """Look at a place of which all inner ones have been looked at."""
        if kind == QUERY:
            self._columns(node, means)
        elif kind in EXPRESSIONS:
            self._known[id(node)] = self._look(node, means)

    def _look(self, node: Tree, scope: Scope | None) -> _DecimalValue | None:
        """What a node gives; numbers in it that meet a decimal become some."""
        self._met([self._value(tree, scope) for tree in compared(node)])
        inner, operands, choice = signed(node), calculated(node), chosen(node)
        if inner is not None:
            return self._passed(node, inner, scope)
        if operands is not None:
            return self._arithmetic(node, *operands, scope)
        if choice:
            return self._met([self._value(tree, scope) for tree in choice])
        if path_of(node):
            return self._named(node, scope)
        return self._query(node, scope) or self._call(node, scope)

    def _query(self, node: Tree, scope: Scope | None) -> _DecimalValue | None:
        """What a subquery gives."""
        looked_for, query = among(node), scalar(node)
        if scope is None:
            return None
        if looked_for is not None:
            inside = self._gathered(Query(looked_for[1], scope.environment, scope))
            self._met([self._value(looked_for[0], scope), *(inside[0] if inside else (None,))])
        return None if query is None else self._column(Query(query, scope.environment, scope), 0)

    def _call(self, node: Tree, scope: Scope | None) -> _DecimalValue | None:
        """What a call or a cast gives."""
        cast = cast_of_decimal(node)
        value = None if cast is None else self._value(cast, scope)
        if value is not None and value.long:
            self._adopt(value)
        args = arguments(node) if function_name(node) in _KEPT else []
        first = self._value(args[0], scope) if args else None
        if first is not None and first.is_decimal and first.type is not None:
            return _DecimalValue(pa.decimal128(_LONGEST, first.type.scale))
        return self._typed(node, scope)

    def _value(self, tree: Tree, scope: Scope | None) -> _DecimalValue | None:
        """What an operand gives; None of what is neither a decimal nor can be one, and where that is not known."""
        if id(tree) in self._known:
            return self._known[id(tree)]
        if is_null(tree):
            return _NULL
        inner = bare(tree)
        inner = bare(minus_of(inner) or inner)
        number = written(inner)
        if number is not None:
            real = bool(number.fraction) or number.is_long
            return number.type and _DecimalValue(pa.decimal128(*number.type), (tree,), number.is_long, real)
        return self._typed(tree, scope)

    def _typed(self, tree: Tree, scope: Scope | None) -> _DecimalValue | None:
        """What an expression gives that is no number as written, by its type."""
        if scope is None:
            return None
        expression = scope.read(tree)
        kind = decimal_of(expression, scope, self._tables)
        if kind is not None:
            return _DecimalValue(kind)
        whole = as_decimal(kind_of(expression, scope, self._tables))
        return None if whole is None else _DecimalValue(whole, whole=True)

    def _passed(self, node: Tree, inner: Tree, scope: Scope | None) -> _DecimalValue | None:
        value = self._value(inner, scope)
        return value._replace(trees=(node,)) if value is not None and value.trees else value

    def _arithmetic(
        self, node: Tree, operator: str, left: Tree, right: Tree, scope: Scope | None
    ) -> _DecimalValue | None:
        values = [self._value(left, scope), self._value(right, scope)]
        types = [value.type for value in values if value is not None and value.type is not None]
        if len(types) < 2 or operator not in _RESULTS:
            return None
        room = operator != "Multiply" or types[0].precision + types[1].precision < _LONGEST
        met = self._met(values) if room else None
        short = any(value.real and not value.long for value in values if value is not None)
        if met is None or (short and not met.trees):
            return None  # a float, which comes of a decimal and a number of few digits
        return met._replace(type=_RESULTS[operator](*types), trees=(node,) if met.trees else ())

    def _met(self, values: list[_DecimalValue | None]) -> _DecimalValue | None:
        known = [value for value in values if value is not None]
        kind = common_decimal([value.type for value in known if value.type is not None])
        if len(known) < len(values) or kind is None:
            return None
        long, real = any(value.long for value in known), any(value.real for value in known)
        if any(value.is_decimal for value in known):
            for value in known:
                if value.long:
                    self._adopt(value)
            return _DecimalValue(kind)
        if any(value.whole for value in known):
            return None if real else _DecimalValue(kind, whole=True)
        return _DecimalValue(kind, tuple(tree for value in known for tree in value.trees), long, real)

    def _adopt(self, value: _DecimalValue) -> None:
        """All numbers of a value as decimals."""
        for tree in value.trees:
            for node in walk(tree):
                number = written(node)
                if number is not None and (number.fraction or number.is_long):
                    self.decimals[id(node)] = decimal(node, number)

    def _named(self, node: Tree, scope: Scope | None) -> _DecimalValue | None:
        """A column: of a subquery that gives nothing but numbers, those."""
        if scope is None:
            return None
        try:
            item, name = scope.resolve(path_of(node))
        except SqlError:
            return self._typed(node, scope)
        query, name = item.query, item.inner(name)
        if item.relation is None and query is not None and query.names and name in query.names:
            found = self._column(query, query.names.index(name))
            if found is not None:
                return found
        return self._typed(node, scope)

    def _column(self, query: Query, place: int) -> _DecimalValue | None:
        """A column of a subquery that gives nothing but numbers, one of them long; None of any other."""
        values = self._gathered(query)
        column = None if values is None or place >= len(values) else values[place]
        if not column or any(value is None or value.is_decimal for value in column):
            return None
        found = self._met(column)
        return found if found is not None and found.long else None

    def _columns(self, node: Tree, layer: Query) -> None:
        """The columns of a query of several rows that are written, each of which has one type."""
        if own_select(node) is None:
            for column in self._gathered(layer) or ():
                self._met(column)

    def _gathered(self, query: Query) -> list[list[_DecimalValue | None]] | None:
        """What each branch gives for each column of a query; None where that is not known."""
        key = id(query.tree)
        if key not in self._given:
            self._given[key] = self._branches(query)
        return self._given[key]

    def _branches(self, query: Query) -> list[list[_DecimalValue | None]] | None:
        if query.view is not None or query.recursive is not None:
            return None
        found: list[list[_DecimalValue | None]] = []
        todo = [(query, opened(query.tree))]
        while todo:
            query, body = todo.pop()
            listed, both, select, inner = rows(body), sides(body), selecting(body), in_parentheses(body)
            if listed is not None:
                scope = Scope((), query.environment, query.outer) if select is None else query.scope(select)
                found += [[self._value(tree, scope) for tree in row] for row in listed]
            elif both is not None:
                todo += [(query, side) for side in both]
            elif inner is not None:
                todo.append((query.nested(inner), opened(inner)))
            else:
                return None
        return [list(c) for c in zip(*found, strict=True)] if len({len(row) for row in found}) == 1 else None
