"""Where a key stands in a batch: rows by a 64-bit fingerprint, sorted; equal fingerprints are compared value by value.

A key equals another as in PostgreSQL's unique indexes: NULL equals nothing, NaN equals NaN, and -0.0 equals 0.0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class KeyIndex:
    """The rows of a batch, findable by their key.

    Args:
        columns: the key's columns, all of one length.
    """

    __slots__ = ("_hashes", "_order", "columns")

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        self.columns = list(columns)
        rows = whole_keys(self.columns)
        hashes = fingerprints(self.columns)[rows]
        order = np.argsort(hashes, kind="stable")
        self._order: Rows = rows[order]
        self._hashes: Hashes = hashes[order]

    def find(self, wanted: Sequence[pa.Array], hashes: Hashes) -> tuple[Rows, Rows]:
        """The pairs (row of ``wanted``, row here) of equal keys.

        Args:
            wanted: key columns of the same types.
            hashes: their :func:`fingerprints`.
        """
        first = np.searchsorted(self._hashes, hashes, side="left")
        last = np.searchsorted(self._hashes, hashes, side="right")
        counts = last - first
        theirs = np.repeat(np.arange(len(hashes), dtype=np.int64), counts)
        # For each wanted row: first, first + 1, ..., last - 1.
        steps = np.arange(len(theirs), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        ours = self._order[np.repeat(first, counts) + steps]
        same = equal(wanted, theirs, self.columns, ours)
        return theirs[same], ours[same]


def repeated(columns: Sequence[pa.Array]) -> tuple[Rows, Rows]:
    """The rows of a batch whose key an earlier row has: pairs (row, the first row of that key), by row.

    >>> repeated([pa.array([1, 2, 1, None, None])])
    (array([2]), array([0]))
    """
    later = [np.empty(0, np.int64)]
    earlier = [np.empty(0, np.int64)]
    rows = whole_keys(columns)
    if len(rows) > 1 and not _strictly_ascending(columns):
        hashes = fingerprints(columns)[rows]
        order = np.argsort(hashes, kind="stable")
        rows, hashes = rows[order], hashes[order]
        while len(rows) > 1:
            begins = np.concatenate(([True], hashes[1:] != hashes[:-1]))
            if begins.all():
                break
            first = rows[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))]
            again = equal(columns, rows, columns, first) & ~begins
            later.append(rows[again])
            earlier.append(first[again])
            # Keys that share a fingerprint by chance go round once more, without those that are settled.
            other = ~begins & ~again
            rows, hashes = rows[other], hashes[other]
    pairs = np.concatenate(later), np.concatenate(earlier)
    order = np.argsort(pairs[0])
    return pairs[0][order], pairs[1][order]


def whole_keys(columns: Sequence[pa.Array]) -> Rows:
    """The rows whose key has no NULL in it."""
    rows = np.arange(len(columns[0]), dtype=np.int64)
    for column in columns:
        if column.null_count:
            rows = rows[column.is_valid().to_numpy(zero_copy_only=False)[rows]]
    return rows


def _strictly_ascending(columns: Sequence[pa.Array]) -> bool:
    """Whether whole numbers ascend row by row, so that no key comes twice: the usual case of (step, place)."""
    more: npt.NDArray[np.bool_] = np.zeros(len(columns[0]) - 1, np.bool_)
    even = ~more
    for column in columns:
        if column.null_count or not pa.types.is_integer(column.type):
            return False
        values = column.to_numpy(zero_copy_only=False)
        more |= even & (values[1:] > values[:-1])
        even &= values[1:] == values[:-1]
    return bool(more.all())


def equal(left: Sequence[pa.Array], i: Rows, right: Sequence[pa.Array], j: Rows) -> npt.NDArray[np.bool_]:
    """Whether the keys ``left[i]`` and ``right[j]`` are equal, pair by pair."""
    same = np.ones(len(i), np.bool_)
    for a, b in zip(left, right, strict=True):
        a, b = a.take(pa.array(i)), b.take(pa.array(j))
        if pa.types.is_nested(a.type) or pa.types.is_interval(a.type):
            same &= np.array(
                [x is not None and x == y for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True)], bool
            )
            continue
        pairs = pc.fill_null(pc.equal(a, b), False)
        if pa.types.is_floating(a.type):
            pairs = pc.or_(pairs, pc.fill_null(pc.and_(pc.is_nan(a), pc.is_nan(b)), False))
        same &= pairs.to_numpy(zero_copy_only=False)
    return same


def fingerprints(columns: Sequence[pa.Array]) -> Hashes:
    """A 64-bit number for each row, equal where the keys are equal (and, rarely, where they are not)."""
    total = np.zeros(len(columns[0]), np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            total = _mix(total * np.uint64(0x9E3779B97F4A7C15) + _words(column))
    return total


def _mix(x: Hashes) -> Hashes:
    """The finalizer of splitmix64 (Steele, Lea and Flood, 2014): spreads neighbouring numbers over 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _words(column: pa.Array) -> Hashes:
    """Each value of a column as 64 bits."""
    kind = column.type
    if pa.types.is_floating(kind):
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.float64)
        values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, and no negative zero
        return values.view(np.uint64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if column.null_count:
            column = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
        whole = column.to_numpy(zero_copy_only=False)
        words: Hashes = whole.astype(np.uint64 if pa.types.is_unsigned_integer(kind) else np.int64).view(np.uint64)
        return words
    if (
        pa.types.is_timestamp(kind)
        or pa.types.is_time64(kind)
        or pa.types.is_date64(kind)
        or pa.types.is_duration(kind)
    ):
        return _words(column.cast(pa.int64()))
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return _words(column.cast(pa.int32()))
    values = [hash(repr(v)) for v in column.to_pylist()]
    return np.array(values, np.int64).view(np.uint64)
