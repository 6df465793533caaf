"""Argument string -> frozen dataclass -> library call -> display."""

from __future__ import annotations

import importlib
from typing import Any

ROOMS = ("xsql", "train", "idle")
"""The modules that put something into the shell; each has ``register(ip)`` and ``unregister(ip)``."""


def load(ip: Any) -> None:
    """Register every magic; doing it twice is doing it once."""
    unload(ip)
    for room in ROOMS:
        importlib.import_module(f".{room}", __name__).register(ip)


def unload(ip: Any) -> None:
    """Take every magic back."""
    for room in reversed(ROOMS):
        importlib.import_module(f".{room}", __name__).unregister(ip)
