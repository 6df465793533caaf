"""A disk that fails: the writes of a program in turn, on a real file, in a process whose writes go through a shim."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="the shim needs a C compiler, and Linux")
def test_any_write_may_fail(tmp_path):
    shim = tmp_path / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    out = subprocess.run(
        [sys.executable, "-m", "tests.storage.faulty", tmp_path], env={**os.environ, "LD_PRELOAD": str(shim)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = out.stdout.splitlines()
    assert (out.returncode, lines[-1:]) == (0, ["run: ended"]), out.stdout + out.stderr
    assert len(lines) == 7


def test_a_file_that_may_not_grow(tmp_path):
    """The system's own limit, without a shim: the statement fails, memory is intact, and another file takes it."""
    code = """
import resource, signal, sys
from sqlmagic_xr import Context
from sqlmagic_xr.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ctx = Context(store=sys.argv[1])
ctx.script("CREATE TABLE p (a BIGINT); INSERT INTO p VALUES (1)")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    ctx.script("INSERT INTO p SELECT value * 7919 % 1000003 FROM generate_series(1, 2000000)")
except StorageError as error:
    print(error.what)
print(len(ctx.scratch("p")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ctx.script("INSERT INTO p VALUES (2)")
ctx.store.close()
print(Context(store=sys.argv[1]).sql("SELECT a FROM p").to_arrow_table()["a"].to_pylist())
"""
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "t.duckdb"], capture_output=True, text=True, check=False
    )
    lines = out.stdout.splitlines()
    assert out.returncode == 0, out.stderr
    assert lines[0].startswith("t.duckdb cannot be written: ")
    assert lines[1:] == ["1", "[1, 2]"]
