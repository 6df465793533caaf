"""The threads of a worker that share the chunks of one task: a task for each worker, not one for each thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Batch(Protocol):
    """Chunks of one task."""

    @property
    def regions(self) -> tuple[Any, ...]:
        """Them."""

    @property
    def lanes(self) -> int:
        """Among how many threads they are shared out, neighbours together."""


def shares(batch: Batch) -> list[slice]:
    """Which chunks of a task each thread has."""
    count = len(batch.regions)
    ends = [count * lane // batch.lanes for lane in range(batch.lanes + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def in_lanes(work: Callable[[slice], T], batch: Batch) -> list[T]:
    """What comes of the share of each thread, in their order; all of them have ended then.

    Args:
        work: goes through the chunks of one thread.
        batch: all chunks.
    """
    if batch.lanes == 1:
        return [work(slice(0, len(batch.regions)))]
    begun = [_pool(batch.lanes).submit(work, share) for share in shares(batch)]
    return [each.result() for each in begun]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads of our own: a task that waited for those of dask, one of which it is on, might wait for itself."""
    return ThreadPoolExecutor(threads, thread_name_prefix="sqlmagic_xr lane")
