"""A SELECT with window functions over a grid: a row for each cell that is read, its columns calculated as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...cluster.client import client_of
from ...dense.node import Refused
from ...engine.budget import default_budget, nbytes_shown
from ...engine.laid import Laid
from ...relation.columns import Field, Output
from ...relation.nodes import Select, Window
from ...relation.reads import volatile
from .cells import DTYPES, Array, CellBlock, Cells, is_instant
from .grid import CellGrid, Fetch
from .groupwise import described, note
from .measures import arrow_kind
from .regions import taken
from .scalars import CellScalars
from .source import source_of
from .tallies import State
from .windows import ColumnsWithWindows, Windows

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(eq=False)
class WrittenColumn:
    """An expression written out for all cells, block by block (a :class:`.tallies.Tally`): threads share one array."""

    cells: Cells
    values: Array
    known: Array | None

    def fresh(self) -> State:
        """Nothing of a thread's own."""
        return []

    def add(self, state: State, block: CellBlock) -> None:
        """Write a block."""
        self.values[block.part] = self.cells.of(block)
        if self.known is not None and self.cells.valid is not None:
            self.known[block.part] = self.cells.valid.of(block)

    def merge(self, state: State, other: State) -> None:
        """All is there already."""


@dataclass(frozen=True, eq=False)
class _Along:
    """A column that varies along one axis at most."""

    axis: int
    cells: pa.Array
    is_label: bool


_COME = "its rows, one for each cell, are wanted here"


class Cellwise:
    """A SELECT over windows over a grid, planned.

    Raises:
        Refused: there is no array code for it.
    """

    def __init__(self, context: Context, select: Select, fetch: Fetch) -> None:
        window = select.source
        assert isinstance(window, Window)
        if select.distinct or select.condition is not None or select.free or volatile(select):
            raise Refused("this SELECT over a window is not array code", select.span)
        self._context, self._select = context, select
        self.grid = grid = CellGrid(context, source_of(window), fetch)
        if grid.conditions or grid.masks():
            raise Refused("a window over cells that a condition leaves out one by one", select.span)
        if 0 in grid.shape:
            raise Refused("no cell is left")
        beside = ColumnsWithWindows(grid)
        self._scalars = CellScalars(beside)
        windows = Windows(grid, self._scalars)
        for measure in window.measures:
            beside.windows[Field(window, measure.name)] = windows.cells(measure)
        self.entire = frozenset(windows.entire)
        self._columns = [self._column(output) for output in select.outputs]
        self._refuse_large()

    def _column(self, output: Output) -> _Along | Cells:
        expression = self.grid.source.resolved(output.expression)
        axis = self.grid.axis(expression)
        if axis is not None:
            return _Along(axis, self.grid.along(axis, expression), isinstance(expression, Field))
        found = self._scalars.lower(expression)
        arrow_kind(found.type)
        return found

    def _refuse_large(self) -> None:
        kinds = [c.cells.type if isinstance(c, _Along) else arrow_kind(c.type) for c in self._columns]
        widths = sum(kind.bit_width // 8 + 1 if pa.types.is_primitive(kind) else 16 for kind in kinds)
        size = math.prod(self.grid.shape) * widths
        if size > default_budget():
            raise Refused(f"its rows take {nbytes_shown(size)}")

    def description(self) -> str:
        """What is read for it, for a person."""
        return f"{described(self.grid)}; each cell is a row{self._where()}"

    def _where(self) -> str:
        """That chunks come here although there is a cluster."""
        lazy = any(not variable.column.variable._in_memory for variable in self.grid.stored)
        return f", not on the cluster: {_COME}" if lazy and client_of(self._context.client) is not None else ""

    def rows(self) -> pa.Table:
        """The rows."""
        written = self._written()
        columns = [self._spread(c) if isinstance(c, _Along) else written[n] for n, c in enumerate(self._columns)]
        return pa.Table.from_arrays(columns, names=_names(self._select))

    def laid(self) -> Laid | None:
        """The rows as arrays; None where an axis has no label of its own among the columns."""
        labels: dict[int, tuple[int, pa.Array]] = {}
        for number, column in enumerate(self._columns):
            if isinstance(column, _Along) and column.is_label and column.axis not in labels and _differ(column.cells):
                labels[column.axis] = (number, column.cells)
        if len(labels) < len(self.grid.axes):
            return None
        axes = {labels[axis][0]: labels[axis][1] for axis in sorted(labels)}
        written = self._written()
        others = {n: self._spread(c) for n, c in enumerate(self._columns) if isinstance(c, _Along) and n not in axes}
        return Laid(axes, {**written, **others})

    def _written(self) -> dict[int, pa.Array]:
        """The columns that are calculated, by their number."""
        shape = self.grid.shape
        tallies = {n: _written(c, shape) for n, c in enumerate(self._columns) if isinstance(c, Cells)}
        taken(self.grid, [*tallies.values()], lambda: note(self._context), self.entire)
        return {n: _flat(tally) for n, tally in tallies.items()}

    def _spread(self, column: _Along) -> pa.Array:
        """A column along one axis, written out for each cell."""
        shape, cells = self.grid.shape, column.cells
        inner, outer = math.prod(shape[column.axis + 1 :]), math.prod(shape[: column.axis])
        if cells.null_count == 0 and pa.types.is_primitive(cells.type):
            return pa.array(np.tile(np.repeat(cells.to_numpy(zero_copy_only=False), inner), outer), cells.type)
        return cells.take(pa.array(np.tile(np.repeat(np.arange(len(cells)), inner), outer)))


def _written(cells: Cells, shape: tuple[int, ...]) -> WrittenColumn:
    dtype = np.dtype(np.int64) if is_instant(cells.type) else DTYPES[cells.type]
    return WrittenColumn(cells, np.empty(shape, dtype), None if cells.valid is None else np.empty(shape, np.bool_))


def _flat(written: WrittenColumn) -> pa.Array:
    kind: Any = arrow_kind(written.cells.type)
    values = written.values.reshape(-1)
    mask = None if written.known is None or written.known.all() else ~written.known.reshape(-1)
    if is_instant(written.cells.type):
        bits = pa.int32() if kind == pa.date32() else pa.int64()
        return pa.array(values.astype(bits.to_pandas_dtype(), copy=False), bits, mask=mask).view(kind)
    return pa.array(values, kind, mask=mask)


def _names(select: Select) -> list[str]:
    """Names that tell the columns apart; those that the engine makes up are given to the rows of the whole query."""
    return [f"column {n}" if output.name is None else str(output.name) for n, output in enumerate(select.outputs)]


def _differ(cells: pa.Array) -> bool:
    return not cells.null_count and len(cells.unique()) == len(cells)


def over_windows(relation: Any) -> bool:
    """Whether a relation is a SELECT with window functions."""
    return isinstance(relation, Select) and isinstance(relation.source, Window)
