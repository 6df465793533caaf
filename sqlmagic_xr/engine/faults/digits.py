"""``d + 0.1234567890123456789`` of decimals ``d``: the number is a float first, and loses its last digits.

A number of more digits than a float keeps, which stands without an exponent, is a decimal where it meets one: in sums,
differences, remainders, products that have room for all digits, comparisons, lists, choices, columns of UNION and
VALUES, and casts. So is an expression of nothing but numbers. Anywhere else, as beside a DOUBLE, it is the float that
it is to the engine, and so is a quotient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa

from ...errors import SqlError
from ...relation.layers import Query, Scope
from ...sql.exact import MANY, decimal, written
from ...sql.pieces import arguments, bare, cast_of_decimal, function_name, minus_of, path_of
from ...sql.places import COLUMNS, around
from ...sql.selects import value_of
from ...sql.syntax import Tree, walk
from .decimals import added, decimal_of, multiplied
from .reading import QUERY, Reading
from .types import as_decimal, common_decimal, kind_of

SIGNS = MANY

_COMPARED = frozenset(["Eq", "NotEq", "Spaceship", "Lt", "LtEq", "Gt", "GtEq"])
_CHOICES = frozenset(["greatest", "least", "coalesce", "nullif", "nvl", "ifnull"])
_KEPT = frozenset(["sum", "min", "max", "abs", "round", "trunc", "lag", "lead", "first_value", "last_value",
                   "any_value"])  # fmt: skip
_ASKED = frozenset(["BinaryOp", "UnaryOp", "Nested", "Case", "InList", "Between", "Cast", "Function", "InSubquery",
                    "Subquery", "IsDistinctFrom", "IsNotDistinctFrom", *COLUMNS])  # fmt: skip
_RESULTS = {"Plus": added, "Minus": added, "Modulo": added, "Multiply": multiplied}
"""What comes of two decimals; a quotient has no end."""
_LONGEST = 38


class _Value(NamedTuple):
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


_NULL = _Value(None)


def kept(reading: Reading) -> Tree:
    """The tree with numbers that meet decimals as the decimals that are written.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .tables import Given
    >>> tables = Given({"t": {"d": pa.decimal128(20, 19), "x": pa.float64()}})
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
        self._known: dict[int, _Value | None] = {}  # by the id of a node, which the tree keeps
        self._given: dict[int, list[list[_Value | None]] | None] = {}  # by that of a query
        self.decimals: dict[int, Tree] = {}

    def look(self, kind: str, node: Tree, means: Any) -> None:
        """Look at a place of which all inner ones have been looked at."""
        if kind == QUERY:
            self._columns(node, means)
        elif kind in _ASKED:
            self._known[id(node)] = self._look(kind, node[kind], node, means)

    def _look(self, kind: str, body: Any, node: Tree, scope: Scope | None) -> _Value | None:
        match kind:
            case "Nested":
                return self._passed(node, body, scope)
            case "UnaryOp":
                return self._passed(node, body["expr"], scope) if body["op"] in ("Minus", "Plus") else None
            case "Cast":
                return self._cast(node, body, scope)
            case "BinaryOp" if body["op"] in _COMPARED:
                self._together((body["left"], body["right"]), scope)
            case "BinaryOp":
                return self._arithmetic(node, body, scope)
            case "Between":
                self._together((body["expr"], body["low"], body["high"]), scope)
            case "InList":
                self._together((body["expr"], *body["list"]), scope)
            case "IsDistinctFrom" | "IsNotDistinctFrom":
                self._together(body, scope)
            case "InSubquery" if scope is not None:
                inside = self._gathered(Query(body["subquery"], scope.environment, scope))
                self._met([self._value(body["expr"], scope), *(inside[0] if inside else (None,))])
            case "Subquery" if scope is not None:
                return self._column(Query(body, scope.environment, scope), 0) or self._typed(node, scope)
            case "Case":
                return self._case(node, body, scope)
            case "Function":
                return self._function(node, scope)
            case "Identifier" | "CompoundIdentifier":
                return self._named(node, scope)
        return None

    def _value(self, tree: Tree, scope: Scope | None) -> _Value | None:
        """What an operand gives; None of what is neither a decimal nor can be one, and where that is not known."""
        if id(tree) in self._known:
            return self._known[id(tree)]
        if "Value" in tree and tree["Value"]["value"] == "Null":
            return _NULL
        inner = bare(tree)
        inner = bare(minus_of(inner) or inner)
        number = written(inner)
        if number is not None:
            real = bool(number.fraction) or number.is_long
            return number.type and _Value(pa.decimal128(*number.type), (tree,), number.is_long, real)
        return None if "Value" in inner else self._typed(tree, scope)

    def _typed(self, tree: Tree, scope: Scope | None) -> _Value | None:
        """What an expression gives that is no number as written, by its type."""
        if scope is None:
            return None
        expression = scope.read(tree)
        kind = decimal_of(expression, scope, self._tables)
        if kind is not None:
            return _Value(kind)
        whole = as_decimal(kind_of(expression, scope, self._tables))
        return None if whole is None else _Value(whole, whole=True)

    def _passed(self, node: Tree, inner: Tree, scope: Scope | None) -> _Value | None:
        value = self._value(inner, scope)
        return value._replace(trees=(node,)) if value is not None and value.trees else value

    def _cast(self, node: Tree, body: Any, scope: Scope | None) -> _Value | None:
        if cast_of_decimal(node) is not None:
            value = self._value(body["expr"], scope)
            if value is not None and value.long:
                self._adopt(value)
        return self._typed(node, scope)

    def _arithmetic(self, node: Tree, body: Any, scope: Scope | None) -> _Value | None:
        values = [self._value(body[side], scope) for side in ("left", "right")]
        types = [value.type for value in values if value is not None and value.type is not None]
        if len(types) < 2 or body["op"] not in _RESULTS:
            return None
        room = body["op"] != "Multiply" or types[0].precision + types[1].precision < _LONGEST
        met = self._met(values) if room else None
        short = any(value.real and not value.long for value in values if value is not None)
        if met is None or (short and not met.trees):
            return None  # a float, which comes of a decimal and a number of few digits
        return met._replace(type=_RESULTS[body["op"]](*types), trees=(node,) if met.trees else ())

    def _together(self, trees: Iterable[Tree], scope: Scope | None) -> _Value | None:
        """What is of one type together: numbers among decimals become such; the type, or None."""
        return self._met([self._value(tree, scope) for tree in trees])

    def _met(self, values: list[_Value | None]) -> _Value | None:
        known = [value for value in values if value is not None]
        kind = common_decimal([value.type for value in known if value.type is not None])
        if len(known) < len(values) or kind is None:
            return None
        long, real = any(value.long for value in known), any(value.real for value in known)
        if any(value.is_decimal for value in known):
            for value in known:
                if value.long:
                    self._adopt(value)
            return _Value(kind)
        if any(value.whole for value in known):
            return None if real else _Value(kind, whole=True)
        return _Value(kind, tuple(tree for value in known for tree in value.trees), long, real)

    def _adopt(self, value: _Value) -> None:
        """All numbers of a value as decimals."""
        for tree in value.trees:
            for node in walk(tree):
                number = written(node)
                if number is not None and (number.fraction or number.is_long):
                    self.decimals[id(node)] = decimal(node, number)

    def _case(self, node: Tree, body: Any, scope: Scope | None) -> _Value | None:
        if body["operand"] is not None:
            self._together((body["operand"], *(branch["condition"] for branch in body["conditions"])), scope)
        default = [] if body["else_result"] is None else [body["else_result"]]
        return self._together([*(branch["result"] for branch in body["conditions"]), *default], scope)

    def _function(self, node: Tree, scope: Scope | None) -> _Value | None:
        name, args = function_name(node), arguments(node)
        if name in _CHOICES and args:
            return self._together(args, scope)
        first = self._value(args[0], scope) if name in _KEPT and args else None
        if first is not None and first.is_decimal and first.type is not None:
            return _Value(pa.decimal128(_LONGEST, first.type.scale))
        return self._typed(node, scope)

    def _named(self, node: Tree, scope: Scope | None) -> _Value | None:
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

    def _column(self, query: Query, place: int) -> _Value | None:
        """A column of a subquery that gives nothing but numbers, one of them long; None of any other."""
        values = self._gathered(query)
        column = None if values is None or place >= len(values) else values[place]
        if not column or any(value is None or value.is_decimal for value in column):
            return None
        found = self._met(column)
        return found if found is not None and found.long else None

    def _columns(self, node: Tree, layer: Query) -> None:
        """The columns of a query of several branches, each of which has one type."""
        if "SetOperation" in node["body"] or "Values" in node["body"]:
            for column in self._gathered(layer) or ():
                self._met(column)

    def _gathered(self, query: Query) -> list[list[_Value | None]] | None:
        """What each branch gives for each column of a query; None where that is not known."""
        key = id(query.tree)
        if key not in self._given:
            self._given[key] = self._branches(query)
        return self._given[key]

    def _branches(self, query: Query) -> list[list[_Value | None]] | None:
        if query.view is not None or query.recursive is not None:
            return None
        rows: list[list[_Value | None]] = []
        todo = [(query, query.tree["body"])]
        while todo:
            query, body = todo.pop()
            ((kind, node),) = body.items()
            if kind == "Select":
                scope, trees = query.scope(node), [value_of(item) for item in node["projection"]]
                if any(tree is None for tree in trees):
                    return None
                rows.append([self._value(tree, scope) for tree in trees])
            elif kind == "Values":
                scope = Scope((), query.environment, query.outer)
                rows += [[self._value(tree, scope) for tree in row] for row in node["rows"]]
            elif kind == "Query":
                inner = query.nested(node)
                todo.append((inner, inner.tree["body"]))
            elif kind == "SetOperation" and not node["set_quantifier"].endswith("ByName"):
                todo += [(query, node["left"]), (query, node["right"])]
            else:
                return None
        return [list(c) for c in zip(*rows, strict=True)] if len({len(row) for row in rows}) == 1 else None
