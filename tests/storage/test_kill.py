"""A process that is killed loses no more than was said: ``make soak`` kills a hundred, a test run a few."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sqlmagic_xr import Context
from tests.storage.programs import KEEP, STEPS, begin, train

KILLS = int(os.environ.get("KILLS", "4"))
ROOT = Path(__file__).parents[2]
LATE = 3.0  # seconds that a loaded machine may take for one writing


def killed(name, path, after):
    """Run a program and kill it so many seconds after its first word; returns what it told, and when it died."""
    command = [sys.executable, "-m", "tests.storage.programs", name, str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    first = child.stdout.readline()
    timer = threading.Timer(after, child.send_signal, [signal.SIGKILL])
    timer.start()
    rest = child.stdout.read()
    died = time.time()
    error = child.stderr.read().decode()
    child.wait()
    timer.join()
    for stream in (child.stdout, child.stderr):
        stream.close()
    assert child.returncode == -signal.SIGKILL, error
    return [(int(n), float(t)) for n, t in (line.split() for line in (first + rest).decode().splitlines())], died


def rows(ctx, table):
    return ctx.scratch(table).to_arrow().to_pydict()


@pytest.mark.parametrize(("number", "name"), [(n, sorted(STEPS)[n % len(STEPS)]) for n in range(KILLS)])
def test_a_run_that_is_killed_goes_on_as_if_it_never_was(number, name, tmp_path):
    path = tmp_path / "t.duckdb"
    told, died = killed(name, path, random.Random(number).uniform(0.05, 2.0))
    ctx = Context(store=path)
    generation = ctx.sql("SELECT MAX(step) AS k FROM w").to_arrow_table()["k"][0].as_py()
    assert generation >= max([n for n, when in told if when < died - KEEP - LATE], default=0)
    for table in ("w", "m", "v"):
        found = rows(ctx, table)
        upto = generation if any(f"INTO {table} " in text for text in STEPS[name]) else 0
        assert found["step"] == [s for s in range(upto + 1) for _ in range(5)]
    run = train(ctx, name, 50)
    free = begin(name, None)
    train(free, name, generation + 50, seed=run.seed)
    for table in ("w", "m", "v"):
        assert rows(ctx, table) == rows(free, table)  # to the last bit
    ctx.store.close()


@pytest.mark.parametrize("number", range(KILLS))
def test_what_a_statement_has_said_is_in_the_file(number, tmp_path):
    path = tmp_path / "t.duckdb"
    told, _ = killed("statements", path, random.Random(number).uniform(0.05, 1.5))
    last = told[-1][0]
    ctx = Context(store=path)
    a, b = rows(ctx, "a")["n"], rows(ctx, "b")
    assert b["n"][-1] in (last, last + 1)
    last = b["n"][-1]
    assert b == {"n": list(range(last + 1)), "half": [-1.0] * last + [last * 0.5]}
    assert a == list(range(max(last - 2, 0), last + 1))
    ctx.store.close()
