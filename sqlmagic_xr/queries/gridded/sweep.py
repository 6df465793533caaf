"""What is read of a grid's chunks and taken of their cells, without the context: it can be sent to where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
from xarray import Variable

from ...cluster import blocks
from ...cluster.graphs import is_made_alone
from ...engine.columns import values_of
from ...engine.gridtable import GridColumn
from ...engine.uncut import uncut
from .cells import Array, CellBlock, Part, is_instant
from .grid import CellGrid, Stored
from .moments import Moments
from .tallies import FoldedValue, State, Tally

BLOCK = 131_072
"""Cells that are gone through at a time: 1 MiB of float64, which stays in the second cache."""

LARGE = 2_097_152
"""Cells that are gone through at a time where that takes no array of them: NumPy does not come back for each block."""

_RUN = 1024


@dataclass(eq=False)
class Sweep:
    """Tallies, and the variables whose cells they are taken of.

    Attributes:
        dims: the names of the axes.
        kept: the positions along each of them that are read.
        stored: the variables.
        tallies: what is taken.
        entire: the axes of which a block has all positions.
        there: whether it is gone through on a worker of a cluster, where a thread makes the chunks that it reads.
        numbers: those of the step, see :mod:`.holes`.
    """

    dims: tuple[Any, ...]
    kept: tuple[Array, ...]
    stored: tuple[Stored, ...]
    tallies: tuple[Tally, ...]
    entire: frozenset[int] = frozenset()
    there: bool = False
    numbers: tuple[Any, ...] = ()

    @classmethod
    def of(cls, grid: CellGrid, tallies: Sequence[Tally], entire: frozenset[int] = frozenset()) -> Sweep:
        """What is taken of a grid."""
        kept = tuple(axis.kept for axis in grid.axes)
        return cls(tuple(axis.dim for axis in grid.axes), kept, tuple(grid.stored), tuple(tallies), entire)

    @property
    def variables(self) -> int:
        """How many variables are read."""
        return len(self.stored)

    def anew(self, numbers: Sequence[float]) -> Sweep:
        """The same for one thread and step: whether NULLs are expected decides in which order cells are summed."""
        return replace(self, tallies=tuple(map(copy, self.tallies)), numbers=tuple(map(np.float64, numbers)))

    def fresh(self) -> list[State]:
        """What stands before the first region."""
        return [tally.fresh() for tally in self.tallies]

    def lazy(self, number: int, region: Part) -> Any:
        """A region of a variable, not read yet."""
        variable, where = self._part(number, region)
        return variable.isel(where)

    def _part(self, number: int, region: Part) -> tuple[Variable, dict[Any, Any]]:
        variable = self.stored[number]
        source = variable.column.variable
        where: dict[Any, Any] = {}
        for dim, axis, place in zip(source.dims, variable.axes, variable.places, strict=True):
            kept = self.kept[axis][region[axis]]
            where[dim] = _slice(kept if place is None else place[kept])
        return source, where

    def read(self, number: int, region: Part) -> Array:
        """A region of a variable, with the axes of the grid in their order."""
        return self.laid(number, _values(*self._part(number, region), there=self.there))

    def laid(self, number: int, values: Array) -> Array:
        """What has been read of a variable, with the axes of the grid in their order."""
        variable = self.stored[number]
        if is_instant(str(variable.column.kind)):
            values = values.astype(f"{values.dtype.kind}8[{variable.column.kind.unit}]", copy=False).view(np.int64)
        elif not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        order = sorted(range(len(variable.axes)), key=variable.axes.__getitem__)
        values = values.transpose(order) if order != list(range(len(order))) else values
        shape = [1] * len(self.kept)
        for axis, length in zip(sorted(variable.axes), values.shape, strict=True):
            shape[axis] = length
        return values.reshape(shape)

    def placed(self, values: Array) -> Array:
        """A region that was laid for a grid with more or fewer axes in front, of what is joined with every cell."""
        own = values.shape[max(0, values.ndim - len(self.kept)) :]
        return values.reshape((1,) * (len(self.kept) - len(own)) + own)

    def add(
        self,
        state: list[State],
        region: Part,
        values: Sequence[Array],
        rooms: dict[Any, Array] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Go through the cells of a region.

        Args:
            state: what is added to.
            region: where its cells lie.
            values: its variables.
            rooms: arrays that are written into again and again.
            stopped: whether nobody wants to know any more.
        """
        moments = [tally for tally in self.tallies if isinstance(tally, Moments)]
        size = BLOCK // 2 if moments else BLOCK  # of which several arrays are gone through at once
        folded = moments[0].groups.folded if moments else frozenset()
        rooms = {} if rooms is None else rooms

        def blocks(whole: Part, size: int) -> Iterator[CellBlock]:
            for part in parts(whole, size, folded, self.entire):
                if stopped():
                    return
                inside = tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
                shape = tuple(p.stop - p.start for p in part)
                yield CellBlock(part, inside, shape, values, rooms, numbers=self.numbers)

        with np.errstate(all="ignore"):
            light = [tally for tally in self.tallies if isinstance(tally, FoldedValue) and tally.is_light]
            if len(light) < len(self.tallies):
                for block in blocks(region, size):
                    for tally, own in zip(self.tallies, state, strict=True):
                        tally.add(own, block)
                return
            for large in blocks(region, LARGE):
                for folding, own in zip(light, state, strict=True):
                    if not folding.at_once(own, large):
                        for block in blocks(large.part, size):
                            folding.add(own, block)

    def merge(self, state: list[State], other: list[State]) -> None:
        """Add what other regions have come to."""
        for tally, mine, his in zip(self.tallies, state, other, strict=True):
            tally.merge(mine, his)

    def bare(self) -> Sweep:
        """The same without the variables themselves, and where they are read, for whoever has their values."""
        nothing = np.empty(0, np.int64)
        stored = tuple(replace(v, column=_bare(v), places=(None,) * len(v.axes)) for v in self.stored)
        return replace(self, kept=(nothing,) * len(self.kept), stored=stored)

    def title(self, number: int, region: Part) -> str:
        """A region of a variable, for a person."""
        variable = self.stored[number]
        source = variable.column.variable
        places = []
        for dim, axis, place in zip(source.dims, variable.axes, variable.places, strict=True):
            kept = self.kept[axis][region[axis]]
            at = kept if place is None else place[kept]
            places.append(f"{dim} {at.min()} to {at.max()}")
        return f"the variable `{variable.name}` ({', '.join(places)} of {store_of(variable)})"


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
        room = most * steps[axis] // prod(steps)
        steps[axis] = max(steps[axis], min(lengths[axis], room))
    pieces = [
        [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]
        for part, step in zip(whole, steps, strict=True)
    ]
    yield from product(*pieces)


def _bare(variable: Stored) -> GridColumn:
    column, source = variable.column, variable.column.variable
    nothing = np.empty((0,) * source.ndim, source.dtype)
    return replace(column, variable=Variable(source.dims, nothing, encoding={"source": store_of(variable)}))


def store_of(variable: Stored) -> str:
    """Where a variable is stored, as far as xarray knows."""
    return str(variable.column.variable.encoding.get("source") or variable.store or "its store")


def _values(variable: Variable, where: Mapping[Any, Any], *, there: bool) -> Array:
    """A part of a variable; dask's chunks are made in this thread, unless it has been told who makes them."""
    data: Any = variable._data
    if type(data) is np.ndarray:
        index = tuple(where.get(dim, slice(None)) for dim in variable.dims)
        if sum(not isinstance(places, slice) for places in index) <= 1:
            return data[index]
    if not hasattr(data, "__dask_graph__"):
        return values_of(variable.isel(where))
    if there or _is_ours(data):
        index = tuple(where.get(dim, slice(None)) for dim in variable.dims)
        whole = uncut(data)
        return blocks.part(data, index) if whole is None else np.asarray(whole[index])
    found: Any = variable.isel(where)._data
    return np.asarray(found.compute())


def _is_ours(data: Any) -> bool:
    """Whether dask's chunks are made in this thread: unless somebody else has been told to, or a cluster has to."""
    from dask import config
    from dask.base import get_scheduler

    by_cluster = config.get("scheduler", None) == "dask.distributed"
    return is_made_alone(data) if by_cluster else get_scheduler() is None


def _slice(places: Array) -> Any:
    """Positions as a slice, which reads without a copy, where they follow each other."""
    first, last = int(places[0]), int(places[-1])
    if last - first == len(places) - 1 and (len(places) == 1 or (np.diff(places) == 1).all()):
        return slice(first, last + 1)
    return places
