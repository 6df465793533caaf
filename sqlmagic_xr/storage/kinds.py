"""How an Arrow type is kept in a DuckDB file, and how its values come back as they were."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UnsupportedError

_PLAIN = (
    pa.types.is_boolean, pa.types.is_integer, pa.types.is_float32, pa.types.is_float64, pa.types.is_string,
    pa.types.is_binary, pa.types.is_fixed_size_binary, pa.types.is_date, pa.types.is_time, pa.types.is_timestamp,
    pa.types.is_decimal128,
)  # fmt: skip
"""Types of which DuckDB has one that holds the same values; a cast brings the very type back."""


def kept(kind: pa.DataType) -> pa.DataType:
    """The type in the file of values of type ``kind``.

    Raises:
        UnsupportedError: a file cannot hold them all as they are.

    >>> kept(pa.float64()), kept(pa.float16()), kept(pa.duration("s"))
    (DataType(double), DataType(float), DataType(int64))
    """
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal256(kind):
        return pa.string()  # DuckDB's decimals have 38 digits
    if pa.types.is_duration(kind):
        return pa.int64()  # DuckDB's intervals count microseconds
    if pa.types.is_interval(kind) or _is_plain(kind):
        return kind
    raise UnsupportedError(f"a DuckDB file cannot hold values of the type {kind}")


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return bool(kind.num_fields) and all(_is_plain(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _is_plain(kind.key_type) and _is_plain(kind.item_type)
    return any(holds(kind) for holds in _PLAIN)


def to_file(values: pa.Array) -> pa.Array:
    """Values as the file holds them.

    Raises:
        UnsupportedError: of a type that it cannot hold, or an interval of a part of a microsecond.
    """
    kind = values.type
    if pa.types.is_interval(kind):
        if any(value is not None and value.nanoseconds % 1000 for value in values.to_pylist()):
            raise UnsupportedError("a DuckDB file cannot hold an interval of a part of a microsecond")
        return values
    target = kept(kind)
    return values if target == kind else values.cast(target)


def from_file(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """What :func:`to_file` was given.

    >>> from_file(to_file(pa.array([1, None], pa.duration("us"))), pa.duration("us")).type
    DurationType(duration[us])
    """
    if values.type == kind:
        return values
    if pa.types.is_float16(kind):  # which Arrow does not cast to
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float16)
        return pa.array(numbers, kind, mask=np.asarray(values.is_null()))
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pc.cast(values, kind)  # the zone's name, which the file does not hold; the instants are the same
    return values.cast(kind)
