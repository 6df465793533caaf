"""All curves of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..events import Panel
from ..steps.looks import CalculatedCurves
from ..steps.stacked import rows_of
from .ahead import Foreseen
from .curve import Blemish, Curve
from .series import merged

if TYPE_CHECKING:
    from ...engine.prepared import Prepared

_WHOLE = 0.1  # of the run's time is for all the curves that are evaluated whole


class Curves:
    """The curves of a run, in the order of the cell.

    Args:
        curves: any number of them, also none.

    Attributes:
        none: whether there is none.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._curves = tuple(curves)
        self.none = not self._curves
        whole = [curve for curve in self._curves if curve.whole]
        for curve in whole:
            curve.allow(_WHOLE / len(whole))

    def __len__(self) -> int:
        return len(self._curves)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """What there is to draw; curves of one title share a panel."""
        judged = self._judged
        return merged([
            replace(curve.panel, loss=curve.losses) if curve is judged else curve.panel
            for curve in self._curves
            if curve.evaluated
        ])  # fmt: skip

    @property
    def _judged(self) -> Curve | None:
        """The first curve along the generations: what falls there is the loss."""
        return next((curve for curve in self._curves if curve.watched), None)

    @property
    def upto(self) -> int | None:
        """The newest generation that all of them show; None where there is none."""
        return min((curve.upto for curve in self._curves), default=None)

    @property
    def tables(self) -> tuple[pa.Table, ...]:
        """The rows of each."""
        return tuple(curve.table for curve in self._curves if curve.evaluated)

    @property
    def due(self) -> bool:
        """Whether it is time to bring one up to date."""
        return any(curve.due for curve in self._curves)

    def behind(self, newest: int) -> bool:
        """Whether one of them does not show the generation ``newest`` yet."""
        return any(curve.upto < newest for curve in self._curves)

    def late(self, newest: int) -> bool:
        """Whether a run that ended now would have to wait for one of them."""
        return any(curve.late(newest) for curve in self._curves)

    @property
    def watched(self) -> bool:
        """Whether one of them can show a fault and tell which step was at fault."""
        return any(curve.watched for curve in self._curves)

    @property
    def seen(self) -> int | None:
        """The newest generation that every curve that can show a fault has shown; None where none can."""
        return min((curve.known(curve.upto) for curve in self._curves if curve.watched), default=None)

    @property
    def blemish(self) -> Blemish | None:
        """The first number of this run that is none any more."""
        found = [curve.blemish for curve in self._curves if curve.blemish is not None]
        return min(found, key=lambda blemish: blemish.generation, default=None)

    def refresh(self, values: Mapping[str, Any], newest: int) -> None:
        """Bring those that are due nearer to ``newest``; and all that go by generation, so that they show the same."""
        for curve in self._curves:
            if curve.due or not curve.whole:
                curve.refresh(values, newest)

    def approach(self, values: Mapping[str, Any], newest: int) -> None:
        """Bring the first that does not show the generation ``newest`` a piece nearer to it, due or not."""
        for curve in self._curves:
            if curve.upto < newest:
                curve.refresh(values, newest)
                return

    def catch_up(self, values: Mapping[str, Any], newest: int) -> Iterator[None]:
        """Bring all of them up to ``newest``, a piece at a time."""
        for curve in self._curves:
            while not curve.refresh(values, newest):
                yield

    def forget(self, newest: int) -> None:
        """Drop what lies behind the generation ``newest``, which has been taken back."""
        for curve in self._curves:
            curve.forget(newest)

    @property
    def queries(self) -> tuple[Prepared | None, ...]:
        """For each its query over one generation; see :attr:`.curve.Curve.one`."""
        return tuple([curve.one for curve in self._curves])

    def hand(self, after: int, upto: int, seen: CalculatedCurves) -> None:
        """Give them what the steps behind the generation ``after`` up to ``upto`` have calculated of them."""
        for place, (curve, query) in enumerate(zip(self._curves, seen.queries, strict=False)):
            if query is None or query is not curve.one:
                continue
            if place in seen.outputs:
                curve.hand(after, upto, seen.outputs[place])
            elif place in seen.stacks:
                curve.hand(after, upto, rows_of(seen.stacks[place]))

    def are_foretold(self, seen: CalculatedCurves) -> bool:
        """Whether steps calculate all those that tell their generation."""
        return all(curve.is_foretold(seen, place) for place, curve in enumerate(self._curves) if curve.watched)

    @property
    def go_by_generation(self) -> bool:
        """Whether all those that tell their generation show of each one what they would show if it were the newest."""
        return all(not curve.whole and not curve.lag for curve in self._curves if curve.watched)

    def ahead(self, seen: CalculatedCurves) -> Foreseen | None:
        """The rows at generations that are made and not committed; None where not all that tell their generation are.

        Args:
            seen: what the steps have calculated.
        """
        found = []
        for place, curve in enumerate(self._curves):
            if curve.watched:
                rows = curve.ahead(seen, place)
                if rows is None:
                    return None
                found.append((curve, rows))
        return Foreseen(found)

    def start_over(self) -> None:
        """Others have changed the trajectory."""
        for curve in self._curves:
            curve.start_over()

    @property
    def columns(self) -> list[str]:
        """The names of :meth:`row`."""
        tables = [curve.table for curve in self._curves if curve.watched and curve.evaluated]
        return list(dict.fromkeys(name for table in tables for name in table.column_names))

    def row(self, generation: int) -> dict[str, Any]:
        """The values of all curves that have a row for a generation; of equal names the first curve's."""
        rows = [curve.at(generation) for curve in self._curves]
        return {name: value for row in reversed(rows) if row is not None for name, value in row.items()}

    def newest(self) -> dict[str, float]:
        """The last value of each line of the first curve that runs along the generations."""
        found = next((c for c in self._curves if c.watched and c.evaluated), None)
        return found.panel.newest() if found is not None else {}

    def loss(self, generation: int) -> tuple[int, float | None]:
        """The first line of the first curve along the generations at one of them, or at the last that is known before.

        Returns:
            The generation, and its number; None where it has none.
        """
        curve = next(c for c in self._curves if c.watched)
        return curve.known(generation), curve.loss(generation)

    def complete(self, values: Mapping[str, Any], newest: int) -> None:
        """The run is over: show what has not been worth a query before."""
        for curve in self._curves:
            curve.complete(values, newest)
