"""What the rewrites ask about tables: the types of columns, and which hold no -0.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from datafusion.catalog import Table

from ...relation.layers import KnownTable
from ...storage.definition import Definition
from ...storage.scratch import Version
from ...storage.transaction import View
from ..gridtable import SMALL

if TYPE_CHECKING:
    from ..context import Context
    from ..gridtable import GridTable

Columns = Mapping[str, pa.DataType]

_ROWS, _BOUNDS = "rows of", "bounds of"  # no names of tables, since they are folded with a blank in them


@dataclass(frozen=True)
class _AskedTable:
    """A table as it was asked for: what stood for its rows, its columns, those that are coordinates."""

    standing: Any
    relation: KnownTable
    columns: Columns
    coordinates: frozenset[str] = frozenset()
    grid: GridTable | None = None
    rows: pa.Table | None = None
    bounds: dict[str, tuple[float, float] | None] = field(default_factory=dict)

    def within(self, column: str) -> tuple[float, float] | None:
        """The least and the greatest value of a column of numbers, as far as they are in memory; of arrays integers."""
        if self.grid is not None:
            return self.grid.bounds(column)
        if self.rows is None:
            return None
        if (
            column not in self.bounds or self.rows.num_rows <= SMALL
        ):  # Arrow's rows never change, but for who shares them
            known, found = self.bounds.get(column), _limits(self.rows[column])
            self.bounds[column] = known if found == known else found
        return self.bounds[column]


def _limits(values: pa.ChunkedArray) -> tuple[float, float] | None:
    """The least and the greatest of some numbers; None of anything else, and where there are none but NaN."""
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_float64(kind)) or values.null_count == len(values):
        return None
    limits = pc.min_max(values).as_py()
    return (limits["min"], limits["max"]) if limits["min"] == limits["min"] else None


class EngineTables:
    """The tables of a context; what no table tells of itself quickly is remembered as long as it stays registered.

    Attributes:
        at_once: whether what is asked is for a plan that is made now, of the tables as they are.
        parameters: the types of placeholders, where they are known.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[tuple[str, ...], _AskedTable] = {}
        self._asked: dict[tuple[str, ...], Any] = {}
        self.at_once = False
        self.parameters: Mapping[str, pa.DataType] = {}

    @contextmanager
    def noting(
        self, at_once: bool = False, parameters: Mapping[str, pa.DataType] | None = None
    ) -> Iterator[Mapping[tuple[str, ...], Any]]:
        """Within this block the tables that are asked for are noted: name -> what stands for its columns."""
        before = self._asked, self.at_once, self.parameters
        self._asked, self.at_once, self.parameters = {}, at_once, parameters or {}
        try:
            yield self._asked
        finally:
            self._asked, self.at_once, self.parameters = before

    def rows_identity(self, name: tuple[str, ...]) -> Any:
        """What stands for a table's columns: another object as soon as they may be others.

        Args:
            name: of the table; behind the word ``_ROWS`` what stands for its rows is asked for, behind ``_BOUNDS``
                and a column that column's bounds.
        """
        if name[0] == _BOUNDS:
            known = self._known.get(name[2:])
            return object() if known is None else known.within(name[1])
        if name[0] == _ROWS:
            return self._context.store.entries().get(name[1])
        store = self._context.store
        shown = store.schema.shown(name[-1]) if len(name) == 1 else None
        if shown is not None:
            return shown
        entry = store.entries().get(name[0]) if len(name) == 1 else None
        if isinstance(entry, Version):
            return entry.definition
        # What a view reads may be other tables at any time.
        return object() if isinstance(entry, View) else self._context.tables.rows_identity(name)

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """The table or view of that name, or None."""
        found = self._find(name)
        return None if found is None else found.relation

    def hides_query(self, name: tuple[str, ...]) -> bool:
        """Whether that is a view of the engine's, whose query nobody here sees."""
        found = self._find(name)
        if found is None or found.grid is not None or found.rows is not None or isinstance(found.standing, View):
            return False
        return not isinstance(found.standing, Definition) and self._context.tables.is_view(name)

    def columns(self, name: tuple[str, ...]) -> Columns:
        """The type of each column of a table."""
        found = self._find(name)
        return {} if found is None else found.columns

    def positive_zeros(self, name: tuple[str, ...], column: str) -> bool:
        """Whether a column is known to hold no -0.0: coordinates lose it when their table is made."""
        found = self._find(name)
        return found is not None and column in found.coordinates

    def bounds(self, name: tuple[str, ...], column: str) -> tuple[int, int] | None:
        """The least and the greatest value of a column of integers, where that is known and stays.

        Of a scratch table it is known to who plans at once: a later commit may bring other values.
        """
        within = self._within(name, column)
        if within is None or not isinstance(within[0], int) or not isinstance(within[1], int):
            return None
        return within[0], within[1]

    def magnitude(self, name: tuple[str, ...], column: str) -> float | None:
        """The largest absolute value of a column of numbers, where that is known and stays; NaN is no value."""
        within = self._within(name, column)
        return None if within is None else float(max(map(abs, within)))

    def _within(self, name: tuple[str, ...], column: str) -> tuple[float, float] | None:
        version = self._version(name)
        if version is not None:
            place = version.definition.names.index(column) if column in version.definition.names else None
            if place is None or not all(chunk.resident for chunk in version.chunks):
                return None
            found = version.span(place)
            return None if found is None else (found.low, found.high)
        known = self._find(name)
        within = None if known is None else known.within(column)
        if known is not None and (known.grid is not None or known.rows is not None):
            self._asked[_BOUNDS, column, *name] = within
        return within

    def rows(self, name: tuple[str, ...]) -> int | None:
        """How many rows a table has, where that is known and stays."""
        version = self._version(name)
        if version is not None:
            return version.rows
        known = self._find(name)
        if known is None:
            return None
        if known.grid is not None:
            return known.grid.rows
        return None if known.rows is None else int(known.rows.num_rows)

    def _version(self, name: tuple[str, ...]) -> Version | None:
        """A scratch table as it is now, which is noted to be what stands for it; None where anything may be planned."""
        found = self._find(name)
        shown = self._context.store.schema.shown(name[-1]) if len(name) == 1 else None
        entry = self._context.store.entries().get(name[0]) if len(name) == 1 and shown is None else None
        if found is None or not self.at_once or not isinstance(entry, Version):
            return None
        self._asked[_ROWS, *name] = entry
        return entry

    def _scratch(self, name: tuple[str, ...], definition: Definition) -> _AskedTable:
        """What is known of a scratch table as long as it is defined so."""
        known = self._known.get(name)
        if known is None or known.standing is not definition:
            known = self._known[name] = replace(_of_schema(name, definition.schema), standing=definition)
        return known

    def _find(self, name: tuple[str, ...]) -> _AskedTable | None:
        if name not in self._asked:
            self._asked[name] = self.rows_identity(name)
        store = self._context.store
        shown = store.schema.shown(name[-1]) if len(name) == 1 else None
        entry = store.entries().get(name[0]) if len(name) == 1 and shown is None else None
        if isinstance(entry, Version):
            return self._scratch(name, entry.definition)
        if isinstance(entry, View):
            view = self._context.tables.relation(name)
            return None if view is None else _AskedTable(entry, view, {})
        standing = shown if shown is not None else self._context.tables.rows_identity(name)
        known = self._known.get(name)
        if known is None or known.standing is not standing or standing is None:
            schema = self._context.tables.schema(name) if shown is None else Table(shown).schema
            if schema is None:
                return None
            grid = self._context.tables.grid(name) if shown is None else None
            columns = {} if grid is None else grid.columns
            coordinates = frozenset(n for n, column in columns.items() if column.cells is not None)
            rows = self._context.variables.read.get(name[0]) if len(name) == 1 and shown is None else None
            found = _of_schema(name, schema)
            known = self._known[name] = _AskedTable(standing, found.relation, found.columns, coordinates, grid, rows)
        return known


def _of_schema(name: tuple[str, ...], schema: pa.Schema) -> _AskedTable:
    columns = {field.name: field.type for field in schema}
    # What kind of value it is matters to nobody here; the names do.
    return _AskedTable(None, KnownTable(name, dict.fromkeys(columns, "other")), columns)


@dataclass(frozen=True)
class GivenTables:
    """Tables that are told: name -> its columns' types."""

    tables: Mapping[str, Columns] = field(default_factory=dict)
    parameters: Mapping[str, pa.DataType] = field(default_factory=dict)

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """The table of that name, or None."""
        columns = self.tables.get(name[-1])
        return None if columns is None else KnownTable(name, dict.fromkeys(columns, "other"))

    def hides_query(self, name: tuple[str, ...]) -> bool:
        """Whether that is a view of the engine's, whose query nobody here sees."""
        return False

    def columns(self, name: tuple[str, ...]) -> Columns:
        """The type of each column of a table."""
        return self.tables.get(name[-1], {})

    def positive_zeros(self, name: tuple[str, ...], column: str) -> bool:
        """Whether a column is known to hold no -0.0."""
        return False

    def bounds(self, name: tuple[str, ...], column: str) -> tuple[int, int] | None:
        """The least and the greatest value of a column of integers, where that is known."""
        return None

    def magnitude(self, name: tuple[str, ...], column: str) -> float | None:
        """The largest absolute value of a column of numbers, where that is known."""
        return None

    def rows(self, name: tuple[str, ...]) -> int | None:
        """How many rows a table has, where that is known."""
        return None
