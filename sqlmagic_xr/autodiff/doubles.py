"""A derivative's numbers in double precision, whatever the columns hold.

Integers wrap (``x * x`` of an int16 x = 300 is 24464), and decimals are cut to their scale. A derivative is a real
number, so what it reads of such columns is cast first. What the user's query itself computes is not touched, nor what
decides which branch is taken, which rows a FILTER takes, and where a window looks.
"""

from __future__ import annotations

from typing import Protocol

from ..relation.functions import SAME
from ..relation.layers import ColumnType
from ..sql.expression import Call, Case, Cast, Column, Expression, Literal, Made, Parameter, Verbatim
from .intermediate import Below
from .names import Meanings
from .rules import AGGREGATES, DEFINED, EXTREMES, RULES, SHIFTS

REAL = Verbatim({"Double": "None"})

_FIRST_ALONE = frozenset({"round", "trunc", *SHIFTS})  # what follows is a number of digits, of rows
_NUMERIC = frozenset({*RULES, *AGGREGATES, *DEFINED, *EXTREMES, *SHIFTS, *SAME}) - {"count", "regr_count"}


class Types(Protocol):
    """What must be known of the names in an expression, and of what kind of number it is."""

    scope: Meanings

    def type_of(self, node: Expression) -> ColumnType | None:
        """What kind of number an expression is; None where that is not known."""


def in_doubles(expression: Expression, types: Types, known: Made) -> Expression:
    """A derivative in which nothing exact is calculated with before it is a double.

    Args:
        expression: the derivative.
        types: of its names and parts.
        known: what was made of other derivatives of the same scope; what is made is added.
    """
    doubles = _Doubles(types)
    found: Expression = known.of(expression, doubles.made, doubles.parts)
    return found


class _Doubles:
    def __init__(self, types: Types) -> None:
        self.types = types

    def parts(self, node: Expression) -> list[Expression]:
        """The parts that are numbers the value of a node is calculated from."""
        return [node.parts[place] for place in self.places(node)]

    def places(self, node: Expression) -> range | list[int]:
        if isinstance(node, Case):
            results = [2 * number + 1 for number in range(len(node.branches))]
            return results if node.default is None else [*results, 2 * len(node.branches)]
        if isinstance(node, Call):
            return range(0) if self.is_whole(node) else range(1 if node.name in _FIRST_ALONE else len(node.args))
        if isinstance(node, Cast):
            return range(1) if self.types.type_of(node) == "real" else range(0)
        return range(0) if isinstance(node, Below) else range(len(node.parts))

    def is_whole(self, node: Call) -> bool:
        """Whether a call means what SQL says it does: the staircase of 7 / 2, a function that is not calculus."""
        if node.name in ("/", "%") and {self.types.type_of(arg) for arg in node.args} <= {"integer"}:
            return node.origin is not None or node.name == "%"
        return node.name not in _NUMERIC or self.types.scope.is_key(node)

    def made(self, node: Expression, parts: list[Expression]) -> Expression:
        if isinstance(node, Column):
            return node if self.types.scope.is_real(node) else Cast(node, REAL)
        new = list(node.parts)
        for place, part in zip(self.places(node), parts, strict=True):
            new[place] = part
        if isinstance(node, Cast) and parts and isinstance(parts[0], Cast) and parts[0].type == node.type == REAL:
            return parts[0]
        if all(a is b for a, b in zip(new, node.parts, strict=True)):
            kinds = ("integer", "decimal", None) if isinstance(node, (Call, Verbatim)) else ("integer", "decimal")
            exact = not isinstance(node, (Literal, Parameter)) and self.types.type_of(node) in kinds
            return Cast(node, REAL) if exact else node
        return node.rebuilt(new)
