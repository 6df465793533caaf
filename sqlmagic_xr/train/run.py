"""What a training run was: how it ended, its curves and parameters, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..engine.scratch import Version
from ..errors import UsageError
from .events import Status
from .parameters import Change

if TYPE_CHECKING:
    import pyarrow as pa

    from ..engine.store import ScratchStore


class Run:
    """A training run, while it goes on and afterwards.

    Attributes:
        table: the trajectory's name.
        status: "running", or how it ended: "done", "stopped", "interrupted", "until", "patience", "diverged", "failed".
        message: the end in one line.
        generation: the trajectory's newest step.
        steps: how many generations the run has added.
        seconds: how long it took, pauses apart.
        parameters: the values at the start, and every change by hand, in order.
        schedule: parameters that followed an expression: name -> SQL.
        seed: what ``:random`` was drawn from.
        curves: the rows of each curve, as Arrow tables.
        versions_before, versions_after: table -> version, for each table that a step changes; one that did not exist
            before the run is not among the former.
        before: the tables as they were.
    """

    def __init__(self, store: ScratchStore, table: str, writes: Iterable[str]) -> None:
        self.table = table
        self.status: Status = "running"
        self.message = ""
        self.generation = 0
        self.steps = 0
        self.seconds = 0.0
        self.parameters: tuple[Change, ...] = ()
        self.schedule: Mapping[str, str] = {}
        self.seed = 0
        self.curves: tuple[pa.Table, ...] = ()
        self._store = store
        self._writes = sorted(writes)
        # The versions themselves, not their numbers: the store may forget old ones, and they share what is unchanged.
        self.before = tables_of(store, self._writes)
        self.versions_before = _numbers(self.before)
        self.versions_after: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Run({self.message or f'running: {self.steps} steps so far'})"

    @property
    def curve(self) -> pa.Table | None:
        """The rows of the first curve; None where there is none."""
        return self.curves[0] if self.curves else None

    def rollback(self) -> None:
        """Put every table back to what it was before the run.

        Raises:
            UsageError: the run has not ended, or a table has been changed since, which this would undo as well.
        """
        if self.status == "running":
            raise UsageError("the run has not ended", hint="Stop it first.")
        now = _numbers(tables_of(self._store, self._writes))
        for name, version in self.versions_after.items():
            if now.get(name) != version:
                raise UsageError(
                    f"`{name}` has changed since the run, which left it at version {version}",
                    hint="A rollback would undo that too. ctx.scratch(name).history() tells what was done.",
                )
        restore(self._store, self._writes, self.before, "rollback of a training run")
        self.versions_after = _numbers(tables_of(self._store, self._writes))

    def close(self) -> None:
        """Note how the tables stand; called once, when the run ends."""
        self.versions_after = _numbers(tables_of(self._store, self._writes))


def tables_of(store: ScratchStore, names: Iterable[str]) -> dict[str, Version]:
    """The newest versions of those of the tables that exist."""
    entries = store.entries()
    return {name: entry for name in names if isinstance(entry := entries.get(name), Version)}


def restore(store: ScratchStore, names: Iterable[str], to: Mapping[str, Version], statement: str) -> None:
    """Put tables back to what they were, in one commit; one that was not there is dropped."""
    with store.writing(statement) as work:
        for name in names:
            if name not in work.entries:
                continue
            now, old = work.table(name), to.get(name)
            if old is None:
                work.drop(name)
            elif old.chunks != now.chunks or old.definition != now.definition:
                work.put(name, now.replaced(old.definition, old.chunks), old.rows, now.rows)


def _numbers(tables: Mapping[str, Any]) -> dict[str, int]:
    return {name: version.number for name, version in tables.items()}
