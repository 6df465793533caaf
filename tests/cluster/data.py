"""What the tests of a cluster read: stores of cells in chunks, and chunks that take their time."""

import os
import time

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from sqlmagic_xr import Context
from tests.queries.gridded.test_who_runs import register


def made(shape, path, chunks):
    """A Zarr store of cells in chunks, some of them missing."""
    rng = np.random.default_rng(0)
    dims, (days, lats, lons) = ("time", "lat", "lon"), shape
    air = (280 + 9 * rng.normal(size=shape)).astype(np.float32)
    air[rng.random(shape) < 0.01] = np.nan
    data = xr.Dataset(
        {"air": (dims, air), "hum": (dims, rng.random(shape, np.float32)),
         "n": (dims, rng.integers(0, 9, shape).astype(np.int16)), "wet": (dims, rng.random(shape) < 0.3)},
        {"time": pd.date_range("2000-01-01", "2000-03-15", days), "lat": np.linspace(-89, 89, lats),
         "lon": np.arange(0, 3.0 * lons, 3)},
    )  # fmt: skip
    data.to_zarr(path, encoding={name: {"chunks": chunks} for name in data.data_vars}, consolidated=False)
    return path


def context(store, **options):
    ctx = Context(**options)
    large = xr.open_zarr(store, consolidated=False, chunks={})
    register(ctx, large, large.hum.mean("time").load(scheduler="synchronous"))
    return ctx


def slow(seconds, size=40):
    """A dataset of chunks each of which takes its time on a worker."""

    def made(block_info=None):
        time.sleep(seconds)
        (start, stop), *_ = block_info[None]["array-location"]
        return np.broadcast_to(np.arange(start, stop, dtype=np.float64)[:, None], (stop - start, 30_000)).copy()

    cells = da.map_blocks(made, chunks=((1,) * size, (30_000,)), dtype=float, meta=np.empty((0, 0)))
    return xr.Dataset({"v": (("t", "x"), cells)})


def noting(dataset, path):
    """A dataset that writes down in a file which process makes each of its chunks."""

    def noted(cells):
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        return cells

    def each(variable):
        return variable.copy(data=variable.data.map_blocks(noted, meta=variable.data._meta))

    return dataset[["air", "hum"]].map(each)
