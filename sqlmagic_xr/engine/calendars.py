"""Times of calendars that no timestamp can hold (360_day, julian): one unit for all tables, and the way back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray_sql.cftime import DEFAULT_UNITS, is_gregorian_like, to_offsets


def in_microseconds(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset, its times counted in microseconds since 1970 in their own calendar, whatever its file says.

    xarray-sql makes numbers of them in the unit of the file, but prunes chunks as if they were microseconds; and in
    different units equal times of two tables would not be equal. The dataset that is given is not changed.
    """
    times = [dim for dim in dataset.dims if _calendar(dataset, dim)]
    if not times:
        return dataset
    dataset = dataset.copy()
    for dim in times:
        dataset[dim].encoding = {**dataset[dim].encoding, "units": DEFAULT_UNITS}
    return dataset


def counted(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with such times as the numbers that its table shows."""
    times = {dim: calendar for dim in dataset.dims if (calendar := _calendar(dataset, dim))}
    numbers = {dim: to_offsets(dataset[dim].values, DEFAULT_UNITS, calendar) for dim, calendar in times.items()}
    return dataset.assign_coords({dim: (dim, numbers[dim], dataset[dim].attrs) for dim in times})


def with_times(found: xr.Dataset, read: Collection[xr.Dataset]) -> xr.Dataset:
    """A result whose dimensions that are such times in the datasets that it reads are times again."""
    for dim in found.dims:
        calendars = {calendar for dataset in read if (calendar := _calendar(dataset, dim))}
        if len(calendars) == 1:
            times = _times(found.indexes[dim], calendars.pop())
            found = found.assign_coords({dim: (dim, times, found[dim].attrs)})
    return found


def _calendar(dataset: xr.Dataset, dim: Any) -> str | None:
    """The calendar of a dimension whose times no timestamp can hold; None for any other."""
    index = dataset.indexes.get(dim)
    calendar = index.calendar if isinstance(index, xr.CFTimeIndex) else None
    return None if calendar is None or is_gregorian_like(calendar) else str(calendar)


def _times(values: pd.Index, calendar: str) -> Any:
    import cftime  # type: ignore[import-untyped]  # only where a dataset has made some

    if not all(isinstance(value, (int, np.integer)) for value in values):
        return values
    return cftime.num2date(np.asarray(values, np.int64), DEFAULT_UNITS, calendar=calendar)
