"""Aggregates that want all members of a group at once: medians, percentiles, the first and the last value in an order.

A block has all positions of the axes along which groups are formed, so a group is whole in one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ...dense.node import Refused
from .axes import INSIDE
from .cells import DTYPES, Array, CellBlock, Cells, is_instant
from .groups import Groups, Index
from .tallies import State, full

_DIGITS = 1_000_000


@dataclass(eq=False)
class Members:
    """What aggregates of whole groups have in common (a :class:`.tallies.Tally`).

    Attributes:
        groups: where it is taken.
        value: the value.
        mask: which rows count; None for all.
    """

    groups: Groups
    value: Cells
    mask: Cells | None

    def __post_init__(self) -> None:
        if any(coding is INSIDE or (coding is not None and coding.axes) for coding in self.groups.codings):
            raise Refused("the members of groups over several axes together")

    @property
    def dtype(self) -> Any:
        """NumPy's type of the value."""
        return np.dtype(np.int64) if is_instant(self.value.type) else DTYPES[self.value.type]

    def fresh(self) -> State:
        """The value of each group, and whether it has one."""
        return [np.zeros(self.groups.shape, self.dtype), np.zeros(self.groups.shape, np.bool_)]

    def merge(self, state: State, other: State) -> None:
        """Take the groups of another thread."""
        np.copyto(state[0], other[0], where=other[1])
        np.logical_or(state[1], other[1], out=state[1])

    def add(self, state: State, block: CellBlock) -> None:
        """Take the groups of a block, all of whose members are there."""
        cells, known = full(self.value.of(block), block), self._known(block)
        for index, places in self._groups(block):
            values, there = self.taken(cells[places], None if known is None else known[places], places)
            state[0][index], state[1][index] = values, there

    def _known(self, block: CellBlock) -> Array | None:
        masks = [m.of(block) for m in (self.mask, self.value.valid) if m is not None]
        if not masks:
            return None
        return np.broadcast_to(masks[0] if len(masks) == 1 else np.logical_and(*masks), block.shape)

    def _groups(self, block: CellBlock) -> Iterator[tuple[Index, Any]]:
        """Where the groups of a block stand among all, and which of its positions along each axis they have."""
        if all(coding is None or coding.plain for coding in self.groups.codings):
            yield self.groups.at(block), ...
            return
        choices: list[list[tuple[Any, Any]]] = []
        for axis, coding in enumerate(self.groups.codings):
            length = block.shape[axis]
            if coding is None:
                choices.append([(slice(0, 1), np.arange(length))])
            elif coding.plain:
                choices.append([(block.part[axis], np.arange(length))])
            else:
                codes = coding.codes[block.part[axis]]
                choices.append([(slice(c, c + 1), np.flatnonzero(codes == c)) for c in np.unique(codes)])
        for choice in product(*choices):
            yield tuple(place for place, _ in choice), np.ix_(*(at for _, at in choice))

    def taken(self, cells: Array, known: Array | None, places: Any) -> tuple[Array, Array]:
        """The value of some groups, whose members lie along the axes that are folded, and where there is one."""
        raise NotImplementedError

    def together(self, cells: Array) -> Array:
        """The members of each group along a last axis."""
        axes = sorted(self.groups.folded)
        kept = [n for axis, n in enumerate(cells.shape) if axis not in axes]
        return np.moveaxis(cells, axes, range(-len(axes), 0)).reshape(*kept, -1) if axes else cells[..., None]

    def apart(self, found: Array, shape: tuple[int, ...]) -> Array:
        """One value for each group, with an axis of length one for those that are folded."""
        return found.reshape([1 if axis in self.groups.folded else n for axis, n in enumerate(shape)])


@dataclass(eq=False)
class Percentile(Members):
    """The value below which a share of a group lies, between two members where none stands there.

    Attributes:
        share: from 0 to 1.
    """

    share: float = 0.5

    def taken(self, cells: Array, known: Array | None, places: Any) -> tuple[Array, Array]:
        """See :class:`Members`."""
        members = self.together(cells)
        if known is None:
            count = np.full(members.shape[:-1], members.shape[-1])
        else:
            there = self.together(known)
            members = np.where(there, members, _last(self.dtype))
            count = there.sum(axis=-1)
        if not self.value.real and np.isnan(members).any():
            raise Refused("a percentile of NaN")
        at = self.share * np.maximum(count - 1, 0)
        below = np.floor(at).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        if known is None:
            members = np.partition(members, sorted({int(below.flat[0]), int(above.flat[0])}), axis=-1)
        else:
            members = np.sort(members, axis=-1)
        low, high = (np.take_along_axis(members, place[..., None], -1)[..., 0] for place in (below, above))
        found = self.between(low, high, at - below)
        return self.apart(found, cells.shape), self.apart(count > 0, cells.shape)

    def between(self, low: Array, high: Array, share: Array) -> Array:
        """What lies a share of the way from one number to another; the engine knows six digits of the share."""
        share = np.floor(share * _DIGITS) / _DIGITS
        return np.where(share > 0, low + (high - low) * share, low).astype(self.dtype)


class Median(Percentile):
    """The median: of an even number of members the mean of the two in the middle."""

    def between(self, low: Array, high: Array, share: Array) -> Array:
        """See :class:`Percentile`."""
        return np.where(share > 0, (low + high) / 2, low).astype(self.dtype)


def _last(dtype: Any) -> Any:
    """What stands behind all members."""
    return dtype.type(np.inf) if dtype.kind == "f" else dtype.type(np.iinfo(dtype).max)


@dataclass(eq=False)
class End(Members):
    """The value that stands first in an order along an axis.

    Attributes:
        axis: the axis.
        rank: the place of each of its positions that are read, in that order.
    """

    axis: int = 0
    rank: Array = None

    def add(self, state: State, block: CellBlock) -> None:
        """See :class:`Members`: a NULL that stands first is the value, so a row counts by the condition alone."""
        cells = full(self.value.of(block), block)
        known = None if self.value.valid is None else np.broadcast_to(self.value.valid.of(block), block.shape)
        mask = None if self.mask is None else np.broadcast_to(self.mask.of(block), block.shape)
        rank = self.rank[block.part[self.axis]].reshape([-1 if a == self.axis else 1 for a in range(cells.ndim)])
        ranks = np.broadcast_to(rank, block.shape)
        for index, places in self._groups(block):
            order = ranks[places] if mask is None else np.where(mask[places], ranks[places], len(self.rank))
            first = order.argmin(axis=self.axis, keepdims=True)
            there = np.take_along_axis(order, first, self.axis) < len(self.rank)
            if known is not None:
                there = there & np.take_along_axis(known[places], first, self.axis)
            state[0][index] = np.take_along_axis(cells[places], first, self.axis)
            state[1][index] = there
