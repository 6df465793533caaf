"""Products of many factors, derived by halves: of n factors the derivative has n log n, and is as deep as log n.

Factor by factor, ``(a * b)' = a' * b + a * b'`` of a chain repeats all that stands before each factor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ..sql.expression import Call, Expression, Literal
from .simplify import ONE, add, multiply

LONG = 8
"""The derivative of a product of no more factors is written out, and reads better so."""

Factor = tuple[Expression, Expression | None]
"""A value and its derivative; None for a symbolic zero."""


def long_product(node: Expression) -> list[Expression] | None:
    """The factors of a product of many, the parentheses aside; None of anything else.

    >>> from ..sql.expression import parse
    >>> len(long_product(parse(" * ".join("abcdefghi"))) or ()), long_product(parse("a * b"))
    (9, None)
    """
    found: list[Expression] = []
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, Call) and one.name == "*":
            todo += reversed(one.args)
        else:
            found.append(one)
    return found if len(found) > LONG else None


def derived(factors: Sequence[Expression], of: Callable[[Expression], Expression | None]) -> Expression | None:
    """The derivative of a product; None for a symbolic zero.

    Args:
        factors: of the product.
        of: the derivative of a factor.
    """
    counts = Counter(factors)
    slopes = {factor: of(factor) for factor in counts}
    constant = [factor for factor in factors if slopes[factor] is None]
    pairs: list[Factor] = [(_whole(constant), None)] if constant else []
    for factor, slope in slopes.items():
        if slope is not None:
            again = [factor] * (counts[factor] - 1)
            pairs.append((_whole([*again, factor]), multiply(Literal(float(counts[factor])), _times(again, slope))))
    while len(pairs) > 1:
        pairs = [_both(*pairs[i : i + 2]) for i in range(0, len(pairs), 2)]
    return pairs[0][1]


def _both(one: Factor, other: Factor | None = None) -> Factor:
    """The product of two."""
    if other is None:
        return one
    (a, slope_a), (b, slope_b) = one, other
    parts = [multiply(slope, value) for slope, value in ((slope_a, b), (slope_b, a)) if slope is not None]
    return multiply(a, b), None if not parts else parts[0] if len(parts) == 1 else add(*parts)


def _whole(factors: Sequence[Expression]) -> Expression:
    """A product in its order, which is left as it is."""
    found = factors[0]
    for factor in factors[1:]:
        found = Call("*", (found, factor))
    return found


def _times(factors: Sequence[Expression], slope: Expression) -> Expression:
    return multiply(slope, _whole(factors) if factors else ONE)
