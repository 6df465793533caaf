"""``greatest``, ``least`` and ``coalesce`` of many: each argument that attains the value has an equal share in it.

Folded from the left, as ``greatest(greatest(a, b), c)``, each argument would stand in all that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from ..sql.expression import Call, Case, Expression
from .intermediate import Intermediate
from .rules import read
from .simplify import ONE, ZERO, choose, divide

MANY = frozenset({"greatest", "least", "coalesce"})
"""Functions of any number of arguments."""

_CHAIN = 16
"""So many terms in a row the engine plans in no time."""

Of = Callable[[Expression], Expression | None]
Fill = Callable[[Expression, Call], Expression]


def chosen(node: Call, name: str, of: Of, fill: Fill) -> Expression | None:
    """The derivative of a call of three arguments or more, or of one; None for a symbolic zero.

    Args:
        node: the call.
        name: what it is usually called.
        of: the derivative of an argument.
        fill: a rule's text and the call -> the text with the call's arguments in it.
    """
    slopes = [of(arg) for arg in node.args]
    if not any(slopes):
        return None
    if len(slopes) == 1:
        return slopes[0]
    if name == "coalesce":
        return _first(node, slopes, fill)
    attains = [fill(read(f"${i} + 0.0 = $0 + 0.0"), node) for i in range(1, len(slopes) + 1)]
    shares = [Case(((there, slope),), ZERO) for there, slope in zip(attains, slopes, strict=True) if slope]
    # Where all are NULL none attains anything.
    number = Call("greatest", (_sum([Case(((there, ONE),), ZERO) for there in attains]), ONE))
    return Intermediate(divide(_sum(shares), Intermediate(number)))


def _sum(terms: Sequence[Expression]) -> Expression:
    """A sum of many terms, none of which is like another; in pairs, since the engine takes the square of a chain."""
    while len(terms) > _CHAIN:
        terms = [_chain(terms[at : at + 2]) for at in range(0, len(terms), 2)]
    return _chain(terms)


def _chain(terms: Sequence[Expression]) -> Expression:
    return reduce(lambda one, other: Call("+", (one, other)), terms)


def _first(node: Call, slopes: list[Expression | None], fill: Fill) -> Expression:
    """The slope of the first argument that is not NULL."""
    there = [fill(read(f"${i} IS NOT NULL"), node) for i in range(1, len(slopes) + 1)]
    return choose(Case(tuple(zip(there, [slope or ZERO for slope in slopes], strict=True)), ZERO))
