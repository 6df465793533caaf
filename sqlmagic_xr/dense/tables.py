"""Tables as a program knows them, and what it asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..properties import kept_property
from ..sql.syntax import Tree
from .labels import Labels
from .node import Type

Name = tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """What the rows of a table fall into: the weights of a network are one grid for each layer, and none as a whole.

    Attributes:
        column: one of the key.
        values: all that it has.
    """

    column: str
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class TableShape:
    """A table as the lowering needs to know it.

    Attributes:
        columns: the type of each column, in the table's order; None for one that arrays do not hold.
        key: the columns that are its axes; () for a table of one row, None for one whose rows are the one axis.
        nulls: the columns in which a NULL has been seen.
        holes: the columns of the key with one value each, for which cells of the others' product are missing.
        parts: for such columns the one more whose values leave grids without holes.
        grows: whether generations are added to it; then its rows are chosen by whatever column, also where none is
            known to be part of a key.
        single: the columns that have one value, the same in all rows.
    """

    columns: Mapping[str, Type | None]
    key: tuple[str, ...] | None
    nulls: frozenset[str] = frozenset()
    holes: frozenset[frozenset[str]] = frozenset()
    parts: Mapping[frozenset[str], Parts] = field(default_factory=dict)
    grows: bool = False
    single: frozenset[str] = frozenset()

    def __eq__(self, other: object) -> bool:
        """Whether a query means the same over it: a star gives the columns in their order."""
        return type(other) is TableShape and list(self.columns) == list(other.columns) and vars(self) == vars(other)

    def among(self, fixed: frozenset[str]) -> Parts | None:
        """Of which parts the rows are one in which these columns have one value each; None where of none."""
        return next((p for others, p in self.parts.items() if p.column in fixed and others == fixed - {p.column}), None)


class Tables(Protocol):
    """What tables there are."""

    @property
    def labels(self) -> Labels:
        """The codes of their texts."""

    def table(self, name: Name) -> TableShape | None:
        """The table of that name, or None where it has none that arrays can hold."""

    def view(self, name: Name) -> Tree | None:
        """The inside of the query of the view of that name, or None where there is no such view."""


@dataclass(frozen=True)
class ColumnExtreme:
    """The greatest or the least of a column of whole numbers: the newest generation, say.

    Attributes:
        column: which.
        which: "max" or "min".
        complete: whether a NULL among them is refused; else they are passed over, as by MAX().
    """

    column: str
    which: Literal["max", "min"]
    complete: bool = False


@dataclass(frozen=True)
class ScanRead:
    """What a scan asks of a table; the ``data`` of a node of operation ``scan``.

    Attributes:
        table: its name.
        version: how many statements of the program have written it before.
        fixed: the key columns that must equal the scan's arguments, in their order.
        key: the axes.
        columns: the other columns.
        holes: whether cells may be missing.
        extreme: the one number that is asked for, instead of rows; then ``key`` is () and ``columns`` its column.
        among: the parts of which it asks for one; with its other fixed values, there are rows in no others.
    """

    table: Name
    version: int
    fixed: tuple[str, ...]
    key: tuple[str, ...] | None
    columns: tuple[str, ...]
    holes: bool = False
    extreme: ColumnExtreme | None = None
    among: Parts | None = None

    def __hash__(self) -> int:
        return self._hash

    @kept_property
    def _hash(self) -> int:  # asked for at every step
        return hash(
            (self.table, self.version, self.fixed, self.key, self.columns, self.holes, self.extreme, self.among)
        )
