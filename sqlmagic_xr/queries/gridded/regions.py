"""The cells that are read, region by region: chunks of what is on disk or lazy, parts of what is in memory.

Threads take one region after another. Of each, a thread reads the variables and goes through its cells in blocks that
fit the cache. So what is in memory at a time is a region for each thread.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def taken(
    grid: Grid, tallies: Sequence[Tally], on_read: Callable[[], None], entire: frozenset[int] = frozenset()
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
    regions = list(_regions(grid, entire))
    work = _Work(grid, tallies, regions, on_read, entire)
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
        self, grid: Grid, tallies: Sequence[Tally], regions: Sequence[Part], on_read: Callable[[], None],
        entire: frozenset[int],
    ) -> None:  # fmt: skip
        self._entire = entire
        self._grid, self._tallies, self._on_read = grid, tallies, on_read
        self._left = iter(regions)
        moments = [tally for tally in tallies if isinstance(tally, Moments)]
        self._size = BLOCK // 2 if moments else BLOCK  # of which several arrays are gone through at once
        self._folded = moments[0].groups.folded if moments else frozenset()
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
        for part in parts(region, self._size, self._folded, self._entire):
            if self.stopped:
                return
            inside = tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
            block = Block(part, inside, tuple(p.stop - p.start for p in part), stored, rooms)
            for tally, state in zip(self._tallies, states, strict=True):
                tally.add(state, block)


def parts(
    whole: Part, size: int, folded: frozenset[int] = frozenset(), entire: frozenset[int] = frozenset()
) -> Iterator[Part]:
    """A part of a grid in pieces of at most so many cells, in the order in which they lie.

    Args:
        whole: the part.
        size: of a piece.
        folded: the axes along which a piece shall be long before it is long along others: then it touches few groups.
        entire: the axes along which a piece is as long as the whole, however many cells it has then.
    """
    lengths = [part.stop - part.start for part in whole]
    steps = [length if axis in entire else 1 for axis, length in enumerate(lengths)]
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


def _is_lazy(grid: Grid) -> bool:
    return any(not v.column.variable._in_memory for v in grid.stored)


def chunks_told(grid: Grid) -> str:
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


def _regions(grid: Grid, entire: frozenset[int]) -> Iterator[Part]:
    lazy = _is_lazy(grid)
    whole = [
        _chunks(grid, number) if lazy and number not in entire else [slice(0, length)]
        for number, length in enumerate(grid.shape)
    ]
    chunked = any(len(pieces) > 1 for pieces in whole)
    for region in product(*whole):
        cells = math.prod(part.stop - part.start for part in region)
        yield from [region] if chunked else parts(region, min(REGION, max(BLOCK, cells // 16)), entire=entire)


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
    values = _values(source, where)
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


def _values(variable: Any, where: Mapping[Any, Any]) -> Array:
    """A part of a variable; dask's chunks are made in this thread, unless it has been told who makes them."""
    data = variable._data
    if type(data) is np.ndarray:
        index = tuple(where.get(dim, slice(None)) for dim in variable.dims)
        if sum(not isinstance(places, slice) for places in index) <= 1:
            return data[index]
    variable = variable.isel(where)
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
