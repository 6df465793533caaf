"""What binding asks about tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ..sql.syntax import Tree
from .names import Name

Type = str
"""A column's type as Arrow writes it: ``"int64"``, ``"double"``, ``"string"``, ``"timestamp[ns]"``, ``"null"``."""


@dataclass(frozen=True)
class Table:
    """A table or view as it is now.

    Attributes:
        name: its name without the default catalog and schema.
        columns: column -> type, in the table's order.
        key: the columns whose values name a row, or ().
        required: the columns that hold no NULL.
        definition: the inside of a view's query; None for anything else.
    """

    name: Name
    columns: Mapping[str, Type]
    key: tuple[str, ...] = ()
    required: frozenset[str] = field(default_factory=frozenset)
    definition: Tree | None = None

    def __eq__(self, other: object) -> bool:
        """Whether a query means the same over it: a star gives the columns in their order."""
        return type(other) is Table and list(self.columns) == list(other.columns) and vars(self) == vars(other)


@runtime_checkable
class Catalog(Protocol):
    """What tables there are; ``engine/catalog.py`` answers."""

    def table(self, name: Name) -> Table | None:
        """The table or view of that name, or None."""

    def names(self) -> list[str]:
        """The names of all tables and views, for whoever has misspelt one."""
