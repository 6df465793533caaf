"""Makes the generations of a run, one by itself or many in a call, and commits them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..dense.calls import Calls
from ..dense.node import Refused
from .best import Best
from .control import Control
from .course import Course
from .curves.run import Curves
from .holdings import tables_of
from .inspection import DivergedError, Inspection
from .judging import Judge, Verdict, counted, short
from .keeping import Keeping
from .minimize.rates import Rates
from .parameters import Parameters
from .run import Run
from .settings import Settings
from .steps.looks import CalculatedCurves
from .steps.step import Step
from .undo import CommittedStep

if TYPE_CHECKING:
    from ..engine.context import Context


@dataclass(eq=False)
class Making:
    """Makes generations.

    Attributes:
        context: where.
        settings: what was asked for.
        run: how far the run has come; it is told of each commit.
        step: the statements.
        course: the tables.
        parameters: their values.
        inspection: looks at a step that was made by itself.
        keeping: tells the disk.
        curves: are handed what the steps have calculated of them.
        judge: says which of many steps may stay.
        control: buttons and the interrupt.
        calls: how many steps a call makes.
        rates: what the optimizer of a MINIMIZE says of its rates.
        best: notes the tables after each generation, where the best one is kept.
        verdict: how the run ends, as soon as that is known.
        used: every parameter, as it was last used.
    """

    context: Context
    settings: Settings
    run: Run
    step: Step
    course: Course
    parameters: Parameters
    inspection: Inspection
    keeping: Keeping
    curves: Curves
    judge: Judge
    control: Control
    calls: Calls
    rates: Rates | None
    best: Best | None = None
    verdict: Verdict | None = None
    used: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Any]:
        """The parameters that a person set, as they were last used."""
        return self.parameters.shown(self.used)

    def values(self) -> dict[str, Any]:
        """Every parameter for the step that follows the newest generation."""
        self.used = values = self.parameters.at(self.run.holdings.generation)
        return values

    def advance(self) -> bool:
        """Make some generations, or none: what is not sound is rolled back. Returns whether any was made."""
        if self.calls.alone and self.settings.device == "auto":
            return self._one()
        begin, every, steps = time.perf_counter(), self.settings.every, self.run.steps
        until_curves = self.settings.steps if every is None else every - steps % every
        count = self.calls.length(self.settings.steps - steps, until_curves, self.keeping.left(steps))
        many = (count > 1 or self.settings.device != "auto") and self._may_be_many
        made = self._many(count) if many else 0
        if made < count and many:
            self.calls.failed()
        if not made:
            begin, made = time.perf_counter(), int(self._one())
        self.calls.made(made, time.perf_counter() - begin)
        return made > 0

    def _many(self, count: int) -> int:
        """Make generations in one call and one commit; returns how many, 0 where the next one is to be made alone."""
        generation, steps = self.run.generation, self.run.steps
        before = self.course.look()
        courses = self.parameters.courses(generation, count)
        if self.rates is not None:
            courses = courses.first(self.rates.sound(courses))
        if not courses.count:
            return 0
        watch = self._watched if self.settings.checks_each_step and self._is_foretold else None
        try:
            with self.context.store.transaction():
                made = self.step.run_many(courses, watch)
                self.control.check()
                if made:
                    after = tables_of(self.context.store, self.run.holdings.names)
                    self.inspection.count(before, after, made)
                    self.run.holdings.expect(after, generation + made, steps + made)
            self.run.holdings.arrive()
            self.judge.arrived(generation + made)
        except Refused:
            return 0
        except KeyboardInterrupt:
            self._interrupted(steps)
            raise
        if made:
            if self.best is not None:
                self.best.made(generation + made, after, self.run.steps)
            self.curves.hand(generation, generation + made, self.step.seen)
            last = {name: course[made - 1] for name, course in courses.along.items()}
            self.used = {**courses.values, **last}
            self.keeping.stepped(self.run.steps)
            if self.curves.watched:
                given = self.parameters.given
                self.course.undo.add(CommittedStep(generation + made, generation, before, self.shown, made, given))
        return made

    @property
    def _may_be_many(self) -> bool:
        """Whether nobody has to look in between.

        What ends the run is calculated with the steps, or can be told of each generation when all are committed.
        """
        return not self.settings.checks_each_step or self._is_foretold or self.curves.go_by_generation

    @property
    def _is_foretold(self) -> bool:
        return self.curves.are_foretold(self.step.seen)

    def _watched(self, seen: CalculatedCurves, made: int) -> int:
        return self.judge.ahead(seen, self.run.generation, self.run.steps, made)

    def _one(self) -> bool:
        """Make one generation, or none: what is not sound is rolled back. Returns whether it was made."""
        holdings, store = self.run.holdings, self.context.store
        generation, steps = holdings.generation, holdings.steps
        before = self.course.look()
        values = self.values()
        if self.rates is not None:
            self.rates.check(values)
        try:
            with store.transaction():
                self.step.run(values)
                self.control.check()
                after = tables_of(store, holdings.names)
                made = self.inspection.look(before, after, generation)
                holdings.expect(after, made, steps + 1)
            holdings.arrive()
        except DivergedError as error:
            self.diverged(generation + 1, error.column, error.value, self.shown)
            return False
        except KeyboardInterrupt:
            self._interrupted(steps)
            raise
        if not self.curves.none and made == generation + 1:
            self.curves.hand(generation, made, self.step.seen)
        self.keeping.stepped(holdings.steps)
        if self.best is not None:
            self.best.made(made, after, holdings.steps)
        if not self.curves.none and self.curves.watched:
            self.course.undo.add(CommittedStep(made, generation, before, self.shown))
        return True

    def _interrupted(self, steps: int) -> None:
        """Note a second interrupt, which abandons what is being made; it may have been committed just before."""
        self.run.holdings.settle()
        if self.run.steps == steps:
            self.verdict = ("interrupted", f"interrupted after {counted(steps)}, within a step that is abandoned")

    def redo(self, first: CommittedStep, generation: int) -> None:
        """Make the sound ones of several steps that were taken back together again, up to ``generation``."""
        foretold = self.settings.checks_each_step and self._is_foretold
        with self.parameters.as_given(first.given):
            while self.run.generation < generation:
                count = generation - self.run.generation
                if (foretold or not self._many(count)) and not self._one():
                    break

    def diverged(self, generation: int, column: str, value: float, shown: Mapping[str, Any]) -> None:
        """Note that a generation has a number that is none."""
        number = "NaN" if math.isnan(value) else "infinite"
        given = ", ".join(f"{name} = {short(v)}" for name, v in shown.items())
        self.verdict = ("diverged", f"step {generation}: {column} is {number}" + (f" with {given}" if given else ""))

    def stays(self, why: str) -> None:
        """What diverged is not taken back."""
        if self.verdict is not None:
            self.verdict = self.verdict[0], f"{self.verdict[1]} ({why})"
