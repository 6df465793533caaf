"""Rows on their way into a scratch table: brought to the declared types, completed by defaults, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConstraintError, TypeMismatchError, UsageError
from ..sql.syntax import expression_sql
from .casting import MisfitError, cast
from .definition import ColumnDefinition
from .keys import Rows
from .scratch import Version, single_batch
from .values import show

if TYPE_CHECKING:
    from .store import ScratchStore


def arrange(rows: Any, version: Version, store: ScratchStore) -> pa.RecordBatch:
    """Rows as one batch with the table's own schema: cast, in the table's order, left-out columns by their defaults.

    Args:
        rows: an Arrow batch or table, a data frame, whose index is no column, or a mapping of column name -> values.
        version: the table that they are for.
        store: who evaluates defaults and casts.

    Raises:
        UnknownNameError: a column that the table has not.
        TypeMismatchError: a value that its column cannot hold.
        ConstraintError: NULL in a column that is NOT NULL.
    """
    definition = version.definition
    plain = all(column.length is None for column in definition.columns)
    if plain and isinstance(rows, pa.RecordBatch) and rows.schema.equals(definition.schema):
        return _without_nulls(rows, version)
    given = _columns(rows, version)
    for name in given:
        definition.index(name, version.name)
    count = len(next(iter(given.values()))) if given else 0
    arrays = [
        fit(given[c.name], c, version.name) if c.name in given else defaults(c, count, version.name, store)
        for c in definition.columns
    ]
    # The schema with every column nullable first: a NOT NULL column may hold a NULL that the check will name.
    loose = pa.RecordBatch.from_arrays(arrays, names=definition.names)
    _without_nulls(loose, version)
    return pa.RecordBatch.from_arrays(arrays, schema=definition.schema)


def _columns(rows: Any, version: Version) -> dict[str, pa.Array]:
    if hasattr(rows, "__arrow_c_stream__") and not isinstance(rows, pa.Table):
        rows = pa.Table.from_pandas(rows, preserve_index=False) if hasattr(rows, "iloc") else pa.table(rows)
    if isinstance(rows, pa.Table):
        rows = single_batch(rows)
    if isinstance(rows, pa.RecordBatch):
        if len(set(rows.schema.names)) < rows.num_columns:
            twice = next(n for n in rows.schema.names if rows.schema.names.count(n) > 1)
            raise UsageError(f"column `{twice}` is given twice for `{version.name}`")
        return dict(zip(rows.schema.names, rows.columns, strict=True))
    if not isinstance(rows, Mapping):
        raise UsageError(
            f"rows for `{version.name}` must be an Arrow batch or table, a data frame, or a mapping of column name -> "
            f"values, not {type(rows).__name__}"
        )
    out: dict[str, pa.Array] = {}
    for name, values in rows.items():
        column = version.definition.columns[version.definition.index(name, version.name)]
        try:
            out[name] = values if isinstance(values, pa.Array) else pa.array(values, column.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, OverflowError) as error:
            raise TypeMismatchError(f"`{version.name}.{name}` is {column.sql_type}: {error}") from None
    lengths = {len(a) for a in out.values()}
    if len(lengths) > 1:
        raise UsageError(f"the columns for `{version.name}` have different lengths: {sorted(lengths)}")
    return out


# Types


def fit(values: pa.Array, column: ColumnDefinition, table: str) -> pa.Array:
    """Values as the column stores them (see :func:`.casting.cast`).

    Raises:
        TypeMismatchError: names the column and the first value that does not fit.
    """
    try:
        values = cast(values, column.type)
    except MisfitError as misfit:
        raise _misfit(values[misfit.place], column, table) from misfit.__cause__
    if column.length is not None:
        long = pc.fill_null(pc.greater(pc.utf8_length(values), column.length), False)
        if pc.any(long).as_py():
            first = values.filter(long)[0].as_py()
            raise TypeMismatchError(
                f"`{table}.{column.name}` is {column.sql_type} and cannot hold {show(first)} ({len(first)} characters)"
            )
    return values


def _misfit(value: Any, column: ColumnDefinition, table: str) -> TypeMismatchError:
    return TypeMismatchError(f"`{table}.{column.name}` is {column.sql_type} and cannot hold {show(value)}")


# Defaults


def defaults(column: ColumnDefinition, count: int, table: str, store: ScratchStore) -> pa.Array:
    """So many values of a column that no one gives: its DEFAULT, worked out for each row."""
    if column.default is None:
        return pa.nulls(count, column.type)
    rows = pa.record_batch({"row": pa.array(range(count), pa.int64())})
    return fit(store.of_each(expression_sql(column.given(column.default)), rows, "__rows__"), column, table)


# Constraints


def _without_nulls(batch: pa.RecordBatch, version: Version) -> pa.RecordBatch:
    for column, values in zip(version.definition.columns, batch.columns, strict=True):
        if not column.nullable and values.null_count:
            bad = values.is_null()
            raise violation(f"NOT NULL on `{column.name}`", batch, version, np.flatnonzero(bad), "NULL in")
    return batch


def violation(what: str, batch: pa.RecordBatch, version: Version, bad: Rows, verb: str) -> ConstraintError:
    """The error of rows that a constraint forbids, with the first of them and how many more there are."""
    first = int(bad[0])
    names = version.definition.key or version.definition.names
    row = ", ".join(f"{n} = {show(batch.column(n)[first])}" for n in names[:6])
    return ConstraintError(
        f"{what} of `{version.name}`: {verb} the row with {row}{more(len(bad) - 1)}",
        hint="Nothing of the statement was kept.",
    )


def more(count: int) -> str:
    """``, and 3 more``."""
    return f", and {count:,} more" if count else ""
