"""The cells that are read, region by region: chunks of what is on disk or lazy, parts of what is in memory.

Threads take one region after another. Of each, a thread reads the variables and goes through its cells in blocks that
fit the cache. So what is in memory at a time is a region for each thread.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from ...engine.streaming import chunk_sizes
from .axes import GridAxis
from .cells import Array, Part
from .grid import CellGrid
from .sweep import BLOCK, Sweep, parts
from .tallies import State, Tally

REGION = 4_194_304
"""Cells of a region of what is in memory, and the most of one that is read and has no chunks."""


def taken(
    grid: CellGrid, tallies: Sequence[Tally], on_read: Callable[[], None], entire: frozenset[int] = frozenset()
) -> dict[Tally, State]:
    """What tallies come to over all cells of a grid.

    Args:
        grid: whose cells.
        tallies: what is taken of them.
        on_read: is called when a region begins to be read.
        entire: the axes of which a block has all positions.
    """
    if not tallies:
        return {}
    regions = list(regions_of(grid, entire))
    sweep = Sweep.of(grid, tallies, entire)
    work = _Work(sweep, regions, on_read)
    count = min(len(regions), os.cpu_count() or 1)
    others = [threading.Thread(target=work.run, name="sqlmagic_xr grids", daemon=True) for _ in range(count - 1)]
    for thread in others:
        thread.start()
    try:
        work.run()
        for thread in others:
            while thread.is_alive():
                thread.join(0.1)  # so that an interrupt is seen
    finally:
        work.stopped = True
    if work.errors:
        raise work.errors[0]
    first, *rest = work.states
    for states in rest:
        sweep.merge(first, states)
    return dict(zip(tallies, first, strict=True))


class _Work:
    """Regions that several threads go through."""

    def __init__(self, sweep: Sweep, regions: Sequence[Part], on_read: Callable[[], None]) -> None:
        self._sweep, self._on_read = sweep, on_read
        self._left = iter(regions)
        self._lock = threading.Lock()
        self.states: list[list[State]] = []
        self.errors: list[BaseException] = []
        self.stopped = False

    def run(self) -> None:
        """Go through regions until none is left."""
        try:
            states = self._sweep.fresh()
            rooms: dict[Any, Array] = {}
            while (region := self._next()) is not None:
                values = [self._sweep.read(number, region) for number in range(self._sweep.variables)]
                self._sweep.add(states, region, values, rooms, lambda: self.stopped)
            with self._lock:
                self.states.append(states)
        except BaseException as error:
            self.stopped = True
            self.errors.append(error)

    def _next(self) -> Part | None:
        with self._lock:
            if self.stopped:
                return None
            region = next(self._left, None)
            if region is not None:
                self._on_read()
            return region


def _is_lazy(grid: CellGrid) -> bool:
    return any(not v.column.variable._in_memory for v in grid.stored)


def chunks_told(grid: CellGrid) -> str:
    """Which chunks of a dataset that is not in memory are read, for a person; "" for one that is."""
    if not _is_lazy(grid):
        return ""
    sizes = chunk_sizes(grid.main)
    whole, read, said = 1, 1, []
    for axis in grid.axes:
        ends = np.cumsum(sizes.get(axis.dim) or (axis.length,))
        kept = np.unique(np.searchsorted(ends, axis.kept, side="right"))
        whole, read = whole * len(ends), read * len(kept)
        if len(kept) < len(ends):
            said.append(f"{axis.dim} {_ranges(kept)} of 0 to {len(ends) - 1}")
    which = f" ({', '.join(said)})" if said else ""
    return f"{read:,} of {whole:,} chunks{which}"


def _ranges(numbers: Array) -> str:
    """Numbers as a person lists them: those that follow each other by their ends."""
    found = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    shown = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in found[:5]]
    return " and ".join([", ".join(shown)] + ([f"{len(found) - 5} more"] if len(found) > 5 else []))


def regions_of(grid: CellGrid, entire: frozenset[int] = frozenset()) -> Iterator[Part]:
    """The parts of a grid that are read one after another; see :func:`taken`."""
    sizes = chunk_sizes(grid.main) if _is_lazy(grid) else None
    whole = [
        [slice(0, length)] if sizes is None or number in entire else _chunks(axis, sizes.get(axis.dim))
        for number, (axis, length) in enumerate(zip(grid.axes, grid.shape, strict=True))
    ]
    if any(len(pieces) > 1 for pieces in whole):
        yield from product(*whole)
        return
    for region in product(*whole):
        cells = math.prod(part.stop - part.start for part in region)
        yield from parts(region, min(REGION, max(BLOCK, cells // 16)), entire=entire)


def _chunks(axis: GridAxis, stored: Sequence[int] | None) -> list[slice]:
    """The positions along an axis that are read, by the chunks in which they are stored."""
    sizes = stored or (axis.length,)
    ends = np.searchsorted(axis.kept, np.cumsum([0, *sizes]))
    return [slice(int(a), int(b)) for a, b in pairwise(ends) if b > a]
