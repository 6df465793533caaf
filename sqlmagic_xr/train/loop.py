"""The training loop: it steps, commits, keeps the curves up to date and says what happens. No display in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..cluster.holding import Holding, held_by
from ..dense.calls import Calls
from ..errors import SqlError, UsageError
from ..grids.datasets import ReadDatasets
from ..storage.scratch import Version
from .best import Best
from .control import Control
from .course import Course
from .curves.curve import Curve
from .curves.pace import Stopwatch
from .curves.run import Curves
from .events import Ended, Event, Paused, Refreshed, Started, Status, Stepped, Tuned
from .explain import Explained
from .holdings import tables_of
from .inspection import Inspection
from .judging import Judge, counted, short
from .keeping import Keeping
from .making import Making
from .minimize.batches import blamed, blaming
from .minimize.curve import LossCurve
from .minimize.expand import Expansion, expand, written_out
from .minimize.fit import Fit, fit
from .minimize.stationary import misled, warn
from .parameters import ParameterChange, Parameters
from .run import Run
from .settings import Settings
from .steps import looks as looks_at
from .steps.arrays import ArrayExecutor
from .steps.plan import PlannedStep
from .steps.processor import Processor, device_of
from .steps.rehearsal import prepare_step, rehearsed
from .steps.remote import cluster_for
from .steps.step import FollowingStep, Step, VerbatimStep
from .steps.together import Together
from .task import read_task
from .trajectory import begin_at, trajectory_of
from .watching import Watching

if TYPE_CHECKING:
    import pyarrow as pa

    from ..engine.context import Context
    from ..engine.prepared import Prepared
    from ..sql.syntax import Statement


class _InspectionOverError(Exception):
    """A step was made to look at it only."""


class Training:
    """A training run as an iterable of events; iterating it is what runs it, and it can be iterated once.

    Between two events the tables are consistent and nothing runs: whoever iterates decides how fast it goes on, and
    steers through ``control``. Breaking off the iteration stops the run. A run that fails, or is interrupted within a
    step, says ``Ended`` and then raises.

    Args:
        context: where it runs.
        text: the training cell.
        settings: what is asked.
        control: stop, pause, tune; one of its own where none is given.

    Attributes:
        run: how far it has come.
        control: that one.

    Raises:
        SqlError: the text or the settings do not fit; nothing has changed.
    """

    def __init__(self, context: Context, text: str, settings: Settings, control: Control | None = None) -> None:
        self._context, self._text, self._settings = context, text, settings
        self._clock, self._began = Stopwatch(), 0.0
        self._chunks, self._datasets = Holding(), ReadDatasets()
        self._task = read_task(text, settings.curves, self._expand)
        try:
            version = context.store.table(self._task.table)
        except SqlError as error:
            raise self._task.insert.place(error, self._task.insert.span) from None
        self._trajectory = trajectory_of(self._task, version)
        self._start = begin_at(self._task, self._trajectory, version, restart=settings.restart)
        if settings.restart and not self._task.appends:
            raise UsageError(
                f"a run cannot be restarted whose steps do more to `{self._task.table}` than insert generations",
                hint="Put the tables back yourself: ctx.scratch(name).restore(version), or the last run's rollback().",
            )
        self._keeping = Keeping(context.store, self._task.table, settings.keep_every)
        if settings.seed is None and not settings.restart:
            settings = replace(settings, seed=self._keeping.seed)
        self._parameters = Parameters(context, settings)
        self._device = device_of(settings.device, settings.precision)
        first = partial(self._parameters.at, self._start)
        with blaming(context, self._task.minimize, first), rehearsed(context, self._task.setup, first()):
            statements = prepare_step(context, self._task.step, first())
            curves = self._make_curves(version)
            self._curves = Curves(curves)
            self._parameters.read([*statements, *(curve.prepared for curve in curves)])
            self._step = FollowingStep(
                context, self._task.step, statements, writes=self._task.writes, plan=self._planned,
                beside=[curve.prepared for curve in curves],
            )  # fmt: skip
        if settings.checks_each_step and not curves:
            raise UsageError(
                "until, patience and keep_best look at a curve, and there is none", hint="Add a SELECT behind the step."
            )
        self._error: BaseException | None = None
        self._astray = ""  # where Newton's method has come to a point that nobody has asked for
        self.control = Control() if control is None else control
        self.control.tunable = dict(settings.tune)
        self.run = Run(context.store, self._task.table, self._task.writes)
        self._holdings = self.run.holdings
        self._course = Course(
            context.store, self._task, self._trajectory, self._holdings, start=self._start, restart=settings.restart,
            driven=lambda: self.control.driven, changed=self._start_over,
        )  # fmt: skip
        self._best = Best(self._holdings) if settings.keep_best else None
        judge = Judge(context, settings, self._curves, self._parameters.at)
        rates = None if self._task.minimize is None else self._task.minimize.rates
        alone = rates is not None and rates.alone(self._parameters.varying)
        self._making = Making(
            context, settings, self.run, self._step, self._course, self._parameters,
            Inspection(self._task, self._trajectory), self._keeping, self._curves, judge, self.control,
            Calls(alone=settings.each_step or settings.verbatim or settings.keep_best or alone), rates, self._best,
        )  # fmt: skip
        self._watching = Watching(self._making, self._curves, judge, self._course, settings, self._clock)
        self._holdings.generation, self.run.seed = self._start, self._parameters.seed
        self.run.schedule = dict(settings.schedule)
        if self._task.minimize is not None:
            self.run.fitted = partial(self._fit, self._task.minimize)

    def __iter__(self) -> Generator[Event]:
        if self._began:
            raise UsageError("a run can be gone through once", hint="Run the cell again: it continues.")
        try:
            self._course.begin()
            self._began = self._clock()
            self.run.begin()
            yield from self._events()
        finally:
            if self._began and self.run.status == "running":  # whoever iterated has broken off
                self._close("stopped")
            self._course.end()
            self._chunks.release()

    def _planned(self, statements: Sequence[Prepared]) -> Step:
        if self._settings.verbatim:
            return VerbatimStep(statements)
        varying, executor = self._parameters.varying, self._settings.executor
        trajectory = (self._task.table, self._trajectory.column)
        moving, processor = self._parameters.moving, None if self._device is None else Processor(self._device)
        together = Together(self._context, moving, trajectory, processor) if self._task.grows else None
        looks = looks_at.CurveQueries(*trajectory, lambda: self._curves.queries) if self._task.appends else None
        cluster = cluster_for(self._context, statements, self._chunks) if executor == "auto" else None
        arrays = None if executor == "relational" else ArrayExecutor(
            self._context, insist=executor == "dense", together=together,
            curves=looks if cluster is None else None, elsewhere=None if cluster is None else cluster.takes,
            datasets=self._datasets,
        )  # fmt: skip
        executors = [taker for taker in (arrays, cluster) if taker is not None]
        return PlannedStep(statements, writes=self._task.writes, varying=varying, executors=executors)

    @property
    def sql(self) -> str:
        """The statements of a step as plain SQL: a MINIMIZE written out, with what it runs once before."""
        if self._task.minimize is None:
            return ";\n\n".join(statement.text for statement in self._task.step) + ";"
        return written_out(self._task.setup, self._task.step)

    def explain(self) -> list[Explained]:
        """How each statement of the step runs; where the run has not begun, one step is made and taken back.

        Raises:
            SqlError: that step fails.
        """
        if self._began:
            return self._step.explain()
        found: list[Explained] = []
        with suppress(_InspectionOverError), self._context.store.transaction():
            self._run_setup()
            self._step.run(self._parameters.at(self._start))
            found = self._step.explain()  # of the tables as the setup has made them
            raise _InspectionOverError
        return found

    def _events(self) -> Iterator[Event]:
        try:
            self._keeping.begin(self.run.seed)
            notice = self._course.restart() if self._settings.restart else self._keeping.notice(self._start)
            self._set_up()
            self._making.values()
            shown = self._making.shown
            self.run.parameters = tuple(ParameterChange(self._start, name, value) for name, value in shown.items())
            self._watching.open(self._trajectory, self._start)
            yield self._started(notice)
            yield from self._steps()
            self._look_where_it_went()
            self._keeping.end()
        except (Exception, KeyboardInterrupt) as error:
            self._fail(error)
        yield self._end()
        if self._error is not None:
            raise self._error

    def _steps(self) -> Iterator[Event]:
        control, making, holdings = self.control, self._making, self._holdings
        while not self._over():
            if control.paused:
                yield from self._wait()
                continue
            for name, value in control.wishes().items():
                self._tune(name, value)
                yield Tuned(holdings.generation, name, value)
            with control.stepping():
                if not making.advance():
                    break
            yield Stepped(holdings.generation, holdings.steps, self._clock() - self._began)
            if self._watching.due:
                with control.stepping():
                    self._watching.refresh()
                yield self._refreshed()
        for _ in self._watching.catch_up():
            yield self._refreshed()

    def _wait(self) -> Iterator[Event]:
        """While it is paused there is time to show everything, and none of it is the run's."""
        with self._clock.held():
            while self.control.paused and self._making.verdict is None:
                nearer = self._watching.approach()
                yield self._refreshed() if nearer else Paused(self.run.generation, self.run.steps)

    # --- before the first step

    def _expand(self, statement: Statement) -> Expansion:
        """Write the statements of a MINIMIZE, for the values that the first step will have."""
        settings = self._settings
        values = Parameters(self._context, settings).at
        with held_by(self._context, self._chunks):
            return expand(self._context, statement, values, restart=settings.restart, datasets=self._datasets)

    def _fit(self, expansion: Expansion) -> Fit:
        """What the parameters are at the newest generation of the run, with their errors."""
        values, maximize = self._parameters.at(self.run.generation), expansion.minimize.maximize
        return fit(self._context, expansion.loss, expansion.table, values, maximize=maximize)

    def _run_setup(self) -> None:
        values = self._parameters.at(self._start)
        for statement in self._task.setup:
            self._context.prepare(statement).run(values)

    def _set_up(self) -> None:
        """Make the tables that a MINIMIZE keeps beside the parameters."""
        if self._task.setup:
            with self._context.store.transaction():
                self._run_setup()
                self._holdings.expect(tables_of(self._context.store, self._task.writes), self._start, 0)
            self._holdings.arrive()

    def _make_curves(self, version: Version) -> list[Curve]:
        place = self._trajectory.place(version)
        whole = not self._task.appends or any(c.column(place).null_count for c in version.chunks)
        first = self._trajectory.first(version)
        own: list[Curve] = [] if self._task.minimize is None else [
            LossCurve(
                self._context, self._task.minimize, self._trajectory, start=self._start, clock=self._clock,
                holding=self._chunks, foretold=self._losses,
            )
        ]  # fmt: skip
        return own + [
            Curve(
                self._context, statement, self._trajectory, first=self._start if first is None else first,
                start=self._start, varying=self._parameters.varying,
                changing=None if whole else self._task.writes - {self._task.table}, clock=self._clock,
                holding=self._chunks,
            )
            for statement in self._task.curves
        ]  # fmt: skip

    def _losses(self, values: Mapping[str, Any]) -> pa.Table | None:
        """The losses of the newest generation, which the next step would write down with its last statement."""
        last = len(self._task.step) - 1
        alone = self._task.minimize is not None and self._task.step == self._task.minimize.step
        # What other statements make of a table that the loss reads would be that of the next step.
        return self._step.foretold(last, values) if alone else None

    def _started(self, notice: str) -> Started:
        return Started(
            table=self._task.table, column=self._trajectory.column, generation=self._start,
            steps=self._settings.steps, parameters=self._making.shown, tunable=self._parameters.tunable,
            panels=self._curves.panels, newest=self._course.newest(), notice=notice,
            text=self._text,
        )  # fmt: skip

    # --- a step

    def _over(self) -> bool:
        making, steps, ending = self._making, self._holdings.steps, self.control.ending
        if ending is None and making.verdict is None and steps < self._settings.steps:
            return False
        if making.verdict is None and ending is not None:
            making.verdict = (ending, f"{ending} after {counted(steps)}")
        if making.verdict is None and steps >= self._settings.steps:
            making.verdict = ("done", f"done: {counted(steps)}")
        return making.verdict is not None

    def _tune(self, name: str, value: float) -> None:
        self._parameters.set(name, value)
        self.run.parameters += (ParameterChange(self.run.generation, name, value),)

    # --- the end

    def _look_where_it_went(self) -> None:
        diverged = self._making.verdict is not None and self._making.verdict[0] == "diverged"
        if self._task.minimize is not None and self.run.steps and not diverged:
            with held_by(self._context, self._chunks):
                at = self._parameters.at(self.run.generation)
                self._astray = misled(self._context, self._task.minimize, at)
            if self._astray:
                warn(self._task.table, self.run.generation, self._astray)

    def _fail(self, error: BaseException) -> None:
        """End the run by an error or a second interrupt; what diverged before it did is the better explanation."""
        self._holdings.settle()
        run, at = self.run, partial(self._parameters.at, self.run.generation)
        self._error = error = blamed(self._context, self._task.minimize, at, error)
        if isinstance(error, KeyboardInterrupt):
            self._making.verdict = self._making.verdict or ("interrupted", f"interrupted after {counted(run.steps)}")
        else:
            what = (str(error) or type(error).__name__).splitlines()[0]
            failed: tuple[Status, str] = ("failed", f"failed after {counted(run.steps)}: {what}")
            self._making.verdict = failed
            if isinstance(error, SqlError) and run.steps:
                stands = f"`{run.table}` stands at step {run.generation}."
                error.before = (*error.before, f"The run had made {counted(run.steps)}; {stands}")
            with suppress(Exception):
                deque(self._watching.catch_up(), maxlen=0)
            if self._making.verdict != failed:
                self._error = None
        if not run.steps and self._error is not None:
            self._course.take_restart_back(error)

    def _end(self) -> Ended:
        assert self._making.verdict is not None
        status, message = self._making.verdict
        if self._error is None:
            message += f"; `{self._task.table}` {self._where()}{'; ' * bool(self._astray)}{self._astray}"
        self.run.message = message
        self._close(status)
        error = self._error if isinstance(self._error, Exception) else None
        return Ended(
            status=status, message=message, generation=self.run.generation, steps=self.run.steps,
            seconds=self.run.seconds, parameters=self._making.shown, panels=self._curves.panels,
            newest=self._course.newest(), error=error,
        )  # fmt: skip

    def _where(self) -> str:
        """Where the trajectory stands, and what its curves say there."""
        if self._best is not None and self._best.generation == self.run.generation:
            return f"is left at its best, step {self.run.generation}, loss {short(self._best.loss)}"
        newest = "".join(f", {name}{':' * ('=' in name)} {short(v)}" for name, v in self._curves.newest().items())
        return f"stands at step {self.run.generation}{newest}"

    def _start_over(self) -> None:
        """Others have changed the tables."""
        self._curves.start_over()
        if self._best is not None:
            self._best.start_over()

    def _close(self, status: Status) -> None:
        try:
            self._keeping.end()
        except SqlError as error:  # the run has another end already; but nobody is to believe that all is on disk
            self.run.message += f"; {error.what}"
        self.run.status, self.run.seconds = status, self._seconds
        self.run.curves, self.run.panels = self._curves.tables, self._curves.panels
        self.run.close()

    # --- what is told

    @property
    def _seconds(self) -> float:
        return self._clock() - self._began

    def _refreshed(self) -> Refreshed:
        return Refreshed(
            generation=self.run.generation, step=self.run.steps, seconds=self._seconds,
            parameters=self._making.shown, panels=self._curves.panels, newest=self._course.newest(),
            upto=self._curves.upto,
        )  # fmt: skip
