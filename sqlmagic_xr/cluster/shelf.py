"""Chunks in a worker's memory that dask does not know the inside of, so that it never writes them to disk.

What dask holds itself goes to disk when a worker's memory is two thirds full. A step needs all of it, so all of it
would come back and go out again each time. Who reads chunks puts them here, and dask holds a :class:`ShelvedChunks`,
which stands for them. They go when dask forgets it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from distributed import WorkerPlugin, get_worker

from .lanes import Batch, in_lanes

Chunks = Sequence[Sequence[Any]]

_FULL = 0.75
"""Of a worker's memory; beyond 0.8 dask gives it no more tasks."""


@dataclass(frozen=True)
class ShelvedChunks:
    """Chunks that are on the shelf of the worker that has read them; elsewhere they are read again.

    Attributes:
        batch: which chunks.
        key: of the task that has read them.
        nbytes: what they take; 0 where there was no room for them.
        read: reads one of them; what dask takes along when it moves this to another worker.
    """

    batch: Batch
    key: Any
    nbytes: int
    read: Callable[[Any], Sequence[Any]]

    def __sizeof__(self) -> int:
        """What the scheduler is to think it takes: so it sends tasks to where the chunks are."""
        return object.__sizeof__(self) + self.nbytes

    def chunks(self, share: slice, shelf: Shelf | None) -> Iterable[Sequence[Any]]:
        """The variables of some chunks.

        Args:
            share: which of them.
            shelf: of the worker that this is; None where it is none.
        """
        found = None if shelf is None else shelf.chunks.get(self.key)
        return map(self.read, self.batch.regions[share]) if found is None else found[share]


def keep(batch: Batch, read: Callable[[Any], Sequence[Any]], go_on: Callable[[], None]) -> ShelvedChunks:
    """Read chunks and keep them on the shelf of this worker, as far as there is room for all of them.

    Args:
        batch: which.
        read: reads one of them.
        go_on: raises where nobody wants them any more.
    """
    shelf = shelf_here()
    if shelf is None:
        return ShelvedChunks(batch, None, 0, read)
    worker = get_worker()
    key = worker.get_current_task()

    def lane(share: slice) -> Chunks:
        """The variables of chunks, up to where there is no room for more."""
        found: list[Sequence[Any]] = []
        for region in batch.regions[share]:
            go_on()
            found.append(read(region))
            if _is_full(worker):
                return found[:-1]
        return found

    found = [values for each in in_lanes(lane, batch) for values in each]
    if len(found) < len(batch.regions):
        return ShelvedChunks(batch, key, 0, read)
    shelf.chunks[key] = found
    return ShelvedChunks(batch, key, sum(int(cells.nbytes) for values in found for cells in values), read)


def _is_full(worker: Any) -> bool:
    limit = worker.memory_manager.memory_limit or sys.maxsize
    return bool(worker.monitor.get_process_memory() > _FULL * limit)


class Shelf(WorkerPlugin):
    """The chunks that a worker keeps, by the task that has read them."""

    name = "sqlmagic_xr"

    def __init__(self) -> None:
        self.chunks: dict[Any, Chunks] = {}

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Let go what dask forgets; it is told of each change in the state of a task."""
        if finish in ("released", "forgotten"):
            self.chunks.pop(key, None)


_shelves: WeakKeyDictionary[Any, Shelf] = WeakKeyDictionary()
_lock = Lock()


def shelf_here() -> Shelf | None:
    """The shelf of the worker whose task this is; None where this is no worker."""
    try:
        return shelf_of(get_worker())
    except ValueError:
        return None


def shelf_of(worker: Any) -> Shelf:
    """The shelf of a worker."""
    with _lock:
        found = _shelves.get(worker)
        if found is None:
            found = _shelves[worker] = Shelf()
            worker.loop.add_callback(partial(worker.plugin_add, found, name=Shelf.name))
    return found
