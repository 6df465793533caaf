"""How the values of a dataset are encoded on disk, so that they come back as they are; what cannot be is refused."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    import xarray as xr

UNITS = {
    unit: f"{word} since 1970-01-01"
    for unit, word in {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}.items()
}
"""The CF units in which times of NumPy's units are whole numbers."""

MISSING = np.iinfo(np.int64).min
"""The whole number that stands for NaT."""

_FILES = {"zarr": "a Zarr store", "netcdf": "a netCDF file"}


def refuse_name(name: str, form: str) -> None:
    """Refuse a name that would be a path in the file, or is that of a file which the form itself has.

    Raises:
        UsageError: it holds a slash, is nothing but dots, or is a Zarr store's own.
    """
    if "/" in name or "\\" in name or not name.strip(".") or (form == "zarr" and name == "zarr.json"):
        raise UsageError(
            f"`{name}` cannot be the name of a variable in {_FILES[form]}", hint="Give it another: ... AS name."
        )


def encoded(dataset: xr.Dataset, form: str) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """A dataset whose values are in memory as it is to be written, and how xarray is to encode each of its variables.

    How they were encoded where they come from is forgotten, which is done to the dataset: they are other values now.
    Times that no units of theirs or of xarray's choice keep become whole numbers here: xarray takes their differences
    whatever units it is told, and those of more than 292 years in nanoseconds are no numbers of 64 bits.

    Raises:
        UnsupportedError: values that the file has no type for.
    """
    found, counted = {}, {}
    for name, variable in dataset.variables.items():
        kept = _encoding(str(name), variable, form)
        if kept is None:
            counted[name], kept = _counted(variable)
        found[str(name)] = kept
        variable.encoding = {}
    coords = {name: variable for name, variable in counted.items() if name in dataset.coords}
    data = {name: variable for name, variable in counted.items() if name not in coords}
    return dataset.drop_indexes([n for n in coords if n in dataset.xindexes]).assign_coords(coords).assign(data), found


def _encoding(name: str, variable: xr.Variable, form: str) -> dict[str, Any] | None:
    if not isinstance(variable.dtype, np.dtype):
        return {}
    if variable.dtype.kind in "OT":
        return _of_objects(name, np.asarray(variable.values).ravel(), form)
    return _of_times(variable) if variable.dtype.kind == "M" else {}


def _counted(variable: xr.Variable) -> tuple[xr.Variable, dict[str, Any]]:
    """Times as whole numbers of their own unit, with the attributes by which they are read as times."""
    import xarray

    unit, _ = np.datetime_data(variable.dtype)
    numbers = np.asarray(variable.values).view(np.int64)
    attributes = {**variable.attrs, "units": UNITS[unit], "calendar": "proleptic_gregorian"}
    missing = {"_FillValue": MISSING} if (numbers == MISSING).any() else {}
    return xarray.Variable(variable.dims, numbers, attributes), missing


def _of_objects(name: str, values: Any, form: str) -> dict[str, Any]:
    """Text, of which some may be missing, for which a text that no other cell has stands then."""
    missing = pd.isnull(values)
    present = values[~missing]
    if not len(present) or hasattr(present[0], "calendar"):
        return {}
    other = next((value for value in present if not isinstance(value, str)), None)
    if other is not None:
        truth = isinstance(other, bool) and bool(missing.any())
        what = "truth values of which some are missing" if truth else f"values of the type {type(other).__name__}"
        raise UnsupportedError(
            f"`{name}` holds {what}, which {_FILES[form]} has no type for",
            hint=f"Cast it: CAST({name} AS DOUBLE), or AS VARCHAR.",
        )
    if form == "netcdf" and any("\0" in value for value in present):
        raise UnsupportedError(f"`{name}` holds text with U+0000, where text in a netCDF file ends")
    if not missing.any():
        return {}
    taken, fill, number = set(present), "", 1
    while fill in taken:
        fill, number = "missing" if number == 1 else f"missing {number}", number + 1
    return {"missing_value": fill}


def _of_times(variable: xr.Variable) -> dict[str, Any] | None:
    """The units that times had where they come from, or that xarray would choose; None where neither keep them."""
    known = {key: variable.encoding[key] for key in ("units", "calendar") if key in variable.encoding}
    return next((tried for tried in (known, {}) if _keeps(variable, tried)), None)


def _keeps(variable: xr.Variable, encoding: dict[str, Any]) -> bool:
    """Whether times that are encoded so are the same when they are read."""
    import xarray

    bare = xarray.Variable(variable.dims, variable.values, encoding=encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are not
        try:
            encoded = xarray.conventions.encode_cf_variable(bare)
            again = xarray.decode_cf(xarray.Dataset({"times": encoded}))["times"].values
            same = np.array_equal(np.asarray(again, variable.dtype), variable.values, equal_nan=True)
            return bool(same and encoded.dtype.kind == "i")  # parts of a unit are floats, of which xarray warns
        except Exception:  # whatever it is, other units will do
            return False
