"""Scratch tables: small, mutable, versioned. A table is a tuple of Arrow chunks; a commit makes a new tuple."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..errors import UnknownNameError
from .chunk import Bounds, Chunk, append, span
from .definition import Definition
from .draft import HEAVY
from .keys import Rows

if TYPE_CHECKING:
    from .store import ScratchStore


class Commit(NamedTuple):
    """One line of a table's history.

    Attributes:
        version: the version that the commit made; 0 is the table as it was created.
        statement: the text that did it; several, joined by ``;``, where they were one transaction.
        added, removed: rows. An updated row counts in both; a training step counts all rows of a table that it updates.
        when: seconds since the epoch.
    """

    version: int
    statement: str
    added: int
    removed: int
    when: float


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the past a table keeps, besides its newest version.

    The past ends where either limit is reached; the version before the newest is always kept.

    Attributes:
        versions: how many older versions can be read and restored.
        nbytes: how many bytes older versions may hold that the newest does not share.
        commits: how many lines the history has.
    """

    versions: int = 64
    nbytes: int = 256 * 2**20
    commits: int = 10_000


class Lineage:
    """The past of one table, whatever its name; a handle that its versions share.

    What stands in here is only the past: the present is the version that the store's state names. A version is put
    in before its successor becomes the present, so an interrupt between two lines can lose nothing.
    """

    __slots__ = ("_log", "_nbytes", "_past")

    def __init__(self) -> None:
        self._past: deque[tuple[Version, int]] = deque()  # each with the bytes that its successor does not share
        self._nbytes = 0
        self._log: deque[Commit] = deque()

    def remember(self, version: Version, nbytes: int, retention: Retention) -> None:
        """Keep a version that is about to be followed, and forget what is beyond the limits.

        Args:
            version: the present one.
            nbytes: what it holds that its successor does not share.
            retention: the limits.
        """
        past = self._past
        if past and past[-1][0].number >= version.number:  # an interrupt has kept its successor from coming
            past.pop()
        past.append((version, nbytes))
        if version.number % 64:
            self._nbytes += nbytes
        else:  # counted anew now and then, since an interrupt may come between any two lines
            self._nbytes = sum([held for _, held in past])
        while len(past) > 1 and (len(past) > retention.versions or self._nbytes > retention.nbytes):
            oldest, held = past[0]
            if not self._log or self._log[-1].version < oldest.commit.version:
                self._log.append(oldest.commit)
            self._nbytes -= held
            past.popleft()
        while len(self._log) > retention.commits:
            self._log.popleft()

    def past(self, before: int) -> dict[int, Version]:
        """The kept versions older than ``before``, by number, the oldest first."""
        return {version.number: version for version, _ in self._past if version.number < before}

    def history(self, present: Version) -> list[Commit]:
        """The commits up to the present version, the oldest first."""
        kept = [v.commit for v in self.past(present.number).values()] + [present.commit]
        return [c for c in self._log if c.version < kept[0].version] + kept


@dataclass(slots=True, eq=False)  # not frozen, which makes it thrice as slow to build: this runs at every commit
class Version:
    """A scratch table at one moment; nothing in it ever changes.

    Attributes:
        name: the table's name.
        number: 0 when created, one more with each commit.
        definition: columns and constraints.
        chunks: the rows, in the order of their commits.
        rows: how many.
        lineage: the table's past.
        commit: what made this version.
        added: the chunks that were appended since the last commit; None where more than that was done.
        spans: see :meth:`span`.
        providers: what DataFusion takes for the whole of it, once that was asked for.
        origin: what a version has in common with those that were made of it by adding rows, and with no other.
    """

    name: str
    number: int
    definition: Definition
    chunks: tuple[Chunk, ...]
    rows: int
    lineage: Lineage
    commit: Commit
    added: tuple[Chunk, ...] | None = field(default=(), repr=False)
    spans: dict[int, Bounds | None] = field(default_factory=dict, repr=False)
    providers: dict[Any, Any] = field(default_factory=dict, repr=False)
    origin: object = field(default_factory=object, repr=False)

    def to_arrow(self) -> pa.Table:
        """All rows as one Arrow table."""
        return pa.Table.from_batches([c.batch for c in self.chunks], schema=self.definition.schema)

    def span(self, column: int) -> Bounds | None:
        """The bounds of a numeric column over all rows; None where some chunk has none.

        A table to which rows are added knows it without a look at its chunks, where their bounds are known.
        """
        if column not in self.spans:
            self.spans[column] = span([chunk.bounds(column) for chunk in self.chunks])
        return self.spans[column]

    def appended(self, rows: Chunk) -> Version:
        """This table with rows added; they must satisfy the constraints already."""
        added = None if self.added is None else (*self.added, rows)
        new = self._next(append(self.chunks, rows), self.rows + rows.rows, added)
        new.origin = self.origin
        for column, known in self.spans.items():
            if known is not None and rows.rows and (not rows.drafts or rows.bounded(column)):
                bounds = rows.bounds(column)
                if bounds is not None:
                    new.spans[column] = known.then(bounds)
        return new

    def without(self, removed: Rows) -> Version:
        """This table without the rows at these positions. Chunks that lose nothing are shared."""
        chunks: list[Chunk] = []
        start = 0
        gone = np.sort(removed)
        for chunk in self.chunks:
            low, high = np.searchsorted(gone, (start, start + chunk.rows))
            if low == high:
                chunks.append(chunk)
            elif high - low < chunk.rows:
                keep = np.ones(chunk.rows, np.bool_)
                keep[gone[low:high] - start] = False
                chunks.append(Chunk(chunk.batch.filter(pa.array(keep))))
            start += chunk.rows
        return self._next(tuple(chunks), self.rows - len(removed))

    def since(self, column: int, least: int) -> Version:
        """This table without the rows in which a column of whole numbers is below one."""
        kept = [chunk.since(column, least) for chunk in self.chunks]
        chunks = tuple(chunk for chunk in kept if chunk is not None)
        return self if chunks == self.chunks else self._next(chunks, sum(chunk.rows for chunk in chunks))

    def updated(self, rows: Rows, values: pa.RecordBatch) -> Version:
        """This table with the rows at positions ``rows`` (ascending) replaced, in place, by those of ``values``."""
        chunks: list[Chunk] = []
        start = 0
        for chunk in self.chunks:
            low, high = np.searchsorted(rows, (start, start + chunk.rows))
            if low == high:
                chunks.append(chunk)
            else:
                picks = np.arange(chunk.rows, dtype=np.int64)
                picks[rows[low:high] - start] = chunk.rows + np.arange(high - low)
                both = pa.Table.from_batches([chunk.batch, values.slice(low, high - low)], self.definition.schema)
                chunks.append(Chunk(both.take(pa.array(picks)).combine_chunks().to_batches()[0]))
            start += chunk.rows
        return self._next(tuple(chunks), self.rows)

    def take(self, rows: Rows) -> pa.RecordBatch:
        """The rows at these positions, in this order; only the chunks that hold one are read."""
        starts = np.cumsum([0, *(c.rows for c in self.chunks)])
        home = np.searchsorted(starts, rows, side="right") - 1
        touched, place = np.unique(home, return_inverse=True)
        sizes = [self.chunks[n].rows for n in touched]
        shifts = np.cumsum([0, *sizes])[: len(touched)] - starts[touched]
        table = pa.Table.from_batches([self.chunks[n].batch for n in touched], schema=self.definition.schema)
        return single_batch(table.take(pa.array(rows + shifts[place])))

    def replaced(self, definition: Definition, chunks: Sequence[Chunk]) -> Version:
        """This table with other rows, and perhaps another shape."""
        new = self._next(tuple(chunks), sum(c.rows for c in chunks))
        return replace(new, definition=definition)

    def committed(self, before: Version | None, statement: str, added: int, removed: int) -> Version:
        """This version as the one that follows ``before``, with its line of history."""
        number = before.number + 1 if before is not None else 0
        commit = Commit(number, statement, added, removed, time.time())
        return Version(
            self.name, number, self.definition, self.chunks, self.rows, self.lineage, commit, (), self.spans,
            self.providers, self.origin,
        )  # fmt: skip

    def not_shared(self, other: Version) -> int:
        """Bytes of this version's chunks that ``other`` does not hold."""
        mine, theirs = self.chunks, other.chunks
        last = len(mine) - 1
        if last >= 0 and mine[:last] == theirs[:last] and len(theirs) > last and mine[last].begins(theirs[last]):
            # An append, as a training loop makes them: all is shared, until a reader of a newer version has it written
            # out. Then the drafts are this version's alone; small ones are not worth counting.
            newest = mine[last].drafts[-1].nbytes
            return newest if newest > HEAVY else 0
        kept = {id(c) for c in theirs}
        return sum([c.nbytes for c in mine if id(c) not in kept and not any(map(c.begins, theirs))])

    def _next(self, chunks: tuple[Chunk, ...], rows: int, added: tuple[Chunk, ...] | None = None) -> Version:
        return Version(self.name, self.number, self.definition, chunks, rows, self.lineage, self.commit, added)


def single_batch(table: pa.Table) -> pa.RecordBatch:
    """All rows of an Arrow table as one batch, also where it has none."""
    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    if batches:
        return pa.concat_batches(batches)
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in table.schema], schema=table.schema)


class ScratchTable:
    """A scratch table by its name: ``ctx.scratch("params")``. Always shows the newest version that this thread sees."""

    def __init__(self, store: ScratchStore, name: str) -> None:
        self._store = store
        self.name = name

    def __repr__(self) -> str:
        current = self._current
        columns = ", ".join(f"{c.name} {c.sql_type}" for c in current.definition.columns)
        return f"ScratchTable({self.name!r}: {current.rows:,} rows, version {current.number}, {columns})"

    def __len__(self) -> int:
        return self._current.rows

    @property
    def _current(self) -> Version:
        return self._store.table(self.name)

    @property
    def version(self) -> int:
        """The number of the newest version: 0 when created, one more with each commit."""
        return self._current.number

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema; a column is nullable exactly where its declaration says so."""
        return self._current.definition.schema

    @property
    def definition(self) -> Definition:
        """Columns and constraints."""
        return self._current.definition

    def history(self) -> list[Commit]:
        """What made each version, the oldest first."""
        current = self._current
        return current.lineage.history(current)

    def at(self, version: int) -> pa.Table:
        """The rows of an older version, as an Arrow table.

        Raises:
            UnknownNameError: that version was never made, or is no longer kept.
        """
        return self._find(version).to_arrow()

    def to_arrow(self) -> pa.Table:
        """The rows of the newest version."""
        return self._current.to_arrow()

    def restore(self, version: int) -> None:
        """Make the table what it was at ``version``: its rows and its shape, as a new version."""
        old = self._find(version)
        with self._store.writing(f"restore({version})") as work:
            current = work.table(self.name)
            work.put(self.name, current.replaced(old.definition, old.chunks), old.rows, current.rows)

    def append(self, rows: Any, *, statement: str = "append()") -> int:
        """Add rows through the same checks and the same commit as INSERT; returns how many.

        Args:
            rows: an Arrow batch or table, or a mapping of column name -> values. Columns that are left out take their
                defaults.
            statement: what the history shall say.

        Raises:
            ConstraintError, TypeMismatchError, UnknownNameError: and nothing is added.
        """
        return self._store.append(self.name, rows, statement)

    def _find(self, version: int) -> Version:
        current = self._current
        past = current.lineage.past(current.number)
        if version == current.number:
            return current
        if version in past:
            return past[version]
        first = min((*past, current.number))
        gone = " any more" if 0 <= version < first else ""
        raise UnknownNameError(
            f"`{self.name}` has no version {version}{gone}",
            hint=f"Versions {first} to {current.number} are kept; the store's `retention` says how many.",
        )
