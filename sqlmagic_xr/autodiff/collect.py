"""Sums collected: multiples of one product become one term, and what terms have in common is taken out.

Derivatives of products repeat themselves: ``(a * b)'' = a2 * b + 2 * a1 * b1 + a * b2`` comes out of the product rule
with ``a1 * b1`` twice, at different depths. Here a sum is spread out into products of its factors, equal ones are
added, and a common factor is written once (Horner's form). An intermediate and what a user wrote are factors that stay
whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import reduce

from ..sql.expression import Call, Expression, Literal, bottom_up
from .dissolve import joined
from .intermediate import Intermediate
from .simplify import (
    ZERO,
    Factors,
    add,
    divide,
    factors,
    is_sum,
    multiply,
    negative,
    number,
    product,
    subtract,
    without_overflow,
)
from .size import size

_MOST = 24
"""A sum of more products is left as it is."""

_MOST_FACTORS = 4 * _MOST
"""So is one whose products have together more factors."""


def collected(expression: Expression) -> Expression:
    """An expression collected, if that makes it shorter; else itself.

    >>> from ..sql.expression import Column, to_sql
    >>> a, b, c = (Column((name,)) for name in "abc")
    >>> to_sql(collected(add(multiply(a, add(multiply(b, c), b)), multiply(c, multiply(a, b)))))
    'a * b * (2.0 * c + 1.0)'
    """
    if not _is_arithmetic(expression):
        return expression
    spread = _spread(expression)
    if spread is None or len(spread) < 2:
        return expression
    total: dict[tuple[frozenset[tuple[Expression, int]], frozenset[tuple[Expression, int]]], Factors] = {}
    for term in spread:
        key = (frozenset(Counter(term.over).items()), frozenset(Counter(term.under).items()))
        total[key] = term if key not in total else _plus(total[key], term)
    found = _factored([term for term in total.values() if term.number])
    return found if size(found) < size(expression) else expression


def tidied(expression: Expression) -> Expression:
    """An expression in which everything that was calculated is collected, the inner parts first."""

    def own_parts(node: Expression) -> tuple[Expression, ...]:
        return () if node.origin is not None else node.parts

    def made(node: Expression, parts: list[Expression]) -> Expression:
        return collected(joined(node, parts, dissolve=False)) if parts else node

    found: Expression = bottom_up(expression, made, own_parts)
    return found


def _plus(a: Factors, b: Factors) -> Factors:
    return Factors(a.number + b.number, a.over, a.under)


def _spread(node: Expression) -> list[Factors] | None:
    """An expression as a sum of products; None for too many (worked out once)."""
    links, inner = [], node
    while "_spread" not in inner.__dict__:  # a chain of terms is deep
        links.append(inner)
        if not _is_arithmetic(inner):
            break
        inner = inner.parts[0]
    for link in reversed(links):
        object.__setattr__(link, "_spread", _spread_out(link))
    found: list[Factors] | None = node.__dict__["_spread"]
    return found


def _is_arithmetic(node: Expression) -> bool:
    """Whether it is arithmetic that was calculated."""
    return isinstance(node, Call) and node.origin is None and node.name in ("+", "-", "*", "/")


def _spread_out(node: Expression) -> list[Factors] | None:
    if (n := number(node)) is not None:
        return [Factors(n)]
    if not isinstance(node, Call) or not _is_arithmetic(node):
        return [factors(node)]
    if node.name == "/":
        above, below = _spread(node.args[0]), factors(node.args[1])
        if above is None or not below.number or not is_sum(node.args[0]):
            return [factors(node)]
        each = [Factors(t.number / below.number, t.over + below.under, t.under + below.over) for t in above]
        return list(map(without_overflow, each))
    # 1 - t * t stays a factor: spread out, what is small in it would be lost
    parts = [[factors(arg)] if node.name == "*" and _has_number(arg) else _spread(arg) for arg in node.args]
    first, second = parts[0], parts[-1]
    if first is None or second is None:
        return None
    if node.name == "-" and len(parts) == 1:
        return [term.times(-1) for term in first]
    if node.name in ("+", "-"):
        found = first + [term.times(1 if node.name == "+" else -1) for term in second]
    else:
        found = [Factors(a.number * b.number, a.over + b.over, a.under + b.under) for a in first for b in second]
    small = len(found) <= _MOST and sum(len(term.over) + len(term.under) for term in found) <= _MOST_FACTORS
    return found if small else None


def _has_number(node: Expression) -> bool:
    """Whether a number is a term of a calculated sum."""
    todo: list[Expression] = [node]  # a chain of terms may be thousands long
    while todo:
        one = todo.pop()
        if isinstance(one, Call) and is_sum(one) and one.origin is None:
            if any(number(arg) is not None for arg in one.args):
                return True
            todo += one.args
    return False


def _factored(terms: list[Factors]) -> Expression:
    """The shortest that we know to write a sum of products."""
    if len(terms) < 2:
        return product(terms[0]) if terms else ZERO
    sizes = {abs(term.number) for term in terms}
    if len(sizes) == 1 and sizes != {1.0}:
        (common,) = sizes
        return multiply(Literal(common), _factored([term.times(1 / common) for term in terms]))
    gain, below, factor = max(_gains(terms), key=lambda found: found[0], default=(0, False, ZERO))
    if not gain:
        ordered = sorted(terms, key=lambda term: term.number < 0)
        return reduce(_sum, map(product, ordered))
    inside, outside = [], []
    for term in terms:
        if factor in (term.under if below else term.over):
            over_, under_ = list(term.over), list(term.under)
            (under_ if below else over_).remove(factor)
            inside.append(Factors(term.number, tuple(over_), tuple(under_)))
        else:
            outside.append(term)
    inner = _factored(inside)
    new = divide(inner, factor) if below else multiply(factor, inner)
    return _sum(_factored(outside), new) if outside else new


def _gains(terms: list[Factors]) -> Iterator[tuple[int, bool, Expression]]:
    """The common factors, each with the characters that taking it out saves and whether it stands below."""
    for below in (False, True):
        many = Counter(factor for term in terms for factor in dict.fromkeys(term.under if below else term.over))
        for factor, count in many.items():
            if count > 1 and not (_vanishes(factor, below) and any(_grows(t, factor, below) for t in terms)):
                yield (count - 1) * (size(factor) + 3), below, factor


def _vanishes(factor: Expression, below: bool) -> bool:
    """Whether a factor may go to 0 faster than products of the others go to Infinity, as exp(-x * x) does."""
    while isinstance(factor, Intermediate):
        factor = factor.value
    f = factors(factor)
    return below or bool(f.under) or any(isinstance(p, Call) and p.name in ("exp", "/", "-") for p in f.over)


def _grows(term: Factors, factor: Expression, below: bool) -> bool:
    """Whether what a term has beside a common factor may become Infinity where its parts do not: x * x at 1e200."""
    if factor not in (term.under if below else term.over):
        return False
    return sum(not isinstance(p, Intermediate) and not _is_bounded(p) and p != factor for p in term.over) > 1


def _is_bounded(node: Expression) -> bool:
    return isinstance(node, Call) and node.name in _BOUNDED


_BOUNDED = frozenset({"sin", "cos", "tanh", "atan", "asin", "acos", "signum", "ln", "log10", "log2"})


def _sum(x: Expression, y: Expression) -> Expression:
    f = factors(y)
    return subtract(x, negative(y)) if f.number < 0 else add(x, y)
