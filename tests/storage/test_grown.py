"""Tables over Zarr stores that grow: whole slabs, in order, all at once; xarray reads them meanwhile."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import icechunk
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from sqlmagic_xr import Context
from sqlmagic_xr.errors import ConstraintError, ImmutableError, ParseError, StorageError, UnsupportedError, UsageError

ROOT = Path(__file__).parents[2]
GRID = "generate_series(1, 2) la CROSS JOIN generate_series(1, 3) lo"
OPTIONS = "OPTIONS ('append_dim' 'step')"
COLUMNS = "(step BIGINT, lat DOUBLE, lon DOUBLE, a DOUBLE, n BIGINT, PRIMARY KEY (step, lat, lon))"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.zarr"


def table(path, columns="", ctx=None):
    ctx = ctx or Context()
    ctx.script(f"CREATE EXTERNAL TABLE runs {columns} STORED AS ZARR LOCATION '{path}' {OPTIONS}")
    return ctx


def slabs(first, last, more=""):
    return (
        f"INSERT INTO runs SELECT s.value, la.value, lo.value, la.value * 10 + lo.value + s.value, s.value "
        f"FROM generate_series({first}, {last}) s CROSS JOIN {GRID} {more}"
    )


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xr.open_zarr(path, chunks=None).load()


def read_snapshot(path):
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path)))
    return xr.open_zarr(repository.readonly_session("main").store, chunks=None, consolidated=False).load()


def test_a_store_is_made_grows_and_is_read(path):
    ctx = table(path, COLUMNS)
    assert ctx.sql("SELECT COUNT(*) AS n FROM runs").to_arrow_table()["n"].to_pylist() == [0]
    assert not path.exists()
    ctx.script(slabs(0, 0))
    ctx.script(slabs(1, 3))
    found = read(path)
    assert dict(found.sizes) == {"step": 4, "lat": 2, "lon": 3}
    assert found.a.sel(step=2, lat=2, lon=3).item() == 25
    assert found.n.dtype == np.int64
    assert ctx.sql("SELECT SUM(a) AS s FROM runs").to_arrow_table()["s"][0].as_py() == found.a.sum().item()


def test_a_store_of_somebody_else_grows_with_its_encodings_and_attributes(path):
    time_ = pd.date_range("2000-01-01", periods=3, freq="D")
    packed = xr.Dataset(
        {"air": (("time", "lat"), np.array([[1.5, np.nan], [2.5, 3.0], [4.0, 5.0]]), {"units": "K"})},
        coords={"time": time_, "lat": ("lat", [10.0, -10.0], {"units": "degrees_north"})}, attrs={"title": "t"},
    )  # fmt: skip
    encoding = {"air": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -999}}
    packed.to_zarr(path, encoding=encoding, consolidated=False)
    ctx = Context()
    ctx.script(f"CREATE EXTERNAL TABLE runs STORED AS ZARR LOCATION '{path}' OPTIONS ('append_dim' 'time')")
    rows = ctx.sql("SELECT * FROM runs WHERE lat = -10 ORDER BY time").to_arrow_table().to_pydict()
    assert rows["air"] == [None, 3.0, 5.0]
    ctx.script(
        "INSERT INTO runs SELECT time + INTERVAL '3 days', lat, air + 1 FROM runs WHERE time >= TIMESTAMP '2000-01-02'"
    )
    found = read(path)
    assert found.time.values[-1] == np.datetime64("2000-01-06")
    assert found.air.values[3:].tolist() == [[3.5, 4.0], [5.0, 6.0]]
    assert (found.attrs["title"], found.air.attrs["units"], found.lat.attrs["units"]) == ("t", "K", "degrees_north")
    assert read(path).air.encoding["dtype"] == np.int16


WRONG = {
    "WHERE NOT (la.value = 2 AND lo.value = 3)": r"no whole slab: .* step = 4, lat = 2\.0, lon = 3\.0 is missing",
    "WHERE lo.value < 3 UNION ALL SELECT 4, 1, 9, 0, 0": r"no cell at lon = 9\.0",
    "WHERE s.value > 4": "",
}


@pytest.mark.parametrize("more", WRONG)
def test_what_is_no_whole_slab_is_refused_and_nothing_is_written(path, more):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 3))
    before = read(path)
    if WRONG[more]:
        with pytest.raises(ConstraintError, match=WRONG[more]):
            ctx.script(slabs(4, 4, more))
    else:
        ctx.script(slabs(4, 4, more))
    assert read(path).identical(before)
    assert ctx.scratch("runs").to_arrow()["step"].to_pylist()[-1] == 3
    ctx.script(slabs(4, 5))
    assert read(path).sizes["step"] == 6


def test_an_old_step_and_a_double_one_are_refused(path):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(3, 4))
    with pytest.raises(ConstraintError, match="stands at step = 4: 2 comes too late"):
        ctx.script(slabs(2, 2))
    with pytest.raises(ConstraintError, match="in the table already"):
        ctx.script(slabs(4, 4))
    with pytest.raises(ConstraintError, match="comes twice"):
        ctx.script(slabs(5, 5, "UNION ALL SELECT 5, 1, 1, 0, 0"))
    with pytest.raises(ConstraintError, match="no place for NULL"):
        ctx.script("INSERT INTO runs SELECT 5, lat, lon, a, NULL FROM runs WHERE step = 4")
    ctx.script("INSERT INTO runs SELECT 5, lat, lon, NULL, n FROM runs WHERE step = 4")
    assert np.isnan(read(path).a.sel(step=5)).all()


@pytest.mark.parametrize(
    "statement", ["UPDATE runs SET a = 1", "DELETE FROM runs WHERE step = 0", "TRUNCATE TABLE runs"]
)
def test_rows_are_not_changed_or_removed(path, statement):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 3))
    with pytest.raises(ImmutableError, match=r"`runs` grows in runs\.zarr"):
        ctx.script(statement)
    ctx.script(slabs(4, 4))
    assert read(path).sizes["step"] == 5


def test_a_transaction_is_one_append_or_none(path):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 0))
    ctx.script(f"BEGIN; {slabs(1, 1)}; {slabs(2, 2)}; ROLLBACK")
    assert read(path).sizes["step"] == 1
    half = "WHERE la.value = 1"
    ctx.script(f"BEGIN; {slabs(1, 1, half)}; {slabs(1, 1, 'WHERE la.value = 2')}; COMMIT")
    assert read(path).sizes["step"] == 2


def test_training_goes_into_the_store_and_on(path):
    cell = "INSERT INTO runs SELECT :next_step, lat, lon, a * 0.5, n FROM runs WHERE step = :k"
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 0))
    run = ctx.train(cell, steps=30)
    assert read(path).sizes["step"] == 31
    with pytest.raises(ImmutableError):
        run.rollback()
    ctx.script("DROP TABLE runs")
    ctx = table(path)
    assert ctx.train(cell, steps=10, keep_every="3 steps").generation == 40
    found = read(path)
    assert found.sizes["step"] == 41
    np.testing.assert_array_equal(found.a.values[40], found.a.values[0] * 0.5**40)
    assert found.a.encoding["chunks"][0] > 1000  # along step


def test_a_store_is_open_once(path):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 0))
    with pytest.raises(StorageError, match="open elsewhere"):
        table(path)
    ctx.script("DROP TABLE runs")
    assert table(path).sql("SELECT COUNT(*) AS n FROM runs").to_arrow_table()["n"].to_pylist() == [6]


def test_what_was_begun_and_not_finished_is_not_there(path):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 2))
    ctx.script("DROP TABLE runs")
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name in ("step", "a"):  # as a process leaves it that is killed while it appends
        group[name].resize((9, *group[name].shape[1:]))
    assert read(path).sizes["step"] == 3
    ctx = table(path)
    ctx.script(slabs(3, 3))
    assert read(path).step.values.tolist() == [0, 1, 2, 3]


PROGRAM = """
import os, sys
from sqlmagic_xr import Context
ctx = Context()
ctx.script(f"CREATE EXTERNAL TABLE runs STORED AS ZARR LOCATION '{sys.argv[1]}' OPTIONS ('append_dim' 'step')")
for n in range(1, 100000):
    ctx.script(f"INSERT INTO runs SELECT {n}, lat, lon, a + 1, n + 1 FROM runs WHERE step = {n} - 1")
    os.write(1, f"{n}\\n".encode())
"""


@pytest.mark.parametrize("after", [0.05, 0.3, 0.7])
def test_a_kill_while_appending_leaves_whole_slabs(path, after):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 0))
    ctx.script("DROP TABLE runs")
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    child.stdout.readline()
    deadline = time.time() + after
    while time.time() < deadline:  # read while it grows: always a whole store
        found = read(path)
        assert (found.n.values == found.step.values[:, None, None]).all()
        assert not np.isnan(found.a.values).any()
    child.send_signal(signal.SIGKILL)
    told = [1, *map(int, child.stdout.read().split())]
    child.wait()
    child.stdout.close()
    last = table(path).sql("SELECT MAX(step) AS k, COUNT(*) AS n FROM runs").to_arrow_table().to_pylist()[0]
    assert last["k"] in (told[-1], told[-1] + 1)
    assert last["n"] == 6 * (last["k"] + 1)
    found = read(path)
    assert (found.n.values == found.step.values[:, None, None]).all()


def test_a_disk_that_fails_leaves_the_store_and_the_table(path, monkeypatch):
    ctx = table(path, COLUMNS)
    ctx.script(slabs(0, 1))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(xr.backends.zarr.ZarrStore, "set_variables", full)
    with pytest.raises(StorageError, match=r"runs\.zarr cannot be written: .*No space left"):
        ctx.script(slabs(2, 2))
    monkeypatch.undo()
    assert len(ctx.scratch("runs")) == 12
    ctx.script(slabs(2, 3))
    assert read(path).step.values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("STORED AS ZARR LOCATION 'no.zarr' OPTIONS ('append_dim' 'step')", UsageError, "there is no no.zarr"),
        ("STORED AS ZARR LOCATION 'no.zarr'", UsageError, "'append_dim' says along which dimension"),
        ("STORED AS ZARR LOCATION 'no.zarr' OPTIONS ('append_dimm' 'step')", UsageError, "Did you mean `append_dim`"),
        ("STORED AS ZARR", ParseError, "cannot be read"),
        ("(a DOUBLE) STORED AS ZARR LOCATION 'no.zarr' OPTIONS ('append_dim' 'step')", UsageError, "its PRIMARY KEY"),
    ],
)
def test_bad_statements(text, kind, says):
    with pytest.raises(kind) as caught:
        Context().script(f"CREATE EXTERNAL TABLE runs {text}")
    assert says in str(caught.value)


def test_variables_of_several_shapes(path):
    ds = xr.Dataset({"a": (("step", "x"), np.zeros((2, 2))), "b": ("step", np.zeros(2))}, {"step": [0, 1], "x": [0, 1]})
    ds.to_zarr(path, consolidated=False)
    with pytest.raises(UnsupportedError, match="not of one shape: a over step, x; b over step"):
        table(path)


def test_the_list_of_tables_says_where(path):
    ctx = table(path, COLUMNS)
    from sqlmagic_xr.engine.inventory import tables

    found = tables(ctx).to_pydict()
    assert dict(zip(found["name"], found["kept_in"], strict=True)) == {"runs": "runs.zarr"}


def test_beside_a_file(path, tmp_path):
    ctx = Context(store=tmp_path / "t.duckdb")
    table(path, COLUMNS, ctx)
    ctx.script("CREATE TABLE p (a BIGINT); INSERT INTO p VALUES (1)")
    ctx.script(slabs(0, 0))
    assert ctx.store.close() == ["p"]
    assert ctx.sql("SELECT COUNT(*) AS n FROM runs").to_arrow_table()["n"].to_pylist() == [6]
    assert list(Context(store=tmp_path / "t.duckdb").store.entries()) == ["p"]


def test_an_icechunk_repository(path):
    ctx = Context()
    options = "OPTIONS ('append_dim' 'step', 'store' 'icechunk')"
    ctx.script(f"CREATE EXTERNAL TABLE runs {COLUMNS} STORED AS ZARR LOCATION '{path}' {options}")
    ctx.script(slabs(0, 1))
    with pytest.raises(ConstraintError, match="no whole slab"):
        ctx.script(slabs(2, 2, "WHERE la.value = 1 OR lo.value = 1"))
    ctx.script(slabs(2, 3))
    ctx.script("DROP TABLE runs")
    found = read_snapshot(path)
    assert found.step.values.tolist() == [0, 1, 2, 3]
    ctx = table(path)
    assert ctx.sql("SELECT SUM(a) AS s FROM runs").to_arrow_table()["s"][0].as_py() == found.a.sum().item()
    ctx.script(slabs(4, 4))
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path)))
    assert [s.message for s in repository.ancestry(branch="main")][:3] == ["step 4", "step 3", "created"]


def test_a_folder_that_is_no_store(path):
    path.mkdir()
    (path / "a.txt").write_text("a")
    with pytest.raises(StorageError, match=r"runs\.zarr is neither a Zarr store nor an Icechunk repository"):
        table(path)
    assert [p.name for p in path.iterdir()] == ["a.txt"]
