"""What of a store's tables is kept on disk: in a DuckDB file, and in Zarr stores that grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SqlError, UsageError
from .rows import more
from .scratch import Version
from .transaction import Entries, Entry

if TYPE_CHECKING:
    from .grown import Grown
    from .keeper import Keeper


class Durability:
    """The disk behind a store's tables.

    Args:
        newest: gives the tables as the last commit left them.

    Attributes:
        keeper: keeps all tables in a DuckDB file; None where none is open.
        grows: whether there was ever a table whose rows a Zarr store keeps.
    """

    def __init__(self, newest: Callable[[], Entries]) -> None:
        self._newest = newest
        self.keeper: Keeper | None = None
        self.grows = False
        self._pause: float | None = None  # seconds between two writings of a Zarr store, while a run is going on

    @property
    def used(self) -> bool:
        """Whether anything is kept on disk."""
        return self.keeper is not None or self.grows

    def open(self, path: str | Path, present: Entries) -> tuple[list[str], Entries]:
        """See :meth:`.store.ScratchStore.open`; returns the names that are in the file, and all tables then."""
        from .keeper import Keeper  # imported at its first use: who keeps nothing does not pay for it

        if self.keeper is not None:
            raise UsageError(f"{self.keeper.path.name} is open", hint="Close it first: %xsql --close")
        keeper = Keeper(path, self._newest)
        try:
            found = keeper.entries()
            both = sorted(found.keys() & present.keys())
            if both:
                raise UsageError(
                    f"`{both[0]}` is in {keeper.path.name} and in memory{more(len(both) - 1)}",
                    hint=f"DROP or rename the one in memory: ALTER TABLE {both[0]} RENAME TO {both[0]}_now",
                )
            entries = {**found, **present}
            keeper.commit(entries)
        except BaseException:
            keeper.close()  # without a word written: what is in it is its own
            raise
        self.keeper = keeper
        return list(found), entries

    def save(self, path: str | Path, present: Entries) -> None:
        """See :meth:`.store.ScratchStore.save`."""
        from .keeper import save

        save(path, present)

    def close(self, present: Entries, *, anyway: bool) -> tuple[list[str], Entries]:
        """See :meth:`.store.ScratchStore.close`; returns the names that go, and the tables that stay."""
        if self.keeper is None:
            raise UsageError("no file is open", hint="%xsql --open trajectory.duckdb opens one.")
        try:
            self.keeper.flush()
        except SqlError:
            if not anyway:
                raise
        self.keeper.close()
        self.keeper = None
        others = {version.name: version for version, _ in self._grown(present, present)}
        return [name for name in present if name not in others], others

    def commit(self, before: Entries, after: Entries, changed: Iterable[str]) -> None:
        """Before a commit becomes true: have it on disk, or see that it can be.

        Args:
            before, after: all tables.
            changed: the names of those that are not the same.

        Raises:
            StorageError: it cannot be written; then it is not to become true.
            ConstraintError, ImmutableError: rows that a Zarr store does not take.
        """
        grown = self._grown(after, changed)
        known = {id(keeps): version for version, keeps in self._grown(before, before)}  # whatever its name was
        for version, keeps in grown:
            keeps.look(version, known.get(id(keeps)))
        if self.keeper is not None:
            self.keeper.commit(after)
        for version, keeps in grown:
            keeps.write(version, self._pause)
        if self.grows:
            stay = {id(keeps) for _, keeps in self._grown(after, after)}
            for _, keeps in self._grown(before, before):
                if id(keeps) not in stay:
                    keeps.store.release()

    def settle(self, present: Entries) -> None:
        """Return when all that is committed is on disk.

        Raises:
            StorageError: it cannot be written.
        """
        if self.keeper is not None:
            self.keeper.flush()
        for version, keeps in self._grown(present, present):
            keeps.write(version, None)

    # Runs

    def unfinished(self, trajectory: str) -> Mapping[str, Any] | None:
        """What is noted of a run over a table that was going on when its process died."""
        return None if self.keeper is None else self.keeper.unfinished(trajectory)

    def begin(self, trajectory: str, record: Mapping[str, Any], every: float | None) -> None:
        """A run begins: until its end commits go to disk later, so many seconds apart; None for when it is settled.

        Raises:
            StorageError: the file cannot be written.
        """
        if self.keeper is not None:
            self.keeper.begin(trajectory, record, every)
        self._pause = float("inf") if every is None else every

    def end(self, trajectory: str) -> None:
        """A run has ended; all that is committed is on disk when this returns.

        Raises:
            StorageError: it cannot be written.
        """
        self._pause = None
        if self.keeper is not None:
            self.keeper.end(trajectory)
        if self.grows:
            self.settle(self._newest())

    def nudge(self) -> None:
        """Have what is committed written soon."""
        if self.keeper is not None:
            self.keeper.nudge()
        if self.grows:
            self.settle(self._newest())

    def _grown(self, entries: Mapping[str, Entry], names: Iterable[str]) -> list[tuple[Version, Grown]]:
        """Those of the tables whose rows a Zarr store keeps, and what does it."""
        if not self.grows:
            return []
        found = [entry for name in names if isinstance(entry := entries.get(name), Version)]
        return [(version, version.definition.grown) for version in found if version.definition.grown is not None]
