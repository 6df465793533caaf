"""The chunks of a grid on a dask cluster: whether they are gone through there, and that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from ...cluster.client import check, client_of, described
from ...cluster.folding import LITTLE, folded, folded_held, folded_of
from ...cluster.graphs import is_made_alone
from ...cluster.holding import Holding, Wanted
from ...cluster.origins import packed
from ...cluster.parts import TASKS, batches, cut_as
from ...dense.node import Refused
from ...engine.budget import nbytes_shown
from ...properties import kept_property
from .grid import CellGrid, Stored
from .regions import regions_of
from .sweep import Sweep
from .tallies import State, Tally

if TYPE_CHECKING:
    from ...engine.context import Context

_NAMED = 64  # chunks that are looked at to tell a layout from another one
_SENT = 16 * 2**20  # bytes of variables that are in memory here, and go along
_PROGRAM = 64 * 2**20  # bytes of a program, most of them what is joined to the grid
_STATES = 2**30  # bytes of what all tasks come to, before they are put together


@dataclass(frozen=True)
class Remote:
    """A cluster that goes through the chunks of a grid.

    Attributes:
        client: the one that is connected to it.
        grid: the grid.
        regions: its chunks.
        entire: the axes of which a block has all positions.
    """

    client: Any
    grid: CellGrid
    regions: Sequence[Any]
    entire: frozenset[int] = frozenset()

    @property
    def is_alone(self) -> bool:
        """Whether each chunk is made for itself."""
        return all(is_made_alone(v.column.variable._data) for v in self.grid.stored)

    def description(self) -> str:
        """What is done where, for a person."""
        tasks = len(batches(self.regions, check(self.client))) if self.is_alone else len(self.regions)
        return f"{tasks:,} task{'s' * (tasks != 1)} on {described(self.client)}"


class Taking:
    """Tallies that are taken of a grid on its cluster, once or again and again; what stays the same is made once.

    Args:
        remote: the grid.
        tallies: what is taken.
        holding: keeps chunks on the cluster; None for a query that runs once.
    """

    def __init__(self, remote: Remote, tallies: Sequence[Tally], holding: Holding | None) -> None:
        self._remote, self._tallies, self._holding = remote, tallies, holding
        self._sweep = replace(Sweep.of(remote.grid, tallies, remote.entire), there=True)
        self._is_alone = remote.is_alone

    @property
    def client(self) -> Any:
        """Whose cluster it is."""
        return self._remote.client

    def states(self, on_read: Callable[[], None], numbers: Sequence[float] = ()) -> dict[Tally, State]:
        """What tallies come to over all cells; as :func:`.regions.taken`.

        Args:
            on_read: is called for each chunk.
            numbers: those of the step.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
            Refused: the program is too large to be sent.
        """
        return dict(zip(self._tallies, self._taken(on_read, numbers), strict=True))

    def _taken(self, on_read: Callable[[], None], numbers: Sequence[float]) -> Any:
        client, regions, sweep = self._remote.client, self._remote.regions, self._sweep
        if not self._is_alone:
            values = [[sweep.lazy(n, region).data for n in range(sweep.variables)] for region in regions]
            return folded_of(client, self._given, numbers, regions, values, on_read)
        held = None if self._holding is None else self._holding.held(client, *self._wanted, regions, on_read)
        here = sweep if self._size <= LITTLE else None
        if held is not None:
            return folded_held(client, self._bare, numbers, cut_as(regions, held.batches), held, on_read, here)
        parts = batches(regions, check(client), 1 if self._holding else self._tasks)
        return folded(client, self._whole, numbers, parts, on_read, here)

    @kept_property
    def _bare(self) -> bytes:
        return _pickled(self._sweep.bare())

    @kept_property
    def _given(self) -> bytes:
        """Without the variables, which the cluster's scheduler has made."""
        return _pickled(self._sweep.bare(), [v.column.variable._data for v in self._sweep.stored])

    @kept_property
    def _whole(self) -> bytes:
        return _pickled(self._sweep)

    @kept_property
    def _size(self) -> int:
        """The bytes of what a task comes to."""
        return sum(int(array.nbytes) for state in self._sweep.fresh() for array in state)

    @property
    def _tasks(self) -> int:
        """How many tasks there are for each thread: fewer where each comes to much."""
        return max(1, min(TASKS, _STATES // max(self._size, 1)))

    @kept_property
    def _wanted(self) -> tuple[Any, list[Wanted]]:
        """The layout of the chunks, and what is read of each variable."""
        remote, sweep = self._remote, self._sweep
        grid = remote.grid
        apart = len(grid.axes) - len(grid.main.dims)  # which no chunk has
        kept = tuple(axis.tobytes() for axis in sweep.kept[apart:])
        entire = frozenset(axis - apart for axis in remote.entire if axis >= apart)
        layout = (_Same(grid.main), kept, entire, _ends(remote.regions, apart))
        return layout, [_wanted(variable, sweep, apart, grid.shape) for variable in sweep.stored]


def _wanted(variable: Stored, sweep: Sweep, apart: int, shape: Sequence[int]) -> Wanted:
    """What is read of a variable."""
    axes = tuple(axis - apart for axis in variable.axes)
    places = tuple(None if place is None else place.tobytes() for place in variable.places)
    reading = replace(sweep, tallies=(), stored=(variable,))
    key = (_Same(variable.column.variable), axes, places)
    return Wanted(key, variable.name, _nbytes(variable, shape), lambda: _pickled(reading))


def remote_of(context: Context, grid: CellGrid, entire: frozenset[int]) -> Remote | str | None:
    """The cluster that goes through the chunks of a grid, or why none does although there is one.

    Args:
        context: says which client is meant.
        grid: planned; its variables are known.
        entire: the axes of which a block has all positions.
    """
    client = client_of(context.client)
    if client is None:
        return None
    lazy = [v for v in grid.stored if not v.column.variable._in_memory]
    here = sum(v.column.variable.nbytes for v in grid.stored if v.column.variable._in_memory)
    if not lazy:
        return "not on the cluster: no chunk is read" if not grid.stored else "not on the cluster: the data are here"
    if here > _SENT:
        return f"not on the cluster: {nbytes_shown(here)} of the data are here"
    regions = list(regions_of(grid, entire))
    if len(regions) < 2:
        return "not on the cluster: it is one chunk"
    return Remote(client, grid, regions, entire)


class _Same:
    """What is told from others by being itself, and is kept so that it stays what it is."""

    def __init__(self, one: Any) -> None:
        self.one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.one is self.one

    def __hash__(self) -> int:
        return id(self.one)


def _ends(regions: Sequence[Any], apart: int) -> Any:
    """What tells the chunks of a layout from those of another one of the same positions."""
    shown = regions if len(regions) <= _NAMED else (*regions[:_NAMED], regions[-1])
    return len(regions), tuple((part.start, part.stop) for region in shown for part in region[apart:])


def _nbytes(variable: Stored, shape: Sequence[int]) -> int:
    """The bytes of what is read of a variable."""
    return prod(shape[axis] for axis in variable.axes) * int(variable.column.variable.dtype.itemsize)


def _pickled(sweep: Sweep, reads: Any = None) -> bytes:
    program = packed(sweep, reads)
    if len(program) > _PROGRAM:
        raise Refused(f"{nbytes_shown(len(program))} would be sent to each worker of the cluster")
    return program
