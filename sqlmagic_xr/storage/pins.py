"""What a thread's plans see of the scratch tables, while a block is at work that says it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from .transaction import Entries


class Pins(threading.local):
    """What one thread plans with.

    Attributes:
        entries: the scratch tables and views; None for those that there are at the time.
        names: relations before them, name -> what DataFusion takes for a table.
        keyed: whether views are told the tables' keys.
        made: the view that is being made.
    """

    entries: Entries | None = None
    names: Mapping[str, Any] = {}
    keyed = False
    made: Any = None


class Pinning(AbstractContextManager[None]):
    """A block in which a thread plans with these; no generator, since every query goes through some of them.

    Args:
        pins: the thread's.
        entries: the scratch tables and views.
        names: relations before them, besides those that there are already.
        alone: whether there are no others.
        keyed: whether views are told the tables' keys; None where that stays as it is.
    """

    __slots__ = ("_alone", "_before", "_entries", "_keyed", "_names", "_pins")

    def __init__(
        self, pins: Pins, entries: Entries, names: Mapping[str, Any], *, alone: bool = False, keyed: bool | None = None
    ) -> None:
        self._pins, self._entries, self._names, self._alone, self._keyed = pins, entries, names, alone, keyed

    def __enter__(self) -> None:
        pins = self._pins
        self._before = pins.entries, pins.names, pins.keyed
        pins.entries = self._entries
        pins.names = self._names if self._alone else {**pins.names, **self._names}
        if self._keyed is not None:
            pins.keyed = self._keyed

    def __exit__(self, *raised: object) -> None:
        self._pins.entries, self._pins.names, self._pins.keyed = self._before
