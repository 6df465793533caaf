"""Intermediates: what a derivative was computed through, each one thing to the derivatives of the derivative.

Spread out, a derivative of a derivative of a derivative repeats what it was made of many times over. So the derivative
of a function, the derivative of its argument and the value of a quotient stay whole: a product takes them for one
factor, and deriving one gives the next intermediate. With t for tanh(u), and u1, u2, u3 for the derivatives of u::

    t1 = (1 - t * t) * u1
    t2 = (1 - t * t) * u2 - 2 * t * t1 * u1
    t3 = (1 - t * t) * u3 - 4 * t * t1 * u2 - 2 * u1 * (t1 * t1 + t * t2)

These are the recurrences of Taylor arithmetic (Griewank and Walther, Evaluating Derivatives, chapter 13). Where the
derivative is written, an intermediate that is used again gets a name (:mod:`.sharing`), and :func:`.dissolve.plain`
dissolves the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..sql.expression import Expression, settle


@dataclass(frozen=True, eq=False)
class _Mark(Expression):
    """An expression that is marked for what becomes of it."""

    value: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.value,)

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:
        (value,) = parts
        return replace(self, value=value)


@dataclass(frozen=True, eq=False)
class Intermediate(_Mark):
    """A value that arithmetic leaves whole.

    Attributes:
        value: what it stands for.
    """


@dataclass(frozen=True, eq=False)
class Below(_Mark):
    """What is computed row by row below a SELECT, since the SELECT's aggregates read it: the maximum of a group.

    Attributes:
        value: what it stands for, a call over a window.
    """


def reads_below(expression: Expression) -> bool:
    """Whether anything in an expression must be computed below its SELECT (worked out once)."""
    if "_reads_below" not in expression.__dict__:
        settle(expression, "_reads_below", lambda node: isinstance(node, Below) or any(map(reads_below, node.parts)))
    found: bool = expression.__dict__["_reads_below"]
    return found
