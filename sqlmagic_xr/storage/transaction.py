"""What a statement or a transaction has changed and not committed yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..errors import UnknownNameError, suggest
from ..sql.syntax import Tree
from .chunk import Chunk
from .definition import Definition
from .scratch import Commit, Lineage, Version


@dataclass(eq=False)
class View:
    """A view: its query, planned anew when what it reads has changed.

    Attributes:
        name: as the engine folds it.
        query: the query's tree, with the view's column names already in it.
        text: the same as SQL.
        reads: the relations that it names.
        plan: what it read when it was planned last, and the plan; exchanged as a whole.
    """

    name: str
    query: Tree
    text: str
    reads: tuple[tuple[str, ...], ...]
    plan: tuple[list[Any] | None, Any] = field(default=(None, None), repr=False)


Entry = Version | View
Entries = Mapping[str, Entry]


LOST = (
    "Scratch tables live in memory, and a restart of the kernel loses them: run the cells again that make them. "
    "%xsql --open FILE.duckdb keeps them."
)
"""What to do where there is no scratch table at all."""


def no_table(name: str, entries: Entries) -> UnknownNameError:
    """The error for a scratch table that is not there."""
    tables = [n for n, entry in entries.items() if isinstance(entry, Version)]
    return UnknownNameError(f"there is no scratch table `{name}`", hint=suggest(name, tables) or LOST)


class Uncommitted(NamedTuple):
    """What was done to one table since the last commit."""

    statements: tuple[str, ...] = ()
    added: int = 0
    removed: int = 0


class Work:
    """The tables and views as a statement makes them: a copy that nobody else sees until it is committed.

    Attributes:
        renamed: whether a table may have another name than it had.
    """

    __slots__ = ("changes", "entries", "renamed", "statement")

    def __init__(self, entries: Entries, changes: Mapping[str, Uncommitted] | None = None, statement: str = "") -> None:
        self.entries: dict[str, Entry] = dict(entries)
        self.changes: dict[str, Uncommitted] = dict(changes or {})
        self.statement = statement
        self.renamed = False

    def table(self, name: str) -> Version:
        """The table of that name.

        Raises:
            UnknownNameError: there is none.
        """
        found = self.entries.get(name)
        if not isinstance(found, Version):
            raise no_table(name, self.entries)
        return found

    def create(self, name: str, definition: Definition, *, replacing: Version | None = None) -> Version:
        """A new, empty table, or the empty successor of one that is replaced."""
        lineage = replacing.lineage if replacing is not None else Lineage()
        version = Version(name, 0, definition, (), 0, lineage, Commit(0, self.statement, 0, 0, 0.0), None)
        self.put(name, version, 0, replacing.rows if replacing is not None else 0)
        return version

    def put(self, name: str, version: Version, added: int, removed: int) -> None:
        """Let ``name`` be this version, of which so many rows are new and so many of the old are gone."""
        before = self.changes.get(name, Uncommitted())
        statements = before.statements
        if not statements or statements[-1] != self.statement:
            statements = (*statements, self.statement)
        self.changes[name] = Uncommitted(statements, before.added + added, before.removed + removed)
        self.entries[name] = version

    def fill(self, name: str, version: Version) -> Version:
        """Let a table that was just created have rows that were there before it."""
        self.entries[name] = version
        return version

    def append(self, name: str, rows: Chunk) -> int:
        """Add rows that satisfy the constraints; returns how many."""
        self.put(name, self.table(name).appended(rows), rows.rows, 0)
        return rows.rows

    def rename(self, old: str, new: str) -> None:
        """Give a table another name; its past goes with it."""
        self.renamed = True
        version = replace(self.table(old), name=new)
        change = self.changes.pop(old, Uncommitted())
        del self.entries[old]
        self.changes[new] = change
        self.put(new, version, 0, 0)

    def view(self, view: View) -> None:
        """Create or replace a view."""
        self.entries[view.name] = view

    def drop(self, name: str) -> None:
        """Let a table or view be no more."""
        self.entries.pop(name)
        self.changes.pop(name, None)

    def copy(self, statement: str) -> Work:
        """What the next statement works on."""
        work = Work(self.entries, self.changes, statement)
        work.renamed = self.renamed
        return work


_NOTHING_YET = Work({})


class Transaction:
    """An open transaction: BEGIN to COMMIT or ROLLBACK.

    Attributes:
        owner: the thread that began it; only its statements belong to it, and other writers wait for it.
        work: what its statements have made so far; replaced as a whole by each statement that succeeds.
        failed: a statement has failed; only ROLLBACK is accepted.
        savepoints: name -> work at that moment, in order.
    """

    __slots__ = ("failed", "owner", "savepoints", "work")

    def __init__(self) -> None:
        self.owner = threading.current_thread()
        self.work = _NOTHING_YET
        self.failed = False
        self.savepoints: dict[str, Work] = {}


class Stated:
    """One statement of an open transaction: a context manager that keeps its work, or marks the transaction as failed.

    Args:
        transaction: the caller's own, so that nobody else writes.
        statement: what the history shall say.
        check: raises where the transaction has failed before.
    """

    __slots__ = ("_check", "_statement", "_transaction", "_work")

    def __init__(self, transaction: Transaction, statement: str, check: Callable[[], None]) -> None:
        self._transaction, self._statement, self._check = transaction, statement, check

    def __enter__(self) -> Work:
        self._check()
        self._work = self._transaction.work.copy(self._statement)
        return self._work

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._transaction.work = self._work
        else:
            self._transaction.failed = True


class StoreState(NamedTuple):
    """All that the store's threads share; exchanged as a whole, so that a commit is one assignment."""

    entries: Entries
    transaction: Transaction | None = None
