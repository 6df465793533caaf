"""What SQL calls an Arrow type."""

from __future__ import annotations

import pyarrow as pa

_SQL_NAMES = {
    "int8": "TINYINT", "int16": "SMALLINT", "int32": "INT", "int64": "BIGINT",
    "uint8": "TINYINT UNSIGNED", "uint16": "SMALLINT UNSIGNED", "uint32": "INT UNSIGNED", "uint64": "BIGINT UNSIGNED",
    "halffloat": "HALF", "float": "FLOAT", "double": "DOUBLE", "bool": "BOOLEAN", "null": "NULL",
    "string": "VARCHAR", "large_string": "VARCHAR", "string_view": "VARCHAR",
    "binary": "BYTEA", "large_binary": "BYTEA", "binary_view": "BYTEA", "date32[day]": "DATE", "date64[ms]": "DATE",
    "month_day_nano_interval": "INTERVAL",
}  # fmt: skip


def type_name(kind: pa.DataType) -> str:
    """The name that SQL has for an Arrow type.

    >>> type_name(pa.int64()), type_name(pa.list_(pa.float64())), type_name(pa.timestamp("ns"))
    ('BIGINT', 'DOUBLE[]', 'TIMESTAMP')
    """
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is None else f"TIMESTAMP {kind.tz}"
    if pa.types.is_time(kind):
        return "TIME"
    if pa.types.is_duration(kind):
        return "DURATION"
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_run_end_encoded(kind):
        return type_name(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{type_name(kind.value_type)}[]"
    if pa.types.is_fixed_size_list(kind):
        return f"{type_name(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_struct(kind):
        return "STRUCT"
    if pa.types.is_map(kind):
        return "MAP"
    if pa.types.is_fixed_size_binary(kind):
        return "BYTEA"
    return _SQL_NAMES.get(str(kind), str(kind).upper())
