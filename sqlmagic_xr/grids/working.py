"""The grids of a recursion's term: its working table is what the round before has calculated, the others are data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..dense.grid import Grid, GridCells, naming
from ..dense.node import FLOATS, INSTANTS, WHOLE, Refused, Type
from ..dense.ports import Form, GridOutput
from ..dense.reading import ScanReading, reading_of
from ..dense.tables import ScanRead, TableShape
from ..sql.syntax import Tree
from .arrow import array_type, arrow, columns_of
from .generations import Generations, Name

if TYPE_CHECKING:
    from ..engine.context import Context


class WorkingGrids(Generations):
    """The tables of a term, all but the working table being as they were when the recursion began.

    Args:
        context: whose.
        working: the name of the working table.
        query: the term; of data tables, only the columns that it mentions are read.
        budget: how many bytes of data tables may be read.
        rows: the working table's at the beginning.

    Attributes:
        working: the name.
        types: of its columns.
        single: its columns that have one value, the same in all rows.
    """

    def __init__(self, context: Context, working: str, query: Tree, budget: int, rows: pa.Table) -> None:
        self.working: Name = (working,)
        self.types: Mapping[str, Type | None] = {field.name: array_type(field.type) for field in rows.schema}
        self.single = frozenset(n for n, kind in self.types.items() if kind not in FLOATS and _is_single(rows[n]))
        self._first = rows
        self._newest: pa.Table | Sequence[GridOutput] = rows
        self._arrow: pa.Table | None = rows
        self._rows_read: dict[tuple[ScanRead, Form], ScanReading | None] = {}
        self._described: TableShape | None = None
        super().__init__(context, (), [query], budget)

    def take(self, outputs: Sequence[GridOutput]) -> None:
        """Let the working table be what a round has given."""
        self._newest, self._arrow = outputs, None

    def again(self, rows: pa.Table) -> bool:
        """Let the working table be as at the beginning, but with these rows; False where other things hold of them."""
        described = self._described
        if described is None or rows.num_rows != self._first.num_rows:
            return False
        named = [*(described.key or ()), *(self.single if described.key else ())]
        nulls = frozenset(name for name in rows.column_names if rows[name].null_count)
        if nulls != described.nulls or any(rows[name] != self._first[name] for name in named):
            return False
        self._newest = self._arrow = rows
        return True

    def table(self, name: Name) -> TableShape | None:
        """See :class:`.generations.Generations`."""
        if name != self.working:
            return super().table(name)
        if self._described is None:
            self._described = self._described_by(self._rows_of(name))
        return self._described

    def _described_by(self, rows: pa.Table) -> TableShape:
        nulls = frozenset(name for name in rows.column_names if rows[name].null_count)
        if rows.num_rows == 1:
            return TableShape(self.types, (), nulls)
        key = self._names_of_rows(rows)
        if not key:
            raise Refused("no columns are known to name the rows of the working table")
        return TableShape(self.types, key, nulls, single=self.single)

    def _names_of_rows(self, rows: pa.Table) -> tuple[str, ...]:
        """The columns that name a row: whole numbers, times and texts, by which tables are joined without a search."""
        names = [name for name, kind in self.types.items() if kind in _NAMING and name not in self.single]
        return naming(columns_of(rows, names, self.labels), names)

    def grid(self, read: ScanRead, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`.generations.Generations`."""
        if read.table != self.working:
            return super().grid(read, fixed)
        if read.extreme is None and not isinstance(self._newest, pa.Table):
            return self._calculated(self._newest, read, fixed)
        return self._singled(super().grid(read, fixed))

    def _calculated(self, outputs: Sequence[GridOutput], read: ScanRead, fixed: Mapping[str, Any]) -> Grid:
        """The grid of what the last round has calculated, which has the axes of the rounds before."""
        found = []
        for output in outputs:
            form = output.form
            if any(form.names[p] in fixed and output.cells[p] != fixed[form.names[p]] for p in form.constants):
                continue
            if (read, form) not in self._rows_read:
                self._rows_read[read, form] = reading_of(form, read, self.types)
            reading = self._rows_read[read, form]
            found.append(None if reading is None else reading.grid(output, fixed))
        if len(found) != 1 or found[0] is None or found[0].present is not None:
            raise Refused("the rows of a round have other keys than those of the one before")
        return replace(found[0], columns={name: _known(cells) for name, cells in found[0].columns.items()})

    def _singled(self, grid: Grid) -> Grid:
        """A grid in which a column of one value is that value."""
        if not grid.axes:
            return grid
        cells = {n: GridCells((), c.data.flat[0]) if n in self.single else c for n, c in grid.columns.items()}
        return replace(grid, columns=cells)

    def begin(self) -> None:
        """See :class:`.generations.Generations`: nothing is read anew."""

    def settled(self, table: Name) -> bool:
        """See :class:`.generations.Generations`."""
        return table != self.working

    def _rows_of(self, name: Name) -> pa.Table:
        if name != self.working:
            return super()._rows_of(name)
        if self._arrow is None:
            self._arrow = arrow(self._newest)
        return self._arrow

    def _key_of(self, name: Name) -> tuple[str, ...]:
        return () if name == self.working else super()._key_of(name)


_NAMING = WHOLE | INSTANTS | {"label"}


def _is_single(column: pa.ChunkedArray) -> bool:
    """Whether a column has one value, the same in all rows, and it is not NULL."""
    if column.null_count or not len(column):
        return False
    return bool(pc.all(pc.equal(column, column[0])).as_py())


def _known(cells: GridCells) -> GridCells:
    """Cells without saying of each that it is known, where all are."""
    return cells if cells.valid is None or not np.all(cells.valid) else replace(cells, valid=None)


def is_row(output: GridOutput) -> bool:
    """Whether an output is one row, as far as it is one at all."""
    return not output.axes


def copied(outputs: Sequence[GridOutput]) -> list[GridOutput]:
    """Outputs whose arrays are nobody else's."""
    found = []
    for output in outputs:
        owned = zip(output.cells, output.form.owned, strict=True)
        found.append(replace(output, cells=tuple([c if own or not np.ndim(c) else c.copy() for c, own in owned])))
    return found


def stacked(outputs: Sequence[GridOutput]) -> pa.Table:
    """The rows of many outputs of one row each, of one form, in their order."""
    form, count = outputs[0].form, len(outputs)
    one = replace(form, axes=1, dims=((0,),) * len(form.names), coordinates={}, constants=())
    cells, valid = [], []
    for place in range(len(form.names)):
        cells.append(np.array([output.cells[place] for output in outputs]))
        known = [output.valid[place] for output in outputs]
        whole = all(v is None for v in known)
        valid.append(None if whole else np.array([v is None or bool(v) for v in known]))
    return arrow([GridOutput(one, (np.arange(count),), tuple(cells), tuple(valid))])
