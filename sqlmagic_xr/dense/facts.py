"""What a program knows of its tables: what they were when it was lowered, and what has been met since."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..sql.syntax import Tree
from .alike import Alike
from .grid import Grid, dividing
from .labels import Labels
from .ports import Changed, Unlike
from .tables import Name, Parts, ScanRead, Tables, TableShape


@dataclass
class Facts:
    """The tables as they were seen, with the NULLs and holes that have been met since (a :class:`.tables.Tables`).

    Attributes:
        tables: those outside.
        nulls: the columns that have NULL.
        holes: for which columns with one value each the others are no whole grid.
        parts: what they fall into there, if they do; None once they did not any more.
        alike: which of their axes have the same coordinates.
    """

    tables: Tables
    nulls: set[tuple[Name, str]] = field(default_factory=set)
    holes: set[tuple[Name, frozenset[str]]] = field(default_factory=set)
    parts: dict[tuple[Name, frozenset[str]], Parts | None] = field(default_factory=dict)
    alike: Alike = field(default_factory=Alike)

    def table(self, name: Name) -> TableShape | None:
        """See :class:`.tables.Tables`."""
        found = self.tables.table(name)
        if found is None:
            return None
        nulls = found.nulls | {column for table, column in self.nulls if table == name}
        holes = found.holes | {fixed for table, fixed in self.holes if table == name}
        parts = {fixed: p for (table, fixed), p in self.parts.items() if table == name and p is not None}
        return replace(found, nulls=nulls, holes=holes, parts=parts)

    def view(self, name: Name) -> Tree | None:
        """See :class:`.tables.Tables`."""
        return self.tables.view(name)

    @property
    def labels(self) -> Labels:
        """See :class:`.tables.Tables`."""
        return self.tables.labels

    def note(self, change: Changed) -> None:
        """Take down what was met."""
        if isinstance(change, Unlike):
            self.alike.forget()
            return
        if change.column is not None:
            self.nulls.add((change.table, change.column))
            return
        assert change.read is not None
        read, fixed = change.read, frozenset(change.read.fixed)
        if read.among is not None:
            self.parts[change.table, fixed - {read.among.column}] = None
        if change.grid is not None:
            self.holes.add((change.table, fixed))
            found = self.tables.table(change.table)
            if read.among is None and found is not None and found.grows:
                self.parts.setdefault((change.table, fixed), self._parts(read, change.grid, found))

    def _parts(self, read: ScanRead, grid: Grid, table: TableShape) -> Parts | None:
        """What the rows fall into; None where that is no few grids."""
        for column, axis in dividing(grid):
            if table.columns[column] in _NAMING:
                text = table.columns[column] == "label"
                return Parts(column, tuple((self.labels.texts(axis) if text else axis).tolist()))
        return None


_NAMING = frozenset({"int32", "int64", "label"})
