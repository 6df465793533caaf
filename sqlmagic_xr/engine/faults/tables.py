"""What the rewrites ask about tables: the types of columns, and which hold no -0.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from datafusion.catalog import Table

from ...relation.layers import Relation
from ...storage.scratch import Version
from ...storage.transaction import View

if TYPE_CHECKING:
    from ..context import Context

Columns = Mapping[str, pa.DataType]


@dataclass(frozen=True)
class _Known:
    """A table as it was asked for: what stood for its rows, its columns, those that are coordinates."""

    standing: Any
    relation: Relation
    columns: Columns
    coordinates: frozenset[str] = frozenset()


class EngineTables:
    """The tables of a context; what no table tells of itself quickly is remembered as long as it stays registered."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[tuple[str, ...], _Known] = {}
        self._asked: dict[tuple[str, ...], Any] = {}

    @contextmanager
    def noting(self) -> Iterator[Mapping[tuple[str, ...], Any]]:
        """Within this block the tables that are asked for are noted: name -> what stands for its columns."""
        before, self._asked = self._asked, {}
        try:
            yield self._asked
        finally:
            self._asked = before

    def standing(self, name: tuple[str, ...]) -> Any:
        """What stands for a table's columns: another object as soon as they may be others."""
        store = self._context.store
        shown = store.schema.shown(name[-1]) if len(name) == 1 else None
        if shown is not None:
            return shown
        entry = store.entries().get(name[0]) if len(name) == 1 else None
        if isinstance(entry, Version):
            return entry.definition
        # What a view reads may be other tables at any time.
        return object() if isinstance(entry, View) else self._context.tables.standing(name)

    def relation(self, name: tuple[str, ...]) -> Relation | None:
        """The table or view of that name, or None."""
        found = self._find(name)
        return None if found is None else found.relation

    def columns(self, name: tuple[str, ...]) -> Columns:
        """The type of each column of a table."""
        found = self._find(name)
        return {} if found is None else found.columns

    def positive_zeros(self, name: tuple[str, ...], column: str) -> bool:
        """Whether a column is known to hold no -0.0: coordinates lose it when their table is made."""
        found = self._find(name)
        return found is not None and column in found.coordinates

    def _find(self, name: tuple[str, ...]) -> _Known | None:
        if name not in self._asked:
            self._asked[name] = self.standing(name)
        store = self._context.store
        shown = store.schema.shown(name[-1]) if len(name) == 1 else None
        entry = store.entries().get(name[0]) if len(name) == 1 and shown is None else None
        if isinstance(entry, Version):
            return _of_schema(name, entry.definition.schema)
        if isinstance(entry, View):
            view = self._context.tables.relation(name)
            return None if view is None else _Known(entry, view, {})
        standing = shown if shown is not None else self._context.tables.standing(name)
        known = self._known.get(name)
        if known is None or known.standing is not standing or standing is None:
            schema = self._context.tables.schema(name) if shown is None else Table(shown).schema
            if schema is None:
                return None
            grid = self._context.tables.grid(name) if shown is None else None
            columns = {} if grid is None else grid.columns
            coordinates = frozenset(n for n, column in columns.items() if column.cells is not None)
            found = _of_schema(name, schema)
            known = self._known[name] = _Known(standing, found.relation, found.columns, coordinates)
        return known


def _of_schema(name: tuple[str, ...], schema: pa.Schema) -> _Known:
    columns = {field.name: field.type for field in schema}
    # What kind of value it is matters to nobody here; the names do.
    return _Known(None, Relation(name, dict.fromkeys(columns, "other")), columns)


@dataclass(frozen=True)
class Given:
    """Tables that are told: name -> its columns' types."""

    tables: Mapping[str, Columns] = field(default_factory=dict)

    def relation(self, name: tuple[str, ...]) -> Relation | None:
        """The table of that name, or None."""
        columns = self.tables.get(name[-1])
        return None if columns is None else Relation(name, dict.fromkeys(columns, "other"))

    def columns(self, name: tuple[str, ...]) -> Columns:
        """The type of each column of a table."""
        return self.tables.get(name[-1], {})

    def positive_zeros(self, name: tuple[str, ...], column: str) -> bool:
        """Whether a column is known to hold no -0.0."""
        return False
