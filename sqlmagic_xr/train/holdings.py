"""The tables of a run as it has left them: what is its own to take back, and what others have changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..storage.scratch import Version

if TYPE_CHECKING:
    from ..storage.store import ScratchStore
    from ..storage.transaction import Work

Tables = Mapping[str, Version]


class Holdings:
    """The tables that a run's steps change.

    A commit of the run is announced before it is made (:meth:`expect`) and counted when it has been (:meth:`arrive`),
    so that an interrupt between any two lines leaves it known whether the commit has become true (:meth:`settle`).

    Args:
        store: where they are.
        names: the tables.
        table: the trajectory among them.

    Attributes:
        before: the tables as they were when the run began.
        disturbed: those that others have changed while the run went on.
        generation: the trajectory's newest step, as far as the run has made it.
        steps: how many generations the run has added.
    """

    def __init__(self, store: ScratchStore, names: Iterable[str], table: str) -> None:
        self.store, self.names, self._table = store, tuple(sorted(names)), table
        self.before: Tables = {}
        self.disturbed: frozenset[str] = frozenset()
        self.generation = self.steps = 0
        self._left: Tables = {}
        self._expected: tuple[Tables, int, int] | None = None

    def begin(self) -> None:
        """Note how the tables stand before the run's first change."""
        self.before = self._left = tables_of(self.store, self.names)

    def look(self) -> Tables:
        """The tables as they are now; what others have changed since the run's last commit is noted."""
        entries, left, now = self.store.entries(), self._left, dict[str, Version]()
        for name in self.names:
            entry = entries.get(name)
            if isinstance(entry, Version):
                now[name] = entry
            if not _same(now.get(name), left.get(name)):
                self.disturbed |= {name}
                self._left = now
        return now

    def foreign(self) -> list[str]:
        """The tables that are not as the run's last commit left them."""
        now = tables_of(self.store, self.names)
        return [name for name in self.names if not _same(now.get(name), self._left.get(name))]

    def expect(self, tables: Tables, generation: int, steps: int) -> None:
        """Announce a commit after which the tables, the newest generation and the count of steps are these."""
        self._expected = (tables, generation, steps)

    def arrive(self) -> None:
        """The commit that was announced has been made."""
        if self._expected is not None:
            self._left, self.generation, self.steps = self._expected
            self._expected = None

    def settle(self) -> None:
        """Count the commit that was announced if it has become true; else forget it."""
        if self._expected is not None and self._stands(self._expected[0].get(self._table)):
            self.arrive()
        self._expected = None

    def put_back(self, to: Tables, statement: str, generation: int, steps: int) -> bool:
        """Put the tables back to what they were, in one commit, where they are as the run has left them.

        Args:
            to: the tables as they were; one that is not among them is dropped.
            statement: what the history shall say.
            generation, steps: where the run stands then.

        Returns:
            Whether it was done; nothing is where others have changed a table since.
        """
        with self.store.writing(statement) as work:
            if self.foreign():
                return False
            restore(work, self.names, to)
            self.expect(tables_among(work.entries, self.names), generation, steps)
        self.arrive()
        return True

    def numbers(self) -> dict[str, int]:
        """Table -> the version that the run left; without those that are gone, or no longer known by number."""
        found = {}
        now = tables_of(self.store, self.names)
        for name, left in self._left.items():
            current = now.get(name)
            past = () if current is None else (current, *reversed(current.lineage.past(current.number).values()))
            numbers = [version.number for version in past if _same(version, left)]
            if numbers:
                found[name] = numbers[0]
        return found

    def _stands(self, version: Version | None) -> bool:
        """Whether a version is the table's newest, or one before it."""
        now = self.store.entries().get(self._table)
        if version is None or not isinstance(now, Version) or _same(version, self._left.get(self._table)):
            return False
        return _same(now, version) or any(_same(old, version) for old in now.lineage.past(now.number).values())


def tables_of(store: ScratchStore, names: Iterable[str]) -> dict[str, Version]:
    """The newest versions of those of the tables that exist."""
    entries = store.entries()
    return {name: entry for name in names if isinstance(entry := entries.get(name), Version)}


def tables_among(entries: Mapping[str, object], names: Iterable[str]) -> dict[str, Version]:
    """Those of the names that are scratch tables."""
    return {name: entry for name in names if isinstance(entry := entries.get(name), Version)}


def restore(work: Work, names: Iterable[str], to: Tables) -> None:
    """Let tables be what they were; one that was not there is dropped."""
    for name in names:
        if name not in work.entries:
            continue
        now, old = work.table(name), to.get(name)
        if old is None:
            work.drop(name)
        elif old.chunks != now.chunks or old.definition != now.definition:
            work.put(name, now.replaced(old.definition, old.chunks), old.rows, now.rows)


def _same(a: Version | None, b: Version | None) -> bool:
    """Whether two versions hold the same rows of one table, which a commit leaves as they are."""
    if a is None or b is None:
        return a is b
    return a is b or (a.chunks is b.chunks and a.definition is b.definition and a.lineage is b.lineage)
