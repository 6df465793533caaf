"""A step over chunks that workers hold, as a call to each worker beside the scheduler's tasks.

The scheduler passes a call on and keeps no book of it, which takes a third of the processor time of a task for each
worker. It knows of no other worker where one dies: then, and where anything else goes wrong, whoever calls has tasks to
fall back on, and they tell what is wrong.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any
from uuid import uuid4

from . import worker
from .parts import Held

_SENT = 64 * 2**20  # bytes of a program and of what names the chunks, for all workers together
_LOOK = 0.2  # seconds between two looks at whether somebody interrupts
_ASK = 1.0  # seconds between two looks at which workers there are


def called(
    client: Any, program: bytes, numbers: Sequence[float], parts: Sequence[worker.ChunkBatch], held: Held
) -> list[Any] | None:
    """What a program comes to over each part; None where that takes tasks.

    Args:
        client: whose cluster does it.
        program: it, pickled.
        numbers: those of the step.
        parts: the chunks.
        held: where they are.
    """
    addresses = [place[0] for place in held.places if len(place) == 1]
    if len(set(addresses)) < len(parts):
        return None  # somebody has died, and others have what he had
    keys = [[variable[number][0].key for variable in held.values] for number in range(len(parts))]
    each = zip(parts, held.batches, keys, strict=True)
    work = [(None if part is own else part, there) for part, own, there in each]
    order = pickle.dumps((program, tuple(numbers), dict(zip(addresses, work, strict=True))))
    if len(order) * len(parts) > _SENT:
        return None
    found = _asked(client, order, addresses)
    states = [answer.state for answer in found if isinstance(answer, worker.Done)]
    return states if len(states) == len(parts) else None


def _asked(client: Any, order: bytes, addresses: Sequence[str]) -> list[Any]:
    """What each worker answers, as far as they do; nothing where one has died.

    All workers that there are by now are called: to find out that one is gone takes the scheduler half a minute, if it
    is told to connect to it.
    """
    token = uuid4().hex
    asking = client.run(worker.fold_here, token, order, on_error="return", asynchronous=True)
    loop = client.loop.asyncio_loop
    future = asyncio.run_coroutine_threadsafe(asking, loop)
    try:
        _wait(client, future, addresses)
    except BaseException as error:
        stopping = client.run(worker.stop, token, on_error="ignore", asynchronous=True)
        asyncio.run_coroutine_threadsafe(stopping, loop)
        if isinstance(error, _GoneError):
            future.cancel()
            return []
        raise
    if future.exception() is not None:  # the scheduler cannot be reached
        return []
    answers = future.result()
    return [answers.get(address) for address in addresses]


class _GoneError(Exception):
    """A worker that was called has died."""


def _wait(client: Any, future: Future[Any], addresses: Sequence[str]) -> None:
    """Wait for answers, looking now and then whether who was called is still there."""
    looked = time.monotonic()
    while not future.done():
        wait([future], timeout=_LOOK)
        if not future.done() and time.monotonic() - looked >= _ASK:
            looked = time.monotonic()
            if not set(addresses) <= set(client.nthreads()):
                raise _GoneError
