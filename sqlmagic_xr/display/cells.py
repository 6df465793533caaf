"""Arrow values -> the short text that stands for them in a cell of a table.

What a reader must be able to tell apart stays apart: NULL, the empty string, the string 'NULL' and NaN; 1 and 1.0. What
would do harm on a screen (control characters, a megabyte of text) is shortened or written as its escape.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import escape_controls
from ..storage.values import readable

MAX_CHARACTERS = 100  # of one cell; the whole value stays in the result
NULL = "NULL"

_AMBIGUOUS = {"", "NULL", "NaN"}  # strings that would read as something else


def is_number(kind: pa.DataType) -> bool:
    """Whether values of the type are aligned at their right."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def column_cells(column: pa.ChunkedArray) -> list[str | None]:
    """The text of each value of a column, None for NULL."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return _timestamps(column)
    digits = _DIGITS.get(str(kind), 10)
    return [None if v is None else _text(v, digits, top=True) for v in (readable(s) for s in column)]


_DIGITS = {"halffloat": 4, "float": 7}  # significant digits that the type holds; a double is shown with ten


def number(value: float, digits: int = 10) -> str:
    """A floating-point number as short as its digits allow, and never mistaken for an integer.

    >>> number(0.1 + 0.2), number(2.0), number(12345678901.5), number(1e-300), number(float("nan"))
    ('0.3', '2.0', '12345678901.5', '1e-300', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    # Digits behind the tenth are dropped, but never any in front of the point.
    text = repr(value) if 10**digits <= abs(value) < 1e16 else format(value, f".{digits}g")
    return text if any(c in text for c in ".en") else text + ".0"


def _timestamps(column: pa.ChunkedArray) -> list[str | None]:
    """ISO dates and times with no more digits than the column needs, and no time where all of it is midnight."""
    unit = column.type.unit
    values = [np.datetime64(v, unit) if v is not None else None for v in column.cast(pa.int64()).to_pylist()]
    present = [v for v in values if v is not None]
    finest = next(u for u in ("D", "s", "ms", "us", "ns") if u == unit or all(_keeps(v, u) for v in present))
    return [None if v is None else str(v.astype(f"datetime64[{finest}]")).replace("T", " ") for v in values]


def _keeps(value: np.datetime64, unit: str) -> bool:
    return bool(value.astype(f"datetime64[{unit}]") == value)


def _text(value: Any, digits: int, *, top: bool = False) -> str:
    """One value; strings inside lists and structs are quoted, a string of its own only where it could mislead."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value, digits)
    if isinstance(value, str):
        return shorten(value) if top and value not in _AMBIGUOUS else _quoted(value)
    if isinstance(value, bytes):
        shown = value[: MAX_CHARACTERS // 4].hex()
        return f"0x{shown}" + (f"… ({len(value):,} bytes)" if len(value) > MAX_CHARACTERS // 4 else "")
    if isinstance(value, dict):
        return "{" + _joined((f"{_bare(k)}: {_text(v, digits)}" for k, v in value.items()), len(value)) + "}"
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):  # a MAP comes as its pairs
            return "{" + _joined((f"{_text(k, digits)}: {_text(v, digits)}" for k, v in value), len(value)) + "}"
        return "[" + _joined((_text(v, digits) for v in value), len(value)) + "]"
    return shorten(str(value))


def _bare(name: str) -> str:
    return shorten(name)


def _quoted(text: str) -> str:
    return "'" + shorten(text.replace("'", "''")) + "'"


def _joined(items: Iterable[str], count: int) -> str:
    """Items with commas between them, as many as fit in a cell, and how many more there are."""
    out: list[str] = []
    room = MAX_CHARACTERS
    for item in items:
        room -= len(item) + 2
        if room < 0 and out:
            return ", ".join(out) + f", … {count - len(out):,} more"
        out.append(item)
    return ", ".join(out)


def shorten(text: str) -> str:
    """Text that does no harm on a screen, cut to what a cell holds, with the length of the whole."""
    if len(text) <= MAX_CHARACTERS:
        return escape_controls(text)
    return f"{escape_controls(text[: MAX_CHARACTERS - 20])}… ({len(text):,} characters)"


def width(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
