"""A chunk: an Arrow batch that never changes, and what is known about it (bounds, order, where a key stands).

A scratch table is a tuple of chunks in the order they were committed. Chunks of like size are merged four at a time, as
in a log-structured store, so a table of n rows has at most 3 log4(n) of them whatever the size of its commits, and
each row is copied at most log4(n) times in its life.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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


class Chunk:
    """An immutable batch of rows; what is asked about it is worked out once and kept."""

    __slots__ = ("_bounds", "_keys", "_nbytes", "batch", "rows")

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows: int = batch.num_rows
        self._bounds: dict[int, Bounds | None] = {}
        self._keys: dict[tuple[int, ...], KeyIndex] = {}
        self._nbytes: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        if self._nbytes is None:
            self._nbytes = int(self.batch.nbytes)
        return self._nbytes

    @property
    def level(self) -> int:
        """The size class: 0 for fewer than FANOUT rows, 1 for fewer than FANOUT squared, ..."""
        return (self.rows.bit_length() - 1) // 2 if self.rows else 0

    def bounds(self, column: int) -> Bounds | None:
        """The bounds of a numeric column; None where it has another type, no value, or a NaN (which has no place)."""
        if column not in self._bounds:
            self._bounds[column] = _bounds(self.batch.column(column))
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
        grown = (rows.bit_length() - 1) // 2
        if same == keep and grown == level:
            break
        keep, level = same, grown
    return (*chunks[:keep], merge((*chunks[keep:], new)))


def merge(parts: Sequence[Chunk]) -> Chunk:
    """One chunk of several; the bounds that all of them know are kept without another look at the data."""
    if len(parts) == 1:
        return parts[0]
    whole = Chunk(pa.concat_batches([p.batch for p in parts]))
    for column in parts[-1]._bounds:
        known = [p._bounds.get(column) for p in parts]
        if all(b is not None for b in known):
            whole._bounds[column] = _join(b for b in known if b is not None)
    return whole


def _join(parts: Iterable[Bounds]) -> Bounds:
    whole, *rest = parts
    for part in rest:
        ascending = whole.ascending and part.ascending and whole.high <= part.low
        whole = Bounds(min(whole.low, part.low), max(whole.high, part.high), ascending)
    return whole


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
