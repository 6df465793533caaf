"""What is written to a Zarr store or a netCDF file reads back as it was, or is refused; it is there whole or not."""

from __future__ import annotations

import decimal
import os
import signal
import subprocess
import sys
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr import errors
from sqlmagic_xr.storage import beside as beside_module
from sqlmagic_xr.storage import gridfile
from sqlmagic_xr.storage.beside import beside, place_of

FORMS = ["zarr", "netcdf"]


class Counting(xr.backends.BackendArray):
    """An array that is read when it is indexed, and knows how much of it was read at once."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.reads = values, values.shape, values.dtype, []

    def __getitem__(self, key):
        basic = xr.core.indexing.IndexingSupport.BASIC
        return xr.core.indexing.explicit_indexing_adapter(key, self.shape, basic, self._read)

    def _read(self, key):
        found = self.values[key]
        self.reads.append(found.size)
        return found


def late(dims, values, **options):
    return xr.Variable(dims, xr.core.indexing.LazilyIndexedArray(Counting(values)), **options)


def write(dataset, path, form, chunks=None):
    with beside(path, overwrite=False) as part:
        gridfile.write(dataset, part, form, path.name, chunks or {})


def read(path, form):
    options = {"engine": "zarr", "consolidated": True} if form == "zarr" else {"engine": "netcdf4"}
    with xr.open_dataset(path, chunks=None, **options) as found:
        return found.load()


TIMES = np.array(["2000-01-01T00:00:00.000000001", "NaT", "1700-05-05"], "M8[ns]")
KINDS = {
    "float64": np.array([-0.0, np.nan, 5e-324]),
    "float32": np.array([-0.0, np.nan, np.inf], "f4"),
    "negative zeros": np.array([-0.0, -0.0, -0.0]),
    "int64": np.array([-(2**63), 0, 2**63 - 1]),
    "uint64": np.array([0, 1, 2**64 - 1], "u8"),
    "int8": np.array([-128, 0, 127], "i1"),
    "boolean": np.array([True, False, True]),
    "ns": TIMES,
    "us": np.array(["2000-01-01T00:00:00.000001", "NaT", "1999-01-01"], "M8[us]"),
    "s": np.array(["2000-01-01T00:00:01", "NaT", "1999-01-01"], "M8[s]"),
    "durations": np.array([1, "NaT", -5], "m8[ns]"),
    "text": np.array(["", "ü", "a longer one"], object),
}
LATE = [kind for kind, values in KINDS.items() if values.dtype.kind in "fiubM"]


def same(found, expected):
    assert found.identical(expected) or found.equals(expected)
    for name, variable in expected.variables.items():
        assert found[name].attrs == variable.attrs
        assert found[name].dtype.kind == variable.dtype.kind or variable.dtype.kind in "OU"
        if variable.dtype.kind == "f":
            assert (np.signbit(found[name].values) == np.signbit(variable.values)).all()
    assert found.attrs == expected.attrs
    assert set(found.coords) == set(expected.coords)


def dataset_of(variable):
    coords = {"x": ("x", np.array(["a", "bü", "c"], object), {"axis": "X"}), "y": ("x", [1.5, 2.5, 3.5]), "run": 7}
    return xr.Dataset({"a": variable}, coords, {"title": "T", "n": 3})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_in_memory(tmp_path, form, kind):
    dataset = dataset_of(xr.Variable("x", KINDS[kind], {"units": "K"} if KINDS[kind].dtype.kind not in "Mm" else {}))
    write(dataset, tmp_path / "x", form)
    same(read(tmp_path / "x", form), dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("form", FORMS)
def test_times_further_apart_than_a_difference_can_be_are_coordinates_too(tmp_path, form):
    times = np.array(["1700-01-01", "2000-01-01T00:00:00.000000001", "2200-01-01"], "M8[ns]")
    some = np.array([times[0], np.datetime64("NaT", "ns"), times[2]])
    coords = {"time": ("time", times, {"axis": "T"}), "some": ("time", some), "far": times[0]}
    dataset = xr.Dataset({"a": ("time", [1.0, 2.0, 3.0])}, coords)
    write(dataset, tmp_path / "x", form)
    found = read(tmp_path / "x", form)
    same(found, dataset)
    assert found.time.dtype == times.dtype
    assert found.indexes["time"].equals(dataset.indexes["time"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LATE)
def test_values_that_are_read_a_block_at_a_time(tmp_path, monkeypatch, form, kind):
    monkeypatch.setattr(gridfile, "BLOCK", 2)
    monkeypatch.setattr(gridfile, "CHUNK", 1)
    attrs = {"units": "K", "valid": np.float32(1.5)} if KINDS[kind].dtype.kind not in "Mm" else {}
    dataset = dataset_of(late("x", KINDS[kind], attrs=attrs))
    write(dataset, tmp_path / "x", form)
    reads = dataset.a.variable._data.array.reads
    assert sum(reads) == 3
    assert max(reads) <= 2
    same(read(tmp_path / "x", form), dataset.compute())


@pytest.mark.parametrize("form", FORMS)
def test_blocks_are_whole_chunks_of_what_is_read(tmp_path, monkeypatch, form):
    monkeypatch.setattr(gridfile, "BLOCK", 1200)
    monkeypatch.setattr(gridfile, "CHUNK", 600)
    values = np.arange(40 * 10 * 30.0).reshape(40, 10, 30)
    coords = {"time": np.arange(40), "lat": np.arange(10.0), "lon": np.arange(30.0)}
    dataset = xr.Dataset({"a": late(("time", "lat", "lon"), values)}, coords)
    write(dataset, tmp_path / "x", form, {"time": 2})
    assert dataset.a.variable._data.array.reads == [1200] * 10
    found = read(tmp_path / "x", form)
    assert found.identical(dataset.compute())
    sizes = found.a.encoding["chunks" if form == "zarr" else "chunksizes"]
    assert tuple(sizes) == (2, 10, 30)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(0, 2), (2, 0), ()])
@pytest.mark.parametrize("lazy", [True, False])
def test_odd_shapes(tmp_path, form, shape, lazy):
    dims = ("a", "b")[: len(shape)]
    variable = (late if lazy else xr.Variable)(dims, np.full(shape, -0.0))
    dataset = xr.Dataset({"v": variable}, {dim: np.arange(n) for dim, n in zip(dims, shape, strict=True)})
    write(dataset, tmp_path / "x", form)
    same(read(tmp_path / "x", form), dataset.compute())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", [["a", None, ""], ["", None, "missing"], [None, np.nan, "a"], [None, None, None]])
def test_missing_text_is_told_from_empty_text(tmp_path, form, values):
    write(xr.Dataset({"a": ("x", np.array(values, object))}), tmp_path / "x", form)
    found = read(tmp_path / "x", form).a.values.tolist()
    assert [v if isinstance(v, str) else None for v in found] == [v if isinstance(v, str) else None for v in values]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_times_of_other_calendars(tmp_path, form, calendar):
    times = [cftime.datetime(2000, 2, day, calendar=calendar) for day in (1, 28)]
    dataset = xr.Dataset({"a": ("time", [1.0, 2.0])}, {"time": times})
    write(dataset, tmp_path / "x", form)
    assert read(tmp_path / "x", form).identical(dataset)


@pytest.mark.parametrize("form", FORMS)
def test_units_of_times_stay_where_they_fit(tmp_path, form):
    def times(text):
        return xr.Variable("x", np.array(text, "M8[ns]"), encoding={"units": "hours since 1900-01-01", "dtype": "i2"})

    dataset = xr.Dataset({"fits": times(["2000-01-01T05:00", "NaT"]), "does_not": times(["2000-01-01T05:30", "NaT"])})
    before = {name: dict(dataset[name].encoding) for name in dataset}
    write(dataset, tmp_path / "x", form)
    found = read(tmp_path / "x", form)
    assert found.identical(dataset)
    assert found.fits.encoding["units"] == "hours since 1900-01-01"
    assert {name: dict(dataset[name].encoding) for name in dataset} == before, "what was given is not changed"


@pytest.mark.parametrize("form", FORMS)
def test_how_it_was_packed_elsewhere_is_forgotten(tmp_path, form):
    packed = {"scale_factor": 0.1, "add_offset": 273.0, "zlib": True, "chunksizes": (1,), "chunks": (1,), "filters": []}
    dataset = xr.Dataset({"a": xr.Variable("x", np.array([0.1, 1 / 3]), encoding=packed)})
    write(dataset, tmp_path / "x", form)
    assert read(tmp_path / "x", form).identical(dataset)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([True, None], "truth values of which some are missing"),
        ([decimal.Decimal("1.5"), None], "values of the type Decimal"),
        ([[1], [2, 3]], "values of the type list"),
        ([b"a\0", b"b"], "values of the type bytes"),
        (["a", 1], "values of the type int"),
    ],
)
def test_values_without_a_type_on_disk_are_refused(tmp_path, form, values, says):
    held = np.empty(2, object)
    held[:] = values
    with pytest.raises(errors.UnsupportedError, match=f"`a` holds {says}"):
        write(xr.Dataset({"a": ("x", held)}), tmp_path / "x", form)
    assert not list(tmp_path.iterdir())


def test_text_that_netcdf_would_cut_is_refused(tmp_path):
    dataset = xr.Dataset({"a": ("x", np.array(["a\0b"], object))})
    with pytest.raises(errors.UnsupportedError, match="U\\+0000"):
        write(dataset, tmp_path / "x.nc", "netcdf")
    write(dataset, tmp_path / "x.zarr", "zarr")
    assert read(tmp_path / "x.zarr", "zarr").a.values.tolist() == ["a\0b"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", ""])
def test_names_that_are_paths_are_refused(tmp_path, form, name):
    with pytest.raises(errors.UsageError, match="cannot be the name"):
        write(xr.Dataset({name: ("x", [1.0])}), tmp_path / "x", form)
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_file_that_a_store_has_itself_is_refused(tmp_path):
    with pytest.raises(errors.UsageError, match=r"`zarr\.json` cannot be the name of a variable in a Zarr store"):
        write(xr.Dataset({"zarr.json": ("x", [1.0])}), tmp_path / "x", "zarr")
    write(xr.Dataset({"zarr.json": ("x", [1.0])}), tmp_path / "x.nc", "netcdf")
    assert "zarr.json" in read(tmp_path / "x.nc", "netcdf")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["c", "avg(a)", "a b", "Größe", "0"])
def test_other_names_come_back_or_are_an_error(tmp_path, form, name):
    dataset = xr.Dataset({name: ("x", [1.0]), "other": ("x", [2.0])})
    try:
        write(dataset, tmp_path / "x", form)
    except errors.StorageError:
        assert not list(tmp_path.iterdir())
    else:
        assert read(tmp_path / "x", form).identical(dataset)


def test_attributes_that_netcdf_has_no_type_for_are_an_error(tmp_path):
    with pytest.raises(errors.StorageError, match=r"x\.nc cannot be written: .*attr"):
        write(xr.Dataset({"a": ("x", [1.0], {"n": {"a": 1}})}), tmp_path / "x.nc", "netcdf")
    assert not list(tmp_path.iterdir())


class Failing(Counting):
    def _read(self, key):
        if len(self.reads) == 2:
            raise OSError("the disk it is read from is gone")
        return super()._read(key)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("there", [True, False])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, monkeypatch, form, there):
    monkeypatch.setattr(gridfile, "BLOCK", 1)
    old, path = xr.Dataset({"old": ("x", [1.0])}), tmp_path / "x"
    if there:
        write(old, path, form)
    new = xr.Dataset({"a": ("x", xr.core.indexing.LazilyIndexedArray(Failing(np.arange(5.0))))})
    with pytest.raises(OSError, match="the disk"), beside(path, overwrite=True) as part:
        gridfile.write(new, part, form, "x", {})
    assert [p.name for p in tmp_path.iterdir()] == (["x"] if there else [])
    assert not there or read(path, form).identical(old)


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("old", FORMS)
@pytest.mark.parametrize("new", FORMS)
def test_what_is_there_is_replaced_when_it_is_asked_for(tmp_path, monkeypatch, exchanges, old, new):
    if not exchanges:
        monkeypatch.setattr(beside_module, "_exchange", lambda one, other: False)
    path = tmp_path / "x"
    write(xr.Dataset({"old": ("x", [1.0])}), path, old)
    with pytest.raises(errors.StorageError, match="x is there already"):
        write(xr.Dataset({"new": ("x", [2.0])}), path, new)
    with beside(path, overwrite=True) as part:
        gridfile.write(xr.Dataset({"new": ("x", [2.0])}), part, new, "x", {})
    assert list(read(path, new)) == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("text")
    with pytest.raises(errors.StorageError, match="no Zarr store"), beside(tmp_path / "thesis", overwrite=True):
        pass
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "text"


def test_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of("~/x.zarr") == tmp_path / "x.zarr"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert place_of(tmp_path / "link") == tmp_path / "real"
    for wrong in ("s3://bucket/x.zarr", "", "a\0b"):
        with pytest.raises(errors.UsageError):
            place_of(wrong)
    with pytest.raises(errors.StorageError, match="there is no folder"), beside(tmp_path / "no" / "x", overwrite=False):
        pass


KILLED = """
import sys, numpy as np, xarray as xr
from sqlmagic_xr import Context
from sqlmagic_xr.storage import gridfile
gridfile.BLOCK = gridfile.CHUNK = 1000
ctx = Context()
ds = xr.Dataset({"a": (("t", "x"), np.zeros((3000, 1000)))}, {"t": np.arange(3000), "x": np.arange(1000)})
ctx.from_dataset("ds", ds, chunks={"t": 10})
print("begins", flush=True)
ctx.script(f"COPY ds TO '{sys.argv[1]}' OPTIONS ('overwrite' 'true')")
"""


@pytest.mark.parametrize(("name", "there"), [("x.zarr", True), ("x.nc", False)])
def test_a_kill_in_the_middle_leaves_what_was_there(tmp_path, name, there):
    path, form = tmp_path / name, "zarr" if name.endswith("zarr") else "netcdf"
    old = xr.Dataset({"old": ("x", [1.0])})
    if there:
        write(old, path, form)
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert program.stdout.readline() == b"begins\n"
        while not list(tmp_path.glob(".*.part")) and program.poll() is None:
            pass
    finally:
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        program.stdout.close()
    assert program.returncode == -signal.SIGKILL, "it was killed while it wrote"
    assert path.exists() == there
    assert not there or read(path, form).identical(old)
