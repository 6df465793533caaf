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
    """As :func:`folded`, over chunks that the workers hold: each is called, and what is missing then is made by tasks.

    Args:
        client, program, numbers, on_read, here: as for :func:`folded`.
        parts: the chunks; those of ``held``, or the same with other positions along axes that are not theirs.
        held: where they are.
    """
    wanted, states = range(len(parts)), dict[int, Any]()
    if here is not None:
        found = called(client, program, numbers, parts, held, wanted)
        if len(found) < len(parts) and held.mend():
            found |= called(client, program, numbers, parts, held, [n for n in wanted if n not in found])
        states = {n: each[0] if len(each) == 1 else worker.merged(here, each) for n, each in found.items()}
        for _ in range(sum(len(parts[n]) for n in found)):
            on_read()
    if len(states) < len(parts):
        with tasks_of(client) as run:
            what = (run.program(program), np.asarray(numbers))  # dask looks into a tuple
            sizes: dict[Any, int] = {}
            missing = [n for n in wanted if n not in states]
            first = [_of_part(run, what, n, parts[n], held, sizes) for n in missing]
            if here is None:
                return _together(run, first, what[0], sizes, on_read, here)
            run.start(*sizes, *first)
            states |= zip(missing, run.wait(first, sizes, on_read), strict=True)
    assert here is not None
    return _as_tree(here, [states[n] for n in wanted])


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
    client: Any, program: bytes, parts: Sequence[worker.ChunkBatch], places: Sequence[str],
    on_read: Callable[[], None] | None,
) -> list[Any]:  # fmt: skip
    """Have the chunks of a program read, and kept in the workers' memory; what stands for each part.

    Args:
        client, program, parts: as for :func:`folded`.
        places: the worker that is to read each part.
        on_read: is called while that goes on, and another worker reads where one is gone; None to wait for nobody, and
            have nobody else read.
    """
    with tasks_of(client, keep=True, strict=on_read is None) as run:
        code = run.program(program)
        keys = [run.task("read", worker.read, code, part) for part in parts]
        run.place(keys, places)
        values = run.start(*keys)
        if on_read is not None:
            run.wait(keys, {}, on_read, fetch=False)
        return values
