"""Whether the curves end a run: looked for at each generation, committed or about to be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .curves.run import Curves
from .ending import Patience, Until
from .events import Status
from .settings import Settings
from .steps.looks import CalculatedCurves

if TYPE_CHECKING:
    from ..engine.context import Context
    from .curves.ahead import Foreseen

Verdict = tuple[Status, str]
Values = Callable[[int], Mapping[str, Any]]
"""Gives every parameter for the step that follows a generation."""


class Judge:
    """Asks ``until`` and ``patience`` of each generation, once.

    Args:
        context: evaluates the condition.
        settings: what was asked for.
        curves: what it is asked of.
        values: the parameters.
    """

    def __init__(self, context: Context, settings: Settings, curves: Curves, values: Values) -> None:
        self._context, self._curves, self._values = context, curves, values
        self._condition, self._keeps_best = settings.until, settings.keep_best
        self._until: Until | None = None
        self._patience = None if settings.patience is None else Patience(settings.patience)
        self._judged: int | None = None  # the newest generation that was
        self._found: Verdict | None = None
        self._ahead: tuple[int, Patience | None, Verdict | None] | None = None

    def open(self, column: str) -> None:
        """Read the condition, when the curves have their first rows.

        Args:
            column: the trajectory's.

        Raises:
            SqlError: there is no curve to ask, or the condition does not fit it.
        """
        if not self._curves.columns:
            raise UsageError(
                f"until, patience and keep_best look at the generations, and no curve begins with `{column}`",
                hint=f"As in: SELECT {column}, AVG(...) AS loss FROM ... GROUP BY {column}",
            )
        if self._condition is not None:
            self._until = Until(self._context, self._condition, self._curves.columns)

    def verdict(self, generation: int, steps: int) -> Verdict | None:
        """How a generation ends the run, if it does.

        Args:
            generation: the newest one; the curves show it.
            steps: how many the run has made.
        """
        if generation != self._judged:
            self._judged, self._found = generation, self._ended(self._curves, self._patience, generation, steps)
        return self._found

    def first(self, newest: int, steps: int) -> tuple[int, Verdict] | None:
        """The first generation behind the last one that was asked, up to ``newest``, that ends the run, and how.

        Args:
            newest: the curves show it.
            steps: how many the run had made by then.
        """
        if self._judged is None:
            return None
        for generation in range(self._judged + 1, newest + 1):
            found = self.verdict(generation, steps - (newest - generation))
            if found is not None:
                return generation, found
        return None

    def ahead(self, seen: CalculatedCurves, generation: int, steps: int, made: int) -> int:
        """How many of the generations that are made, and not committed, may stay.

        Args:
            seen: what was calculated of the curves with them.
            generation: the one before them.
            steps: how many the run had made by then.
            made: how many they are.
        """
        rows, patience, found = self._curves.ahead(seen), copy.copy(self._patience), None
        self._ahead, number = None, 0
        if rows is None:
            return 0
        while number < made and found is None and rows.sound(generation + number + 1):
            number += 1
            found = self._ended(rows, patience, generation + number, steps + number)
        self._ahead = (generation + number, patience, found) if number else None
        return number

    def arrived(self, generation: int) -> None:
        """The generations up to this one are committed."""
        if self._ahead is not None and self._ahead[0] == generation:
            self._judged, self._patience, self._found = self._ahead
        self._ahead = None

    def _ended(
        self, rows: Curves | Foreseen, patience: Patience | None, generation: int, steps: int
    ) -> Verdict | None:  # fmt: skip
        until = self._until
        if until is not None:
            values = self._values(generation) if until.reads_parameters else {}
            if until.holds(rows.row(generation), values):
                return "until", f"{until.condition} holds after {counted(steps)}"
        if patience is not None and patience.over(*rows.loss(generation)):
            best = f"the best was {short(patience.best)} at step {patience.best_at}"
            best += "" if self._keeps_best else "; --keep-best would leave the table there"
            waited = counted(patience.steps)
            return "patience", f"no better loss for {waited} ({best}): ended after {counted(steps)}"
        return None


def counted(count: int) -> str:
    """A number of steps, for a person."""
    return f"{count:,} step" + ("" if count == 1 else "s")


def short(value: Any) -> str:
    """A value, for a person."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
