"""What is counted and summed for each group: partial results that a block adds to and that are put together.

Most blocks have no NULL. So a sum is taken first and looked at then: if it is a number, nothing was NULL; else the
block is gone through again with care. DataFusion accumulates in float64, and so is it done here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...dense.node import Refused
from .cells import DTYPES, FLOATS, INTEGERS, UNSIGNED, Array, CellBlock, Cells, is_instant, only
from .groups import Groups

State = list[Array]
"""What one thread has come to, an array over the groups for each quantity."""


class Tally(Protocol):
    """Something that is taken of each group."""

    def fresh(self) -> State:
        """What stands before the first block."""

    def add(self, state: State, block: CellBlock) -> None:
        """Add a block."""

    def merge(self, state: State, other: State) -> None:
        """Add what another thread has come to."""


def counted(mask: Array, groups: Groups, block: CellBlock) -> Array:
    """How often a condition holds in each group that a block touches."""
    if np.shape(mask) != block.shape:
        mask = np.broadcast_to(mask, np.broadcast_shapes(np.shape(mask), (1,) * len(block.shape)))
        return groups.total(mask.astype(np.float64), block)
    few = math.prod(block.shape) < 2**16
    return groups.fold(np.add, mask.view(np.uint8), block, np.uint16 if few else np.uint32)


def many(mask: Cells, groups: Groups, block: CellBlock) -> Array:
    """How often a condition holds in each group that a block touches, counted once for the block."""
    key = (groups, mask)
    found = block.known.get(key)
    if found is None:
        found = block.known[key] = counted(mask.of(block), groups, block).astype(np.int64)
    return found


@dataclass(eq=False)
class RowCount:
    """How many rows there are: those for which a condition holds."""

    groups: Groups
    mask: Cells

    def fresh(self) -> State:  # noqa: D102 - see Tally
        return [np.zeros(self.groups.shape, np.int64)]

    def add(self, state: State, block: CellBlock) -> None:  # noqa: D102 - see Tally
        state[0][self.groups.at(block)] += many(self.mask, self.groups, block)

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        state[0] += other[0]


@dataclass(eq=False)
class SingleValueTally:
    """What aggregates of one value have in common.

    Attributes:
        groups: where it is added to.
        value: the value.
        mask: which rows count; None for all.
        often: whether the last block had a NULL, so that the next is expected to.
    """

    groups: Groups
    value: Cells
    mask: Cells | None
    often: bool = False

    def known(self, block: CellBlock, value: Cells | None = None) -> Array | None:
        """Where a value counts; None for everywhere."""
        value = self.value if value is None else value
        valid = None if value.valid is None else value.valid.of(block)
        if self.mask is None or valid is None:
            return valid if self.mask is None else self.mask.of(block)
        return np.logical_and(self.mask.of(block), valid)

    def lost(self, state: Array, known: Array | None, block: CellBlock) -> None:
        """Count the rows of a block that do not count."""
        if known is None:
            return
        whole = self.groups.counts(block)
        if self.mask is not None and known is self.mask.of(block):
            missing = whole - many(self.mask, self.groups, block)
        else:
            there = counted(known, self.groups, block)
            missing = whole - there
            self.often = bool(
                ((missing if self.mask is None else many(self.mask, self.groups, block) - there) > 0).any()
            )
        state[self.groups.at(block)] += missing.astype(np.int64)


@dataclass(eq=False)
class Count(SingleValueTally):
    """How many rows do not count: 0 is that of those which lack the value."""

    def fresh(self) -> State:  # noqa: D102 - see Tally
        return [np.zeros(self.groups.shape, np.int64)]

    def add(self, state: State, block: CellBlock) -> None:  # noqa: D102 - see Tally
        known = self.known(block)
        if known is not None:
            self.lost(state[0], known, block)

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        state[0] += other[0]


@dataclass(eq=False)
class FoldedValue(SingleValueTally):
    """What a value is folded to.

    Attributes:
        patchy: whether a large block had a NULL, so that no other one is tried.
    """

    patchy: bool = False

    def add(self, state: State, block: CellBlock) -> None:  # noqa: D102 - see Tally
        if not self.often and self._shows():
            mask = None if self.mask is None else self.mask.of(block)
            found = self.fold(mask, block)
            if self.value.valid is None or not np.isnan(found).any():
                self.lost(state[1], mask, block)
                self.put(state[0], found, block)
                return
        known = self.known(block)
        self.lost(state[1], known, block)
        self.put(state[0], self.fold(known, block), block)

    @property
    def is_light(self) -> bool:
        """Whether no array of as many cells as a block is made where nothing is NULL, so that any size will do."""
        return self.mask is None and self._is_there() and self._shows() and not self.patchy

    def _is_there(self) -> bool:
        """Whether it can be folded without an array of its cells."""
        return self.value.ready

    def at_once(self, state: State, block: CellBlock) -> bool:
        """Add a block of any size, if that is light; else nothing has been done."""
        found = self._whole(block)
        if found is None or (self.value.valid is not None and np.isnan(found).any()):
            self.patchy = True
            return False
        self.put(state[0], found, block)
        return True

    def _whole(self, block: CellBlock) -> Array | None:
        """All cells of a block folded into its groups; None where that takes an array of them."""
        return self.fold(None, block)

    def _shows(self) -> bool:
        """Whether what is folded shows whether a value among it was NULL."""
        return self.value.valid is None or self.value.marked

    def fold(self, known: Array | None, block: CellBlock) -> Array:
        """The value of a block folded into its groups, where it counts."""
        raise NotImplementedError

    def put(self, state: Array, found: Array, block: CellBlock) -> None:
        """Add what the groups of a block were folded to."""
        raise NotImplementedError


@dataclass(eq=False)
class Sum(FoldedValue):
    """The sum of a value, and how many rows do not count."""

    dtype: Any = np.float64

    def fresh(self) -> State:  # noqa: D102 - see Tally
        return [np.zeros(self.groups.shape, self.dtype), np.zeros(self.groups.shape, np.int64)]

    def put(self, state: Array, found: Array, block: CellBlock) -> None:  # noqa: D102 - see FoldedValue
        state[self.groups.at(block)] += found

    def _is_there(self) -> bool:
        return self.value.ready or (self.value.factors is not None and self.dtype == np.float64)

    def _whole(self, block: CellBlock) -> Array | None:
        if self.value.factors is None:
            return self.fold(None, block)
        one, other = (cells.of(block) for cells in self.value.factors)
        if one.shape != block.shape:
            one, other = other, one
        found = None if np.ndim(other) != len(block.shape) else self.groups.scaled(one, other, block)
        # What is no number may be one if it is multiplied cell by cell: a sum that overflows, times what is small.
        return found if found is not None and np.isfinite(found).all() else None

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        for mine, his in zip(state, other, strict=True):
            mine += his

    def fold(self, known: Array | None, block: CellBlock) -> Array:  # noqa: D102 - see FoldedValue
        cells = self.value.of(block)
        cells = cells if known is None else only(cells, known, 0, block, self)
        if np.ndim(cells) != len(block.shape):
            cells = np.broadcast_to(cells, (1,) * len(block.shape))
        return self.groups.total(cells, block, self.dtype)


def as_type(cells: Array, dtype: Any, block: CellBlock, owner: Any) -> Array:
    """Cells as another type, of as many axes as a block."""
    if np.ndim(cells) != len(block.shape):
        cells = np.broadcast_to(cells, (1,) * len(block.shape))
    if cells.dtype == dtype:
        return cells
    if cells.shape != block.shape:
        return cells.astype(dtype)
    room = block.room((owner, "as"), block.shape, dtype)
    np.copyto(room, cells, casting="unsafe")
    return room


def full(cells: Array, block: CellBlock) -> Array:
    """Cells written out for the whole of a block."""
    return cells if cells.shape == block.shape else np.ascontiguousarray(np.broadcast_to(cells, block.shape))


@dataclass(eq=False)
class ExtremeTally(FoldedValue):
    """The least or the greatest value, and how many rows do not count."""

    ufunc: Any = np.minimum

    @property
    def dtype(self) -> Any:
        """NumPy's type of the value."""
        return np.dtype(np.int64) if is_instant(self.value.type) else DTYPES[self.value.type]

    @property
    def least(self) -> Any:
        """What every value wins against."""
        dtype, low = self.dtype, self.ufunc is np.maximum
        if dtype.kind == "f":
            return dtype.type(-np.inf if low else np.inf)
        if dtype.kind == "b":
            return np.bool_(not low)
        return dtype.type(np.iinfo(dtype).min if low else np.iinfo(dtype).max)

    def fresh(self) -> State:  # noqa: D102 - see Tally
        return [np.full(self.groups.shape, self.least, self.dtype), np.zeros(self.groups.shape, np.int64)]

    def put(self, state: Array, found: Array, block: CellBlock) -> None:  # noqa: D102 - see FoldedValue
        if found.dtype.kind == "f" and np.isnan(found).any():
            raise Refused("the least or greatest of NaN is asked for")
        place = self.groups.at(block)
        state[place] = self.ufunc(state[place], found)

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        self.ufunc(state[0], other[0], out=state[0])
        state[1] += other[1]

    def _shows(self) -> bool:
        return self.value.valid is None or (self.value.marked and self.dtype.kind == "f")

    def fold(self, known: Array | None, block: CellBlock) -> Array:  # noqa: D102 - see FoldedValue
        cells = self.value.of(block)
        cells = cells if known is None else only(cells, known, self.least, block, self)
        return self.groups.fold(self.ufunc, as_type(cells, self.dtype, block, self), block)


@dataclass(eq=False)
class RealExtreme(ExtremeTally):
    """The least or the greatest of reals, of which NaN says that there is none: no row has to be counted for that."""

    @classmethod
    def takes(cls, value: Cells) -> bool:
        """Whether a value is of that kind: NaN is no number among those that count."""
        return value.real and (value.type in FLOATS or value.type == "halffloat")

    @property
    def least(self) -> Any:
        """See :class:`ExtremeTally`: NumPy's ``fmin`` and ``fmax`` pass NaN over."""
        return self.dtype.type(np.nan)

    def fresh(self) -> State:  # noqa: D102 - see Tally
        return [np.full(self.groups.shape, np.nan, self.dtype)]

    def add(self, state: State, block: CellBlock) -> None:  # noqa: D102 - see Tally
        mask = None if self.mask is None else self.mask.of(block)
        self.put(state[0], self.fold(mask if self._shows() else self.known(block), block), block)

    def at_once(self, state: State, block: CellBlock) -> bool:  # noqa: D102 - see FoldedValue
        self.put(state[0], self.fold(None, block), block)
        return True

    def put(self, state: Array, found: Array, block: CellBlock) -> None:  # noqa: D102 - see FoldedValue
        place = self.groups.at(block)
        state[place] = self.ufunc(state[place], found)

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        self.ufunc(state[0], other[0], out=state[0])


def sum_type(kind: str) -> Any:
    """The type in which the engine sums values of a type."""
    if kind in INTEGERS:
        return np.uint64 if kind in UNSIGNED else np.int64
    return np.float64
