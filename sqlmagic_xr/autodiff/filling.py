"""A rule's template, filled in for a call."""

from __future__ import annotations

from collections.abc import Sequence

from ..sql.expression import Call, Case, Cast, Expression, Parameter
from .simplify import ZERO, build, choose, number


def fill(template: Expression, call: Call) -> Expression:
    """A rule's template with a call's arguments for ``$1``, ... and the call itself for ``$0``, simplified."""
    match template:
        case Parameter(name):
            place = int(name[1:])
            return call if place == 0 else call.args[place - 1]
        case Case():
            branches = tuple((fill(c, call), fill(r, call)) for c, r in template.branches)
            default = None if template.default is None else fill(template.default, call)
            operand = None if template.operand is None else fill(template.operand, call)
            return choose(Case(branches, default, operand))
        case Call("="):
            return _equal([fill(arg, call) for arg in template.args], template.args)
        case Call("+", (value, zero)) if zero == ZERO:
            return _signless(fill(value, call), template)
        case Call():
            return build(template.name, [fill(arg, call) for arg in template.args])
        case Cast():
            return template.rebuilt([fill(template.value, call)])
    return template


def _equal(args: Sequence[Expression], template: Sequence[Expression]) -> Expression:
    """An equality of a rule, in which ``$1 + 0.0`` keeps its zero where that can change anything."""
    sides = []
    for side, other, written in zip(args, reversed(args), template, strict=True):
        asked = isinstance(written, Call) and written.name == "+"
        value = side.args[0] if asked and isinstance(side, Call) and number(other) else side
        sides.append(value)
    return Call("=", tuple(sides))


def _signless(value: Expression, template: Expression) -> Expression:
    """``value + 0.0``; it has the origin of the rule's text, so that simplifying leaves it alone."""
    return value if number(value) is not None else Call("+", (value, ZERO), origin=template.origin)
