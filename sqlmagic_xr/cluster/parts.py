"""Chunks shared out among the workers of a cluster, and who has which of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, pairwise
from typing import Any

from .lanes import shares
from .worker import ChunkBatch

TASKS = 4
"""Tasks for each thread: enough to even out what is slow, and to show how far one is; a dead worker loses less."""

Place = tuple[str, ...]
"""The worker that has a part; or of each thread's share of it, where several have it between them."""


@dataclass(frozen=True)
class Held:
    """Chunks that are in the workers' memory.

    Attributes:
        batches: those of each part.
        places: who has each part.
        values: of each variable and part, for each of its places, what stands for the chunks there.
        mend: has others read what workers had that are gone; whether there was any.
    """

    batches: Sequence[ChunkBatch]
    places: Sequence[Place]
    values: Sequence[Sequence[Sequence[Any]]]
    mend: Callable[[], bool]


def batches(regions: Sequence[Any], threads: Mapping[str, int], tasks: int = TASKS) -> list[ChunkBatch]:
    """Chunks in as many parts as there are tasks, neighbours together.

    Args:
        regions: the chunks.
        threads: of each worker.
        tasks: how many of them for each thread.
    """
    parts = min(len(regions), tasks * sum(threads.values()))
    ends = [len(regions) * place // parts for place in range(parts + 1)]
    return [ChunkBatch(tuple(regions[start:stop])) for start, stop in pairwise(ends)]


def shared_out(regions: Sequence[Any], threads: Mapping[str, int]) -> list[ChunkBatch]:
    """Chunks in a part for each worker, as many for each of its threads, neighbours together.

    Args:
        regions: the chunks.
        threads: of each worker.
    """
    numbers = sorted(threads.values(), reverse=True)  # of a layout, whatever the addresses are
    whole = sum(numbers)
    ends = pairwise(len(regions) * end // whole for end in accumulate(numbers, initial=0))
    found = [(tuple(regions[start:stop]), number) for (start, stop), number in zip(ends, numbers, strict=True)]
    return [ChunkBatch(part, min(number, len(part))) for part, number in found if part]


def placed(parts: int, threads: Mapping[str, int]) -> list[Place]:
    """The worker of each part: left to itself, dask may have one worker read several.

    Args:
        parts: how many there are.
        threads: of each worker.
    """
    order = sorted(threads, key=lambda address: (-threads[address], address))
    return [(order[part % len(order)],) for part in range(parts)]


def taken_over(parts: Sequence[ChunkBatch], places: Sequence[Place], threads: Mapping[str, int]) -> dict[int, Place]:
    """Where parts go at once whose worker is gone: to those that have others, if there are any, by threads' shares.

    Args:
        parts: all of them.
        places: who has each.
        threads: of each worker that there is now.
    """
    has = {address for place in places for address in place}
    lost = [number for number, place in enumerate(places) if not threads.keys() >= set(place)]
    left = cycle([address for address in threads if address in has] or threads)
    if has.isdisjoint(threads):
        return {number: (next(left),) for number in lost}
    return {number: tuple(next(left) for _ in range(parts[number].lanes)) for number in lost}


def returned(places: Sequence[Place], threads: Mapping[str, int]) -> dict[int, Place]:
    """Where parts go later that others have taken over: each to a worker who has none.

    Args:
        places: who has each part.
        threads: of each worker that there is now.
    """
    has = {address for place in places for address in place}
    owners: set[Place] = set()
    lodging = []
    for number, place in enumerate(places):
        if len(place) > 1 or place in owners:
            lodging.append(number)
        owners.add(place)
    free = [(address,) for address in threads if address not in has]
    return dict(zip(lodging, free, strict=False))


def pieces(part: ChunkBatch, place: Place) -> list[ChunkBatch]:
    """A part as its places have it."""
    return [part] if len(place) == 1 else [ChunkBatch(part.regions[share]) for share in shares(part)]


def cut_as(regions: Sequence[Any], parts: Sequence[ChunkBatch]) -> Sequence[ChunkBatch]:
    """Chunks in as many parts as others, of the same lengths; these themselves where they are the same.

    Args:
        regions: the chunks.
        parts: the same ones, it may be with other positions along axes that are not theirs.
    """
    if parts[0].regions[0] == regions[0]:
        return parts
    ends = pairwise(accumulate(map(len, parts), initial=0))
    return [ChunkBatch(tuple(regions[a:b]), part.lanes) for (a, b), part in zip(ends, parts, strict=True)]
