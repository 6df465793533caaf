"""A step over chunks that workers hold, as a call to each worker beside the scheduler's tasks.

The scheduler passes a call on and keeps no book of it, which takes a third of the processor time of a task for each
worker. It knows of no other worker where one dies: then, and where anything else goes wrong, whoever calls has tasks to
fall back on, and they tell what is wrong.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any
from uuid import uuid4

from . import worker
from .client import refuse_unreachable
from .parts import Held, pieces

_SENT = 64 * 2**20  # bytes of a program and of what names the chunks, for all workers together
_LOOK = 0.2  # seconds between two looks at whether somebody interrupts
_ASK = 0.5  # seconds between two looks at which workers there are


def called(
    client: Any, program: bytes, numbers: Sequence[float], parts: Sequence[worker.ChunkBatch], held: Held,
    wanted: Iterable[int],
) -> dict[int, list[Any]]:  # fmt: skip
    """What a program comes to over parts: a state for each of a part's places. What takes tasks is missing.

    Args:
        client: whose cluster does it.
        program: it, pickled.
        numbers: those of the step.
        parts: the chunks.
        held: where they are.
        wanted: the numbers of the parts.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    refuse_unreachable(client)
    work: dict[str, list[Any]] = {}
    places: dict[int, list[tuple[str, int]]] = {number: [] for number in wanted}
    for number, asked in places.items():
        own = parts[number] is held.batches[number]
        for at, (piece, address) in enumerate(zip(_cut(parts, held, number), held.places[number], strict=True)):
            theirs = work.setdefault(address, [])
            asked.append((address, len(theirs)))
            theirs.append((None if own else piece, [variable[number][at].key for variable in held.values]))
    order = pickle.dumps((program, tuple(numbers), work))
    answers = _asked(client, order, list(work)) if len(order) * len(work) <= _SENT else {}
    found = {number: [_answer(answers.get(address), n) for address, n in asked] for number, asked in places.items()}
    return {
        number: [answer.state for answer in each if answer is not None]
        for number, each in found.items() if None not in each
    }  # fmt: skip


def _cut(parts: Sequence[worker.ChunkBatch], held: Held, number: int) -> list[worker.ChunkBatch]:
    return pieces(parts[number], held.places[number])


def _answer(answers: Any, number: int) -> worker.Done | None:
    """What a worker has come to over one of its pieces; it may have answered with an error, or not at all."""
    return answers[number] if isinstance(answers, list) and number < len(answers) else None


def _asked(client: Any, order: bytes, addresses: Sequence[str]) -> Mapping[str, Any]:
    """What each worker answers, as far as they do; nothing where one was gone before it was called.

    To find out that one is gone takes the scheduler half a minute, if it is told to connect to it. Nobody else is
    called: a worker that has just been started imports this package first, which may take longer than many steps.
    """
    token = uuid4().hex
    asking = client.run(
        worker.fold_here, token, order, workers=list(addresses), on_error="return", asynchronous=True
    )  # fmt: skip
    loop = client.loop.asyncio_loop
    future = asyncio.run_coroutine_threadsafe(asking, loop)
    try:
        _wait(client, future, addresses)
    except BaseException as error:
        stopping = client.run(worker.stop, token, on_error="ignore", asynchronous=True)
        asyncio.run_coroutine_threadsafe(stopping, loop)
        if isinstance(error, _GoneError):
            future.cancel()
            return {}
        raise
    if future.exception() is not None:  # the scheduler cannot be reached
        return {}
    found: Mapping[str, Any] = future.result()
    return found


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
