"""Imports what a first query and a first run need while the kernel is idle: whoever begins one need not wait for it.

The engine takes two seconds to import, and what trains and draws another; more where the machine is busy. Where nobody
sits, nothing is imported ahead: in a terminal, in a notebook that a program runs, and between the cells of Run All.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..display.screen import place_of

_QUIET = 0.5  # seconds without a cell after which the kernel is taken to be idle
_BETWEEN = 0.02  # seconds from one import to the next, in which messages are answered
# From below to above, so that no single one takes long: a cell that comes meanwhile waits for the one in progress.
_OURS = (
    "sql.parsing", "relation.bind", "autodiff.reverse.values", "autodiff.rewrite", "storage.store",
    "engine.faults.types", "engine.prepared", "engine.context", "accessor", "dense.running.blocks", "dense.program",
    "queries.gridded.cellwise", "queries.answer", "display.table", "display.live", "train.curves.curve",
    "train.minimize.curve", "train.loop", "train.start",
)  # fmt: skip
MODULES = (
    *("numpy", "pyarrow", "pandas", "xarray", "datafusion", "xarray_sql", "anywidget"),
    *(f"sqlmagic_xr.{name}" for name in _OURS),
)
"""What is imported ahead, in this order."""


class AheadImports:
    """Imports modules, one at a time, between the cells of a shell.

    Args:
        shell: IPython's.
        modules: what is imported.
    """

    def __init__(self, shell: Any, modules: tuple[str, ...] = MODULES) -> None:
        self._shell = shell
        self._left: Iterator[str] = iter(modules)
        self._next: asyncio.TimerHandle | None = None

    def register(self) -> None:
        """Begin behind the cell that is running, where somebody sits at the notebook."""
        if place_of(self._shell) == "live":
            self._shell.events.register("pre_execute", self._wait)
            self._shell.events.register("post_execute", self._go_on)

    def unregister(self) -> None:
        """Import no more."""
        self._wait()
        for event, callback in (("pre_execute", self._wait), ("post_execute", self._go_on)):
            with suppress(ValueError):  # it was never registered, or has been taken back
                self._shell.events.unregister(event, callback)

    def _wait(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _go_on(self) -> None:
        self._wait()
        with suppress(RuntimeError):  # no loop turns here: the first use imports what it needs
            self._next = asyncio.get_running_loop().call_later(_QUIET, self._import)

    def _import(self) -> None:
        name = next(self._left, None)
        if name is None:
            self.unregister()
            return
        with suppress(ImportError):  # an extra that is not installed is said by what needs it
            importlib.import_module(name)
        self._next = asyncio.get_running_loop().call_later(_BETWEEN, self._import)


_installed: dict[int, AheadImports] = {}


def register(ip: Any) -> None:
    """Import ahead in a shell."""
    _installed[id(ip)] = ahead = AheadImports(ip)
    ahead.register()


def unregister(ip: Any) -> None:
    """Take it back."""
    ahead = _installed.pop(id(ip), None)
    if ahead is not None:
        ahead.unregister()
