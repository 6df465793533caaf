"""The groups of a grid as an array, and a block's cells folded into them.

The groups have an axis for each of the grid's: of length one where all positions are one group, else one place for each
group along it. Keys that vary along several axes together are groups of the first of these; the others have length one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .axes import INSIDE, Coding
from .cells import Array, CellBlock

Index = tuple[Any, ...]
_ALL = slice(0, 1)
_FEW = 4


@dataclass(frozen=True, eq=False)
class _Runs:
    """How the positions of a block along an axis fall into groups.

    Attributes:
        order: the positions by their groups; None where they lie so.
        starts: where each group begins in that order.
        place: which groups they are.
        each: for each position the number of its group among those of the block.
        counts: how many positions each has.
    """

    order: Array | None
    starts: Array
    place: Any
    each: Array
    counts: Array


class Groups:
    """The groups along all axes.

    Args:
        codings: for each axis its groups; None where it has one.

    Attributes:
        shape, size: how many there are along each axis, and in all.
        folded: the axes along which several positions are one group.
    """

    def __init__(self, codings: Sequence[Coding | None]) -> None:
        self.codings = tuple(codings)
        self.shape = tuple(1 if coding is None else coding.count for coding in codings)
        self.size = math.prod(self.shape)
        self.folded = frozenset(a for a, coding in enumerate(codings) if coding is None or not coding.plain)
        self._coded = [a for a, c in enumerate(codings) if c is not None and c is not INSIDE and not c.plain]
        self._spans = _spans([a for a, coding in enumerate(codings) if coding is None])
        self._runs: dict[Any, _Runs] = {}

    def fold(self, ufunc: Any, values: Array, block: CellBlock, dtype: Any = None) -> Array:
        """The cells of a block folded into the groups that it touches.

        Args:
            ufunc, values, block: what folds which cells.
            dtype: the type in which sums are taken, if it is not that of the cells: NumPy brings them to it in a
                buffer of its own, which costs less than an array of them.
        """
        for span in self._spans:
            values = _folded(_typed(ufunc.reduce, values, dtype), values, span)
        for axis in self._coded:
            axes = self._axes(axis)
            if len(axes) == 1:
                values = self._grouped(ufunc, _stretched(values, axes, block), axis, block, dtype)
            else:
                values = self._grouped(ufunc, _merged(_stretched(values, axes, block), axes), axis, block, dtype)
                values = _parted(values, axes, (values.shape[axis], *(1,) * (len(axes) - 1)))
        return values

    def _axes(self, axis: int) -> tuple[int, ...]:
        coding = self.codings[axis]
        return (axis,) if coding is None or not coding.axes else coding.axes

    def total(self, values: Array, block: CellBlock, dtype: Any = None) -> Array:
        """The sum of the cells of a block; what does not vary along an axis counts as often as that is long."""
        lengths = [n for a, n in enumerate(block.shape) if self.codings[a] is None and values.shape[a] == 1]
        found = self.fold(np.add, values, block, dtype)
        times = math.prod(lengths)
        if times == 1:
            return found
        found = found if dtype is None else found.astype(dtype, copy=False)
        return found * found.dtype.type(times)

    def scaled(self, values: Array, factor: Array, block: CellBlock) -> Array | None:
        """The sum of the cells of a block times a factor, which stands outside of the sums along which it is the same.

        Returns:
            None where it varies along all axes that are summed over.
        """
        axes = [a for a, length in enumerate(factor.shape) if self.codings[a] is None and length == 1]
        if values.shape != block.shape or not axes:
            return None
        for span in _spans(axes):
            values = _folded(_typed(np.add.reduce, values, np.float64), values, span)
        return self.fold(np.add, values * factor, block)

    def product(self, one: Array, other: Array, block: CellBlock) -> Array:
        """The sum of the products of two arrays of a whole block."""
        if self._coded:
            return self.fold(np.add, np.multiply(one, other, out=block.room("product", block.shape, np.float64)), block)
        axes = list(range(len(block.shape)))
        kept = [axis for axis in axes if self.codings[axis] is not None]
        found = np.einsum(one, axes, other, axes, kept)
        return np.asarray(found).reshape([n if a in kept else 1 for a, n in enumerate(block.shape)])

    def counts(self, block: CellBlock) -> Array:
        """How many cells of a block fall into each group that it touches."""
        found = np.ones((1,) * len(block.shape))
        for axis, length in enumerate(block.shape):
            if self.codings[axis] is None:
                found = found * length
            elif axis in self._coded:
                shape = [1] * len(block.shape)
                shape[axis] = -1
                found = found * self._run(axis, block).counts.reshape(shape)
        return found

    def back(self, values: Array, block: CellBlock) -> Array:
        """Values of the groups that a block touches, for its cells."""
        for axis in self._coded:
            if values.shape[axis] > 1:
                axes = self._axes(axis)
                each = _merged(values, axes).take(self._run(axis, block).each, axis)
                values = _parted(each, axes, tuple(block.shape[a] for a in axes))
        return values

    def at(self, block: CellBlock) -> Index:
        """Where the groups that a block touches stand."""
        if not self._coded:
            return tuple(_ALL if c is None else p for c, p in zip(self.codings, block.part, strict=True))
        parts: list[Any] = []
        for axis, coding in enumerate(self.codings):
            if coding is None or coding is INSIDE:
                parts.append(_ALL)
            else:
                parts.append(block.part[axis] if coding.plain else self._run(axis, block).place)
        if all(isinstance(part, slice) for part in parts):
            return tuple(parts)
        arrays = [np.arange(p.start, p.stop) if isinstance(p, slice) else p for p in parts]
        return np.ix_(*arrays)

    def _grouped(self, ufunc: Any, values: Array, axis: int, block: CellBlock, dtype: Any) -> Array:
        runs = self._run(axis, block)
        reduce = _typed(ufunc.reduce, values, dtype)
        if len(runs.starts) == 1:
            return np.asarray(reduce(values, axis=axis, keepdims=True))
        if runs.order is not None:
            values = values.take(runs.order, axis)
        if len(runs.starts) <= _FEW:  # each by itself: at many places at once costs three times as much
            ends = [*runs.starts[1:], values.shape[axis]]
            cuts = [(slice(None),) * axis + (slice(s, e),) for s, e in zip(runs.starts, ends, strict=True)]
            return np.concatenate([reduce(values[cut], axis=axis, keepdims=True) for cut in cuts], axis)
        return np.asarray(_typed(ufunc.reduceat, values, dtype)(values, runs.starts, axis=axis))

    def _run(self, axis: int, block: CellBlock) -> _Runs:
        part = tuple(block.part[a] for a in self._axes(axis))
        key = (axis, *((p.start, p.stop) for p in part))
        found = self._runs.get(key)
        if found is None:
            coding = self.codings[axis]
            assert coding is not None
            found = self._runs[key] = _runs(coding.codes[part].reshape(-1))
        return found


def lengths(groups: Groups, shape: Sequence[int]) -> Array:
    """How many cells each group has where all of them count."""
    found = np.ones((1,) * len(shape), np.int64)
    for axis, coding in enumerate(groups.codings):
        if coding is None:
            found = found * shape[axis]
        elif not coding.plain and coding is not INSIDE:
            place = [1] * len(shape)
            place[axis] = -1
            found = found * np.bincount(coding.codes.reshape(-1), minlength=coding.count).reshape(place)
    return np.broadcast_to(found, groups.shape)


def _runs(codes: Array) -> _Runs:
    first = int(codes[0])
    if first == codes[-1] and (codes == first).all():
        one = np.zeros(1, np.int64)
        return _Runs(None, one, slice(first, first + 1), np.zeros(len(codes), np.int64), one + len(codes))
    order = None if (codes[1:] >= codes[:-1]).all() else np.argsort(codes, kind="stable")
    ordered = codes if order is None else codes[order]
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    place = ordered[starts]
    found: Any = place
    if place[-1] - place[0] == len(place) - 1:
        found = slice(int(place[0]), int(place[-1]) + 1)
    each = np.searchsorted(place, codes)
    return _Runs(order, starts, found, each, np.diff(starts, append=len(codes)))


def _stretched(values: Array, axes: Sequence[int], block: CellBlock) -> Array:
    """Values written out along some axes."""
    shape = list(values.shape)
    for axis in axes:
        shape[axis] = block.shape[axis]
    return values if tuple(shape) == values.shape else np.broadcast_to(values, shape)


def _merged(values: Array, axes: tuple[int, ...]) -> Array:
    """Several axes as one, at the place of the first."""
    if len(axes) == 1:
        return values
    first, last = axes[0], axes[0] + len(axes)
    values = np.moveaxis(values, axes, range(first, last))
    return values.reshape((*values.shape[:first], -1, *values.shape[last:]))


def _parted(values: Array, axes: tuple[int, ...], lengths: tuple[int, ...]) -> Array:
    """One axis as the several that it was."""
    if len(axes) == 1:
        return values
    first = axes[0]
    values = values.reshape((*values.shape[:first], *lengths, *values.shape[first + 1 :]))
    return np.moveaxis(values, range(first, first + len(axes)), axes)


def _spans(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Axes that follow each other, as their first and the one behind their last."""
    found: list[tuple[int, int]] = []
    for axis in axes:
        if found and found[-1][1] == axis:
            found[-1] = (found[-1][0], axis + 1)
        else:
            found.append((axis, axis + 1))
    return found


def _typed(reduce: Any, values: Array, dtype: Any) -> Any:
    """A reduction that brings values to a type."""
    return reduce if dtype is None or values.dtype == dtype else partial(reduce, dtype=dtype)


def _folded(reduce: Any, values: Array, span: tuple[int, int]) -> Array:
    """The axes of a span folded into one place."""
    first, last = span
    shape = values.shape
    if math.prod(shape[first:last]) == 1:
        return values
    if values.flags.c_contiguous or last - first == 1:
        flat = values.reshape((*shape[:first], -1, *shape[last:]))
        found = reduce(flat, axis=first)
    else:
        found = reduce(values, axis=tuple(range(first, last)))
    return np.asarray(found).reshape(shape[:first] + (1,) * (last - first) + shape[last:])
