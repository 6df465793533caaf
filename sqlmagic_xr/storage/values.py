"""What an Arrow value is for a reader: a Python object, or text where Python has no such date, time or duration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from ..errors import escape_controls


def readable(scalar: pa.Scalar) -> Any:
    """The value as Python has it; dates, times and durations that Python does not hold as text, also inside of others.

    >>> readable(pa.scalar(7)), readable(pa.scalar(2**62, pa.int64()).cast(pa.timestamp("s")))
    (7, '146138514283-06-19 07:45:04')
    """
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # nanoseconds or years that Python's datetime does not hold
        return _beyond(scalar)


def _beyond(scalar: pa.Scalar) -> Any:
    kind = scalar.type
    if pt.is_dictionary(kind):
        return readable(scalar.value)
    if pt.is_struct(kind):
        return {field.name: readable(scalar[place]) for place, field in enumerate(kind)}
    if pt.is_map(kind):
        return [(readable(pair[0]), readable(pair[1])) for pair in scalar.values]
    if pt.is_nested(kind):
        return [readable(value) for value in scalar.values]
    if pt.is_timestamp(kind):
        return str(np.datetime64(scalar.value, kind.unit)).replace("T", " ") + ("Z" if kind.tz else "")
    if pt.is_date32(kind):
        return str(np.datetime64(scalar.value, "D"))
    return str(np.timedelta64(scalar.value, kind.unit)) if pt.is_duration(kind) else str(scalar)


def show(value: Any) -> str:
    """A value, Arrow's or Python's, as SQL writes it, cut where it is long."""
    if isinstance(value, pa.Scalar):
        value = readable(value)
    if value is None:
        return "NULL"
    text = f"'{value}'" if isinstance(value, str) or hasattr(value, "isoformat") else str(value)
    text = escape_controls(text)
    return text if len(text) <= 60 else text[:57] + "..."
