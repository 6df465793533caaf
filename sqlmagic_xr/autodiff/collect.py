"""Sums collected: multiples of one product become one term, and what terms have in common is taken out.

Derivatives of products repeat themselves: ``(a * b)'' = a2 * b + 2 * a1 * b1 + a * b2`` comes out of the product rule
with ``a1 * b1`` twice, at different depths. Here a sum is spread out into products of its factors, equal ones are
added, and a common factor is written once (Horner's form). An intermediate and what a user wrote are factors that stay
whole.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce

from ..sql.expression import Call, Expression, Literal
from .simplify import ZERO, Factors, add, divide, factors, is_sum, multiply, negative, number, product, subtract, terms
from .size import size

_MOST = 24
"""A sum of more products is left as it is."""


def collected(expression: Expression) -> Expression:
    """An expression collected, if that makes it shorter; else itself.

    >>> from ..sql.expression import Column, to_sql
    >>> a, b, c = (Column((name,)) for name in "abc")
    >>> to_sql(collected(add(multiply(a, add(multiply(b, c), b)), multiply(c, multiply(a, b)))))
    'a * b * (2.0 * c + 1.0)'
    """
    if not (isinstance(expression, Call) and expression.origin is None and expression.name in ("+", "-", "*", "/")):
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


def _plus(a: Factors, b: Factors) -> Factors:
    return Factors(a.number + b.number, a.over, a.under)


def _spread(node: Expression) -> list[Factors] | None:
    """An expression as a sum of products; None for too many."""
    if (n := number(node)) is not None:
        return [Factors(n)]
    if not isinstance(node, Call) or node.origin is not None or node.name not in ("+", "-", "*"):
        return [factors(node)]
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
    return found if len(found) <= _MOST else None


def _has_number(node: Expression) -> bool:
    return is_sum(node) and any(not (term.over or term.under) for term in terms(node))


def _factored(terms: list[Factors]) -> Expression:
    """The shortest that we know to write a sum of products."""
    if len(terms) < 2:
        return product(terms[0]) if terms else ZERO
    sizes = {abs(term.number) for term in terms}
    if len(sizes) == 1 and sizes != {1.0}:
        (common,) = sizes
        return multiply(Literal(common), _factored([term.times(1 / common) for term in terms]))
    over = Counter(factor for term in terms for factor in set(term.over))
    under = Counter(factor for term in terms for factor in set(term.under))
    gains = [((n - 1) * (size(f) + 3), below, f) for below, many in ((0, over), (1, under)) for f, n in many.items()]
    gain, below, factor = max(gains, key=lambda found: found[0], default=(0, 0, ZERO))
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


def _sum(x: Expression, y: Expression) -> Expression:
    f = factors(y)
    return subtract(x, negative(y)) if f.number < 0 else add(x, y)
