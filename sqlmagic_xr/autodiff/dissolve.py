"""Keeps values whole as intermediates while derivatives are taken, and dissolves them when they are written."""

from __future__ import annotations

from ..sql.expression import Call, Expression, Made
from .edges import sound
from .intermediate import Intermediate
from .simplify import Factors, build, factors, is_sum, product


def intermediate(expression: Expression) -> Expression:
    """An expression as an intermediate, its number in front; what is one factor already stays as it is."""
    f = factors(expression)
    if not f.under and len(f.over) <= 1 and not (f.over and is_sum(f.over[0])):
        return expression
    whole = expression if f.number == 1 else product(f.times(1 / f.number))
    one: Expression = Intermediate(whole)
    return one if f.number == 1 else product(Factors(f.number, (one,)))


def plain(expression: Expression, done: Made | None = None) -> Expression:
    """An expression without intermediates, simplified where they were.

    Args:
        expression: any expression.
        done: what was done already, for whoever calls this with several expressions.
    """

    found: Expression = (Made() if done is None else done).of(expression, lambda node, new: sound(joined(node, new)))
    return found


def joined(node: Expression, parts: list[Expression], *, dissolve: bool = True) -> Expression:
    """A node around other parts: simplified anew if it was calculated, and not if the user wrote it."""
    if isinstance(node, Intermediate):
        return parts[0] if dissolve else intermediate(parts[0])
    if all(a is b for a, b in zip(parts, node.parts, strict=True)):
        return node
    if isinstance(node, Call) and node.origin is None and node == Call(node.name, node.args):
        return build(node.name, parts)
    return node.rebuilt(parts)
