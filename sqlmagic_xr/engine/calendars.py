"""Times of other calendars than ours: as timestamps of the same date or as numbers of one unit, and the way back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from datafusion import udf
from xarray_sql.cftime import DEFAULT_UNITS, is_gregorian_like, to_offsets


def tabular(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with times as a table shall have them; the one that is given is not changed.

    The dates of a calendar without leap days are ours, too, and become timestamps of the same year, month and day;
    xarray-sql would count its days since 1970, which is weeks off after a century. Dates that we have not (30 February)
    stay and become numbers: microseconds since 1970 in their calendar, whatever the unit of the file, for chunks are
    pruned as if they were, and equal times of two files are to be equal.
    """
    for dim, index in _calendar_indexes(dataset).items():
        stamps = _timestamps(index) if is_gregorian_like(index.calendar) else None
        attrs = dataset[dim].attrs
        if stamps is not None:
            dataset = dataset.assign_coords({dim: (dim, stamps, attrs)})
        else:
            dataset = dataset.copy()
            dataset[dim].encoding = {**dataset[dim].encoding, "units": DEFAULT_UNITS}
    return dataset


def counted(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with times exactly as its table shows them, numbers included."""
    dataset = tabular(dataset)
    for dim, index in _calendar_indexes(dataset).items():
        if not is_gregorian_like(index.calendar):
            numbers = to_offsets(dataset[dim].values, DEFAULT_UNITS, index.calendar)
            dataset = dataset.assign_coords({dim: (dim, numbers, dataset[dim].attrs)})
    return dataset


def with_times(found: xr.Dataset, read: Collection[xr.Dataset]) -> xr.Dataset:
    """A result whose dimensions have the calendar again that they have in the datasets that it reads."""
    for dim in found.dims:
        calendars = {index.calendar for dataset in read if (index := _calendar_indexes(dataset).get(dim)) is not None}
        if len(calendars) == 1:
            times = _times(found.indexes[dim], calendars.pop())
            found = found.assign_coords({dim: (dim, times, found[dim].attrs)})
    return found


def numbered(dataset: xr.Dataset) -> set[str]:
    """The calendars whose times a table shows as numbers, of a dataset that is :func:`tabular`."""
    return {i.calendar for i in _calendar_indexes(dataset).values() if not is_gregorian_like(i.calendar)}


def ambiguous(calendars: Collection[str]) -> Any:
    """``cftime('2000-01-01')`` where datasets of several calendars are registered: which one is meant, nobody knows."""
    names = " and ".join(sorted(calendars))

    def refuse(_: pa.Array) -> pa.Array:
        raise ValueError(f"cftime() cannot tell which calendar is meant, of {names}: use a Context for each")

    return udf(refuse, [pa.utf8()], pa.int64(), "immutable", "cftime")


def _calendar_indexes(dataset: xr.Dataset) -> dict[Any, xr.CFTimeIndex]:
    """The indexes, by dimension, whose times are of a calendar of their own."""
    return {d: i for d in dataset.dims if isinstance(i := dataset.indexes.get(d), xr.CFTimeIndex)}


def _timestamps(index: xr.CFTimeIndex) -> Any:
    """Timestamps of the same dates and times of day; None where our calendar has not all of them."""
    try:
        return np.array([time.isoformat() for time in index], "datetime64[us]")
    except ValueError:
        return None


def _times(values: pd.Index, calendar: str) -> Any:
    """Times of a calendar out of what a table has for them; the values themselves where they are something else."""
    import cftime  # type: ignore[import-untyped]  # only where a dataset has made some

    if isinstance(values, pd.DatetimeIndex) and not values.hasnans:
        try:
            return np.array([cftime.datetime.strptime(v.isoformat(timespec="microseconds"), "%Y-%m-%dT%H:%M:%S.%f",
                                                      calendar=calendar) for v in values])  # fmt: skip
        except ValueError:
            return values
    if all(isinstance(value, (int, np.integer)) for value in values):
        return cftime.num2date(np.asarray(values, np.int64), DEFAULT_UNITS, calendar=calendar)
    return values
