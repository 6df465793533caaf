"""A variable of a dataset as a column: the Arrow type of its values, or why it has none, and a part of it as Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from xarray.coding.strings import check_vlen_dtype
from xarray_sql.df import block_slices

from .calendars import calendar_of, time_type, times

_UNITS = ("s", "ms", "us", "ns")


class UnreadableError(Exception):
    """A variable cannot be a column; the text says why, and what to do."""


def values_of(variable: xr.Variable) -> Any:
    """The values of a variable, which are read now: an array, or what pandas has in its place."""
    if not isinstance(variable.dtype, np.dtype):
        return variable.to_index() if isinstance(variable, xr.IndexVariable) else variable.data
    return np.asarray(variable.values)  # a time alone is a scalar of NumPy


def arrow_type(variable: xr.Variable) -> tuple[pa.DataType, str | None]:
    """The type of a variable's values as a column, and the calendar of its times where that is not ours.

    Objects are looked at: all of them where they are in memory, else the first chunk that holds any.

    Raises:
        UnreadableError: there is none.
    """
    dtype = variable.dtype
    if not isinstance(dtype, np.dtype):
        return _of_pandas(values_of(variable)), None
    if dtype.kind != "O":
        return _of_numpy(dtype), None
    if (text := check_vlen_dtype(dtype)) is not None:
        return (pa.string() if text is str else pa.binary()), None
    return _of_objects(_some(variable))


def _of_numpy(dtype: np.dtype[Any]) -> pa.DataType:
    if dtype.names:
        return pa.struct([(name, _of_numpy(dtype[name])) for name in dtype.names])
    if dtype.kind in "mM":
        make = pa.timestamp if dtype.kind == "M" else pa.duration
        return make(_unit(dtype))
    if dtype.kind == "T":
        return pa.string()
    if dtype.kind == "c":
        raise UnreadableError("it is complex; make variables of its parts, .real and .imag")
    try:
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    except pa.ArrowNotImplementedError as error:
        hint = "; .astype('float64') makes it a DOUBLE" if dtype.kind == "f" else ""
        raise UnreadableError(f"it is of type {dtype}, which SQL has not{hint}") from error


def _unit(dtype: np.dtype[Any]) -> str:
    """The unit of times that Arrow has: a coarser one becomes seconds, as in xarray itself."""
    unit, _ = np.datetime_data(dtype)
    if unit in ("ps", "fs", "as", "generic"):
        raise UnreadableError(f"it is of type {dtype}, which SQL has not")
    return unit if unit in _UNITS else "s"


def _of_pandas(values: Any) -> pa.DataType:
    try:
        kind = pa.Array.from_pandas(pd.Series(values[:0] if len(values) else values)).type
    except (pa.ArrowException, NotImplementedError, TypeError) as error:
        raise UnreadableError(f"it is of pandas' type {values.dtype}, which SQL has not") from error
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if isinstance(kind, pa.BaseExtensionType):
        raise UnreadableError(f"it is of pandas' type {values.dtype}, which SQL has not; .astype(str) makes it a text")
    return kind


def _of_objects(values: Any) -> tuple[pa.DataType, str | None]:
    try:
        calendar = calendar_of(values)
        if calendar is not None:
            times(values, time_type(calendar))
            return time_type(calendar), calendar
        return pa.array(values, from_pandas=True).type, None
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        if "calendar" in str(error) or "datetime" in str(error):
            raise UnreadableError(str(error)) from error
        kinds = sorted({type(value).__name__ for value in values[~pd.isnull(values)]})
        mixed = len(kinds) > 1
        why = f"it mixes {', '.join(kinds[:4])}" if mixed else f"SQL has no type for its values of type {kinds[0]}"
        raise UnreadableError(f"{why}; .astype(str) makes it a text") from error


def _some(variable: xr.Variable) -> Any:
    """Values that show the type of all."""
    if variable._in_memory:
        return np.asarray(variable.values).ravel()
    whole = xr.Dataset({"values": variable.to_base_variable()})
    values = np.empty(0, object)
    for block in block_slices(whole):
        values = np.asarray(variable.isel(block).values).ravel()
        if not pd.isnull(values).all():
            break
    return values


def arrow(values: Any, kind: pa.DataType, calendar: str | None = None) -> pa.Array:
    """Values along one axis as an Arrow array; NaN, NaT and None are NULL.

    Args:
        values: as :func:`values_of` gives them.
        kind, calendar: as :func:`arrow_type` gives them.

    Raises:
        ValueError, pyarrow.ArrowException: a value that is not of that type.
    """
    if calendar is not None:
        return times(values, kind)
    if not isinstance(values, np.ndarray):
        found = pa.Array.from_pandas(pd.Series(values))
        found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        return found if found.type == kind else found.cast(kind)
    if values.dtype.names:
        return pa.StructArray.from_arrays([arrow(values[field.name], field.type) for field in kind], fields=list(kind))
    found = pa.array(_native(values, kind), kind, from_pandas=True)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _native(values: Any, kind: pa.DataType) -> Any:
    """Values in a form that Arrow reads: the machine's order of bytes, a unit of time that it has, no strides."""
    dtype = values.dtype
    if dtype.kind in "mM":
        return values.astype(f"{dtype.kind}8[{kind.unit}]", copy=False)
    if dtype.kind == "T":
        return values.astype(object)
    return values if dtype.isnative else values.astype(dtype.newbyteorder("="))
