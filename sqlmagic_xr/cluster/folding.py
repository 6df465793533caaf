"""A program over chunks on a cluster: a few tasks for each thread, what they come to put together as a tree.

A task goes through many chunks one after another, so that ten thousand of them cost the scheduler no more than ten.
Which chunks are in one task, and in which order the tree puts tasks together, depends on the workers' threads alone:
the same cluster gives the same bits, whichever worker does what, and although one dies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import worker
from .calls import called
from .parts import Held, pieces
from .tasks import FAN, Tasks, tasks_of

LITTLE = 2**20
"""Bytes of what a task comes to, of which the last few are put together here: one task and one transfer less."""


def folded(
    client: Any, program: bytes, numbers: Sequence[float], parts: Sequence[worker.ChunkBatch],
    on_read: Callable[[], None], here: worker.ChunkProgram | None,
) -> Any:  # fmt: skip
    """What a program comes to over chunks.

    Args:
        client: whose cluster does it.
        program: it, pickled.
        numbers: those of the step.
        parts: the chunks of each task.
        on_read: is called for each chunk that has been gone through.
        here: the program, where what some tasks come to is little, so that the last of it is put together here.

    Raises:
        ClusterError: a chunk cannot be read, or the cluster is gone.
    """
    with tasks_of(client) as run:
        code = run.program(program)
        first = [run.task("fold", worker.fold, code, np.asarray(numbers), part) for part in parts]
        return _together(run, first, code, dict(zip(first, map(len, parts), strict=True)), on_read, here)


def folded_held(
    client: Any, program: bytes, numbers: Sequence[float], parts: Sequence[worker.ChunkBatch], held: Held,
    on_read: Callable[[], None], here: worker.ChunkProgram | None,
) -> Any:  # fmt: skip
    """As :func:`folded`, over chunks that the workers hold: each is called, unless one of them has died.

    Args:
        client, program, numbers, on_read, here: as for :func:`folded`.
        parts: the chunks; those of ``held``, or the same with other positions along axes that are not theirs.
        held: where they are.
    """
    if here is not None:
        states = called(client, program, numbers, parts, held)
        if states is not None:
            for _ in range(sum(map(len, parts))):
                on_read()
            return _as_tree(here, states)
    with tasks_of(client) as run:
        code = run.program(program)
        sizes: dict[Any, int] = {}
        what = (code, np.asarray(numbers))  # dask looks into a tuple
        first = [_of_part(run, what, number, part, held, sizes) for number, part in enumerate(parts)]
        return _together(run, first, code, sizes, on_read, here)


def _of_part(
    run: Tasks, what: tuple[Any, ...], number: int, part: worker.ChunkBatch, held: Held, sizes: dict[Any, int]
) -> Any:
    """The task at whose end a part has been gone through; its chunks are counted by the tasks of ``sizes``."""
    place, own = held.places[number], part is held.batches[number]
    found = []
    for at, piece in enumerate(pieces(part, place)):
        values = [variable[number][at] for variable in held.values]
        found.append(run.task("fold", worker.fold_held, *what, None if own else piece, *values))
        sizes[found[-1]] = len(piece)
    run.place(found, place)  # who takes one over would read its chunks
    return found[0] if len(found) == 1 else run.task("merge", worker.merge, what[0], found)


def _together(
    run: Tasks, first: Sequence[Any], code: Any, sizes: dict[Any, int], on_read: Callable[[], None],
    here: worker.ChunkProgram | None,
) -> Any:  # fmt: skip
    last = run.tree(first, code, 1 if here is None else FAN)
    run.start(*sizes, *last)
    found = run.wait(last, sizes, on_read)
    return found[0] if here is None else worker.merged(here, found)


def _as_tree(here: worker.ChunkProgram, states: Sequence[Any]) -> Any:
    """What parts come to, put together as tasks would, so that it is the same to the last bit."""
    while len(states) > FAN:
        states = [worker.merged(here, states[start : start + FAN]) for start in range(0, len(states), FAN)]
    return worker.merged(here, states)


def folded_of(
    client: Any, program: bytes, numbers: Sequence[float], regions: Sequence[Any], values: Sequence[Sequence[Any]],
    on_read: Callable[[], None],
) -> Any:  # fmt: skip
    """What a program comes to over chunks of dask arrays that the cluster makes; a task for each.

    Args:
        client, program, numbers, on_read: as for :func:`folded`.
        regions: the chunks.
        values: for each of them its variables, as dask arrays.

    Raises:
        ClusterError: a chunk cannot be made, or the cluster is gone.
    """
    from dask.delayed import delayed

    with tasks_of(client) as run:
        (code,) = run.start(run.task("program", worker.same, program))
        task = delayed(worker.fold_made, pure=False)
        each = zip(regions, values, strict=True)
        made = [task(code, np.asarray(numbers), worker.ChunkBatch((region,)), [there]) for region, there in each]
        first = run.add(client.compute(made))
        last = run.tree(first, code)
        run.start(*last)
        return run.wait(last, dict.fromkeys(first, 1), on_read)[0]


def hold(
    client: Any, program: bytes, parts: Sequence[worker.ChunkBatch], places: Sequence[str], on_read: Callable[[], None]
) -> list[Any]:
    """Have the chunks of a program read, and kept in the workers' memory; what stands for each part.

    Args:
        client, program, parts, on_read: as for :func:`folded`.
        places: the worker that is to read each part; another one does where it is gone.
    """
    with tasks_of(client, keep=True) as run:
        code = run.program(program)
        keys = [run.task("read", worker.read, code, part) for part in parts]
        run.place(keys, places)
        values = run.start(*keys)
        run.wait(keys, {}, on_read, fetch=False)
        return values
