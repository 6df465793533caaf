"""Keeps the curves up to date while a run goes on, and looks at what they say of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .course import Course
from .curves.pace import Pace
from .curves.run import Curves
from .judging import Judge
from .making import Making
from .settings import Settings
from .trajectory import Trajectory

_NOTHING = object()


class Watching:
    """Refreshes curves between the steps.

    Args:
        making: makes the generations; a fault in a curve takes some back.
        curves: what is kept up to date.
        judge: whether they end the run.
        course: the tables.
        settings: what was asked for.
        clock: the run's time in seconds, pauses apart.
    """

    def __init__(
        self, making: Making, curves: Curves, judge: Judge, course: Course, settings: Settings,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._making, self._curves, self._judge, self._course = making, curves, judge, course
        self._run, self._settings = making.run, settings
        self._checks_each_step = settings.checks_each_step
        self._pace = Pace(times=0, clock=clock)

    def open(self, trajectory: Trajectory, start: int) -> None:
        """Evaluate the beginning of each curve, so that one that cannot be is an error before the first step."""
        values = self._making.values()
        self._curves.refresh(values, start)
        if self._settings.checks_each_step:
            if self._making.best is not None:
                self._making.best.made(start, self._run.holdings.look(), self._run.steps)
            deque(self._curves.catch_up(values, start), maxlen=0)
            self._judge.open(trajectory.column)
            self._note_loss()
            self._making.verdict = self._judge.verdict(start, 0)

    def approach(self) -> bool:
        """In a pause: bring the curves a piece nearer to the newest generation; whether there was anything to do."""
        generation = self._run.generation
        if not self._curves.behind(generation):
            return False
        values = self._making.values()
        with self._making.control.stepping():
            self._curves.approach(values, generation)
            self._look_for_blemish(values)
        return True

    @property
    def due(self) -> bool:
        """Whether it is time for :meth:`refresh`."""
        if self._making.verdict is not None:
            return False
        if self._settings.every is not None:
            return self._run.steps % self._settings.every == 0
        if self._checks_each_step or self._pace.due:
            return True
        # Steps may be quicker than the curves: a run does not leave them so far behind that its end is a wait.
        return not self._curves.none and (self._curves.due or self._curves.late(self._run.generation))

    def refresh(self) -> None:
        """Bring the curves nearer to the newest generation, and look whether they end the run."""
        values = self._making.values()
        self._course.notice()
        begin = time.perf_counter()
        with self._pace.turn():
            if self._settings.checks_each_step or self._settings.every is not None:
                deque(self._curves.catch_up(values, self._run.generation), maxlen=0)
            else:
                self._curves.refresh(values, self._run.generation)
        if self._settings.checks_each_step and self._settings.every is None:
            self._end_at_the_first(values)
            self._making.calls.looked(time.perf_counter() - begin)
        self._look_for_blemish(values)
        if self._settings.checks_each_step and self._making.verdict is None:
            self._note_loss()
            self._making.verdict = self._judge.verdict(self._run.generation, self._run.steps)

    def catch_up(self) -> Iterator[None]:
        """At the end the curves are complete, however long that takes; a second interrupt cuts it short."""
        values = self._making.values()
        self._course.notice()
        pieces = self._curves.catch_up(values, self._run.generation)
        while True:
            with self._making.control.stepping():
                if next(pieces, _NOTHING) is _NOTHING:
                    self._curves.complete(values, self._run.generation)
                    break
            yield
        self._look_for_blemish(values)
        self._note_loss()
        if self._making.best is not None:
            self._making.best.keep()

    def _end_at_the_first(self, values: Mapping[str, Any]) -> None:
        """Take back what lies behind the first of several generations that ends the run, if it is not the last."""
        generation, fault = self._run.generation, self._curves.blemish
        before = min(generation, generation if fault is None else fault.generation) - 1
        found = self._judge.first(before, self._run.steps - (generation - before))
        if found is None:
            return
        last, verdict = found
        first = self._course.take_back(last + 1)
        self._making.verdict = verdict
        if first is None:
            self._making.stays("the steps behind it stay, since others have changed its tables after them")
            return
        self._making.redo(first, last)
        self._curves.forget(self._run.generation)
        deque(self._curves.catch_up(values, self._run.generation), maxlen=0)

    def _note_loss(self) -> None:
        if self._making.best is not None:
            self._making.best.note(*self._curves.loss(self._run.generation))

    def _look_for_blemish(self, values: Mapping[str, Any]) -> None:
        """Take back the generation whose curve shows a NaN or an infinity, and those behind it."""
        found = self._curves.blemish
        if found is None:
            self._course.undo.settle(self._curves.seen or 0)
            return
        first = self._course.take_back(found.generation)
        if first is None:
            self._making.diverged(found.generation, found.column, found.value, self._making.shown)
            self._making.stays("the step stays, since others have changed its tables after it")
            return
        if first.steps > 1:
            self._making.redo(first, found.generation - 1)
        self._curves.forget(self._run.generation)
        deque(self._curves.catch_up(values, self._run.generation), maxlen=0)
        self._curves.complete(self._making.values(), self._run.generation)
        self._making.diverged(found.generation, found.column, found.value, first.shown)
