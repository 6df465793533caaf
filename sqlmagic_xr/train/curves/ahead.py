"""The curves at generations that are made and not committed yet: what ends a run is looked for among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from .curve import Curve

_Rows = dict[int, list[dict[str, Any]]]


class Foreseen:
    """The rows of those curves that tell their generation, by generation.

    Args:
        curves: each with its rows, whose column of steps is known.
    """

    def __init__(self, curves: Sequence[tuple[Curve, pa.Table]]) -> None:
        self._curves = [(curve, _by_generation(rows, curve.step)) for curve, rows in curves]

    def sound(self, generation: int) -> bool:
        """Whether there are rows, and no number that is none."""
        for curve, rows in self._curves:
            found = rows.get(generation - curve.lag)
            if not found or not all(_sound(row[name]) for row in found for name in curve.measures):
                return False
        return True

    def row(self, generation: int) -> dict[str, Any]:
        """See :meth:`.run.Curves.row`."""
        rows = [rows[generation - curve.lag][-1] for curve, rows in self._curves]
        return {name: value for row in reversed(rows) for name, value in row.items()}

    def loss(self, generation: int) -> tuple[int, float | None]:
        """See :meth:`.run.Curves.loss`."""
        curve, rows = self._curves[0]
        known = generation - curve.lag
        return known, curve.first_of(rows[known])


def _by_generation(rows: pa.Table, step: str) -> _Rows:
    found: _Rows = {}
    for row in rows.to_pylist():
        found.setdefault(row[step], []).append(row)
    return found


def _sound(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
