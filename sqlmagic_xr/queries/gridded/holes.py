"""The numbers in a query's cells that differ from step to step: its code is made once, and they are sent along."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...dense.node import Refused
from ...relation.reads import parameters_in
from ...sql.algebra import Parameter
from ...sql.expression import Expression
from .cells import Cells

_REAL = re.compile(r"\(?(-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+))\)?")


class Holes:
    """Parameters whose numbers are not known yet.

    Args:
        texts: what stands in their place at first. Only a real number is one here: of all that is calculated with it,
            nothing but its value differs then.

    Attributes:
        used: those that stand in cells, in the order of the numbers that are sent.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self.used: list[str] = []

    def cells(self, parameter: Parameter) -> Cells:
        """The number of a parameter, everywhere.

        Raises:
            Refused: it is no real number.
        """
        name = name_of(parameter)
        if real(self._texts.get(name, "")) is None:
            raise Refused("a value that changes is no real number", parameter.span)
        if name not in self.used:
            self.used.append(name)
        return _hole(self.used.index(name))

    def numbers(self, texts: Mapping[str, str]) -> tuple[float, ...] | None:
        """The numbers of a step; None where one is no real number this time."""
        found = [real(texts[name]) for name in self.used]
        return tuple(number for number in found if number is not None) if None not in found else None


def name_of(parameter: Parameter) -> str:
    """The name of a parameter, without its sign."""
    return next(iter(parameters_in(parameter)))


def has_hole(expression: Expression) -> bool:
    """Whether a parameter stands in an expression."""
    return bool(parameters_in(expression))


def real(text: str) -> float | None:
    """The real number that a literal is; None of any other."""
    found = _REAL.fullmatch(text)
    return None if found is None else float(found[1])


def _hole(place: int) -> Cells:
    return Cells("double", lambda block: block.numbers[place])
