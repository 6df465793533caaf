"""Keeping the scratch tables in a file: a thread of its own writes what has changed, and lets rows leave memory.

What is written is a whole state of all tables, as a commit left it; of a table that only grew, the rows behind those
that the file has. So the file goes from one state that was true to a later one, however many commits lie between.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import SqlError, StorageError
from .chunk import SETTLED, Chunk
from .database import Database, Record
from .described import definition_of, view_of
from .kept import KeptTable, Plan, RowsPlace, ends, planned
from .scratch import Commit, Lineage, Version
from .transaction import Entries, View

BUDGET = 256 * 2**20
"""Bytes of rows that the file has and memory keeps too; beyond them, the longest settled leave memory."""

PENDING = 256 * 2**20
"""Bytes of rows that the file has not yet, at which a run waits for it."""

TICK = 0.1
"""Seconds between two looks at how much there is to write."""


@dataclass(eq=False)
class _Wish:
    """Somebody waits for tables to be on disk.

    Attributes:
        entries: which; None for the newest that are committed.
        done: set when they are, or cannot be.
        failure: why not.
    """

    entries: Entries | None
    done: threading.Event = field(default_factory=threading.Event)
    failure: SqlError | None = None


class Keeper:
    """Keeps the committed tables of a store in a file.

    Args:
        path: the file; it is made where there is none.
        newest: gives the tables as the last commit left them.

    Attributes:
        path: the file.
        failure: why the file does not have what it should; None where all is well.
    """

    def __init__(self, path: str | Path, newest: Callable[[], Entries]) -> None:
        self._database = database = Database(path)
        self._newest = newest
        self.path = database.path
        self.failure: SqlError | None = None
        self._tables: dict[str, KeptTable] = {}
        self._views: dict[str, View] = {}
        self._runs: dict[str, str] = database.runs()
        self._noted = self._runs
        self.budget = BUDGET
        self._serial = database.serial
        self._unsure: tuple[int, Plan] | None = None
        self._homed: weakref.WeakSet[Chunk] = weakref.WeakSet()
        self._wake = threading.Condition()
        self._wishes: list[_Wish] = []
        self._every: float | None = None
        self._runs_open, self._full = 0, False
        self._written_at = time.monotonic()
        self._closed = False
        self._thread = threading.Thread(
            target=_work, args=(weakref.ref(self), self._wake, self._wishes), daemon=True, name="keeper"
        )
        self._thread.start()

    # What the file has

    def entries(self) -> dict[str, Version | View]:
        """The tables and views of the file, whose rows are read when somebody reads them."""
        found: dict[str, Version | View] = {}
        for record in self._database.records():
            found[record.name] = self._version(record)
        for name, text in self._database.views().items():
            found[name] = self._views[name] = view_of(text, name)
        return found

    def _version(self, record: Record) -> Version:
        definition = definition_of(record.definition, record.name)
        rows = self._database.settle(record.kept_as)
        commit = Commit(record.version, record.statement, 0, 0, record.when)
        sizes = [min(2 * SETTLED, rows - start) for start in range(0, rows, 2 * SETTLED)]
        width = sum(_width(f.type) for f in definition.schema)
        chunks = tuple(Chunk((), size, nbytes=size * width) for size in sizes)
        version = Version(record.name, record.version, definition, chunks, rows, Lineage(), commit)
        kept = self._tables[record.name] = KeptTable(record.kept_as, version, record.definition)
        self._house(kept, version, every=True)
        return version

    def pending(self, name: str, version: Version) -> int:
        """How many rows of a table the file has not yet."""
        kept = self._tables.get(name)
        if kept is not None and kept.version.chunks == version.chunks:
            return 0
        if kept is None or kept.version.origin is not version.origin:
            return version.rows
        return max(version.rows - kept.version.rows, 0)

    def unfinished(self, trajectory: str) -> Mapping[str, Any] | None:
        """What is noted of a run over a table that was going on when its process died."""
        text = self._runs.get(trajectory)
        return None if text is None else json.loads(text)

    # When it is written

    def commit(self, entries: Entries) -> None:
        """Before a commit becomes true: it is on disk when this returns; while a run is going on, it will be.

        Raises:
            StorageError: the file cannot be written; then nothing is to become true.
        """
        if not self._runs_open:
            self._ask(entries)
        elif self.failure is not None:
            raise self.failure
        elif self._full:
            self._ask(None)

    def flush(self) -> None:
        """Return when the file has all that is committed.

        Raises:
            StorageError: it cannot be written.
        """
        self._ask(None)

    def begin(self, trajectory: str, record: Mapping[str, Any], every: float | None) -> None:
        """A run begins: until its end commits go to disk in the background.

        Args:
            trajectory: its table.
            record: what :meth:`unfinished` gives, should the process die before the end.
            every: so many seconds apart; None for when :meth:`nudge` says so.

        Raises:
            StorageError: the file cannot be written.
        """
        self._note(trajectory, json.dumps(record))
        self._every, self._runs_open = every, self._runs_open + 1

    def end(self, trajectory: str) -> None:
        """A run has ended; all that is committed is on disk when this returns.

        Raises:
            StorageError: it cannot be written.
        """
        self._runs_open -= 1
        self._note(trajectory, None)

    def nudge(self) -> None:
        """Have what is committed written soon; nobody waits for it."""
        self._wish(_Wish(None))

    def close(self) -> None:
        """Let go of the file, as it is; nothing is written any more."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()
        self._database.close()

    def _note(self, trajectory: str, record: str | None) -> None:
        runs = {name: text for name, text in self._runs.items() if name != trajectory}
        self._runs = runs if record is None else {**runs, trajectory: record}
        self._ask(None)

    def _ask(self, entries: Entries | None) -> None:
        wish = _Wish(entries)
        self._wish(wish)
        wish.done.wait()
        if wish.failure is not None:
            raise wish.failure

    def _wish(self, wish: _Wish) -> None:
        with self._wake:
            if self._closed:
                raise StorageError(f"{self.path.name} is closed")
            self._wishes.append(wish)
            self._wake.notify_all()

    # What its thread does

    def turn(self) -> bool:
        """Write what somebody waits for, or what is due; returns whether there will be another turn."""
        with self._wake:
            wishes = self._wishes[:]
            self._wishes.clear()
        for wish in wishes:
            wish.failure = self._attempt(wish.entries)
            wish.done.set()
        if not wishes and self._due():
            self._attempt(None)
        return not self._closed

    def _due(self) -> bool:
        if not self._runs_open:
            return False
        late = self._every is not None and time.monotonic() - self._written_at >= self._every
        waiting = sum(self._waiting(name, entry) for name, entry in self._newest().items())
        self._full = waiting > PENDING
        return late or waiting > PENDING // 4

    def _waiting(self, name: str, entry: Version | View) -> int:
        """Bytes of rows that the file has not yet; about."""
        if not isinstance(entry, Version) or not entry.chunks:
            return 0
        last = entry.chunks[-1]
        return self.pending(name, entry) * last.nbytes // max(last.rows, 1)

    def _attempt(self, entries: Entries | None) -> SqlError | None:
        try:
            self._write(self._newest() if entries is None else entries)
        except SqlError as error:
            self.failure = error
        except Exception as error:  # a thread that ends would leave others waiting
            self.failure = StorageError(f"{self.path.name} cannot be written: {error}")
        else:
            self.failure = None
        self._written_at, self._full = time.monotonic(), False
        return self.failure

    def _write(self, entries: Entries) -> None:
        if self.failure is not None:
            self._database.reconnect()
        self._make_sure()
        plan = planned(self._tables, self._views, self._noted, entries, self._runs)
        if plan.changes.nothing:
            return
        self._bring_back(plan)
        self._serial += 1
        self._unsure = self._serial, plan
        with self._database.lock:
            self._database.write(plan.changes, self._serial)
            self._adopt(plan)

    def _make_sure(self) -> None:
        """After a failure: whether the changes that were being written became true."""
        if self._unsure is None:
            return
        serial, plan = self._unsure
        if self._database.serial == serial:
            self._adopt(plan)
        self._unsure = None

    def _bring_back(self, plan: Plan) -> None:
        """Rows that only the file has, and that do not stay in it, while older versions still hold them."""
        for name, shared in plan.anew.items():
            kept = self._tables[name]
            stay = {id(chunk) for chunk, stop in ends(plan.tables[name][1]) if stop <= shared}
            for chunk in list(self._homed):
                if chunk.home is not None and chunk.home.kept is kept and id(chunk) not in stay:
                    chunk.stay()

    def _adopt(self, plan: Plan) -> None:
        self._unsure = None
        self._tables = {}
        for name, (kept, version) in plan.tables.items():
            kept.kept_as, kept.version = plan.names[name], version
            self._tables[name] = kept
            self._house(kept, version)
        self._views, self._noted = plan.views, plan.runs
        self._make_room()

    def _house(self, kept: KeptTable, version: Version, *, every: bool = False) -> None:
        """Let chunks know where the file has their rows; the last one, which grows, only if it is to."""
        chunks = version.chunks
        start = 0
        for number, chunk in enumerate(chunks):
            last = number == len(chunks) - 1
            home = chunk.home
            housed = every or home is not None or (chunk.rows >= SETTLED and not last)
            if housed and (home is None or home.kept is not kept):
                chunk.home = RowsPlace(self._database, kept, start, chunk.rows)
                self._homed.add(chunk)
            start += chunk.rows

    def _make_room(self) -> None:
        """Let rows leave memory that the file has, those of the first chunks first, until the rest is within bounds."""
        held = [c for kept in self._tables.values() for c in kept.version.chunks if c.home is not None and c.resident]
        total = sum(chunk.nbytes for chunk in held)
        for chunk in held:
            if total <= self.budget:
                return
            total -= chunk.nbytes
            chunk.leave()


def _width(kind: pa.DataType) -> int:
    """Bytes of a value; about, where they differ."""
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return 16


def _work(keeper: weakref.ref[Keeper], wake: threading.Condition, wishes: list[_Wish]) -> None:
    """The thread of a keeper: it ends with it."""
    while True:
        with wake:
            if not wishes:
                wake.wait(TICK)
        mine = keeper()
        if mine is None or not mine.turn():
            return
        del mine


def save(path: str | Path, entries: Entries) -> None:
    """Write tables and views to a file that is made for it.

    Raises:
        StorageError: it is there, or cannot be written.
    """
    database = Database(path, new=True)
    try:
        database.write(planned({}, {}, {}, entries, {}).changes, 1)
    except BaseException:
        database.close()
        database.remove()
        raise
    database.close()
