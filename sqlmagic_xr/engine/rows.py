"""Rows on their way into a scratch table: brought to the declared types, completed by defaults, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConstraintError, TypeMismatchError, UsageError
from ..sql.syntax import expression_sql
from .definition import Column
from .keys import Rows
from .schema import provider
from .scratch import Version, single_batch

if TYPE_CHECKING:
    from .store import ScratchStore


def arrange(rows: Any, version: Version, store: ScratchStore) -> pa.RecordBatch:
    """Rows as one batch with the table's own schema: cast, in the table's order, left-out columns by their defaults.

    Args:
        rows: an Arrow batch or table, or a mapping of column name -> values.
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
        fit(given[c.name], c, version.name, store) if c.name in given else defaults(c, count, version.name, store)
        for c in definition.columns
    ]
    # The schema with every column nullable first: a NOT NULL column may hold a NULL that the check will name.
    loose = pa.RecordBatch.from_arrays(arrays, names=definition.names)
    _without_nulls(loose, version)
    return pa.RecordBatch.from_arrays(arrays, schema=definition.schema)


def _columns(rows: Any, version: Version) -> dict[str, pa.Array]:
    if isinstance(rows, pa.Table):
        rows = single_batch(rows)
    if isinstance(rows, pa.RecordBatch):
        if len(set(rows.schema.names)) < rows.num_columns:
            twice = next(n for n in rows.schema.names if rows.schema.names.count(n) > 1)
            raise UsageError(f"column `{twice}` is given twice for `{version.name}`")
        return dict(zip(rows.schema.names, rows.columns, strict=True))
    if not isinstance(rows, Mapping):
        raise UsageError(
            f"rows for `{version.name}` must be an Arrow batch or table, or a mapping of column name -> values, "
            f"not {type(rows).__name__}"
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


def fit(values: pa.Array, column: Column, table: str, store: ScratchStore) -> pa.Array:
    """Values as the column stores them.

    A number goes into an integer column only if it is one: 3.0 is a BIGINT, 3.7 is not. Into REAL and DECIMAL it is
    rounded, if it is not too large. Everything else is cast as DataFusion casts.

    Raises:
        TypeMismatchError: names the column and the first value that does not fit.
    """
    if values.type != column.type:
        values = _cast(values, column, table, store)
    if column.length is not None:
        long = pc.fill_null(pc.greater(pc.utf8_length(values), column.length), False)
        if pc.any(long).as_py():
            first = values.filter(long)[0].as_py()
            raise TypeMismatchError(
                f"`{table}.{column.name}` is {column.sql_type} and cannot hold {show(first)} ({len(first)} characters)"
            )
    return values


def _cast(values: pa.Array, column: Column, table: str, store: ScratchStore) -> pa.Array:
    if values.null_count == len(values):
        return pa.nulls(len(values), column.type)
    source = values.type
    if _is_number(source) and _is_number(column.type) and not pa.types.is_decimal(column.type):
        cast = _cast_number(values, column.type)
        if cast is None:
            bad = next(i for i in range(len(values)) if _cast_number(values.slice(i, 1), column.type) is None)
            raise _misfit(values[bad].as_py(), column, table)
        return cast
    rows = provider([pa.RecordBatch.from_arrays([values], names=["v"])], pa.schema([("v", source)]))
    try:
        found = store.query(f"SELECT CAST(v AS {column.sql_type}) AS v FROM __values__", {"__values__": rows})
    except Exception as error:
        good = store.query(f"SELECT TRY_CAST(v AS {column.sql_type}) AS v FROM __values__", {"__values__": rows})
        lost = pc.and_(single_batch(good).column(0).is_null(), values.is_valid())
        raise _misfit(values.filter(lost)[0].as_py(), column, table) from error
    return as_stored(single_batch(found).column(0), column.type)


def as_stored(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values of DataFusion's own type for ``kind`` (a string view, say) as they are stored."""
    return values if values.type == kind else values.cast(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _cast_number(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The numbers as ``kind``, or None where one of them does not fit."""
    to_float = pa.types.is_floating(kind)
    try:
        cast = pc.cast(values, kind, safe=not to_float)
    except pa.ArrowInvalid:
        return None
    if to_float and pa.types.is_floating(values.type) and kind.bit_width < values.type.bit_width:
        # A finite number that became infinite was too large.
        lost = pc.and_(pc.is_inf(cast), pc.is_finite(values))
        return None if pc.any(lost).as_py() else cast
    return cast


def _misfit(value: Any, column: Column, table: str) -> TypeMismatchError:
    return TypeMismatchError(f"`{table}.{column.name}` is {column.sql_type} and cannot hold {show(value)}")


def show(value: Any) -> str:
    """A value as SQL writes it, cut where it is long."""
    if value is None:
        return "NULL"
    text = f"'{value}'" if isinstance(value, str) or hasattr(value, "isoformat") else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


# Defaults


def defaults(column: Column, count: int, table: str, store: ScratchStore) -> pa.Array:
    """So many values of a column that no one gives: its DEFAULT, worked out for each row."""
    if column.default is None:
        return pa.nulls(count, column.type)
    rows = provider([pa.record_batch({"row": pa.array(range(count), pa.int64())})], pa.schema([("row", pa.int64())]))
    found = store.query(f"SELECT {expression_sql(column.default)} AS v FROM __rows__", {"__rows__": rows})
    return fit(single_batch(found).column(0), column, table, store)


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
    row = ", ".join(f"{n} = {show(batch.column(n)[first].as_py())}" for n in names[:6])
    return ConstraintError(
        f"{what} of `{version.name}`: {verb} the row with {row}{more(len(bad) - 1)}",
        hint="Nothing of the statement was kept.",
    )


def more(count: int) -> str:
    """``, and 3 more``."""
    return f", and {count:,} more" if count else ""
