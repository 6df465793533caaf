"""A dataset as a Zarr store or a netCDF file; arrays that are not in memory go there a block at a time."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import SqlError, StorageError
from .encoding import MISSING, UNITS, encoded, refuse_name
from .zarr_files import quiet
from .zarr_store import at_rest

if TYPE_CHECKING:
    import xarray as xr

Form = Literal["zarr", "netcdf"]
"""What is written."""

BLOCK = 2**20
"""Cells of an array that are read at a time; with what names them they take some ten times as many bytes."""

CHUNK = 2**19
"""Cells of a chunk of a store, at most."""

_LIBRARIES = {"zarr": ("a Zarr store", "zarr", "zarr"), "netcdf": ("a netCDF file", "netCDF4", "notebook")}

Region = tuple[slice, ...]
Array = Any
"""Where values are assigned to a region of an array on disk."""


def library(form: Form) -> Any:
    """The library that writes such a file.

    Raises:
        ImportError: it is not installed.
    """
    what, name, extra = _LIBRARIES[form]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'{what} needs {name}: pip install "sqlmagic-xr[{extra}]"', name=name) from error


def write(dataset: xr.Dataset, path: Path, form: Form, name: str, chunks: Mapping[Any, int]) -> None:
    """Write a dataset to a path where nothing is.

    Args:
        dataset: its attributes and coordinates are written with it; how it was encoded elsewhere is not looked at, but
            for the units of times.
        path: where to.
        form: as what.
        name: what the file is called where something goes wrong.
        chunks: the sizes of the chunks in which data that are read are kept; along these dimensions they are read so.

    Raises:
        ImportError: the library is not installed.
        StorageError: it cannot be written.
        UnsupportedError: there are values that such a file has no type for.
    """
    library(form)
    for known in (*dataset.variables, *dataset.dims):
        refuse_name(str(known), form)
    late = {name: values.variable for name, values in dataset.data_vars.items() if _is_late(values.variable)}
    held = _with_texts(dataset.drop_vars(late).compute())  # a copy: the encodings of the dataset given stay
    held, encoding = encoded(held, form)
    with _arrays(form, held, path, encoding, name) as arrays:
        for label, variable in late.items():
            shape = _shape(variable, chunks, CHUNK)
            with _explained(name):
                array = arrays.create(str(label), variable, shape, _attributes(dataset, variable))
            _copy(variable, array, dict(zip(variable.dims, shape, strict=True)), name)
    with _explained(name):
        _check(dataset, path, form, name)


def _with_texts(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with text of any length in place of text of one length, which Zarr's specification has not."""
    texts = {n: (v.dims, v.values.astype(object), v.attrs) for n, v in dataset.variables.items() if v.dtype.kind == "U"}
    coords = {name: text for name, text in texts.items() if name in dataset.coords}
    return dataset.assign({n: t for n, t in texts.items() if n not in coords}).assign_coords(coords)


def _is_late(variable: xr.Variable) -> bool:
    return not variable._in_memory and variable.dtype.kind in "fiubM"


def _copy(variable: xr.Variable, array: Array, chunks: Mapping[Any, int], name: str) -> None:
    """Read an array a block at a time, and write it."""
    for region in _regions(variable, chunks):
        values = variable.isel(dict(zip(variable.dims, region, strict=True))).values  # its errors are the query's
        with _explained(name):
            array[region if region else ...] = values.view(np.int64) if values.dtype.kind == "M" else values


def _regions(variable: xr.Variable, chunks: Mapping[Any, int]) -> Iterator[Region]:
    steps = _shape(variable, chunks, BLOCK)
    axes = [[slice(a, min(a + by, n)) for a in range(0, n, by)] for n, by in zip(variable.shape, steps, strict=True)]
    yield from itertools.product(*axes)


def _shape(variable: xr.Variable, chunks: Mapping[Any, int], most: int) -> tuple[int, ...]:
    """How many cells to take along each dimension: whole chunks while that are no more than ``most`` together."""
    sizes = [max(n, 1) for n in variable.shape]
    shape = [min(chunks.get(dim, n), n) for dim, n in zip(variable.dims, sizes, strict=True)]
    for axis in reversed(range(len(shape))):
        shape[axis] = min(sizes[axis], shape[axis] * max(most // math.prod(shape), 1))
    for axis in range(len(shape)):
        shape[axis] = max(1, shape[axis] // math.ceil(math.prod(shape) / most))
    return tuple(shape)


@contextmanager
def _arrays(
    form: Form, held: xr.Dataset, path: Path, encoding: Mapping[str, Any], name: str
) -> Iterator[_ZarrArrays | _NetcdfArrays]:
    """What is written, with the values that are in memory in it."""
    with at_rest(path) if form == "zarr" else nullcontext(path) as place:
        with _explained(name):
            arrays = (_ZarrArrays if form == "zarr" else _NetcdfArrays)(held, place, encoding)
        with closing(arrays):
            yield arrays


class _ZarrArrays:
    """The arrays of a Zarr store that is being written."""

    def __init__(self, held: xr.Dataset, store: Any, encoding: Mapping[str, Any]) -> None:
        self._store = store
        # A chunk of nothing but -0.0 is not an empty one, for which zarr takes it.
        held.to_zarr(store, mode="w-", encoding=encoding, zarr_format=3, consolidated=False, write_empty_chunks=True)
        self._group = library("zarr").open_group(store, mode="r+")

    def create(self, name: str, variable: xr.Variable, chunks: tuple[int, ...], attributes: dict[str, Any]) -> Array:
        """An array without values."""
        times = variable.dtype.kind == "M"
        attributes = {**attributes, "_FillValue": _fill(variable)} if times else attributes
        return self._group.create_array(
            name, shape=variable.shape, dtype=np.dtype(np.int64) if times else variable.dtype, chunks=chunks,
            fill_value=_fill(variable), dimension_names=[str(d) for d in variable.dims],
            attributes={k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in attributes.items()},
        )  # fmt: skip

    def close(self) -> None:
        """Write what readers look at first."""
        with quiet():
            library("zarr").consolidate_metadata(self._store)


class _NetcdfArrays:
    """The arrays of a netCDF file that is being written."""

    def __init__(self, held: xr.Dataset, path: Path, encoding: Mapping[str, Any]) -> None:
        held.to_netcdf(path, mode="w", engine="netcdf4", format="NETCDF4", encoding=encoding)
        self._file = library("netcdf").Dataset(path, "a")

    def create(self, name: str, variable: xr.Variable, chunks: tuple[int, ...], attributes: dict[str, Any]) -> Array:
        """An array without values."""
        kind = {"M": "i8", "b": "i1"}.get(variable.dtype.kind, variable.dtype)
        fill = _fill(variable) if variable.dtype.kind in "fM" else False
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            if dim not in self._file.dimensions:  # it has no coordinate
                self._file.createDimension(str(dim), size)
        array = self._file.createVariable(
            name, kind, [str(d) for d in variable.dims], fill_value=fill, chunksizes=chunks if chunks else None
        )
        array.set_auto_maskandscale(False)
        array.setncatts(attributes if variable.dtype.kind != "b" else {**attributes, "dtype": "bool"})
        return array

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _fill(variable: xr.Variable) -> Any:
    """What stands in cells of an array before they are written."""
    return {"f": np.nan, "M": MISSING, "b": False}.get(variable.dtype.kind, 0)


def _attributes(dataset: xr.Dataset, variable: xr.Variable) -> dict[str, Any]:
    """The attributes of a variable on disk: its own, and what tells how to read it."""
    found = {str(key): value for key, value in variable.attrs.items()}
    beside = [
        str(name)
        for name, c in dataset.coords.items()
        if name not in dataset.dims and set(c.dims) <= set(variable.dims) and " " not in str(name)
    ]
    if beside:
        found["coordinates"] = " ".join(beside)
    if variable.dtype.kind == "M":
        unit, _ = np.datetime_data(variable.dtype)
        found |= {"units": UNITS[unit], "calendar": "proleptic_gregorian"}
    return found


def _check(dataset: xr.Dataset, path: Path, form: Form, name: str) -> None:
    """Whether what is there has all variables: a name may mean something else on disk."""
    import xarray

    engine, options = ("zarr", {"consolidated": False}) if form == "zarr" else ("netcdf4", {})
    with xarray.open_dataset(path, engine=engine, decode_cf=False, chunks=None, backend_kwargs=options) as found:
        shapes = {name: variable.shape for name, variable in found.variables.items()}
    for variable, values in dataset.variables.items():
        shape = shapes.get(variable, ())
        if variable not in shapes or shape[: values.ndim] != values.shape:
            raise StorageError(f"{name} has lost `{variable}`", hint="Give it another name: ... AS name.")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (SqlError, ImportError):
        raise
    except Exception as error:
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise StorageError(f"{name} cannot be written: {what}") from error
