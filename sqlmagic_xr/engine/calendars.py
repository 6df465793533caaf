"""Times of other calendars than ours: as timestamps of the same date or as numbers of one unit, and the way back.

The dates of a calendar without leap days are ours, too, and become timestamps of the same year, month and day; counting
its days since 1970 would be weeks off after a century. A calendar with dates that we have not (30 February) has its
times as numbers: microseconds since 1970 in that calendar, whatever the unit of the file, for equal times of two files
are to be equal. What a variable becomes depends on its calendar alone, so that coordinates and their bounds compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr

from ..errors import CalendarWarning

UNITS = "microseconds since 1970-01-01T00:00:00"
"""The unit of times that are numbers."""

_OURS = frozenset({"standard", "gregorian", "proleptic_gregorian", "noleap", "365_day"})
"""Calendars whose dates we have; of 29 February before 1582 in the standard one, not all."""


def calendar_of(values: Any) -> str | None:
    """The calendar of an array of ``cftime`` objects, missing ones among them; None where the first is none of these.

    Raises:
        ValueError: there are several calendars, or values that are no times.
    """
    found = values[~pd.isnull(values)]
    if not len(found) or not hasattr(found[0], "calendar"):
        return None
    calendars = {getattr(value, "calendar", type(value).__name__) for value in found}
    if len(calendars) > 1:
        raise ValueError(f"its times are of several calendars: {', '.join(sorted(calendars))}")
    return str(calendars.pop())


def time_type(calendar: str) -> pa.DataType:
    """The Arrow type in which a table has the times of a calendar."""
    return pa.timestamp("us") if calendar in _OURS else pa.int64()


def times(values: Any, kind: pa.DataType) -> pa.Array:
    """``cftime`` objects, of which some may be missing, as a table has them: the one place that converts them.

    Args:
        values: one axis of objects of one calendar.
        kind: as :func:`time_type` gives it.

    Raises:
        ValueError: a date that our calendar has not.
    """
    missing = pd.isnull(values)
    present = values[~missing]
    cells = np.zeros(len(values), np.int64)
    if len(present):
        cells[~missing] = _stamps(present) if pa.types.is_timestamp(kind) else _numbers(present)
    return pa.array(cells, mask=missing).view(kind)


def _stamps(values: Any) -> Any:
    return np.array([value.isoformat() for value in values], "datetime64[us]").view(np.int64)


def _numbers(values: Any) -> Any:
    import cftime  # type: ignore[import-untyped]  # only where a dataset has made some

    return np.rint(cftime.date2num(values, UNITS, calendar=values[0].calendar)).astype(np.int64)


def counted(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with the times of its dimensions exactly as its table shows them; the one given is not changed."""
    for dim, index in _calendar_indexes(dataset).items():
        shown = times(np.asarray(index), time_type(index.calendar)).to_numpy(zero_copy_only=False)
        dataset = dataset.assign_coords({dim: (dim, shown, dataset[dim].attrs)})
    return dataset


def with_times(found: xr.Dataset, read: Collection[xr.Dataset]) -> xr.Dataset:
    """A result whose dimensions have the calendar again that they have in the datasets that it reads."""
    for dim in found.dims:
        calendars = {index.calendar for dataset in read if (index := _calendar_indexes(dataset).get(dim)) is not None}
        if len(calendars) == 1:
            restored = _times(found.indexes[dim], calendars.pop())
            found = found.assign_coords({dim: (dim, restored, found[dim].attrs)})
    return found


def tell_numbers(found: xr.Dataset, known: Iterable[xr.Dataset]) -> None:
    """Warn of numbers that are called as times of a dataset which a table has as numbers.

    Args:
        found: a result, its times restored as far as it is known that they are some.
        known: the datasets that there are tables of.
    """
    calendars = {d: i.calendar for dataset in known for d, i in _calendar_indexes(dataset).items()}
    for name, calendar in calendars.items():
        variable = found.variables.get(name)
        if variable is None or not numbered(calendar) or variable.dtype.kind != "i" or not variable._in_memory:
            continue
        if variable.size and np.abs(variable.values).max() >= _DAY:  # no year and no count
            warnings.warn(
                f"`{name}` is given as whole numbers, {UNITS} if they are times of the {calendar} calendar as in a "
                "dataset: a kept table does not tell. With that dataset as template they are times: "
                "to_dataset(template='name'), COPY ... OPTIONS ('template' 'name')",
                CalendarWarning,
                stacklevel=2,
            )


_DAY = 86_400_000_000  # microseconds


def counting(dataset: xr.Dataset | None, variable: str) -> str | None:
    """The calendar of a dimension whose times a table has as numbers; None for any other variable."""
    index = None if dataset is None else _calendar_indexes(dataset).get(variable)
    return index.calendar if index is not None and numbered(index.calendar) else None


def years(numbers: Any, calendar: str) -> Any:
    """Times that are numbers as years with decimals: places on an axis."""
    import cftime

    def place(time: Any) -> float:
        first, next_first = (cftime.datetime(time.year + n, 1, 1, calendar=calendar) for n in (0, 1))
        return float(time.year + (time - first) / (next_first - first))

    return np.array([place(time) for time in cftime.num2date(numbers, UNITS, calendar=calendar)])


def numbered(calendar: str | None) -> bool:
    """Whether a table has the times of this calendar as numbers."""
    return calendar is not None and calendar not in _OURS


def _calendar_indexes(dataset: xr.Dataset) -> dict[Any, xr.CFTimeIndex]:
    """The indexes, by dimension, whose times are of a calendar of their own."""
    return {d: i for d in dataset.dims if isinstance(i := dataset.indexes.get(d), xr.CFTimeIndex)}


def _times(values: pd.Index, calendar: str) -> Any:
    """Times of a calendar out of what a table has for them; the values themselves where they are something else."""
    import cftime

    if isinstance(values, pd.DatetimeIndex) and not values.hasnans:
        try:
            return np.array([cftime.datetime.strptime(v.isoformat(timespec="microseconds"), "%Y-%m-%dT%H:%M:%S.%f",
                                                      calendar=calendar) for v in values])  # fmt: skip
        except ValueError:
            return values
    if all(isinstance(value, (int, np.integer)) for value in values):
        return cftime.num2date(np.asarray(values, np.int64), UNITS, calendar=calendar)
    return values
