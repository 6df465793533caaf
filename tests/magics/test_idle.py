"""What is imported while nobody waits: between cells, a module at a time, where somebody sits."""

import asyncio
import subprocess
import sys

import pytest
from IPython.core.events import EventManager, available_events

from sqlmagic_xr.magics import idle

FIRST_USES = """
import sys, importlib
from sqlmagic_xr.magics.idle import MODULES
for name in MODULES:
    importlib.import_module(name)
before = set(sys.modules)
from sqlmagic_xr import Context
import pyarrow as pa
ctx = Context()
ctx.from_arrow(pa.table({"x": [1.0, 2.0]}), "d")
ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 0.0)")
loss = "MINIMIZE (SELECT AVG(power(x - a, 2)) FROM d CROSS JOIN p WHERE step = :k) OVER p USING sgd(lr => 0.1)"
ctx.train(loss, steps=5)
print(len(ctx.sql("SELECT AVG(x) FROM d").to_pandas()), sorted(m for m in set(sys.modules) - before if "sqlmagic" in m))
"""


class Kernel:
    def __init__(self, sits):
        self.sits = sits

    def get_parent(self):
        return {"content": {"allow_stdin": self.sits}}


class Shell:
    def __init__(self, sits=True):
        self.kernel = Kernel(sits)
        self.events = EventManager(self, available_events)

    def cell(self):
        self.events.trigger("pre_execute")
        self.events.trigger("post_execute")


@pytest.fixture
def imported(monkeypatch):
    names = []
    monkeypatch.setattr(idle, "_QUIET", 0.05)
    monkeypatch.setattr(idle, "_BETWEEN", 0.0)
    monkeypatch.setattr(idle.importlib, "import_module", names.append)
    return names


def test_modules_are_imported_one_at_a_time_and_not_while_a_cell_runs(imported):
    shell = Shell()

    async def sit():
        idle.AheadImports(shell, ("a", "b")).register()
        await asyncio.sleep(0.1)
        assert imported == [], "the cell that registers is not over"
        shell.cell()
        shell.events.trigger("pre_execute")
        await asyncio.sleep(0.1)
        assert imported == [], "another cell runs"
        shell.events.trigger("post_execute")
        await asyncio.sleep(0.2)
        assert imported == ["a", "b"]
        assert not any(shell.events.callbacks.values())

    asyncio.run(sit())


def test_nothing_is_imported_where_nobody_sits_nor_after_it_is_taken_back(imported):
    async def sit():
        alone, taken = Shell(sits=False), Shell()
        idle.AheadImports(alone, ("a",)).register()
        idle.register(taken)
        taken.cell()
        idle.unregister(taken)
        for shell in (alone, taken):
            shell.cell()
        await asyncio.sleep(0.1)

    asyncio.run(sit())
    assert imported == []


def test_a_module_that_is_missing_keeps_no_other_back(imported, monkeypatch):
    def missing(name):
        imported.append(name)
        if name == "a":
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(idle.importlib, "import_module", missing)
    shell = Shell()

    async def sit():
        idle.AheadImports(shell, ("a", "b")).register()
        shell.cell()
        await asyncio.sleep(0.2)

    asyncio.run(sit())
    assert imported == ["a", "b"]


def test_first_uses_import_nothing_more():
    told = subprocess.run([sys.executable, "-c", FIRST_USES], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["1", "[]"]
