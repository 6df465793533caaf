"""A Zarr store on this disk that is at rest when it is left: zarr does not await its other writes after one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def at_rest(path: Path) -> Iterator[Any]:
    """A store at a path, for zarr and xarray; at the end of the block nothing writes there any more.

    Of several files that zarr writes at once, one that fails ends the call, and the others are written behind it: into
    a folder that was removed meanwhile, or over what was written anew.
    """
    store = _kind()(path)
    try:
        yield store
    finally:
        store.rest()


@cache
def _kind() -> Any:
    """The class of such stores, made when zarr is needed."""
    from zarr.storage import LocalStore

    class Resting(LocalStore):
        """A store that knows how many of its files are being written."""

        def __init__(self, root: Path, *, read_only: bool = False) -> None:
            super().__init__(root, read_only=read_only)
            self._changed, self._writing, self._over = threading.Condition(), 0, False

        async def set(self, key: str, value: Any) -> None:
            """Write a file; not any more once the store was left."""
            with self._changed:
                if self._over:
                    return
                self._writing += 1
            try:
                await super().set(key, value)
            finally:
                with self._changed:
                    self._writing -= 1
                    self._changed.notify_all()

        def rest(self) -> None:
            """Wait for what is being written, and begin nothing more."""
            with self._changed:
                self._over = True
                self._changed.wait_for(lambda: not self._writing)

    return Resting
