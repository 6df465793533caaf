"""A folder that may not be written: each way into a file says so and names it, and memory is as it was."""

import os
import shutil
import subprocess
import sys

import pytest

from sqlmagic_xr import Context

TRIED = """
import sys
from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError

folder = sys.argv[1]
ctx = Context()
ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.5), (1, 2.5)")
ways = {
    "a new store": lambda: Context(store=f"{folder}/new.duckdb"),
    "a store that is there": lambda: Context(store=f"{folder}/mine.duckdb"),
    "open": lambda: ctx.store.open(f"{folder}/new.duckdb"),
    "save": lambda: ctx.store.save(f"{folder}/saved.duckdb"),
    "csv": lambda: ctx.script(f"COPY p TO '{folder}/out.csv'"),
    "csv in a folder to be made": lambda: ctx.script(f"COPY p TO '{folder}/sub/out.csv'"),
    "parquet": lambda: ctx.script(f"COPY (SELECT :x AS a FROM p) TO '{folder}/out.parquet'", {"x": 1.0}),
    "zarr": lambda: ctx.script(f"COPY p TO '{folder}/out.zarr' STORED AS ZARR OPTIONS ('dims' 'step')"),
    "netcdf": lambda: ctx.script("SELECT * FROM p")[0].to_netcdf(f"{folder}/out.nc", dims=["step"]),
    "a store that grows": lambda: ctx.script(
        "CREATE EXTERNAL TABLE runs (step BIGINT, a DOUBLE, PRIMARY KEY (step)) STORED AS ZARR "
        f"LOCATION '{folder}/runs.zarr' OPTIONS ('append_dim' 'step'); INSERT INTO runs SELECT * FROM p"
    ),
}
for way, write in ways.items():
    try:
        write()
    except SqlError as error:
        print(way, type(error).__name__, error.what, sep=" | ")
    else:
        print(way, "written", sep=" | ")
print("rows", ctx.sql("SELECT COUNT(*) AS n, SUM(a) AS a FROM p").to_pylist(), sep=" | ")
"""


def without_privileges():
    """What a command begins with, so that permissions hold for it although the superuser runs the tests."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("permissions do not hold for the superuser, and setpriv is not here")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def test_a_folder_that_may_not_be_written(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    Context(store=folder / "mine.duckdb").store.close()
    before = sorted(folder.iterdir())
    for path in before:
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        run = subprocess.run(
            [*without_privileges(), sys.executable, "-c", TRIED, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert sorted(folder.iterdir()) == before
    finally:
        folder.chmod(0o755)
    *ways, rows = run.stdout.splitlines()
    assert rows == "rows | [{'n': 2, 'a': 4.0}]"
    names = ["new", "mine", "new", "saved", "out", "out.csv", "out.parquet", "out.zarr", "out.nc", "runs.zarr"]
    assert len(ways) == len(names)
    for line, name in zip(ways, names, strict=True):
        _, kind, what = line.split(" | ")
        assert kind == "StorageError", line
        assert name in what, line
