"""COPY ... TO a Zarr store or a netCDF file: what to_dataset gives, by blocks where it can be, whole or not at all."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray as xr

from sqlmagic_xr import Context, errors
from sqlmagic_xr.engine import result as result_module
from sqlmagic_xr.storage import gridfile

FORMS = [("zarr", "x.zarr"), ("netcdf", "x.nc")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 5, 6)).astype("f4")
    values[0, 0, :3] = [np.nan, -0.0, 0.0]
    values[3] = -0.0
    times = np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h")
    seen = np.broadcast_to(times[:, None, None], values.shape).copy()
    seen[1, 1, 1] = "NaT"
    variables = {
        "air": (("time", "lat", "lon"), values, {"units": "K", "long_name": "air temperature"}),
        "count": (("time", "lat", "lon"), np.arange(1200).reshape(values.shape), {"units": "1"}),
        "seen": (("time", "lat", "lon"), seen),
    }
    coords = {
        "time": ("time", times, {"axis": "T"}), "lat": ("lat", np.linspace(75, -75, 5), {"units": "degrees_north"}),
        "lon": np.arange(6) * 60.0, "height": 2.0, "zone": ("lat", np.array(["n", "n", "tropics", "s", "s"])),
    }  # fmt: skip
    return xr.Dataset(variables, coords, {"title": "T"})


@pytest.fixture
def context(dataset):
    context = Context(namespace=lambda: {"late": dataset})
    context.from_dataset("ds", dataset, chunks={"time": 4})
    context.script(
        "CREATE TABLE w (step BIGINT PRIMARY KEY, a DOUBLE, n INT, name VARCHAR, at TIMESTAMP);"
        "INSERT INTO w VALUES (0, 1.5, 1, 'a', TIMESTAMP '2000-01-01'), (1, NULL, NULL, NULL, NULL),"
        "(2, -0.0, 3, '', NULL)"
    )
    return context


def read(name):
    options = {"engine": "zarr"} if name.endswith(".zarr") else {"engine": "netcdf4"}
    with xr.open_dataset(name, chunks=None, **options) as found:
        return found.load()


def same(found, expected):
    for name, variable in expected.variables.items():
        values, wanted = found[name].values, variable.values
        assert found[name].dims == variable.dims
        assert found[name].attrs == variable.attrs
        assert (pd.isnull(values.astype(object)) == pd.isnull(wanted.astype(object))).all()
        if variable.dtype.kind in "fiuM":
            np.testing.assert_array_equal(values, wanted)
            assert values.dtype == wanted.dtype or variable.dtype.kind == "M"
        if variable.dtype.kind == "f":
            assert (np.signbit(values) == np.signbit(wanted)).all()
        if variable.dtype.kind in "OU":
            assert [v for v in values.flat if isinstance(v, str)] == [v for v in wanted.flat if isinstance(v, str)]
    assert set(found.variables) == set(expected.variables)
    assert set(found.coords) == set(expected.coords)
    assert found.attrs == expected.attrs


QUERIES = [
    ("SELECT * FROM ds", None),
    ("SELECT time, lat, lon, air * 2 AS air FROM ds", None),
    ("SELECT * FROM ds WHERE lat > 0 AND lon < 200", None),
    ("SELECT time, lat, lon, air FROM ds WHERE air > 0", None),
    ("SELECT lat, lon, time, air FROM ds ORDER BY time DESC", "time, lon, lat"),
    ("SELECT time, lat, AVG(air) AS air, COUNT(*) AS n FROM ds GROUP BY time, lat", None),
    ("SELECT lat, lon, time, grad(power(air, 2), air) AS g FROM ds", "lat,lon,time"),
    ("SELECT * FROM w", "step"),
    ("SELECT step, a, n FROM w WHERE step < 2", "step"),
    ("SELECT name, step FROM w WHERE name IS NOT NULL", "name"),
    ("SELECT * FROM w WHERE step > 10", "step"),
    ("SELECT AVG(a) AS a FROM w", ""),
]


@pytest.mark.parametrize(("query", "dims"), QUERIES)
@pytest.mark.parametrize(("form", "name"), FORMS)
@pytest.mark.parametrize("block", [2**20, 400])
def test_what_is_written_is_what_to_dataset_gives(context, folder, monkeypatch, query, dims, form, name, block):
    monkeypatch.setattr(gridfile, "BLOCK", block)
    options = "" if dims is None else f" OPTIONS ('dims' '{dims}')"
    named = None if dims is None else [part.strip() for part in dims.split(",") if part]
    (done,) = context.script(f"COPY ({query}) TO '{name}'{options}")
    expected = context.sql(query).to_dataset(named).compute()
    assert done.rows == int(np.prod(list(expected.sizes.values())))
    assert done.message.startswith(f"{name}: {done.rows:,} cell")
    same(read(name), expected)
    (rows,) = context.script(query)
    if form == "zarr":
        rows.to_zarr("again.zarr", named)
        same(read("again.zarr"), expected)
    else:
        rows.to_netcdf(folder / "again.nc", named)
        same(read("again.nc"), expected)


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_tables_by_name(context, folder, dataset, form, name):
    context.script(f"COPY ds TO '{name}'")
    same(read(name), dataset)
    context.script(
        f"COPY late TO 'y' STORED AS {form}; COPY public.\"w\" TO 'z' STORED AS {form} OPTIONS ('dims' 'step')"
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, "y", "z"])


def test_a_query_is_read_once_it_has_parameters_and_runs_as_it_would_alone(context, folder):
    context.script("COPY (SELECT step, a * :by AS a FROM w WHERE step <= $last) TO 'x.zarr' OPTIONS ('dims' 'step')",
                   {"by": 2, "last": 1})  # fmt: skip
    assert read("x.zarr").a.values.tolist()[0] == 3.0
    assert context.sql("COPY (SELECT step FROM w) TO 'n.nc' OPTIONS ('dims' 'step')").to_pandas()["count"][0] == 3


def test_rows_that_were_fetched_are_not_fetched_again(context, folder, monkeypatch):
    (rows,) = context.script("SELECT time, AVG(air) AS air FROM ds GROUP BY time")
    rows.to_arrow_table()
    before = context.chunks_read
    rows.to_zarr("x.zarr")
    assert context.chunks_read == before


@pytest.mark.parametrize("query", ["SELECT * FROM big", "SELECT t, x, a * 2 AS a FROM big WHERE x > 100 AND a >= 0"])
@pytest.mark.parametrize(("form", "name"), FORMS)
def test_more_than_memory_is_written_by_chunks(folder, monkeypatch, query, form, name):
    read_at_once = []

    class Backend(xr.backends.BackendArray):
        shape, dtype = (640, 2000), np.dtype("f8")

        def __getitem__(self, key):
            basic = xr.core.indexing.IndexingSupport.BASIC
            return xr.core.indexing.explicit_indexing_adapter(key, self.shape, basic, self.read)

        def read(self, key):
            shape = [len(range(*part.indices(n))) for part, n in zip(key, self.shape, strict=True)]
            read_at_once.append(int(np.prod(shape)))
            return np.ones(shape)

    monkeypatch.setattr(gridfile, "BLOCK", 40_000)
    monkeypatch.setattr("xarray_sql.ds._ONE_PASS_BYTES", 1000)
    written = []
    original = gridfile._copy

    def copy(variable, array, chunks, name):
        class Counting:
            def __setitem__(self, region, values):
                written.append(values.size)
                array[region] = values

        original(variable, Counting(), chunks, name)

    monkeypatch.setattr(gridfile, "_copy", copy)
    backend = xr.core.indexing.LazilyIndexedArray(Backend())
    variable = xr.Variable(("t", "x"), backend, encoding={"preferred_chunks": {"t": 10}})
    context = Context()
    context.from_dataset("big", xr.Dataset({"a": variable}, {"t": np.arange(640), "x": np.arange(2000.0)}))
    context.script(f"COPY ({query}) TO '{name}'")
    assert max(read_at_once) == 10 * 2000, "no more than a chunk is read at a time"
    assert max(written) <= 40_000
    assert sum(written) == (640 * 2000 if "WHERE" not in query else 640 * 1899)
    found = read(name)
    assert float(found.a.mean()) == (1.0 if "WHERE" not in query else 2.0)


def test_what_is_there_stays(context, folder):
    context.script("COPY (SELECT step, a FROM w) TO 'x.zarr' OPTIONS ('dims' 'step')")
    with pytest.raises(errors.StorageError, match=r"x\.zarr is there already") as caught:
        context.script("SELECT 1;\nCOPY w TO 'x.zarr'")
    assert str(caught.value).splitlines()[1:3] == ["line 2: COPY w TO 'x.zarr'", "                  ^^^^^^^^"]
    with pytest.raises(errors.SqlError):
        context.script(
            "COPY (SELECT step, CAST('a' AS INT) AS b FROM w) TO 'x.zarr' OPTIONS ('dims' 'step', 'overwrite' 'true')"
        )
    assert list(read("x.zarr")) == ["a"]
    context.script("COPY (SELECT step, n FROM w) TO 'x.zarr' OPTIONS ('dims' 'step', 'overwrite' 'true')")
    assert list(read("x.zarr")) == ["n"]
    assert [path.name for path in folder.iterdir()] == ["x.zarr"]


def test_a_store_may_be_replaced_by_what_is_read_from_it(context, folder, dataset):
    context.script("COPY ds TO 'x.zarr'")
    with xr.open_zarr("x.zarr", chunks=None) as opened:
        context.from_dataset("again", opened)
        context.script(
            "COPY (SELECT time, lat, lon, air + 1 AS air FROM again) TO 'x.zarr' OPTIONS ('overwrite' 'true')"
        )
    assert read("x.zarr").air.equals((dataset.air + 1).astype(read("x.zarr").air.dtype))


@pytest.mark.parametrize(
    ("statement", "says", "at"),
    [
        ("COPY w TO 'x.zarr'", "dims cannot be inferred", "'x.zarr'"),
        ("COPY w TO 'x.zarr' OPTIONS ('dims' 'stepp')", "no column of the result", "'stepp'"),
        ("COPY ds TO 'x.nc' OPTIONS ('dims' 'time')", "do not name the rows", "'time'"),
        ("COPY (SELECT step, b FROM w) TO 'x.nc' OPTIONS ('dims' 'step')", "no column b", "b"),
        ("COPY nothing TO 'x.nc'", "no table nothing", "nothing"),
        ("COPY (SELECT step, a / 2 FROM w) TO 'x.zarr' OPTIONS ('dims' 'step')", "cannot be the name", "'x.zarr'"),
        ("COPY w TO 'no/x.zarr' OPTIONS ('dims' 'step')", "there is no folder", "'no/x.zarr'"),
        ("COPY (SELECT step, :nope AS a FROM w) TO 'x.zarr' OPTIONS ('dims' 'step')", "nope", ":nope"),
        ("COPY (SELECT step, a > 1 AS b FROM w) TO 'x.nc' OPTIONS ('dims' 'step')", "some are missing", "'x.nc'"),
        ("COPY (SELECT step, 1 / (step - 1) AS b FROM w) TO 'x.nc' OPTIONS ('dims' 'step')", "divi", None),
    ],
)
def test_errors_point_into_the_text(context, folder, statement, says, at):
    with pytest.raises(errors.SqlError, match=says) as caught:
        context.script(f"SELECT 1;\n{statement}")
    error = caught.value
    assert error.statement == (2, 2)
    line = error.text.split("\n")[error.span.line - 1]
    assert at is None or line[error.span.column - 1 : error.span.end_column - 1] == at
    assert not list(folder.iterdir())


def test_a_script_is_read_whole_before_it_runs(context, folder):
    for wrong in ("COPY (SELEC 1) TO 'x.zarr'", "COPY w TO 'x.zarr' OPTIONS ('dimz' 'a')"):
        with pytest.raises(errors.SqlError):
            context.script(f"INSERT INTO w VALUES (9, 1, 1, 'a', NULL); {wrong}")
    assert len(context.scratch("w")) == 3


def test_a_failure_aborts_its_transaction(context, folder):
    context.script("BEGIN; INSERT INTO w VALUES (9, 1, 1, 'a', NULL)")
    context.script("COPY w TO 'x.zarr' OPTIONS ('dims' 'step')")
    assert read("x.zarr").sizes["step"] == 4, "it sees what the transaction has done"
    with pytest.raises(errors.SqlError):
        context.script("COPY (SELECT nope FROM w) TO 'y.zarr'")
    with pytest.raises(errors.SqlError):
        context.script("SELECT 1")
    context.script("ROLLBACK")


@pytest.mark.parametrize(("name", "library", "extra"), [("x.zarr", "zarr", "zarr"), ("x.nc", "netCDF4", "notebook")])
def test_a_library_that_is_missing_is_named(context, folder, monkeypatch, name, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(errors.UnsupportedError, match=f"needs {library}") as caught:
        context.script(f"COPY ds TO '{name}'")
    assert caught.value.hint == f'pip install "sqlmagic-xr[{extra}]"'
    with pytest.raises(ImportError, match=rf'pip install "sqlmagic-xr\[{extra}\]"'):
        context.script("SELECT * FROM ds")[0].write(name, "zarr" if library == "zarr" else "netcdf")


def test_explain_shows_the_plan_of_the_query_and_writes_nothing(context, folder):
    (shown,) = context.script("EXPLAIN COPY (SELECT * FROM ds WHERE time > TIMESTAMP '2000-01-09') TO 'x.zarr'")
    assert "chunks read" in shown.plan
    assert not list(folder.iterdir())


def test_other_files_are_the_engine_s_with_parameters_and_derivatives(context, folder):
    context.script(
        "COPY (SELECT step, grad(a * a, a) AS g, :text AS t FROM w) TO 'x.parquet' STORED AS PARQUET", {"text": "it's"}
    )
    table = pyarrow.parquet.read_table("x.parquet")
    assert table.to_pydict() == {"step": [0, 1, 2], "g": [3.0, None, 0.0], "t": ["it's"] * 3}
    (done,) = context.script("COPY w TO 'x.csv' STORED AS CSV OPTIONS ('format.delimiter' ';')")
    assert (folder / "x.csv").read_text().startswith("step;a;n")
    assert done.message == "x.csv: written"
    context.script("COPY (SELECT 1 AS a) TO 'y.zarr' STORED AS CSV")
    assert (folder / "y.zarr").exists()


def test_an_interrupt_leaves_nothing(context, folder, monkeypatch):
    def interrupted(work, frame=None):
        raise KeyboardInterrupt

    (rows,) = context.script("SELECT * FROM ds")
    monkeypatch.setattr(result_module, "interruptible", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rows.to_zarr("x.zarr")
    assert not list(folder.iterdir())
