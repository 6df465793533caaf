"""Where a run stands on its trajectory: what it may step from, and what of its steps it may take back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import SqlError, UsageError
from ..storage.scratch import Version
from .claims import Claim, claim, release
from .events import Newest
from .holdings import Holdings, Tables, tables_among, tables_of
from .task import Task
from .trajectory import Trajectory, begin_at
from .undo import CommittedStep, Undo

if TYPE_CHECKING:
    from ..storage.store import ScratchStore


class Course:
    """The way of one run along its trajectory, on which others may write as well.

    Args:
        store: where the tables are.
        task: what a step does.
        trajectory: the table that it adds generations to.
        holdings: the tables as the run has left them.
        start: the generation from which it steps.
        restart: whether the later ones are dropped first.
        driven: see :class:`.claims.Claim`.
        changed: is called when others have changed the tables.

    Attributes:
        undo: the steps that can still be taken back.
    """

    def __init__(
        self, store: ScratchStore, task: Task, trajectory: Trajectory, holdings: Holdings, *, start: int,
        restart: bool, driven: Callable[[], bool], changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._store, self._task, self._trajectory, self._holdings = store, task, trajectory, holdings
        self._start, self._restart, self._driven, self._changed = start, restart, driven, changed
        self.undo = Undo()
        self._claim: Claim | None = None
        self._noticed: Tables = {}

    def begin(self) -> None:
        """Claim the tables; time may have passed since the run was made.

        Raises:
            UsageError: another run goes on that changes one of them, or the trajectory stands elsewhere by now.
        """
        self._claim = claim(self._store, self._task.writes, self._driven)
        version = self._standing(tables_of(self._store, self._task.writes))
        start = begin_at(self._task, self._trajectory, version, restart=self._restart)
        if start != self._start:
            raise self._elsewhere(start, self._start)

    def end(self) -> None:
        """Give the tables free."""
        if self._claim is not None:
            release(self._store, self._claim)

    def restart(self) -> str:
        """Drop all generations but the first; returns what was dropped, for a person; "" for nothing."""
        dropped: dict[str, int] = {}
        with self._store.writing("a training run restarts") as work:
            for trajectory in self._trajectories():
                version = work.table(trajectory.table)
                gone = trajectory.behind(version, self._start)
                if len(gone):
                    work.put(trajectory.table, version.without(gone), 0, len(gone))
                    dropped[trajectory.table] = len(gone)
            if not dropped:
                return ""
            self._holdings.expect(tables_among(work.entries, self._task.writes), self._start, 0)
        self._holdings.arrive()
        rows = " and ".join(f"{n:,} row{'' if n == 1 else 's'} of `{table}`" for table, n in dropped.items())
        are = "is" if sum(dropped.values()) == 1 else "are"
        return f"restart: {rows} behind {self._trajectory.column} = {self._start} {are} dropped"

    def _trajectories(self) -> list[Trajectory]:
        """The tables that begin again together: those that a MINIMIZE optimizes, or the one that grows."""
        if self._task.minimize is None:
            return [self._trajectory]
        return [Trajectory(table.name, table.step) for table in self._task.minimize.tables]

    def take_restart_back(self, error: BaseException) -> None:
        """Put back what the run itself has done before its first step, which has failed."""
        holdings, table = self._holdings, self._task.table
        before, now = holdings.before, tables_of(self._store, self._task.writes)
        same = now.keys() == before.keys() and all(now[name].chunks is before[name].chunks for name in now)
        if not (self._restart or self._task.setup) or table not in before or same:
            return
        what = "a run without a step is taken back"
        done = not holdings.disturbed and holdings.put_back(holdings.before, what, self._start, 0)
        if not done and isinstance(error, SqlError):
            kept = f"Others have changed `{table}` since the restart: the generations that it dropped are not put back."
            error.before = (*error.before, kept) if self._restart else error.before

    def look(self) -> Tables:
        """The tables before a step.

        Raises:
            UsageError: the trajectory is gone, or stands elsewhere than where the run has left it, or another run has
                taken over.
            UnknownNameError: its step column is gone.
        """
        if self._claim is not None and self._claim.lost:
            raise UsageError(
                f"another run on `{self._task.table}` has begun since this one was last asked to go on",
                hint="Run the cell again: it continues.",
            )
        holdings = self._holdings
        before, tables = holdings.disturbed, holdings.look()
        if holdings.disturbed is not before:
            self.undo.bar()
            self._changed()
            newest = self._trajectory.newest(self._standing(tables))
            if newest != holdings.generation:
                raise self._elsewhere(newest, holdings.generation)
        return tables

    def notice(self) -> None:
        """See whether others have changed the tables, without a step to be made."""
        names = self._holdings.foreign()
        now = tables_of(self._store, names)
        if names and now != self._noticed:
            self._noticed = now
            self._changed()

    def take_back(self, generation: int) -> CommittedStep | None:
        """Take back the step that made a generation, and those behind it; None where others have written on them."""
        undone = self.undo.take_back(generation)
        if undone is None:
            return None
        first, count = undone
        what, steps = "a diverged step is taken back", self._holdings.steps - count
        return first if self._holdings.put_back(first.before, what, first.generation, steps) else None

    def newest(self) -> Newest:
        """The rows of the newest generation, for the eye; none where the table is no longer there."""
        version = tables_of(self._store, [self._task.table]).get(self._task.table)
        if version is None or self._trajectory.column not in version.definition.names:
            return Newest()
        return self._trajectory.generation(version, self._holdings.generation)

    def _standing(self, tables: Tables) -> Version:
        version, table = tables.get(self._task.table), self._task.table
        if version is None:
            raise UsageError(f"`{table}` is gone: something else has dropped or renamed it")
        return version

    def _elsewhere(self, newest: int | None, generation: int) -> UsageError:
        where = "has no rows" if newest is None else f"stands at {self._trajectory.column} = {newest}"
        return UsageError(
            f"`{self._task.table}` {where} and the run at {generation}: something else has changed its generations",
            hint="Run the cell again: it steps from the newest one.",
        )
