"""What CREATE TABLE says of a scratch table: its columns, their defaults, and the constraints on its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.types as pt

from ..errors import UnknownNameError, suggest
from ..properties import kept_property
from ..sql import build as query
from ..sql.exact import exact
from ..sql.syntax import Tree
from .reserved import refuse_reserved
from .types import type_name

if TYPE_CHECKING:
    from .grown import Grown


@dataclass(frozen=True)
class ColumnDefinition:
    """A column of a scratch table.

    Attributes:
        name: as the engine folds it.
        type: how it is stored; strings as ``string``, never as views, so that every Arrow kernel reads them.
        sql_type: the type as it was declared, for messages.
        nullable: whether it may be NULL; always what the Arrow schema says.
        default: the DEFAULT expression, or None for NULL.
        length: the most characters of a VARCHAR(n) or CHAR(n), or None.
    """

    name: str
    type: pa.DataType
    sql_type: str
    nullable: bool = True
    default: Tree | None = None
    length: int | None = None

    @property
    def is_decimal(self) -> bool:
        """Whether it holds decimals, which may have more digits than the engine keeps of a number."""
        return bool(pt.is_decimal(self.type))

    def given(self, expression: Tree) -> Tree:
        """An expression as what the column is given: see :func:`..sql.exact.exact`."""
        return exact(expression) if self.is_decimal else expression


@dataclass(frozen=True)
class Unique:
    """PRIMARY KEY or UNIQUE: no two rows are equal in all of ``columns``."""

    name: str
    kind: Literal["PRIMARY KEY", "UNIQUE"]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """CHECK: ``condition`` is true or NULL of every row."""

    name: str
    condition: Tree
    text: str


@dataclass(frozen=True)
class Definition:
    """The shape of a scratch table.

    Attributes:
        columns: in the table's order.
        uniques: PRIMARY KEY and UNIQUE constraints.
        checks: CHECK constraints.
        grown: what keeps the rows in a Zarr store that grows; None for a table that has none.

    Raises:
        UsageError: a column has a name of ours.
    """

    columns: tuple[ColumnDefinition, ...]
    uniques: tuple[Unique, ...] = ()
    checks: tuple[Check, ...] = ()
    grown: Grown | None = None

    def __post_init__(self) -> None:
        for column in self.columns:
            refuse_reserved(column.name, "a column")

    @kept_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every chunk."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])

    @kept_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(c.name for c in self.columns)

    @kept_property
    def key(self) -> tuple[str, ...]:
        """The PRIMARY KEY's columns, or ()."""
        return next((u.columns for u in self.uniques if u.kind == "PRIMARY KEY"), ())

    def index(self, name: str, table: str) -> int:
        """The place of a column.

        Raises:
            UnknownNameError: the table has no such column.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError(f"`{table}` has no column `{name}`", hint=suggest(name, self.names)) from None

    @kept_property
    def decimals(self) -> frozenset[str]:
        """The columns that hold decimals."""
        return frozenset(c.name for c in self.columns if c.is_decimal)

    def default_of(self, name: str) -> Tree:
        """What DEFAULT means for a column: its expression as it was written, or NULL."""
        found = self.columns[self.names.index(name)].default
        return query.null() if found is None else found

    @kept_property
    def default_values(self) -> tuple[Tree, ...]:
        """What each column is given where nobody says anything."""
        return tuple(c.given(self.default_of(c.name)) for c in self.columns)

    def value_of(self, name: str, expression: Tree) -> Tree:
        """What a column is given where an expression stands for it, which may be the word DEFAULT."""
        value = self.default_of(name) if query.is_default(expression) else expression
        return self.columns[self.names.index(name)].given(value)

    def indices(self, names: Sequence[str]) -> tuple[int, ...]:
        """The places of columns that are known to exist."""
        wanted = tuple(names)
        if wanted not in self._indices:  # the same keys are asked for at every commit
            self._indices[wanted] = tuple(self.names.index(name) for name in wanted)
        return self._indices[wanted]

    @kept_property
    def _indices(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        return {}


_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)


def stored(kind: pa.DataType) -> pa.DataType:
    """The type that a column of DataFusion's type ``kind`` is stored with: views become plain strings and bytes.

    >>> stored(pa.list_(pa.string_view()))
    ListType(list<item: string>)
    """
    if kind == pa.string_view() or pa.types.is_large_string(kind):
        return pa.string()
    if kind == pa.binary_view() or pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return stored(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(stored(kind.value_type), kind.list_size)
    if any(is_list(kind) for is_list in _LISTS):
        return pa.list_(stored(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(stored(kind.key_type), stored(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, stored(f.type), f.nullable) for f in kind])
    return kind


_SQL_NAMES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.uint8(): "TINYINT UNSIGNED",
    pa.uint16(): "SMALLINT UNSIGNED",
    pa.uint32(): "INT UNSIGNED",
    pa.uint64(): "BIGINT UNSIGNED",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BYTEA",
    pa.date32(): "DATE",
    pa.time64("ns"): "TIME",
    pa.timestamp("s"): "TIMESTAMP(0)",
    pa.timestamp("ms"): "TIMESTAMP(3)",
    pa.timestamp("us"): "TIMESTAMP(6)",
    pa.timestamp("ns"): "TIMESTAMP",
    pa.month_day_nano_interval(): "INTERVAL",
}


def sql_name(kind: pa.DataType) -> str:
    """The name that SQL has for a stored type, for messages.

    >>> sql_name(pa.int64()), sql_name(pa.decimal128(10, 2)), sql_name(pa.list_(pa.float64()))
    ('BIGINT', 'DECIMAL(10, 2)', 'DOUBLE[]')
    """
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _SQL_NAMES.get(kind) or type_name(kind)
