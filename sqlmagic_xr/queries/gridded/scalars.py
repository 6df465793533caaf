"""Scalar expressions over the cells of a grid, typed and calculated as DataFusion does; refused where that is not sure.

What varies along one axis only is the engine's own business: it evaluates the expression for the labels of that axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Protocol

import numpy as np

from ...dense.arrays import COMPARISONS, MAPS, UNARY
from ...dense.node import Refused
from ...relation.columns import Field, Nested
from ...relation.types import CASTS
from ...sql.algebra import Parameter
from ...sql.expression import Call, Case, Cast, Expression, Literal
from .cells import FLOATS, NUMBERS, SIGNED, UNSIGNED, CellBlock, Cells, both, constant, is_instant, null
from .elementwise import cast, choose, common, elementwise, strict
from .holes import Holes, has_hole


class Columns(Protocol):
    """What a column is, and what an expression is that varies along one axis at most."""

    def column(self, column: Field) -> Cells:
        """A column's cells."""

    def settled(self, expression: Expression) -> Cells | None:
        """The cells of an expression that varies along one axis at most; None for any other."""


class CellScalars:
    """Lowers the expressions of one grid; equal expressions are one, and calculated once for a block.

    Args:
        columns: says what columns are.
        holes: the parameters whose values are not known yet; None where there is none.
    """

    def __init__(self, columns: Columns, holes: Holes | None = None) -> None:
        self._columns, self._holes = columns, holes
        self._made: dict[Expression, Cells] = {}

    def lower(self, expression: Expression) -> Cells:
        """The cells of an expression.

        Raises:
            Refused: there is no array code that is known to mean the same.
        """
        found = self._made.get(expression)
        if found is None:
            found = self._made[expression] = self._lower(expression)
        return found

    def holds(self, condition: Expression) -> Cells:
        """Where a condition is true: NULL is not.

        Raises:
            Refused: it cannot be lowered, or is no condition.
        """
        if isinstance(condition, Call) and condition.name in ("and", "or") and self._settled(condition) is None:
            function = np.logical_and if condition.name == "and" else np.logical_or
            return elementwise(function, "bool", *map(self.holds, condition.args), marked=True)
        value = self.lower(condition)
        if value.type != "bool":
            raise Refused("a condition is no truth value", condition.span)
        if value.valid is None or value.marked:
            return value
        return elementwise(np.logical_and, "bool", value, value.valid, marked=True)

    def all(self, conditions: Sequence[Cells]) -> Cells | None:
        """Where all of some conditions hold; None for everywhere."""
        return None if not conditions else reduce(
            lambda one, other: elementwise(np.logical_and, "bool", one, other, marked=True), conditions)  # fmt: skip

    def _lower(self, expression: Expression) -> Cells:
        match expression:
            case Field():
                return self._columns.column(expression)
            case Literal():
                return _literal(expression)
            case Parameter() if self._holes is not None:
                return self._holes.cells(expression)
        found = self._settled(expression)
        if found is not None:
            return found
        match expression:
            case Case():
                return self._case(expression)
            case Cast():
                return self._cast(expression)
            case Call(distinct=False, filter=None, window=None, order=None):
                rule = _RULES.get((expression.name, len(expression.args))) or _RULES.get((expression.name, None))
                if rule is not None:
                    return rule(self, expression)
        raise refuse(expression)

    def _settled(self, expression: Expression) -> Cells | None:
        if self._holes is not None and has_hole(expression):
            return None  # the engine evaluates what is known when the query is planned
        return self._columns.settled(expression)

    # Numbers

    def numbers(self, call: Call) -> list[Cells]:
        """The arguments of a call, all of them numbers."""
        values = [self.lower(argument) for argument in call.args]
        if any(value.type not in NUMBERS for value in values):
            raise refuse(call)
        return values

    def arithmetic(self, call: Call) -> Cells:
        """``+``, ``-``, ``*``, ``/`` and ``%``."""
        values = self.numbers(call)
        kind = common([value.type for value in values])
        if kind not in ("int64", *FLOATS):
            raise Refused(f"{kind} may overflow", call.span)
        name = f"integer {call.name}" if kind == "int64" and call.name in "/%" else call.name
        found = strict(MAPS[name], kind, *(cast(value, kind) for value in values), real=False)
        if name == "*" and kind == "double" and all(value.ready for value in values):
            found.factors = (values[0], values[1])
        return found

    def negative(self, call: Call) -> Cells:
        """The unary minus."""
        (value,) = self.numbers(call)
        if value.type not in ("int64", *FLOATS):
            raise refuse(call)
        return strict(np.negative, value.type, value)

    def absolute(self, call: Call) -> Cells:
        """``abs``."""
        (value,) = self.numbers(call)
        if value.type not in ("int64", *FLOATS):
            raise refuse(call)
        return strict(MAPS["abs"], value.type, value)

    def unary(self, call: Call) -> Cells:
        """A function of one real."""
        (value,) = self.numbers(call)
        kind = value.type if value.type in FLOATS else "double"
        if kind == "float" and call.name in ("round", "signum", "trunc"):
            raise refuse(call)
        return strict(UNARY[call.name], kind, cast(value, kind), real=False)

    def power(self, call: Call) -> Cells:
        """``power``, of which zero has no negative one."""
        base, exponent = (cast(value, "double") for value in self.numbers(call))
        if exponent.constant == 2:
            return strict(np.square, "double", base)
        if exponent.constant is not None and exponent.constant > 0:
            return strict(MAPS["power"], "double", base, exponent, real=False)
        raise refuse(call)

    # Truth values

    def comparison(self, call: Call) -> Cells:
        """One of the six comparisons."""
        left, right = (self.lower(argument) for argument in call.args)
        return self.compare(call.name, left, right, call)

    def compare(self, name: str, left: Cells, right: Cells, where: Expression) -> Cells:
        """A comparison; of what may be NaN although it is not NULL, none is known."""
        if left.type != right.type or left.type in NUMBERS:
            left, right = _alike_enough(name, left, right)
        if left.type != right.type or not (left.type in NUMBERS or left.type == "bool" or is_instant(left.type)):
            raise refuse(where)
        valid = both(left.valid, right.valid)
        marked = name != "<>" and all(side.valid is None or side.marked for side in (left, right))
        marked = marked and left.type in FLOATS
        found = Cells("bool", lambda block: None, valid, marked)
        found.make = _comparing(COMPARISONS[name], left, right, found)
        return found

    def logical(self, call: Call) -> Cells:
        """Three-valued AND and OR: a side that settles it does so although the other is NULL."""
        left, right = (self.truth(argument) for argument in call.args)
        function = np.logical_and if call.name == "and" else np.logical_or
        if left.valid is None and right.valid is None:
            return elementwise(function, "bool", left, right)
        settles = call.name == "or"

        def known(block: CellBlock) -> Any:
            parts = [(side.of(block), True if side.valid is None else side.valid.of(block)) for side in (left, right)]
            (a, known_a), (b, known_b) = parts
            return (known_a & known_b) | (known_a & (a == settles)) | (known_b & (b == settles))

        def cells(block: CellBlock) -> Any:
            parts = [s.of(block) if s.valid is None else np.where(s.valid.of(block), s.of(block), not settles)
                     for s in (left, right)]  # fmt: skip
            return function(*parts)

        return Cells("bool", cells, Cells("bool", known))

    def negation(self, call: Call) -> Cells:
        """NOT."""
        value = self.truth(call.args[0])
        return Cells("bool", lambda block: np.logical_not(value.of(block)), value.valid)

    def truth(self, expression: Expression) -> Cells:
        """An expression that is a truth value."""
        value = self.lower(expression)
        if value.type != "bool":
            raise refuse(expression)
        return value

    def is_null(self, call: Call) -> Cells:
        """IS NULL and IS NOT NULL."""
        value = self.lower(call.args[0])
        wanted = call.name == "is not null"
        if value.valid is None:
            return constant(wanted, "bool")
        return value.valid if wanted else elementwise(np.logical_not, "bool", value.valid)

    def between(self, call: Call) -> Cells:
        """BETWEEN and NOT BETWEEN."""
        value, low, high = call.args
        inside = self.logical(Call("and", (Call(">=", (value, low)), Call("<=", (value, high)))))
        return inside if call.name == "between" else Cells(
            "bool", lambda block: np.logical_not(inside.of(block)), inside.valid)  # fmt: skip

    def within(self, call: Call) -> Cells:
        """IN and NOT IN a list of constants."""
        value, *items = call.args
        if not all(isinstance(item, Literal) and item.value is not None for item in items):
            raise refuse(call)
        subject = self.lower(value)
        found = [self.compare("=", subject, self.lower(item), call) for item in items]
        inside = elementwise(lambda *parts: reduce(np.logical_or, parts), "bool", *found)
        inside.valid = subject.valid
        if call.name == "in":
            return inside
        return Cells("bool", lambda block: np.logical_not(inside.of(block)), subject.valid)

    def isnan(self, call: Call) -> Cells:
        """``isnan``: a variable's NaN is NULL, so that only what was calculated may be one."""
        (value,) = self.numbers(call)
        if value.type not in FLOATS:
            raise refuse(call)
        return Cells("bool", lambda block: np.isnan(value.of(block)), value.valid)

    # Choices

    def _case(self, case: Case) -> Cells:
        default = null() if case.default is None else self.lower(case.default)
        *results, found = self._alike([*(self.lower(result) for _, result in case.branches), default], case)
        for (condition, _), result in reversed(list(zip(case.branches, results, strict=True))):
            test = condition if case.operand is None else Call("=", (case.operand, condition))
            found = choose(self.holds(test), result, found)
        return found

    def coalesce(self, call: Call) -> Cells:
        """The first that is not NULL."""
        *values, found = self._alike([self.lower(argument) for argument in call.args], call)
        for value in reversed(values):
            found = value if value.valid is None else choose(value.valid, value, found)
        return found

    def _alike(self, values: list[Cells], where: Expression) -> list[Cells]:
        """Values as one type."""
        kinds = {value.type for value in values} - {"null"}
        if len(kinds) == 1:
            (kind,) = kinds
        else:
            kind = common([value.type for value in values])
        if kind not in NUMBERS and kind != "bool" and not (is_instant(kind) and len({v.type for v in values}) == 1):
            raise refuse(where)
        return [cast(value, kind) for value in values]

    def nullif(self, call: Call) -> Cells:
        """NULL where both are equal."""
        left, right = (self.lower(argument) for argument in call.args)
        equal = self.compare("=", left, right, call)
        kind = common([left.type, right.type])
        differ = Cells("bool", lambda block: np.logical_not(_true(equal, block)))
        left = cast(left, kind)
        return Cells(kind, left.of, both(left.valid, differ), real=left.real)

    def _cast(self, cast_: Cast) -> Cells:
        tree = cast_.type.tree
        name, detail = (tree, None) if isinstance(tree, str) else next(iter(tree.items()))
        kind = CASTS.get(name) if detail in (None, "None") else None
        value = self.lower(cast_.value)
        known = NUMBERS | {"bool"}
        if cast_.kind == "TryCast" or value.type not in known or kind not in ("double", "float", "int64", "int32"):
            raise refuse(cast_)
        widens = kind == "int64" and value.type in (*SIGNED, *UNSIGNED[:3])
        if kind in FLOATS or widens:
            return cast(value, kind)
        if value.type == kind:
            return value
        checked = MAPS[f"to {kind}"]  # which refuses what does not fit, and of NULL there is none to be seen
        if value.valid is not None:
            raise refuse(cast_)
        return Cells(kind, lambda block: checked(value.of(block)))


def refuse(expression: Expression) -> Refused:
    """That an expression has no array code here."""
    name = getattr(expression, "name", type(expression).__name__)
    name = "a subquery in an expression" if isinstance(expression, Nested) else name
    return Refused(f"no array code over chunks for {name}", expression.span)


def _true(value: Cells, block: CellBlock) -> Any:
    return value.of(block) if value.valid is None else np.logical_and(value.of(block), value.valid.of(block))


def _literal(literal: Literal) -> Cells:
    value = literal.value
    if value is None:
        return null()
    if isinstance(value, bool):
        return constant(value, "bool")
    if isinstance(value, int) and -(2**63) < value < 2**63:
        return constant(value, "int64")
    if isinstance(value, float):
        return constant(value, "double")
    raise refuse(literal)


def _alike_enough(name: str, left: Cells, right: Cells) -> tuple[Cells, Cells]:
    """Numbers as the type that both are compared in, or as float32 where that compares alike with a constant."""
    kind = common([left.type, right.type])
    if kind == "double" and right.constant is not None and left.type == "float":
        short = _short(name, right.constant)
        right, kind = (right, kind) if short is None else (constant(short, "float"), "float")
    elif kind == "double" and left.constant is not None and right.type == "float":
        short = _short(_TURNED.get(name, name), left.constant)
        left, kind = (left, kind) if short is None else (constant(short, "float"), "float")
    return cast(left, kind), cast(right, kind)


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _short(name: str, value: float) -> Any:
    """The float32 with which every float32 compares as with a number; None where there is none."""
    with np.errstate(over="ignore"):
        found = np.float32(value)
    if float(found) == value:
        return found
    if name in ("=", "<>") or not np.isfinite(value):
        return None
    below = name in (">", "<=")
    if below == (float(found) < value):
        return found
    return np.nextafter(found, np.float32(-np.inf if below else np.inf))


def _comparing(function: Any, left: Cells, right: Cells, owner: Cells) -> Callable[[CellBlock], Any]:
    doubtful = [side for side in (left, right) if not side.real]

    def make(block: CellBlock) -> Any:
        for side in doubtful:
            strange = np.isnan(side.of(block))
            if strange.any() and (side.valid is None or (strange & side.valid.of(block)).any()):
                raise Refused("a NaN is compared")
        cells = left.of(block), right.of(block)
        if all(np.shape(each) != block.shape for each in cells):
            return function(*cells)
        return function(*cells, out=block.room(owner, block.shape, np.bool_))

    return make


_RULES: Mapping[tuple[str, int | None], Callable[[CellScalars, Call], Cells]] = {
    **{(name, 2): CellScalars.arithmetic for name in "+-*/%"},
    **{(name, 2): CellScalars.comparison for name in COMPARISONS},
    **{(name, 2): CellScalars.logical for name in ("and", "or")},
    **{(name, 1): CellScalars.unary for name in UNARY},
    **{(name, 2): CellScalars.power for name in ("power", "pow")},
    **{(name, 1): CellScalars.is_null for name in ("is null", "is not null")},
    **{(name, None): CellScalars.within for name in ("in", "not in")},
    **{(name, 3): CellScalars.between for name in ("between", "not between")},
    ("-", 1): CellScalars.negative, ("not", 1): CellScalars.negation, ("abs", 1): CellScalars.absolute,
    ("isnan", 1): CellScalars.isnan, ("coalesce", None): CellScalars.coalesce, ("nvl", 2): CellScalars.coalesce,
    ("ifnull", 2): CellScalars.coalesce, ("nullif", 2): CellScalars.nullif,
}  # fmt: skip
