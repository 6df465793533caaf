"""After a write that failed zarr's threads write nothing any more."""

import time

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local

from sqlmagic_xr.storage.zarr_store import at_rest


@pytest.fixture
def slow_disk(monkeypatch):
    """The first chunk cannot be written, and the others take a while."""
    put = local._put

    def slowly(path, value, exclusive=False):
        if path.match("a/c/0"):
            raise OSError(28, "No space left on device")
        time.sleep(0.05 if path.match("a/c/*") else 0)
        return put(path, value, exclusive=exclusive)

    monkeypatch.setattr(local, "_put", slowly)


def test_nothing_is_written_behind_a_failure(slow_disk, tmp_path):
    dataset = xr.Dataset({"a": ("x", np.arange(40.0))})
    with pytest.raises(OSError, match="No space left"), at_rest(tmp_path / "x") as store:
        dataset.to_zarr(store, encoding={"a": {"chunks": (1,)}}, consolidated=False, zarr_format=3)
    left = sorted(tmp_path.rglob("*"))
    time.sleep(0.3)
    assert sorted(tmp_path.rglob("*")) == left


def test_all_is_written_where_nothing_fails(tmp_path):
    dataset = xr.Dataset({"a": ("x", np.arange(4.0))})
    with at_rest(tmp_path / "x") as store:
        dataset.to_zarr(store, consolidated=False, zarr_format=3)
    assert xr.open_zarr(tmp_path / "x", consolidated=False).load().identical(dataset)
