"""The files of a Zarr store, plain ones or an Icechunk repository: read, made, and appended to in one piece."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import StorageError, UnsupportedError
from .zarr_store import at_rest

if TYPE_CHECKING:
    import xarray as xr


class Files(Protocol):
    """What a growing store needs of its files."""

    def read(self) -> xr.Dataset:
        """All of it, lazily, as the last append left it."""

    def make(self, slab: xr.Dataset, encoding: dict[str, Any]) -> None:
        """Make the store of its first slabs."""

    def append(self, slab: xr.Dataset, steps: xr.DataArray) -> None:
        """Append slabs along the dimension of ``steps``, the coordinate as it is there; all of them or nothing."""


def files_at(path: Path, *, transactional: bool) -> Files:
    """The files of the store at a path; where there is none, of one that is to be made.

    Raises:
        ImportError: what reads them is not installed.
    """
    zarr()
    if path.exists() and not any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
        transactional = True  # or nothing that we know, which is said when it is opened
    return Icechunk(path) if transactional else Plain(path)


class Plain:
    """A folder of Zarr files.

    Readers take its consolidated metadata, which is one file and is exchanged as a whole after all that it tells of is
    written. What was written behind them and not told of, by an append that was cut off, is written over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> xr.Dataset:
        """See :class:`Files`."""
        import xarray

        self._mend()
        with quiet():
            found: xr.Dataset = xarray.open_zarr(self._path, chunks=None, consolidated=True)
        return found

    def make(self, slab: xr.Dataset, encoding: dict[str, Any]) -> None:
        """See :class:`Files`."""
        partial = self._path.with_name(f"{self._path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        with quiet(), at_rest(partial) as store:
            slab.to_zarr(store, mode="w", consolidated=True, encoding=encoding, zarr_format=3)
        os.rename(partial, self._path)

    def append(self, slab: xr.Dataset, steps: xr.DataArray) -> None:
        """See :class:`Files`."""
        try:
            with quiet():
                with at_rest(self._path) as store:
                    self._extend(store, slab, steps)
                _check(slab, self._all(), steps)
                zarr().consolidate_metadata(self._path)
        except BaseException:
            with suppress(Exception):
                self._mend()
            raise

    def _extend(self, store: Any, slab: xr.Dataset, steps: xr.DataArray) -> None:
        """Write behind what the consolidated metadata tell of, which xarray's own append would rewrite at once."""
        import xarray

        dim, before = str(steps.name), len(steps)
        after = before + slab.sizes[dim]
        group = zarr().open_group(store, mode="r+", use_consolidated=False)
        for name in (dim, *slab.data_vars):
            shape = list(group[name].shape)
            shape[group[name].metadata.dimension_names.index(dim)] = after
            group[name].resize(tuple(shape))
        # xarray leaves the coordinates of a region as they are; so this one is written here, encoded as it is there.
        coordinate = xarray.Variable((dim,), slab[dim].values, encoding=steps.encoding)
        group[dim][before:after] = xarray.conventions.encode_cf_variable(coordinate, name=dim).values
        slab.drop_vars(dim).to_zarr(store, region={dim: slice(before, after)}, mode="r+", consolidated=False)

    def _all(self) -> xr.Dataset:
        import xarray

        found: xr.Dataset = xarray.open_zarr(self._path, chunks=None, consolidated=False)
        return found

    def _mend(self) -> None:
        """Bring every array back to the size that the consolidated metadata tell: what is beyond was never finished."""
        with quiet():
            group = zarr().open_group(self._path, mode="r", use_consolidated=False)
            if group.metadata.zarr_format != 3:
                raise UnsupportedError(
                    f"{self._path.name} is a Zarr store of format 2, which cannot be grown in one piece",
                    hint="Write it anew: xr.open_zarr(...).to_zarr(..., zarr_format=3)",
                )
            if not json.loads((self._path / "zarr.json").read_text(encoding="utf-8")).get("consolidated_metadata"):
                zarr().consolidate_metadata(self._path)
            told = zarr().open_group(self._path, mode="r", use_consolidated=True)
            sizes = {name: array.shape for name, array in told.arrays()}
            for name, array in zarr().open_group(self._path, mode="r+", use_consolidated=False).arrays():
                if name in sizes and array.shape != sizes[name]:
                    array.resize(sizes[name])


class Icechunk:
    """An Icechunk repository on disk: each append is a snapshot of its branch ``main``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._icechunk = _icechunk()

    def read(self) -> xr.Dataset:
        """See :class:`Files`."""
        return self._all(self._repository().readonly_session("main"))

    def make(self, slab: xr.Dataset, encoding: dict[str, Any]) -> None:
        """See :class:`Files`."""
        session = self._icechunk.Repository.create(self._storage()).writable_session("main")
        slab.to_zarr(session.store, consolidated=False, encoding=encoding)
        session.commit("created")

    def append(self, slab: xr.Dataset, steps: xr.DataArray) -> None:
        """See :class:`Files`."""
        session = self._repository().writable_session("main")
        slab.assign_attrs(self._all(session).attrs).to_zarr(
            session.store, append_dim=str(steps.name), consolidated=False
        )
        _check(slab, self._all(session), steps)
        session.commit(f"{steps.name} {slab[str(steps.name)].values[-1]}")

    def _all(self, session: Any) -> xr.Dataset:
        import xarray

        found: xr.Dataset = xarray.open_zarr(session.store, chunks=None, consolidated=False)
        return found

    def _repository(self) -> Any:
        if not self._icechunk.Repository.exists(self._storage()):
            raise StorageError(f"{self._path.name} is neither a Zarr store nor an Icechunk repository")
        return self._icechunk.Repository.open(self._storage())

    def _storage(self) -> Any:
        return self._icechunk.local_filesystem_storage(str(self._path))


def _check(slab: xr.Dataset, found: xr.Dataset, steps: xr.DataArray) -> None:
    """What was written reads back: a unit of time may be too coarse for a time."""
    dim = str(steps.name)
    if not np.array_equal(found[dim].values[len(steps) :], slab[dim].values):
        raise StorageError(f"the store cannot hold {dim} = {slab[dim].values[0]} in the unit that it has")


@contextmanager
def quiet() -> Iterator[None]:
    """Without zarr's word that consolidated metadata and texts are not in its specification yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        yield


def zarr() -> Any:
    """The library.

    Raises:
        ImportError: it is not installed; the error gives the line that installs it.
    """
    try:
        import zarr as found
    except ImportError as error:
        raise ImportError('Zarr stores need zarr: pip install "sqlmagic-xr[zarr]"', name="zarr") from error
    return found


def _icechunk() -> Any:
    try:
        import icechunk
    except ImportError as error:
        what = 'transactional Zarr stores need Icechunk: pip install "sqlmagic-xr[icechunk]"'
        raise ImportError(what, name="icechunk") from error
    # It warns that a folder is not safe against commits of two processes; GridStore lets in one.
    icechunk.set_logs_filter("error")
    return icechunk
