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

from ...engine.columns import values_of
from ...engine.streaming import chunk_sizes
from .cells import Array, Block, Part, is_instant
from .grid import Grid, Stored
from .tallies import Moments, State, Tally

BLOCK = 131_072
"""Cells that are gone through at a time: 1 MiB of float64, which stays in the second cache."""

_RUN = 1024

REGION = 4_194_304
"""Cells of a region of what is in memory, and the most of one that is read and has no chunks."""


def taken(grid: Grid, tallies: Sequence[Tally], on_read: Callable[[], None]) -> dict[Tally, State]:
    """What tallies come to over all cells of a grid.

    Args:
        grid: whose cells.
        tallies: what is taken of them.
        on_read: is called when a region begins to be read.
    """
    if not tallies:
        return {}
    regions = list(_regions(grid))
    work = _Work(grid, tallies, regions, on_read)
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
        for tally, mine, his in zip(tallies, first, states, strict=True):
            tally.merge(mine, his)
    return dict(zip(tallies, first, strict=True))


class _Work:
    """Regions that several threads go through."""

    def __init__(
        self, grid: Grid, tallies: Sequence[Tally], regions: Sequence[Part], on_read: Callable[[], None]
    ) -> None:
        self._grid, self._tallies, self._on_read = grid, tallies, on_read
        self._left = iter(regions)
        moments = any(isinstance(tally, Moments) for tally in tallies)
        self._size = BLOCK // 2 if moments else BLOCK  # of which several arrays are gone through at once
        self._folded = tallies[0].groups.folded if moments else frozenset()
        self._lock = threading.Lock()
        self.states: list[list[State]] = []
        self.errors: list[BaseException] = []
        self.stopped = False

    def run(self) -> None:
        """Go through regions until none is left."""
        try:
            states = [tally.fresh() for tally in self._tallies]
            rooms: dict[Any, Array] = {}
            with np.errstate(all="ignore"):
                while (region := self._next()) is not None:
                    self._region(region, states, rooms)
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

    def _region(self, region: Part, states: list[State], rooms: dict[Any, Array]) -> None:
        stored = [_read(self._grid, variable, region) for variable in self._grid.stored]
        for part in parts(region, self._size, self._folded):
            if self.stopped:
                return
            inside = tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
            block = Block(part, inside, tuple(p.stop - p.start for p in part), stored, rooms)
            for tally, state in zip(self._tallies, states, strict=True):
                tally.add(state, block)


def parts(whole: Part, size: int, folded: frozenset[int] = frozenset()) -> Iterator[Part]:
    """A part of a grid in pieces of at most so many cells, in the order in which they lie.

    Args:
        whole: the part.
        size: of a piece.
        folded: the axes along which a piece shall be long before it is long along others: then it touches few groups.
    """
    lengths = [part.stop - part.start for part in whole]
    steps = [1] * len(whole)
    last_first = range(len(whole) - 1, -1, -1)
    wanted = [(axis, min(_RUN, size)) for axis in last_first]  # what lies together is read together
    wanted += [(axis, size) for axis in last_first if axis in folded]
    wanted += [(axis, size) for axis in last_first]
    for axis, most in wanted:
        room = most * steps[axis] // math.prod(steps)
        steps[axis] = max(steps[axis], min(lengths[axis], room))
    pieces = [
        [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]
        for part, step in zip(whole, steps, strict=True)
    ]
    yield from product(*pieces)


def _regions(grid: Grid) -> Iterator[Part]:
    lazy = any(not v.column.variable._in_memory for v in grid.stored)
    whole = [_chunks(grid, number) if lazy else [slice(0, length)] for number, length in enumerate(grid.shape)]
    chunked = any(len(pieces) > 1 for pieces in whole)
    for region in product(*whole):
        cells = math.prod(part.stop - part.start for part in region)
        yield from [region] if chunked else parts(region, min(REGION, max(BLOCK, cells // 16)))


def _chunks(grid: Grid, number: int) -> list[slice]:
    """The positions along an axis that are read, by the chunks in which they are stored."""
    axis = grid.axes[number]
    sizes = chunk_sizes(grid.main).get(axis.dim) or (axis.length,)
    ends = np.searchsorted(axis.kept, np.cumsum([0, *sizes]))
    return [slice(int(a), int(b)) for a, b in pairwise(ends) if b > a]


def _read(grid: Grid, variable: Stored, region: Part) -> Array:
    """A region of a variable, with the axes of the grid in their order."""
    source = variable.column.variable
    where: dict[Any, Any] = {}
    for dim, axis, place in zip(source.dims, variable.axes, variable.places, strict=True):
        kept = grid.axes[axis].kept[region[axis]]
        where[dim] = _slice(kept if place is None else place[kept])
    values = _values(source.isel(where))
    if is_instant(str(variable.column.kind)):
        values = values.astype(f"{values.dtype.kind}8[{variable.column.kind.unit}]", copy=False).view(np.int64)
    elif not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    order = sorted(range(len(variable.axes)), key=variable.axes.__getitem__)
    values = values.transpose(order) if order != list(range(len(order))) else values
    shape = [1] * len(grid.axes)
    for axis, length in zip(sorted(variable.axes), values.shape, strict=True):
        shape[axis] = length
    return values.reshape(shape)


def _values(variable: Any) -> Array:
    """The values of a variable; dask's chunks are made in this thread, unless it has been told who makes them."""
    data = variable._data
    if not hasattr(data, "__dask_graph__"):
        return values_of(variable)
    from dask.base import get_scheduler

    return np.asarray(data.compute(**({} if get_scheduler() else {"scheduler": "synchronous"})))


def _slice(places: Array) -> Any:
    """Positions as a slice, which reads without a copy, where they follow each other."""
    first, last = int(places[0]), int(places[-1])
    if last - first == len(places) - 1 and (len(places) == 1 or (np.diff(places) == 1).all()):
        return slice(first, last + 1)
    return places
