"""Functions of times that are numbers, those of calendars with dates that ours has not (:mod:`.calendars`).

``cftime('2000-02-30')`` is the number of a date; ``cftime_part('month', time)``, ``cftime_trunc('year', time)`` and
``cftime_text(time)`` are to such a number what ``date_part``, ``date_trunc`` and a cast to text are to a timestamp.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from datafusion import udf

from .calendars import UNITS, times

NAMES = ("cftime", "cftime_part", "cftime_trunc", "cftime_text")

_PARTS: Mapping[str, Callable[[Any], int]] = {
    "year": lambda t: t.year, "quarter": lambda t: (t.month + 2) // 3, "month": lambda t: t.month,
    "day": lambda t: t.day, "doy": lambda t: t.dayofyr, "dow": lambda t: (t.dayofwk + 1) % 7, "hour": lambda t: t.hour,
    "minute": lambda t: t.minute, "second": lambda t: t.second,
}  # fmt: skip
"""What a part of a time is; ``dow`` counts from Sunday, 0, as date_part does."""

_FINER = {
    "year": {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "month": {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
}
"""What is the least of a time that is cut to a part."""

_DATE = re.compile(r"(-?\d+)(?:-(\d+)(?:-(\d+)(?:[T ](\d+):(\d+)(?::(\d+))?)?)?)?")


def cftime_functions(calendars: Collection[str]) -> list[Any]:
    """The functions of times that are numbers.

    Args:
        calendars: theirs; where they are several, which one is meant, nobody knows.
    """

    def calendar(name: str) -> str:
        if len(calendars) > 1:
            names = " and ".join(sorted(calendars))
            raise ValueError(f"{name}() cannot tell which calendar is meant, of {names}: use a Context for each")
        return next(iter(calendars))

    def number(texts: pa.Array) -> pa.Array:
        of = calendar("cftime")
        dates = [None if text is None else _read(text, of) for text in texts.to_pylist()]
        return times(np.array([*dates, None], object)[:-1], pa.int64())

    def part(names: pa.Array, numbers: pa.Array) -> pa.Array:
        of = _one(names, _PARTS, "cftime_part")
        return _each(numbers, calendar("cftime_part"), lambda found: pa.array([of(t) for t in found], pa.int32()))

    def trunc(names: pa.Array, numbers: pa.Array) -> pa.Array:
        finer = _one(names, _FINER, "cftime_trunc")

        def cut(found: Any) -> pa.Array:
            return times(np.array([*(t.replace(**finer) for t in found), None], object)[:-1], pa.int64())

        return _each(numbers, calendar("cftime_trunc"), cut)

    def text(numbers: pa.Array) -> pa.Array:
        return _each(numbers, calendar("cftime_text"), lambda found: pa.array([_shown(t) for t in found], pa.string()))

    of_part = [pa.utf8(), pa.int64()]
    return [
        udf(number, [pa.utf8()], pa.int64(), "immutable", "cftime"),
        udf(part, of_part, pa.int32(), "immutable", "cftime_part"),
        udf(trunc, of_part, pa.int64(), "immutable", "cftime_trunc"),
        udf(text, [pa.int64()], pa.string(), "immutable", "cftime_text"),
    ]


def _one(names: pa.Array, known: Mapping[str, Any], function: str) -> Any:
    """What is known of the one part that is asked for."""
    asked = {str(name).lower() for name in names.to_pylist()}
    name = asked.pop() if len(asked) == 1 else "several"
    if asked or name not in known:
        raise ValueError(f"{function}() takes one of {', '.join(known)}, not {name}")
    return known[name]


def _each(numbers: pa.Array, calendar: str, of: Callable[[Any], pa.Array]) -> pa.Array:
    """A function of times, which is given each different one once."""
    import cftime  # type: ignore[import-untyped]  # only where a dataset has made some

    coded = numbers.dictionary_encode()
    values = coded.dictionary.to_numpy(zero_copy_only=False)
    return of(cftime.num2date(values, UNITS, calendar=calendar)).take(coded.indices)


def _shown(time: Any) -> str:
    text = str(time.isoformat(sep=" "))
    return text.removesuffix(" 00:00:00")


def _read(text: str, calendar: str) -> Any:
    import cftime

    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is no date: write '2000-01-31' or '2000-01-31 12:00:00'")
    year, month, day, *rest = (None if part is None else int(part) for part in found.groups())
    return cftime.datetime(year, month or 1, day or 1, *(part or 0 for part in rest), calendar=calendar)
