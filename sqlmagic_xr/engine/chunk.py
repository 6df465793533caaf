"""A chunk: rows that never change, and what is known about them (bounds, order, where a key stands).

A scratch table is a tuple of chunks in the order they were committed. Chunks of like size are merged four at a time, as
in a log-structured store, so a table of n rows has at most 3 log4(n) of them whatever the size of its commits, and
each row is copied at most log4(n) times in its life.

Rows may come as drafts, as arrays have calculated them: they are written out as an Arrow batch when somebody reads
them, many at a time. A training loop reads its state back from arrays, and makes a thousand commits between two looks
at the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .keys import KeyIndex

FANOUT = 4
"""How many chunks of like size become one. More: fewer copies, but more chunks to scan."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and greatest value of a chunk's column, NULLs apart; ``ascending`` if it never falls."""

    low: Any
    high: Any
    ascending: bool


class Cells(Protocol):
    """The values of a column that are not written out row by row."""

    @property
    def distinct(self) -> Any:
        """An array in which each of the values stands at least once, and no other."""

    def values(self) -> Any:
        """The value of each row, as an array that nobody else changes."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Rows that nobody has read yet; none of their values is NULL.

    Attributes:
        rows: how many.
        columns: for each column of the table a NumPy scalar, which is the value of all rows, or :class:`Cells`; of the
            types that ``schema`` says.
        schema: the table's.
    """

    rows: int
    columns: tuple[Any, ...]
    schema: pa.Schema


_DRAFTS = 64
"""So many drafts are kept as they are: more of them would take more memory than the rows themselves."""


class Chunk:
    """An immutable batch of rows; what is asked about it is worked out once and kept.

    Args:
        rows: an Arrow batch, or drafts that will be one.

    Attributes:
        rows: how many.
        level: the size class: 0 for fewer than FANOUT rows, 1 for fewer than FANOUT squared, ...
    """

    __slots__ = ("_batch", "_bounds", "_drafts", "_keys", "_nbytes", "level", "rows")

    def __init__(self, rows: pa.RecordBatch | tuple[Draft, ...]) -> None:
        drafts = rows if isinstance(rows, tuple) else ()
        self._drafts = drafts
        self._batch: pa.RecordBatch | None = None if drafts else rows
        self.rows: int = sum([d.rows for d in drafts]) if drafts else rows.num_rows  # type: ignore[union-attr]
        self._bounds: dict[int, Bounds | None] = {}
        self._keys: dict[tuple[int, ...], KeyIndex] = {}
        self._nbytes: int | None = None
        self.level = _level(self.rows)

    @property
    def batch(self) -> pa.RecordBatch:
        """The rows."""
        drafts = self._drafts  # first: another thread sets the batch before it forgets the drafts
        if self._batch is None:
            self._batch = _written(drafts)
            self._drafts = ()
        return self._batch

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        if self._nbytes is None:
            width = _width(self._drafts[0].schema) if self._batch is None else None
            self._nbytes = int(self.batch.nbytes) if width is None else -(-self.rows * width // 8)
        return self._nbytes

    def constant(self, columns: Sequence[int]) -> tuple[int, ...]:
        """Those of some columns of drafts that have one value in all rows of a draft; () where rows are written out."""
        drafts = self._drafts
        return tuple(
            [c for c in columns if drafts and all(isinstance(draft.columns[c], np.generic) for draft in drafts)]
        )

    def numbers(self, column: int) -> Iterator[Any]:
        """Arrays in which every number of a column of numbers stands at least once; NULLs may stand as NaN."""
        drafts = self._drafts
        if self._batch is None:
            for draft in drafts:
                cells = draft.columns[column]
                yield cells if isinstance(cells, np.generic) else cells.distinct
        else:
            yield self._batch.column(column).to_numpy(zero_copy_only=False)

    def bounds(self, column: int) -> Bounds | None:
        """The bounds of a numeric column; None where it has another type, no value, or a NaN (which has no place)."""
        if column not in self._bounds:
            known = span([_of_draft(draft.columns[column]) for draft in self._drafts])
            self._bounds[column] = _bounds(self.batch.column(column)) if known is None else known
        return self._bounds[column]

    def keys(self, columns: tuple[int, ...]) -> KeyIndex:
        """The index of the key made of these columns."""
        if columns not in self._keys:
            self._keys[columns] = KeyIndex([self.batch.column(i) for i in columns])
        return self._keys[columns]


def append(chunks: tuple[Chunk, ...], new: Chunk) -> tuple[Chunk, ...]:
    """The chunks of a table to which ``new`` was added, merged so that there are few."""
    if new.rows == 0:
        return chunks
    keep, rows, level = len(chunks), new.rows, new.level
    while keep:
        same = keep
        # Smaller chunks in front of a larger one would break the order of sizes: they go into it.
        while same and chunks[same - 1].level < level:
            same -= 1
            rows += chunks[same].rows
        alike = same
        while alike and chunks[alike - 1].level == level:
            alike -= 1
        if same - alike >= FANOUT - 1:
            rows += sum(c.rows for c in chunks[alike:same])
            same = alike
        grown = _level(rows)
        if same == keep and grown == level:
            break
        keep, level = same, grown
    return (*chunks[:keep], merge((*chunks[keep:], new)))


def _level(rows: int) -> int:
    return (rows.bit_length() - 1) // 2 if rows else 0


def merge(parts: Sequence[Chunk]) -> Chunk:
    """One chunk of several; the bounds that all of them know are kept without another look at the data."""
    if len(parts) == 1:
        return parts[0]
    drafts = [part._drafts for part in parts]
    if all(drafts) and sum(map(len, drafts)) <= _DRAFTS:
        whole = Chunk(tuple(draft for some in drafts for draft in some))
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
        ascending = whole.ascending and part.ascending and whole.high <= part.low
        whole = Bounds(min(whole.low, part.low), max(whole.high, part.high), ascending)
    return whole


def _of_draft(cells: Any) -> Bounds | None:
    """The bounds of a number that is the same in all rows; None where that is not what it is."""
    number = isinstance(cells, (np.integer, np.floating)) and cells == cells
    return Bounds(cells.item(), cells.item(), True) if number else None


def _written(drafts: Sequence[Draft]) -> pa.RecordBatch:
    schema = drafts[0].schema
    arrays = []
    for place, field in enumerate(schema):
        parts = [draft.columns[place] for draft in drafts]
        if all(draft.rows == 1 and isinstance(part, np.generic) for draft, part in zip(drafts, parts, strict=True)):
            values = np.array(parts)
        else:
            values = np.concatenate(
                [np.full(d.rows, c) if isinstance(c, np.generic) else c.values()
                 for d, c in zip(drafts, parts, strict=True)]
            )  # fmt: skip
        arrays.append(pa.array(values.tolist() if values.dtype.kind in "UO" else values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@cache
def _width(schema: pa.Schema) -> int | None:
    """The bits of a row; None where they differ from row to row."""
    try:
        return sum(int(field.type.bit_width) for field in schema)
    except ValueError:
        return None


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
