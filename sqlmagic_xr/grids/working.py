"""The grids of a recursion's term: its working table is what the round before has calculated, the others are data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..dense.grid import Cells, Grid
from ..dense.ports import Output
from ..dense.tables import Read, Table
from ..sql.syntax import Tree
from .arrow import arrow, described
from .generations import Generations, Name

if TYPE_CHECKING:
    from ..engine.context import Context


class WorkingGrids(Generations):
    """The tables of a term.

    Args:
        context: whose.
        working: the name of the working table.
        query: the term; of data tables, only the columns that it mentions are read.
        budget: how many bytes of data tables may be read.
        rows: the working table's at the beginning.
    """

    def __init__(self, context: Context, working: str, query: Tree, budget: int, rows: pa.Table) -> None:
        self._working = (working,)
        self._newest: pa.Table | Sequence[Output] = rows
        super().__init__(context, (), [query], budget)

    def take(self, outputs: Sequence[Output]) -> None:
        """Let the working table be what a round has given."""
        self._newest = outputs

    def table(self, name: Name) -> Table | None:
        """See :class:`.generations.Generations`."""
        if name != self._working:
            return super().table(name)
        return described(self._rows_of(name), (), self.labels)

    def grid(self, read: Read, fixed: Mapping[str, Any]) -> Grid:
        """See :class:`.generations.Generations`."""
        if read.table == self._working and not isinstance(self._newest, pa.Table):
            found = _one_row(self._newest, read)
            if found is not None:
                return found
        return super().grid(read, fixed)

    def settled(self, table: Name) -> bool:
        """See :class:`.generations.Generations`."""
        return table != self._working and super().settled(table)

    def _rows_of(self, name: Name) -> pa.Table:
        if name != self._working:
            return super()._rows_of(name)
        if not isinstance(self._newest, pa.Table):
            self._newest = arrow(self._newest)
        return self._newest

    def _key_of(self, name: Name) -> tuple[str, ...]:
        return () if name == self._working else super()._key_of(name)


def is_row(output: Output) -> bool:
    """Whether an output is one row, as far as it is one at all."""
    return not output.axes


def _one_row(outputs: Sequence[Output], read: Read) -> Grid | None:
    """The grid of a working table of one row; None where it has more, or something else is asked for."""
    if len(outputs) != 1 or not is_row(outputs[0]) or read.key != () or read.fixed or read.extreme is not None:
        return None
    output = outputs[0]
    places = {name: place for place, name in enumerate(output.form.names)}
    cells = {c: Cells((), output.cells[places[c]], output.valid[places[c]]) for c in read.columns}
    return Grid((), (), cells)


def stacked(outputs: Sequence[Output]) -> pa.Table:
    """The rows of many outputs of one row each, of one form, in their order."""
    form, count = outputs[0].form, len(outputs)
    one = replace(form, axes=1, dims=((0,),) * len(form.names), coordinates={}, constants=())
    cells, valid = [], []
    for place in range(len(form.names)):
        cells.append(np.array([output.cells[place] for output in outputs]))
        known = [output.valid[place] for output in outputs]
        whole = all(v is None for v in known)
        valid.append(None if whole else np.array([v is None or bool(v) for v in known]))
    return arrow([Output(one, (np.arange(count),), tuple(cells), tuple(valid))])
