"""A Zarr store that grows along one dimension: whole slabs are appended, and nothing else is changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StorageError, UnsupportedError, UsageError
from .zarr_files import Files, files_at

if TYPE_CHECKING:
    import xarray as xr

CHUNK = 2**17
"""Cells of a chunk of a store that we make; along the dimension that grows, so many steps as that gives."""


class GridStore:
    """A Zarr store whose variables of one shape grow along one dimension.

    Readers see it as it was before an append or as it is after, and so does whoever opens it after a kill.

    Args:
        path: the store, a folder; it need not be there yet.
        append_dim: the dimension that grows.
        transactional: one that is to be made is an Icechunk repository, of which each append is a snapshot; one that is
            there is what it is.

    Attributes:
        path: the folder, absolute.
        dims: the dimensions, the one that grows first; () as long as the store is not there and nobody has said them.

    Raises:
        ImportError: zarr, or icechunk, is not installed.
        StorageError: the store cannot be read, or another process has it open to append to it.
        UsageError, UnsupportedError: it does not grow along that dimension.
    """

    def __init__(self, path: str | Path, append_dim: str, *, transactional: bool = False) -> None:
        self.path = Path(path).expanduser().resolve()
        self._files: Files = files_at(self.path, transactional=transactional)
        self.append_dim = append_dim
        self.dims: tuple[str, ...] = ()
        self._held = -1
        self._dataset: xr.Dataset | None = None
        if self.path.exists():
            self._hold()
            try:
                self._open()
            except BaseException:
                self.release()
                raise

    @property
    def dataset(self) -> xr.Dataset | None:
        """The variables that grow, lazily, their dimensions in the order of ``dims``; None for no store yet."""
        return self._dataset

    @property
    def steps(self) -> Any:
        """The coordinate along which it grows, as an array; empty where there is no store yet."""
        return np.empty(0) if self._dataset is None else self._dataset[self.append_dim].values

    def append(self, slab: xr.Dataset) -> None:
        """Append whole slabs; a store that is not there is made.

        Args:
            slab: the variables over ``dims``, with a coordinate for each.

        Raises:
            StorageError: it cannot be written; the store is as it was.
        """
        with self._explained("written"):
            if self._dataset is None:
                self._files.make(slab, self._encoding(slab))
                self._hold()
            else:
                part = slab.drop_vars([d for d in self.dims[1:] if d in slab.coords])
                self._files.append(part, self._dataset[self.append_dim])
        self._open()

    def _encoding(self, slab: xr.Dataset) -> dict[str, Any]:
        """Chunks of a store that is made: long along the dimension that grows, whole along the others."""
        cells = int(np.prod([slab.sizes[d] for d in self.dims[1:]]))
        along = max(1, CHUNK // max(cells, 1))
        chunks = tuple(along if d == self.append_dim else slab.sizes[d] for d in self.dims)
        return {**{str(name): {"chunks": chunks} for name in slab.data_vars}, self.append_dim: {"chunks": (1024,)}}

    def _open(self) -> None:
        with self._explained("read"):
            found = self._files.read()
        self._dataset = _growing(found, self.append_dim, self.path.name)
        self.dims = tuple(str(d) for d in next(iter(self._dataset.data_vars.values())).dims)

    def release(self) -> None:
        """Let another process append to it."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _hold(self) -> None:
        """Keep other processes from appending: what one has planned would be wrong after what the other wrote."""
        try:
            import fcntl
        except ImportError:  # where there are no such locks
            return
        held = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(held)
            raise StorageError(
                f"{self.path.name} cannot be opened to append to it: it is open elsewhere, in this process or another",
                hint="It can be read there: xr.open_zarr.",
            ) from error
        self._held = held

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (UsageError, UnsupportedError, StorageError):
            raise
        except Exception as error:
            what = (str(error) or type(error).__name__).splitlines()[0]
            raise StorageError(f"{self.path.name} cannot be {doing}: {what}") from error


def _growing(dataset: xr.Dataset, append_dim: str, name: str) -> xr.Dataset:
    """The variables of a dataset that vary along a dimension, which comes first."""
    if append_dim not in dataset.dims:
        dims = ", ".join(map(str, dataset.dims))
        raise UsageError(f"{name} has no dimension {append_dim}", hint=f"Its dimensions are: {dims}")
    grow = {str(n): v for n, v in dataset.data_vars.items() if append_dim in v.dims}
    shapes: dict[frozenset[Any], list[str]] = {}
    for variable, values in grow.items():
        shapes.setdefault(frozenset(values.dims), []).append(variable)
    if len(shapes) != 1:
        told = "; ".join(f"{', '.join(names)} over {', '.join(sorted(map(str, d)))}" for d, names in shapes.items())
        raise UnsupportedError(
            f"the variables of {name} that vary along {append_dim} are not of one shape: {told or 'none'}"
        )
    found = dataset[list(grow)].transpose(append_dim, ...)
    without = [str(d) for d in found.dims if d not in found.coords]
    if without:
        raise UnsupportedError(f"{name} has no coordinate {without[0]}", hint="Its rows could not be told apart.")
    steps = found[append_dim].values
    if len(steps) > 1 and not (steps[1:] > steps[:-1]).all():
        raise UnsupportedError(f"{append_dim} of {name} does not ascend")
    return found.reset_coords([c for c in found.coords if c not in found.dims], drop=True)
