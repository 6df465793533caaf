"""A program over chunks on a cluster: a few tasks for each thread, what they come to put together as a tree.

A task goes through many chunks one after another, so that ten thousand of them cost the scheduler no more than ten.
Which chunks are in one task, and in which order the tree puts tasks together, depends on the number of threads alone:
the same cluster gives the same bits, whichever worker does what, and although one dies.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, count, pairwise
from typing import Any
from uuid import uuid4

from ..errors import ClusterError, SqlError
from . import client as clusters
from . import worker

TASKS = 4
"""Tasks for each thread: enough to even out what is slow, and to show how far one is; a dead worker loses less."""

LITTLE = 2**20
"""Bytes of what a task comes to, of which the last few are put together here: one task and one transfer less."""

_FAN = 8  # how many parts a task of the tree puts together
_INLINE = 16_384  # bytes of a program that travels with each task
_LARGE = 8 * 2**20  # bytes of a program below which dask has nothing to say about its size
_LOOK = 0.2  # seconds between two looks at what has ended
_ASK = 2.0  # seconds between two looks at which workers there are
GONE = 30.0
"""Seconds without a worker after which a query gives up; a nanny starts a worker anew in a few."""


@dataclass(frozen=True)
class Held:
    """Chunks that are in the workers' memory.

    Attributes:
        batches: the chunks of each task.
        values: for each task its chunks, where they are.
        places: the worker that was to read each of them.
    """

    batches: Sequence[worker.Batch]
    values: Sequence[Any]
    places: Sequence[str]

    def release(self) -> None:
        """Let the workers forget them now, and not when nobody here knows of them any more."""
        for future in self.values:
            future.release()


def batches(regions: Sequence[Any], threads: Mapping[str, int], tasks: int = TASKS) -> list[worker.Batch]:
    """Chunks in as many parts as there are tasks, neighbours together.

    Args:
        regions: the chunks.
        threads: of each worker.
        tasks: how many of them for each thread.
    """
    parts = min(len(regions), tasks * sum(threads.values()))
    ends = [len(regions) * place // parts for place in range(parts + 1)]
    return [worker.Batch(tuple(regions[start:stop])) for start, stop in pairwise(ends)]


def placed(parts: int, threads: Mapping[str, int]) -> list[str]:
    """The worker of each part, as many for each thread: left to itself, dask may have one worker read several.

    Args:
        parts: how many there are.
        threads: of each worker.
    """
    slots = [address for address, number in threads.items() for _ in range(number)]
    return [slots[part * len(slots) // parts] for part in range(parts)]


def moved(held: Held, threads: Mapping[str, int]) -> dict[int, str]:
    """Parts whose worker is gone and that another one, which has fewer parts than threads, is to have.

    Args:
        held: the parts.
        threads: of each worker that there is now.
    """
    has = Counter(held.places)
    free = [address for address, number in threads.items() for _ in range(number - has[address])]
    lost = [part for part, address in enumerate(held.places) if address not in threads]
    return dict(zip(lost, free, strict=False))


def cut_as(regions: Sequence[Any], parts: Sequence[worker.Batch]) -> Sequence[worker.Batch]:
    """Chunks in as many parts as others, of the same lengths; these themselves where they are the same.

    Args:
        regions: the chunks.
        parts: the same ones, it may be with other positions along axes that are not theirs.
    """
    if parts[0].regions[0] == regions[0]:
        return parts
    ends = list(accumulate(map(len, parts), initial=0))
    return [worker.Batch(tuple(regions[start:stop])) for start, stop in pairwise(ends)]


def folded(
    client: Any, program: bytes, parts: Sequence[worker.Batch], on_read: Callable[[], None], held: Sequence[Held] = (),
    here: worker.Program | None = None,
) -> Any:  # fmt: skip
    """What a program comes to over chunks.

    Args:
        client: whose cluster does it.
        program: it, pickled.
        parts: the chunks of each task.
        on_read: is called for each chunk that has been gone through.
        held: the same chunks of each variable, where they are in memory already: then those of ``parts`` that are
            not its own are sent.
        here: the program, where what some tasks come to is little, so that the last of it is put together here.

    Raises:
        ClusterError: a chunk cannot be read, or the cluster is gone.
    """
    with _run(client) as run:
        code = run.program(program)
        if held:
            named = [None if part is own else part for part, own in zip(parts, held[0].batches, strict=True)]
            each = zip(named, *(variable.values for variable in held), strict=True)
            first = [run.task("fold", worker.fold_held, code, *there) for there in each]
            run.place(first, held[0].places)  # who takes one over would read its chunks
        else:
            first = [run.task("fold", worker.fold, code, part) for part in parts]
        last = run.tree(first, code, 1 if here is None else _FAN)
        run.start(*first, *last)
        found = run.wait(last, {f: len(part) for f, part in zip(first, parts, strict=True)}, on_read)
        return found[0] if here is None else worker.merged(here, found)


def folded_of(
    client: Any, program: bytes, regions: Sequence[Any], values: Sequence[Sequence[Any]], on_read: Callable[[], None]
) -> Any:
    """What a program comes to over chunks of dask arrays that the cluster makes; a task for each.

    Args:
        client, program, on_read: as for :func:`folded`.
        regions: the chunks.
        values: for each of them its variables, as dask arrays.

    Raises:
        ClusterError: a chunk cannot be made, or the cluster is gone.
    """
    from dask.delayed import delayed

    with _run(client) as run:
        (code,) = run.start(run.task("program", worker.same, program))
        task = delayed(worker.fold_made, pure=False)
        made = [task(code, worker.Batch((region,)), [there]) for region, there in zip(regions, values, strict=True)]
        first = run.add(client.compute(made))
        last = run.tree(first, code)
        run.start(*last)
        return run.wait(last, dict.fromkeys(first, 1), on_read)[0]


def hold(
    client: Any, program: bytes, parts: Sequence[worker.Batch], places: Sequence[str], on_read: Callable[[], None]
) -> Held:
    """Have the chunks of a program read, and kept in the workers' memory; as :func:`folded`.

    Args:
        client, program, parts, on_read: as for :func:`folded`.
        places: the worker that is to read each part; another one does where it is gone.
    """
    with _run(client, keep=True) as run:
        code = run.program(program)
        keys = [run.task("read", worker.read, code, part) for part in parts]
        run.place(keys, places)
        values = run.start(*keys)
        run.wait(keys, {}, on_read, fetch=False)
        return Held(parts, values, places)


def held_again(client: Any, program: bytes, held: Held, places: Mapping[int, str], on_read: Callable[[], None]) -> Held:
    """Have some parts read by other workers, and kept there; as :func:`hold`.

    Args:
        client, program, on_read: as for :func:`hold`.
        held: all parts.
        places: the new worker of each of those.
    """
    new = hold(client, program, [held.batches[part] for part in places], list(places.values()), on_read)
    values, there = list(held.values), list(held.places)
    for part, value, address in zip(places, new.values, new.places, strict=True):
        values[part].release()
        values[part], there[part] = value, address
    return replace(held, values=values, places=there)


@contextmanager
def _run(client: Any, *, keep: bool = False) -> Iterator[_Run]:
    """Tasks that are cancelled where one fails, and forgotten at the end, unless they are to be kept."""
    run = _Run(client)
    try:
        yield run
    except BaseException:
        run.cancel()
        keep = False
        raise
    finally:
        if not keep:
            run.release()


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without dask's warning of a large graph, most of which is what is joined; it goes to each worker once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        yield


def _named(graph: Mapping[Any, Any], name: str) -> Any:
    """A graph under a name; dask makes one of all that is in it, which takes longer than to send it."""
    try:
        from dask._expr import LLGExpr
    except ImportError:  # before 2025
        return graph
    return LLGExpr(graph, _determ_token=name)


def _at(places: Mapping[Any, list[str]], graph: Mapping[Any, Any]) -> Any:
    """What tells the scheduler which worker is to make a task; it asks that of each task, by its key."""
    from dask.base import annotate

    return annotate(workers={key: places.get(key, []) for key in graph}.__getitem__, allow_other_workers=True)


class _Run:
    """Tasks that hang together, and go to the scheduler at once: to name them one by one costs it twice as much."""

    def __init__(self, client: Any) -> None:
        self._client, self._token, self._numbers = client, uuid4().hex, count()
        self._graph: dict[Any, Any] = {}  # what has not gone there yet
        self._futures: dict[Any, Any] = {}
        self._places: dict[Any, list[str]] = {}
        self._large = False
        self._gone: float | None = None
        self._asked = time.monotonic()

    def task(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """The key of one more task; its arguments are values, and keys or futures of others."""
        key = (f"sql_{what}-{self._token}", next(self._numbers))
        self._graph[key] = (function, *args)
        return key

    def program(self, program: bytes) -> Any:
        """A program as tasks take it: a large one as a task, so that it reaches each worker once."""
        self._large |= len(program) > _LARGE
        return self.task("program", worker.same, program) if len(program) > _INLINE else program

    def place(self, tasks: Sequence[Any], places: Sequence[str]) -> None:
        """Have each task made by a worker, as long as that is there."""
        self._places |= {task: [address] for task, address in zip(tasks, places, strict=True)}

    def tree(self, parts: Sequence[Any], program: Any, most: int = 1) -> Sequence[Any]:
        """The tasks, so many at most, at whose end all parts are together."""
        while len(parts) > most:
            groups = [list(parts[start : start + _FAN]) for start in range(0, len(parts), _FAN)]
            parts = [self.task("merge", worker.merge, program, group) for group in groups]
        return parts

    def start(self, *keys: Any) -> list[Any]:
        """Have the tasks made, and keep what these come to; their futures."""
        graph, self._graph = self._graph, {}
        wanted = list(dict.fromkeys(key for key in keys if key not in self._futures))
        with ExitStack() as within:
            if self._large:
                within.enter_context(_unwarned())
            if self._places:
                within.enter_context(_at(self._places, graph))
            if graph:
                named = _named(graph, f"{self._token}-{next(self._numbers)}")
                self._futures |= zip(
                    wanted, self._client.get(named, wanted, sync=False, fifo_timeout="100 ms"), strict=True
                )
        return [self._futures[key] for key in keys]

    def add(self, futures: Sequence[Any]) -> Sequence[Any]:
        """Tasks that were made elsewhere."""
        self._futures |= zip(futures, futures, strict=True)
        return futures

    def wait(
        self, last: Sequence[Any], sizes: dict[Any, int], on_read: Callable[[], None], *, fetch: bool = True
    ) -> list[Any]:
        """What tasks come to, telling meanwhile of the chunks of others that have ended."""
        from distributed import wait

        ends, sizes = [self._futures[key] for key in last], {self._futures[key]: size for key, size in sizes.items()}
        while True:
            try:
                wait(ends, timeout=_LOOK)
            except TimeoutError:
                self._look()
            ended = [future for future in sizes if future.done()]
            for _ in range(sum(map(sizes.pop, ended))):
                on_read()
            failed = [future for future in ends if future.done() and future.status != "finished"]
            if failed or all(future.done() for future in ends):
                break
        try:
            for future in failed:
                future.result()
            return list(self._client.gather(ends)) if fetch else []
        except Exception as error:
            raise self._told(error) from error

    def _look(self) -> None:
        """See whether somebody is still at work."""
        now = time.monotonic()
        if now - self._asked < _ASK:
            return
        self._asked = now
        there = self._client.status == "running" and bool(self._client.nthreads())
        self._gone = None if there else self._gone or now
        if self._gone is not None and now - self._gone >= GONE - _ASK:
            place = clusters.address(self._client)
            raise ClusterError(
                f"the workers of the dask cluster at {place} are gone: none has been there for {GONE:.0f} s",
                hint="Start workers and run it again, or calculate here: client='none' (%xsql --client none).",
            )

    def _told(self, error: Exception) -> Exception:
        """The error of a task for a person; one that is not the cluster's as it is."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        place = clusters.address(self._client)
        if isinstance(error, worker.UnreadError):
            return ClusterError(f"{error.title} cannot be read on the cluster at {place}: {error.why}", hint=_SEEN)
        if isinstance(error, KilledWorker):
            return ClusterError(
                f"workers of the dask cluster at {place} died {error.allowed_failures + 1} times over the same chunks",
                hint="Their memory may be too small for a chunk of each thread: smaller chunks, or fewer threads.",
            )
        if isinstance(error, FutureCancelledError):
            return ClusterError(f"the dask cluster at {place} was closed, or dropped the tasks: {error}")
        if isinstance(error, ImportError):
            return clusters.lacking(f"a worker of the cluster at {place}", error)
        return error if isinstance(error, SqlError) else error.with_traceback(None)

    def release(self) -> None:
        """Let the cluster forget what has been calculated for this."""
        for future in self._futures.values():
            future.release()

    def cancel(self) -> None:
        """Have nothing more calculated for this."""
        if self._client.status == "running":
            self._client.cancel(list(self._futures.values()), force=True)


_SEEN = "Is the store to be seen from the workers, under the same address?"
