"""An aggregate over a grid: what is read for it, and the rows of its groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ...cluster.client import client_of
from ...dense.node import Refused
from ...relation.columns import Measure
from ...relation.nodes import Aggregate
from ...relation.reads import volatile
from ...sql.expression import Call, Expression
from .axes import Coding
from .codings import codings_of
from .grid import CellGrid, Fetch, cells_of
from .groups import Groups
from .holes import Holes
from .measures import Measures, refuse_unknown
from .regions import chunks_told, taken
from .remote import Remote, Taking, remote_of
from .scalars import CellScalars
from .source import source_of
from .tallies import State, Tally

if TYPE_CHECKING:
    from ...cluster.holding import Holding
    from ...engine.context import Context

_GROUPS = 5_000_000  # each thread has its own, some numbers for each


class Groupwise:
    """An aggregate over a grid, planned.

    Args:
        context: whose tables it reads.
        aggregate: it.
        fetch: gives the rows of what is joined and no dataset.
        holding: keeps chunks on a cluster; then what is not taken there is refused.
        holes: parameters whose values are given when the rows are asked for.

    Raises:
        Refused: there is no array code for it.
    """

    def __init__(
        self, context: Context, aggregate: Aggregate, fetch: Fetch, holding: Holding | None = None,
        holes: Holes | None = None,
    ) -> None:  # fmt: skip
        if aggregate.sets or aggregate.free or any(map(volatile, aggregate.inputs)):
            raise Refused("this GROUP BY is not array code", aggregate.span)
        for measure in aggregate.measures:  # what is told without a look at the data comes first
            refuse_unknown(measure)
        self._context, self._aggregate, self._holding = context, aggregate, holding
        self.grid = grid = CellGrid(context, source_of(aggregate), fetch)
        if 0 in grid.shape:
            raise Refused("no cell is left")
        resolved, scalars = grid.source.resolved, CellScalars(grid, holes)
        keys = [resolved(key.expression) for key in aggregate.keys]
        self._keys, codings = codings_of(grid, keys)
        self._groups = Groups(codings)
        if self._groups.size > _GROUPS:
            raise Refused(f"{self._groups.size:,} groups")
        where = scalars.all([*grid.masks(), *map(scalars.holds, grid.conditions)])
        self._measures = measures = Measures(grid, scalars, self._groups, where)
        self._columns = [measures.column(_resolved(m, resolved)) for m in aggregate.measures]
        self._counts = measures.rows(where)
        self._taking: Taking | None = None

    def description(self) -> str:
        """What is read for it, and where, for a person."""
        remote = remote_of(self._context, self.grid, self._measures.entire)
        where = "" if remote is None else f"; {remote if isinstance(remote, str) else remote.description()}"
        return f"{described(self.grid)}{where}"

    def rows(self, numbers: Sequence[float] = ()) -> pa.Table:
        """The groups: their keys, then the aggregates.

        Args:
            numbers: of the holes, see :class:`.holes.Holes`.
        """
        tallies = list(self._measures.tallies.values())
        states = self._states(tallies, self._measures.entire, numbers)
        shape = self._groups.shape
        present = np.broadcast_to(self._counts(states.__getitem__), shape)
        places = np.flatnonzero(present) if self._aggregate.grouped else np.zeros(1, np.int64)
        at = np.unravel_index(places, shape)
        columns = [coding.keys[number].take(pa.array(at[axis])) for axis, number, coding in self._coded()]
        columns += [column(states.__getitem__).rows(places, shape) for column in self._columns]
        return pa.Table.from_arrays(columns, names=[str(name) for name in self._aggregate.names])

    def _states(
        self, tallies: Sequence[Tally], entire: frozenset[int], numbers: Sequence[float]
    ) -> Mapping[Tally, State]:
        taking = self._taking
        if taking is None or taking.client is not client_of(self._context.client):
            remote = remote_of(self._context, self.grid, entire) if tallies else None
            holding = self._holding or self._context.holding
            taking = self._taking = Taking(remote, tallies, holding) if isinstance(remote, Remote) else None
            if self._holding is not None and isinstance(remote, str):
                raise Refused(remote)
        if taking is not None:
            return taking.states(lambda: note(self._context), numbers)
        if numbers:
            raise Refused("there is no cluster any more")
        return taken(self.grid, tallies, lambda: note(self._context), entire)

    def laid(self, rows: pa.Table) -> dict[int, pa.Array] | None:
        """The labels along each axis of the groups by the number of their column, in the order of the axes.

        Args:
            rows: the groups.

        Returns:
            None where the groups are no grid: one is missing, or no key tells the groups of an axis apart.
        """
        labels: dict[int, tuple[int, pa.Array]] = {}
        for column, (axis, number, coding) in enumerate(self._coded()):
            cells = coding.keys[number]
            if axis not in labels and not cells.null_count and len(cells.unique()) == len(cells):
                labels[axis] = (column, cells)
        axes = {axis for axis, _, _ in self._coded()}
        if rows.num_rows != self._groups.size or not self._aggregate.grouped or axes != set(labels):
            return None
        return {labels[axis][0]: labels[axis][1] for axis in sorted(labels)}

    def _coded(self) -> list[tuple[int, int, Coding]]:
        """For each key the axis whose groups it belongs to, its number among their keys, and these groups."""
        found = [(axis, number, self._groups.codings[axis]) for axis, number in self._keys]
        return [(axis, number, coding) for axis, number, coding in found if coding is not None]


def described(grid: CellGrid) -> str:
    """What is read of a grid, for a person."""
    read, whole = math.prod(grid.shape), cells_of(grid.main)
    of = "" if read == whole or len(grid.axes) > len(grid.main.dims) else f" of {whole:,}"
    chunks, variables = chunks_told(grid), f"{len(grid.stored)} variable{'s' * (len(grid.stored) != 1)}"
    return f"array code over {read:,}{of} cells, {variables} of each{chunks and f', {chunks}'}"


def _resolved(measure: Measure, resolved: Callable[[Expression], Expression]) -> Measure:
    call = resolved(measure.call)
    assert isinstance(call, Call)
    return replace(measure, call=call)


def note(context: Context) -> None:
    """Count a chunk that is read."""
    context.chunks_read += 1
