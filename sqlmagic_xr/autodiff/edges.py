"""Powers and roots at zero: which of their rules holds, by what is known of the argument."""

from __future__ import annotations

from collections.abc import Iterator

from ..relation.functions import usual
from ..sql.expression import Call, Case, Cast, Expression, Literal
from .intermediate import Intermediate
from .rules import NOUGHT, ROOT, SIGNLESS
from .simplify import ONE, divide, negative, number

_ROOTS = frozenset({"sqrt", "cbrt", "power"})
_NEVER = frozenset(
    ["abs", "exp", "cosh", "count", "regr_count", "var_pop", "var_samp", "stddev_pop", "stddev_samp", "regr_sxx",
     "regr_syy"]
)  # fmt: skip
"""What is never below 0, nor -0.0."""


def at_zero(name: str, args: tuple[Expression, ...], partials: tuple[str, ...]) -> tuple[str, ...]:
    """The partial derivatives of a power or a root that hold also where its argument is 0.

    Args:
        name: of the function.
        args: its arguments.
        partials: its rule, which is given back for any other function.

    >>> from ..sql.expression import parse
    >>> at_zero("sqrt", (parse("abs(x)"),), ("0.5 / $0",))
    ('CASE WHEN $1 = 0 THEN 0.0 ELSE 0.5 / $0 END',)
    """
    if name not in _ROOTS:
        return partials
    first, *others = partials
    if name == "power":
        (exponent,) = args[1:]
        first = ROOT if _is_root(exponent) else first
    if name == "sqrt" and _may_be_negative_zero(args[0]):
        first = SIGNLESS
    return (NOUGHT.format(first) if _is_kink(args[0]) else first, *others)


def sound(node: Expression) -> Expression:
    """A power that was calculated, as one of the reciprocal where its exponent is below 0.

    DataFusion refuses 0 to a negative power; the reciprocal of 0 is Infinity, and its powers are what they should be.
    So it is written, and not derived: the rule would branch anew at each order.

    >>> from ..sql.expression import parse, to_sql
    >>> to_sql(sound(Call("power", (parse("x"), parse("y - 2.0")))))
    'CASE WHEN y < 2.0 THEN power(1.0 / x, 2.0 - y) ELSE power(x, y - 2.0) END'
    """
    if not (isinstance(node, Call) and node.name == "power" and node.origin is None and len(node.args) == 2):
        return node
    base, exponent = node.args
    if number(exponent) is not None:
        return node
    match exponent:
        case Call("-", (above, below)):
            is_negative = Call("<", (above, below))
        case _:
            is_negative = Call("<", (exponent, Literal(0)))
    return Case(((is_negative, Call("power", (divide(ONE, base), negative(exponent)))),), node)


def _is_root(exponent: Expression) -> bool:
    """Whether an exponent is a number between 0 and 1, also one that is written 1 / 3.0."""
    match exponent:
        case Call("/", (Literal(x) as a, Literal(y) as b)) if isinstance(x, float) or isinstance(y, float):
            above, below = number(a), number(b)
            value = above / below if above is not None and below else None
        case _:
            value = number(exponent)
    return value is not None and 0 < value < 1


def _terms(node: Expression) -> Iterator[Expression]:
    """The terms of a sum, their signs aside; a chain of them may be thousands long."""
    todo = [node]
    while todo:
        match todo.pop():
            case Call("+", (a, b)):
                todo += [b, a]
            case Intermediate(value):
                todo.append(value)
            case term:
                yield term


def _factors(node: Expression) -> Iterator[Expression]:
    todo = [node]
    while todo:
        match todo.pop():
            case Call("*", (a, b)):
                todo += [b, a]
            case Call("/", (a, _)) | Intermediate(a):
                todo.append(a)
            case factor:
                yield factor


def _is_kink(node: Expression) -> bool:
    """Whether an expression is a multiple of ``abs``, a sum of such, or a root of one: 0 where it has no derivative."""
    return all(any(map(_is_bent, _factors(term))) for term in _terms(node))


def _is_bent(factor: Expression) -> bool:
    if not isinstance(factor, Call):
        return False
    name = usual(factor.name)
    return name == "abs" or (name in _ROOTS and _is_kink(factor.args[0]))


def _may_be_negative_zero(node: Expression) -> bool:
    """Whether an expression may be -0.0: a sum is only where all of its terms are, a difference where the first is."""
    todo = [node]
    while todo:
        match todo.pop():
            case Call("+", (a, b)):
                todo += [a, b]
            case Call("-", (a, _)) | Intermediate(a):
                todo.append(a)
            case term:
                if not _may_be_alone(term):
                    return False
    return True


def _may_be_alone(term: Expression) -> bool:
    match term:
        case Literal():
            return False
        case Call("*", (a, b)):
            return a != b and not all(isinstance(side, Call) and usual(side.name) in _NEVER for side in (a, b))
        case Call(name, args):
            return usual(name) not in _NEVER and not (usual(name) == "sqrt" and not _may_be_negative_zero(args[0]))
        case Cast(value):
            return _may_be_negative_zero(value)
        case Case(branches, default):
            results = [result for _, result in branches] + ([] if default is None else [default])
            return any(map(_may_be_negative_zero, results))
    return True
