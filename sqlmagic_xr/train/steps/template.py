"""The literals that fill the holes of a step's text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ...sql.parameters import literal
from ...sql.syntax import expression_sql


def parameter_text(value: Any) -> str:
    """The literal that a parameter's value is bound as."""
    if type(value) is int and abs(value) < 2**63:
        return str(value) if value >= 0 else f"({value})"
    if type(value) is float and math.isfinite(value):
        return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"
    return expression_sql(literal(value))


def stored_text(value: Any, kind: pa.DataType) -> str:
    """The literal of a value that a column of this type holds; NULL has the column's type too."""
    if value is None:
        return f"arrow_cast(NULL, '{_TYPES[kind]}')"
    if kind in (pa.int64(), pa.float64()) and not (kind == pa.int64() and value == -(2**63)):
        return parameter_text(value)
    if kind == pa.bool_():
        return "TRUE" if value else "FALSE"
    if kind == pa.string():
        return "'" + str(value).replace("'", "''") + "'"
    plain = f"'{value}'" if isinstance(value, int) else parameter_text(value)
    return f"arrow_cast({plain}, '{_TYPES[kind]}')"


_TYPES = {
    pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64",
    pa.uint8(): "UInt8", pa.uint16(): "UInt16", pa.uint32(): "UInt32", pa.uint64(): "UInt64",
    pa.float32(): "Float32", pa.float64(): "Float64", pa.bool_(): "Boolean", pa.string(): "Utf8",
}  # fmt: skip
"""The types whose values have an exact literal, and their names in ``arrow_cast``."""


def can_be_text(kinds: Iterable[pa.DataType]) -> bool:
    """Whether the values of columns of these types can be written as literals that mean exactly them."""
    return all(kind in _TYPES for kind in kinds)
