"""Which relation and column a name means: aliases, CTEs, subqueries, views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .syntax import Tree

ColumnType = Literal["integer", "real", "boolean", "text", "time", "other"]
"""What kind of value a column holds, as far as reading SQL needs to know; decimals are "real"."""

RelationKind = Literal["xarray", "scratch", "variable", "view", "table"]


@dataclass(frozen=True)
class Relation:
    """A table or view as a statement's reader knows it.

    Attributes:
        name: the parts of its name, as the engine folds them.
        columns: column name -> kind of value, in the table's order.
        key: the columns whose values name a row (dims of an xarray table, the PRIMARY KEY), or ().
        kind: where it comes from.
        definition: the query of a view, as a tree; None for anything else.
    """

    name: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    key: tuple[str, ...] = ()
    kind: RelationKind = "table"
    definition: Tree | None = None


class Catalog(Protocol):
    """What a reader of SQL asks about tables; ``engine/catalog.py`` answers."""

    def relation(self, name: tuple[str, ...]) -> Relation | None:
        """The table or view of that name (``("params",)`` or ``("era5", "surface")``), or None."""
