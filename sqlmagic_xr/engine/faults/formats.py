"""Formats of times in PostgreSQL's spelling: ``to_char(t, 'YYYY-MM')`` is the text YYYY-MM to the engine.

Its formats are those of strftime, and what it knows no part in it gives back as it stands. Read by such a format, no
text is a time.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import UnsupportedError
from ...sql.pieces import arguments, bare, function_name, text_of
from ...sql.places import CALL
from ...sql.syntax import Tree, span_of
from .reading import Reading, plain

_WRITING = ("to_char", "date_format")
_READING = ("to_date", "to_time", "to_unixtime", "to_timestamp", "to_timestamp_seconds", "to_timestamp_millis",
            "to_timestamp_micros", "to_timestamp_nanos")  # fmt: skip

SIGNS = rf"\b({'|'.join((*_WRITING, *_READING))})\"?\s*\("
NEEDS = " ".join((*_WRITING, *_READING)).upper()

_PARTS = {
    "YYYY": "%Y", "YY": "%y", "IYYY": "%G", "IY": "%g", "Q": "%q", "MM": "%m", "MONTH": "%B", "MON": "%b",
    "DDD": "%j", "DD": "%d", "DAY": "%A", "DY": "%a", "ID": "%u", "IW": "%V", "HH24": "%H", "HH12": "%I", "HH": "%I",
    "MI": "%M", "SS": "%S", "MS": "%3f", "US": "%6f", "AM": "%p", "PM": "%p", "TZ": "%Z",
    "FMMONTH": "%B", "FMDAY": "%A", "FMMM": "%-m", "FMDD": "%-d", "FMHH24": "%-H", "FMHH12": "%-I",
}  # fmt: skip
"""PostgreSQL's patterns, and the part of the engine's formats that is the same."""

_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_RUN = re.compile(rf'"(?P<text>[^"]*)"|(?<![^\W_])(?P<run>(?:(?:{_PART})T?)+)(?![^\W_])', re.IGNORECASE)
"""Letters that are patterns one and all, or a text in double quotes; a T may part a date from a time."""
_CLOCK = re.compile(r"(?<![A-Z])HH:MM(?![A-Z])", re.IGNORECASE)
"""Hours and minutes in the spelling of Java, in which MM in other places is a month as well."""


def refused(reading: Reading) -> Tree:
    """The tree itself.

    Raises:
        UnsupportedError: a format has parts of PostgreSQL's, and none of the engine's.
    """
    return reading.rewritten(plain(_check, CALL), named=False)


def strftime(text: str) -> str | None:
    """The engine's spelling of a format in PostgreSQL's; None of any other text.

    >>> strftime('YYYY-MM-DD"T"HH24:MI:SS')
    '%Y-%m-%dT%H:%M:%S'
    >>> strftime("SUMMER") is None
    True
    """
    if "%" in text or not any(found["run"] for found in _RUN.finditer(text)):
        return None
    return _RUN.sub(_written, _CLOCK.sub("HH24:MI", text))


def _written(found: re.Match[str]) -> str:
    if found["run"] is None:
        return str(found["text"])
    return re.sub(_PART, lambda part: _PARTS[part.group().upper()], found["run"], flags=re.IGNORECASE)


def _check(node: dict[str, Any]) -> None:
    name = function_name(node)
    if name not in _WRITING and name not in _READING:
        return
    texts = [text_of(bare(tree)) for tree in arguments(node)[1:]]
    meant = [None if text is None else strftime(text) for text in texts]
    # Of several formats to read by, one that no text has does no harm.
    if not meant or not all(meant):
        return
    does = "gives it back as it stands" if name in _WRITING else "reads no time by it"
    raise UnsupportedError(
        f"'{texts[0]}' is PostgreSQL's spelling of a format, and the engine {does}: its formats are strftime's",
        hint=f"Write '{meant[0]}'.",
        span=span_of(arguments(node)[1]) or span_of(node),
    )
