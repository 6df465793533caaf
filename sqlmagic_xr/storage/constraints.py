"""PRIMARY KEY, UNIQUE and CHECK: what rows that are about to come must satisfy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from ..errors import ConstraintError
from .chunk import Bounds, Chunk
from .definition import Unique
from .keys import Rows, fingerprints, repeated
from .rows import more, violation
from .scratch import Version
from .values import show

if TYPE_CHECKING:
    from .store import ScratchStore


def check(
    rows: Chunk,
    version: Version,
    store: ScratchStore,
    *,
    removed: Rows | None = None,
    columns: frozenset[str] | None = None,
    apart: frozenset[str] = frozenset(),
) -> None:
    """Check rows that are about to be added.

    Args:
        rows: arranged, so that NOT NULL holds already.
        version: the table before.
        store: who evaluates conditions.
        removed: positions of rows that the same statement takes away or changes.
        columns: the only columns in which the rows are new; None for all.
        apart: columns that are known to tell any two of the rows apart; empty where that is not known.

    Raises:
        ConstraintError: names the constraint, the first offending key and how many more there are.
    """
    if not rows.rows:
        return
    for constraint in version.definition.checks:
        holds = store.of_each(constraint.text, rows.batch, version.name)
        bad = np.flatnonzero(pc.equal(pc.fill_null(holds, True), False))
        if len(bad):
            what = f"{constraint.name} CHECK ({constraint.text})"
            raise violation(what, rows.batch, version, bad, "false for")
    for unique in version.definition.uniques:
        if columns is None or not columns.isdisjoint(unique.columns):
            _check_unique(rows, unique, version, removed, apart)


def _check_unique(rows: Chunk, unique: Unique, version: Version, removed: Rows | None, apart: frozenset[str]) -> None:
    there, _ = conflicts(rows, unique, version, removed)
    one_each = rows.rows == 1 or (apart and apart.issubset(unique.columns))
    if one_each and not len(there):
        return
    key = [rows.batch.column(i) for i in version.definition.indices(unique.columns)]
    again, _ = repeated(key)
    if not len(again) and not len(there):
        return
    bad = np.union1d(again, there)
    where = "is in the table already" if len(there) and bad[0] == there.min() else "comes twice"
    shown = ", ".join(f"{n} = {show(c[int(bad[0])])}" for n, c in zip(unique.columns, key, strict=True))
    raise ConstraintError(
        f"{unique.kind} `{unique.name}` of `{version.name}`: {shown} {where}{more(len(bad) - 1)}",
        hint="Nothing of the statement was kept. ON CONFLICT says what to do instead.",
    )


_NONE: Rows = np.empty(0, np.int64)


def conflicts(rows: Chunk, unique: Unique, version: Version, removed: Rows | None = None) -> tuple[Rows, Rows]:
    """The pairs (row to add, position in the table) of equal keys.

    A chunk whose bounds cannot hold any of the keys is not looked at, so that a key that grows with every commit
    costs nothing to check.
    """
    indices = version.definition.indices(unique.columns)
    hashes = None
    for place in indices:
        # The generation, in rows that are not written out: to look at more of them would write them out.
        if rows.bounded(place) and _lie_apart(rows.bounds(place), version.span(place)):
            return _NONE, _NONE
    theirs, ours = [], []
    start = 0
    for chunk in version.chunks:
        if not _apart(rows, chunk, indices):
            key = [rows.batch.column(i) for i in indices]
            if hashes is None:
                hashes = fingerprints(key)
            i, j = chunk.keys(indices).find(key, hashes)
            theirs.append(i)
            ours.append(j + start)
        start += chunk.rows
    if not theirs:
        return _NONE, _NONE
    i, j = np.concatenate(theirs), np.concatenate(ours)
    if removed is not None and len(removed):
        kept = ~np.isin(j, removed)
        i, j = i[kept], j[kept]
    return i, j


def _apart(one: Chunk, other: Chunk, indices: tuple[int, ...]) -> bool:
    """Whether the bounds of some key column show that the two have no key in common."""
    return any(_lie_apart(one.bounds(place), other.bounds(place)) for place in indices)


def _lie_apart(one: Bounds | None, other: Bounds | None) -> bool:
    return one is not None and other is not None and bool(one.low > other.high or one.high < other.low)
