"""Variances, covariances and what is made of them: counts, means and sums of products of what differs from the means.

Blocks, and what threads have come to, are put together by the rule of Chan, Golub and LeVeque, so that no large mean
takes digits from a small variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .cells import Array, CellBlock, Cells, only
from .tallies import SingleValueTally, State, as_type, counted, full


@dataclass(eq=False)
class Moments(SingleValueTally):
    """Of one value or two: how many there are, their means, and the sums of the products of what differs from them.

    Attributes:
        other: the second value, or None.
        squares: whether the sums of the squares are wanted.
    """

    other: Cells | None = None
    squares: bool = True

    def fresh(self) -> State:
        """Count, mean, sum of squares; of two values also mean, sum of squares and of products."""
        return [np.zeros(self.groups.shape) for _ in range(3 if self.other is None else 6)]

    def add(self, state: State, block: CellBlock) -> None:  # noqa: D102 - see Tally
        values = [v for v in (self.value, self.other) if v is not None]
        place = self.groups.at(block)
        now = [quantity[place] for quantity in state]
        if not self._onward(values, now, block):
            _together(now, self._parts(values, block))
        for quantity, new in zip(state, now, strict=True):
            quantity[place] = new

    def merge(self, state: State, other: State) -> None:  # noqa: D102 - see Tally
        _together(state, other)

    def _onward(self, values: list[Cells], now: State, block: CellBlock) -> bool:
        """Add a block by what its cells differ from the means so far; else nothing has been done.

        That takes two passes for each value less than the means of the block do. What is lost of a digit is no more
        than the share that those so far have in all, so a group begins with the means of its first block.
        """
        if self.often or not self._shows(values) or (now[0] == 0).any():
            return False
        means = now[1:4:2]
        rests = [
            self._rest(v.of(block), mean, None, block, n) for n, (v, mean) in enumerate(zip(values, means, strict=True))
        ]
        sums = [self.groups.fold(np.add, rest, block) for rest in rests]
        if not all(np.isfinite(total).all() for total in sums):
            return False
        now[0] += self.groups.counts(block)
        steps = [total / now[0] for total in sums]
        if self.squares:
            for square, rest, step, total in zip(now[2:5:2], rests, steps, sums, strict=True):
                square += self._product(rest, rest, block) - step * total
        if self.other is not None:
            now[5] += self._product(rests[0], rests[1], block) - steps[0] * sums[1]
        for mean, step in zip(means, steps, strict=True):
            mean += step
        return True

    def _shows(self, values: list[Cells]) -> bool:
        """Whether a sum of the cells shows whether one of them does not count."""
        return self.mask is None and all(value.valid is None or value.marked for value in values)

    def _parts(self, values: list[Cells], block: CellBlock) -> State:
        """What a block comes to by itself."""
        cells = [full(as_type(v.of(block), np.float64, block, (self, n)), block) for n, v in enumerate(values)]
        known = None
        means: list[Array] = []
        if not self.often and self._shows(values):
            count = self.groups.counts(block)
            means = [self.groups.fold(np.add, c, block) / count for c in cells]
        if not means or any(np.isnan(mean).any() for mean in means):
            known = self._known(values, block)
        if known is not None or not means:
            cells, count, means = self._careful(cells, known, block)
        rests = [self._rest(c, mean, known, block, n) for n, (c, mean) in enumerate(zip(cells, means, strict=True))]
        squares = [np.zeros_like(mean) for mean in means]
        if self.squares:
            squares = [self._product(rest, rest, block) for rest in rests]
            _settle(means, squares, count, lambda n: self._constant(cells[n], known, block))
        parts = [np.broadcast_to(count, means[0].shape), means[0], squares[0]]
        if self.other is not None:
            parts += [means[1], squares[1], self._product(rests[0], rests[1], block)]
        return parts

    def _known(self, values: list[Cells], block: CellBlock) -> Array | None:
        masks = [m for m in (self.known(block, v) for v in values) if m is not None]
        if not masks:
            return None
        return full(masks[0] if len(masks) == 1 else np.logical_and(*masks), block)

    def _careful(
        self, cells: list[Array], known: Array | None, block: CellBlock
    ) -> tuple[list[Array], Array, list[Array]]:
        whole = self.groups.counts(block)
        count = whole if known is None else counted(known, self.groups, block).astype(np.float64)
        self.often = known is not None and bool((count != whole).any())
        if known is not None:
            cells = [only(c, known, 0, block, (self, n)) for n, c in enumerate(cells)]
        totals = [self.groups.fold(np.add, c, block) for c in cells]
        return cells, count, [total / np.maximum(count, 1) for total in totals]

    def _rest(self, cells: Array, mean: Array, known: Array | None, block: CellBlock, number: int) -> Array:
        room = block.room((self, "rest", number), block.shape, np.float64)
        rest = np.subtract(cells, self.groups.back(mean, block), out=room)
        return rest if known is None else only(rest, known, 0, block, (self, "rest", number))

    def _product(self, one: Array, other: Array, block: CellBlock) -> Array:
        return self.groups.product(one, other, block)

    def _constant(self, cells: Array, known: Array | None, block: CellBlock) -> tuple[Array, Array]:
        """The least and the greatest cell of each group."""
        low, high = (cells, cells) if known is None else (np.where(known, cells, e) for e in (np.inf, -np.inf))
        return self.groups.fold(np.minimum, low, block), self.groups.fold(np.maximum, high, block)


def _settle(
    means: list[Array], squares: list[Array], count: Array, limits: Callable[[int], tuple[Array, Array]]
) -> None:
    """Where all values of a group are equal, make their mean that value and their squares zero, as the engine does."""
    for number, (mean, square) in enumerate(zip(means, squares, strict=True)):
        if ((square > 1e-24 * count * mean * mean) | (count <= 1)).all():
            continue
        low, high = limits(number)
        same = low == high
        means[number], squares[number] = np.where(same, low, mean), np.where(same, 0.0, square)


def _together(state: State, parts: list[Array]) -> None:
    """Put the moments of two parts of a group together."""
    with np.errstate(all="ignore"):
        total = state[0] + parts[0]
        share = parts[0] / np.maximum(total, 1)
        weight = state[0] * share
        first = parts[1] - state[1]
        means = [state[1] + first * share]
        sums = [state[2] + parts[2] + first * first * weight]
        if len(state) > 3:
            second = parts[3] - state[3]
            means.append(state[3] + second * share)
            sums += [state[4] + parts[4] + second * second * weight, state[5] + parts[5] + first * second * weight]
        new = [total, means[0], sums[0]] + ([means[1], sums[1], sums[2]] if len(state) > 3 else [])
        empty = parts[0] == 0
        for place, values in enumerate(new):
            state[place][...] = np.where(empty, state[place], values)
