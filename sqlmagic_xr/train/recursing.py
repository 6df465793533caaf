"""A recursive query as a run that is watched: the rows of the rounds so far feed its SELECT, which is the curve."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import pyarrow as pa

from ..engine.recursion.frame import RecursiveFrame
from ..engine.recursion.views import RECURSIVE
from ..errors import SqlError, UsageError
from ..sql.syntax import Statement, split
from .control import Control
from .curves.pace import Stopwatch
from .curves.rounds import RoundsCurve
from .events import Ended, Event, Newest, Panel, Paused, Refreshed, Started, Status, Stepped
from .explain import Explained
from .settings import Settings

if TYPE_CHECKING:
    from ..engine.context import Context

_SHOWN = 20  # rows of a round that are looked at by a person
_OURS = frozenset({"steps", "params", "every", "each_step", "device", "precision", "keep_every"})
"""The settings of a training run that a recursive query has as well, or that say nothing of it."""


def recursive_query(script: str) -> Statement | None:
    """The statement of a cell that is one recursive query, and nothing else; None for any other cell."""
    if not RECURSIVE.search(script):
        return None
    statements = split(script)
    alone = len(statements) == 1 and statements[0].kind == "Query" and not statements[0].has_effects
    return statements[0] if alone else None


@dataclass
class RecursiveRun:
    """What became of a recursive query that was watched.

    Attributes:
        status: "running", or how it ended: "done", "stopped", "interrupted", "failed".
        message: the end in one line.
        seconds: how long it took, pauses apart.
        steps: how many rounds it has gone through.
        curve: the rows of the query, over those of all these rounds.
    """

    status: Status = "running"
    message: str = ""
    seconds: float = 0.0
    steps: int = 0
    curve: pa.Table | None = None

    def __repr__(self) -> str:
        return f"RecursiveRun({self.message or f'running: {self.steps} rounds so far'})"


class Recursing:
    """A recursive query as an iterable of events, like :class:`.loop.Training`; iterating it is what runs it, once.

    Nothing is written anywhere. Where it is stopped, the query is answered over the rounds so far.

    Args:
        context: where it runs.
        statement: the query.
        settings: what is asked.
        most: how many rounds it goes through at most; None for all.
        control: stop, pause; one of its own where none is given.

    Attributes:
        run: how far it has come.
        control: that one.

    Raises:
        SqlError: the query cannot be planned, or the settings are none of a query's.
    """

    def __init__(
        self, context: Context, statement: Statement, settings: Settings, most: int | None, control: Control | None
    ) -> None:
        _refuse_others(settings)
        self._context, self._statement, self._settings, self._most = context, statement, settings, most
        self._clock, self._began = Stopwatch(), 0.0
        self._prepared = context.prepare(statement)
        result = self._prepared.run(dict(settings.params))
        if not isinstance(result.frame, RecursiveFrame):
            raise statement.place(UsageError("this query has no recursion that is worked out"), statement.first_word)
        self.sql = result.sql
        self._settling, self._progress = result.frame.settling, result.frame.progress
        self._curve = RoundsCurve(context, statement, self._settling.tree, self._settling, self._clock)
        self._panels: tuple[Panel, ...] = ()
        self._looked = 0
        self._verdict: tuple[Status, str] | None = None
        self._error: BaseException | None = None
        self.control = Control() if control is None else control
        self.run = RecursiveRun()

    def __iter__(self) -> Generator[Event]:
        if self._began:
            raise UsageError("a run can be gone through once", hint="Run the cell again.")
        self._began = self._clock()
        try:
            yield from self._events()
        finally:
            if self.run.status == "running":  # whoever iterated has broken off
                self._close("stopped")

    def explain(self) -> list[Explained]:
        """How it runs: its plan, in which each recursion is a relation."""
        return [Explained(self._statement.text, "a recursive query", (), self.sql)]

    def _events(self) -> Iterator[Event]:
        try:
            yield from self._rounds()
            if self._verdict is None:
                self._verdict = "done", f"done: {self._said}"
            self._look()
        except (Exception, KeyboardInterrupt) as error:
            self._fail(error)
        yield self._end()
        if self._error is not None:
            raise self._error

    def _rounds(self) -> Iterator[Event]:
        going = self._settling.rounds(self._most)
        started = False
        while self._advance(going):
            if not started:
                started = self._look()
                if started:
                    yield Started(
                        table=self._progress.name, column="round", generation=0, steps=self._most, parameters={},
                        tunable={}, panels=self._panels, newest=self._newest,
                    )  # fmt: skip
                continue
            yield Stepped(self.run.steps, self.run.steps, self._seconds, self._progress.rows)
            if self._is_due():
                with self.control.stepping():
                    self._look()
                yield Refreshed(
                    generation=self.run.steps, step=self.run.steps, seconds=self._seconds, parameters={},
                    panels=self._panels, newest=self._newest, rows=self._progress.rows,
                )  # fmt: skip
            yield from self._wait()
            if self.control.ending is not None:
                self._verdict = self.control.ending, f"{self.control.ending} after {self._said}"
                return

    def _advance(self, going: Iterator[None]) -> bool:
        """Go through a round, or as many as are one call; whether there was one."""
        with self.control.stepping():
            there = next(going, self) is not self
        self.run.steps = self._progress.rounds
        return there

    def _wait(self) -> Iterator[Event]:
        with self._clock.held():
            while self.control.paused:
                yield Paused(self.run.steps, self.run.steps)

    # --- the curve

    def _is_due(self) -> bool:
        every = self._settings.every
        if every is not None:
            return self.run.steps // every > self._looked // every
        return self._curve.due

    def _look(self) -> bool:
        """Answer the query over the rows so far; whether there are any."""
        if not self._curve.refresh({}, self.run.steps):
            return False
        self.run.curve, self._looked = self._curve.table, self.run.steps
        self._panels = (self._curve.panel,)
        return True

    @property
    def _newest(self) -> Newest:
        rows = self._settling.newest
        shown = rows.slice(0, _SHOWN).to_pylist()
        return Newest(tuple(rows.column_names), tuple(tuple(row.values()) for row in shown), rows.num_rows)

    # --- the end

    def _fail(self, error: BaseException) -> None:
        self._error = error
        if isinstance(error, KeyboardInterrupt):
            self._verdict = "interrupted", f"interrupted after {self._said}, within a round that is abandoned"
            with suppress(Exception):
                self._look()
            return
        if not isinstance(error, SqlError):
            self._error = self._prepared.explain_error(error) if isinstance(error, Exception) else error
        what = (str(self._error) or type(error).__name__).splitlines()[0]
        self._verdict = "failed", f"failed after {self._said}: {what}"

    def _end(self) -> Ended:
        assert self._verdict is not None
        status, message = self._verdict
        newest = {name: value for panel in self._panels for name, value in panel.newest().items()}
        if self._error is None:
            message += "".join(f", {name} {value:.5g}" for name, value in newest.items())
        self.run.message = message
        self._close(status)
        error = self._error if isinstance(self._error, Exception) else None
        return Ended(
            status=status, message=message, generation=self.run.steps, steps=self.run.steps, seconds=self.run.seconds,
            parameters={}, panels=self._panels, newest=Newest() if status == "failed" else self._newest, error=error,
        )  # fmt: skip

    def _close(self, status: Status) -> None:
        self.run.status, self.run.seconds = status, self._seconds

    @property
    def _said(self) -> str:
        numbers = (self.run.steps, "round"), (self._progress.rows, "row")
        return ", ".join(f"{number:,} {what}{'' if number == 1 else 's'}" for number, what in numbers)

    @property
    def _seconds(self) -> float:
        return self._clock() - self._began


def _refuse_others(settings: Settings) -> None:
    """Refuse what only a training run can be asked for."""
    usual = Settings()
    for each in fields(Settings):
        if each.name not in _OURS and getattr(settings, each.name) != getattr(usual, each.name):
            hint = "It ends where its own condition says so: WHERE step < 2000. It takes --steps, --param and --every."
            raise UsageError(f"{each.name} is for training cells, and this one is a recursive query", hint=hint)
