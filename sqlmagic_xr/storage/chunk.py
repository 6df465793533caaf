"""A chunk: rows that never change, and what is known about them (bounds, order, where a key stands).

A scratch table is a tuple of chunks in the order they were committed. Chunks of like size are merged four at a time, as
in a log-structured store, so a table of n rows has at most 3 log4(n) of them whatever the size of its commits, and
each row is copied at most log4(n) times in its life.

Rows may come as drafts, as arrays have calculated them: they are written out as an Arrow batch when somebody reads
them, many at a time. A training loop reads its state back from arrays, and makes a thousand commits between two looks
at the table.

Rows that a file keeps may leave memory: they are read again when somebody reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .draft import LIGHT, MOST, Draft, distinct, written
from .keys import KeyIndex

FANOUT = 4
"""How many chunks of like size become one. More: fewer copies, but more chunks to scan."""


SETTLED = 65_536
"""A chunk of so many rows that a file keeps is merged with no other: it need not be read again for that."""


class Home(Protocol):
    """Where a file keeps the rows of a chunk: in the table ``kept``."""

    @property
    def kept(self) -> Any:
        """What the file calls the table."""

    def read(self, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """All rows, of all columns or of some."""


class Bounds(NamedTuple):
    """The least and greatest value of a chunk's column, NULLs apart; ``ascending`` if it never falls."""

    low: Any
    high: Any
    ascending: bool

    def then(self, other: Bounds) -> Bounds:
        """The bounds of what is followed by something else."""
        if other.low >= self.high:
            return Bounds(self.low, other.high, self.ascending and other.ascending)
        return Bounds(min(self.low, other.low), max(self.high, other.high), False)


class Chunk:
    """An immutable batch of rows; what is asked about it is worked out once and kept.

    Args:
        rows: an Arrow batch, or drafts that will be one; () for rows that only a file has.
        count: how many rows the drafts, or the file, have, where that is known.
        nbytes: how large the rows are, where they are not here.

    Attributes:
        rows: how many.
        level: the size class: 0 for fewer than FANOUT rows, 1 for fewer than FANOUT squared, ...
        drafts: the rows, as long as they are not written out; else ().
        home: where a file keeps the rows; None for nowhere.
    """

    __slots__ = ("__weakref__", "_batch", "_bounds", "_keys", "_nbytes", "drafts", "home", "level", "rows")

    def __init__(
        self, rows: pa.RecordBatch | tuple[Draft, ...], count: int | None = None, nbytes: int | None = None
    ) -> None:
        self._nbytes = nbytes
        self.home: Home | None = None
        if isinstance(rows, tuple):
            self._batch: pa.RecordBatch | None = None
            self.drafts = rows
            self.rows: int = sum(draft.rows for draft in rows) if count is None else count
        else:
            self._batch, self.drafts, self.rows = rows, (), rows.num_rows
        self._bounds: dict[int, Bounds | None] = {}
        self._keys: dict[tuple[int, ...], KeyIndex] = {}
        self.level = _level(self.rows)

    @property
    def batch(self) -> pa.RecordBatch:
        """The rows."""
        drafts, home = self.drafts, self.home  # first: another thread sets the batch before it forgets these
        batch = self._batch
        if batch is None:
            if not drafts and home is None:  # the rows have been let go of, and were brought back, in between
                return self.batch
            batch = self._batch = written(drafts) if drafts else _read(home)
            self.drafts = ()
        return batch

    def column(self, place: int) -> pa.Array:
        """The values of one column; of rows that only a file has no other is read."""
        return self.columns([place]).column(0)

    def columns(self, places: Sequence[int]) -> pa.RecordBatch:
        """The values of some columns; of rows that only a file has no others are read, and they stay there."""
        home = self.home
        if home is not None and self._batch is None and not self.drafts:
            return home.read(places)
        return self.batch.select(list(places))

    def behind(self, skip: int) -> pa.RecordBatch:
        """The rows behind the first ``skip``; drafts are left as they are, for the sake of who adds to them."""
        drafts = self.drafts
        if not drafts:
            return self.batch.slice(skip)
        first = 0
        while first < len(drafts) - 1 and skip >= drafts[first].rows:
            skip -= drafts[first].rows
            first += 1
        return written(drafts[first:]).slice(skip)

    @property
    def settled(self) -> bool:
        """Whether a file keeps the rows, and they are many."""
        return self.home is not None and self.rows >= SETTLED

    @property
    def resident(self) -> bool:
        """Whether the rows are in memory."""
        return self._batch is not None or bool(self.drafts)

    def leave(self) -> None:
        """Let go of rows that a file keeps; they are read again when somebody reads them."""
        if self.home is not None:
            self._nbytes = self.nbytes
            self._batch, self.drafts, self._keys = None, (), {}

    def stay(self) -> None:
        """Have the rows in memory, and know of no file that keeps them."""
        self.batch  # noqa: B018 - it is read for what it leaves behind
        self.home = None

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        if self._nbytes is None:
            drafts, batch = self.drafts, self._batch
            if batch is not None:
                self._nbytes = int(batch.nbytes)
            elif drafts:
                self._nbytes = sum([draft.nbytes for draft in drafts])
            else:
                self._nbytes = int(self.batch.nbytes)
        return self._nbytes

    def extended(self, drafts: tuple[Draft, ...], new: Chunk) -> Chunk:
        """This chunk, of these drafts, with those of another behind it; what a training loop does at every step."""
        whole = Chunk(drafts + new.drafts, self.rows + new.rows)
        whole._nbytes = self.nbytes + new.nbytes
        for column, known in self._bounds.items():
            if known is not None and (added := new.bounds(column) if new.bounded(column) else None) is not None:
                whole._bounds[column] = known.then(added)
        return whole

    def begins(self, other: Chunk) -> bool:
        """Whether this chunk's drafts are the first of another's, so that it holds nothing that the other does not."""
        mine, theirs = self.drafts, other.drafts
        return bool(mine) and len(mine) <= len(theirs) and mine[-1] is theirs[len(mine) - 1]

    def bounded(self, column: int) -> bool:
        """Whether the bounds of a column can be told from drafts that stay as they are; False where there is none."""
        for draft in self.drafts:
            cells = draft.columns[column]
            if not isinstance(cells, np.generic) and cells.limits is None:
                return False
        return bool(self.drafts)

    def numbers(self, column: int) -> Iterator[Any]:
        """Arrays in which every number of a column of numbers stands at least once; a NULL is a NaN among them."""
        drafts = self.drafts
        if drafts and self._batch is None:
            return distinct(drafts, column)
        return iter([self.column(column).to_numpy(zero_copy_only=False)])

    def bounds(self, column: int) -> Bounds | None:
        """The bounds of a numeric column; None where it has another type, no value, or a NaN (which has no place)."""
        if column not in self._bounds:
            drafts = self.drafts
            if len(drafts) == 1:
                known = _of_draft(drafts[0].columns[column])
            else:
                known = span([_of_draft(draft.columns[column]) for draft in drafts])
            self._bounds[column] = _bounds(self.column(column)) if known is None else known
        return self._bounds[column]

    def since(self, column: int, least: int) -> Chunk | None:
        """The rows in which a column of whole numbers is not below one; None for none, this chunk itself for all.

        Drafts that stay are not written out.
        """
        drafts = self.drafts
        spans = [_of_draft(draft.columns[column]) for draft in drafts]
        kept = tuple(d for d, span in zip(drafts, spans, strict=True) if span is None or span.high >= least)
        if drafts and all(span is not None and (span.high < least or span.low >= least) for span in spans):
            return self if len(kept) == len(drafts) else (Chunk(kept) if kept else None)
        known = self.bounds(column)
        if known is not None and known.low >= least:
            return self
        stays = pc.fill_null(pc.greater_equal(self.column(column), least), True)  # a NULL is below nothing
        rows = self.batch.filter(stays)
        return Chunk(rows) if rows.num_rows else None

    def keys(self, columns: tuple[int, ...]) -> KeyIndex:
        """The index of the key made of these columns."""
        if columns not in self._keys:
            found = KeyIndex([self.column(i) for i in columns])
            if self.home is not None:  # else it would stay in memory when the rows leave it
                return found
            self._keys[columns] = found
        return self._keys[columns]


def append(chunks: tuple[Chunk, ...], new: Chunk) -> tuple[Chunk, ...]:
    """The chunks of a table to which ``new`` was added, merged so that there are few."""
    if new.rows == 0:
        return chunks
    if new.drafts and chunks and (drafts := chunks[-1].drafts):  # once: another thread may be writing them out
        last = chunks[-1]
        if len(drafts) + len(new.drafts) <= MOST:
            return (*chunks[:-1], last.extended(drafts, new))
        # They are written out all together, when they become part of a larger chunk, or are read.
        chunks = append(chunks[:-1], last)
    kept = _kept(chunks)
    alone = max(1 if new.drafts else 0, kept)
    keep, rows, level = len(chunks), new.rows, new.level
    while keep > kept:
        same = keep
        # Smaller chunks in front of a larger one would break the order of sizes: they go into it; but the table's
        # first rows, which are written out, do not make drafts be so too.
        while same > alone and chunks[same - 1].level < level:
            same -= 1
            rows += chunks[same].rows
        alike = same
        while alike > kept and chunks[alike - 1].level == level:
            alike -= 1
        if same - alike >= FANOUT - 1:
            rows += sum(c.rows for c in chunks[alike:same])
            same = alike
        grown = _level(rows)
        if same == keep and grown == level:
            break
        keep, level = same, grown
    return (*chunks[:keep], merge((*chunks[keep:], new)))


def _kept(chunks: tuple[Chunk, ...]) -> int:
    """How many chunks in front are left as they are, since a file keeps one of them."""
    for place in range(len(chunks), 0, -1):
        if chunks[place - 1].settled:
            return place
    return 0


def _read(home: Home | None) -> pa.RecordBatch:
    assert home is not None
    return home.read()


def _level(rows: int) -> int:
    return (rows.bit_length() - 1) // 2 if rows else 0


def merge(parts: Sequence[Chunk]) -> Chunk:
    """One chunk of several; the bounds that all of them know are kept without another look at the data."""
    if len(parts) == 1:
        return parts[0]
    drafts = [draft for part in parts for draft in part.drafts]
    few = len(drafts) <= max(MOST, sum(part.rows for part in parts) // LIGHT)
    if few and sum(draft.rows for draft in drafts) == sum(part.rows for part in parts):
        whole = Chunk(tuple(drafts))
    else:
        whole = Chunk(pa.concat_batches([p.batch for p in parts]))
    for column in parts[-1]._bounds:
        known = span([p._bounds.get(column) for p in parts])
        if known is not None:
            whole._bounds[column] = known
    return whole


def span(parts: Sequence[Bounds | None]) -> Bounds | None:
    """The bounds of all parts together, in their order; None where there is none, or those of one are not known."""
    whole = parts[0] if parts else None
    for part in parts[1:]:
        if whole is None or part is None:
            return None
        whole = whole.then(part)
    return whole


def _of_draft(cells: Any) -> Bounds | None:
    """The bounds of a number that is the same in all rows, or of cells that know theirs; None for other cells."""
    if not isinstance(cells, np.generic):
        return None if cells.limits is None else Bounds(cells.limits[0], cells.limits[1], True)
    value = cells.item()
    number = type(value) is int or (type(value) is float and value == value)
    return Bounds(value, value, True) if number else None


def _bounds(column: pa.Array) -> Bounds | None:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) or column.null_count == len(column):
        return None
    if column.null_count:
        values, ordered = pc.drop_null(column).to_numpy(zero_copy_only=False), False
    else:
        values, ordered = column.to_numpy(zero_copy_only=False), True
    low, high = values.min(), values.max()
    if low != low or high != high:
        return None
    ascending = ordered and (len(values) == 1 or bool(np.all(values[1:] >= values[:-1])))
    return Bounds(low.item(), high.item(), ascending)
