"""Tasks on a cluster that hang together: they go there at once, are waited for, and are forgotten."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

from ..errors import ClusterError, SqlError
from . import client as clusters
from . import worker

FAN = 8
"""How many parts a task of the tree puts together."""

_INLINE = 16_384  # bytes of a program that travels with each task
_LARGE = 8 * 2**20  # bytes of a program below which dask has nothing to say about its size
_LOOK = 0.2  # seconds between two looks at what has ended
_ASK = 2.0  # seconds between two looks at which workers there are
GONE = 30.0
"""Seconds without a worker at work after which a query gives up. A nanny starts one anew in a few; one whose memory is
full pauses until it has made room."""
_HERE = "client='none' (%xsql --client none) calculates here."


@contextmanager
def tasks_of(client: Any, *, keep: bool = False, strict: bool = False) -> Iterator[Tasks]:
    """Tasks that are cancelled where one fails, and forgotten at the end, unless they are to be kept.

    Args:
        client: whose cluster makes them.
        keep: whether they are kept.
        strict: whether nobody makes a task but the worker that is said to.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    clusters.refuse_unreachable(client)
    run = Tasks(client, strict=strict)
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


def _at(places: Mapping[Any, list[str]], graph: Mapping[Any, Any], *, strict: bool) -> Any:
    """What tells the scheduler which worker is to make a task; it asks that of each task, by its key."""
    from dask.base import annotate

    return annotate(workers={key: places.get(key, []) for key in graph}.__getitem__, allow_other_workers=not strict)


class Tasks:
    """Tasks that hang together, and go to the scheduler at once: to name them one by one costs it twice as much."""

    def __init__(self, client: Any, *, strict: bool = False) -> None:
        self._client, self._token, self._numbers, self._strict = client, uuid4().hex, count(), strict
        self._graph: dict[Any, Any] = {}  # what has not gone there yet
        self._futures: dict[Any, Any] = {}
        self._places: dict[Any, list[str]] = {}
        self._large = False
        self._idle: float | None = None
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
        """Have each task made by a worker; by another one where that is gone, unless that is strict."""
        self._places |= {task: [address] for task, address in zip(tasks, places, strict=True)}

    def tree(self, parts: Sequence[Any], program: Any, most: int = 1) -> Sequence[Any]:
        """The tasks, so many at most, at whose end all parts are together."""
        while len(parts) > most:
            groups = [list(parts[start : start + FAN]) for start in range(0, len(parts), FAN)]
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
                within.enter_context(_at(self._places, graph, strict=self._strict))
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
                with self._client.as_current():  # it may be no default, and wait asks that one
                    wait(ends, timeout=_LOOK)
            except TimeoutError:
                self._look()
            except CancelledError as error:
                raise explained(error, self._client) from error
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
            raise explained(error, self._client) from error

    def _look(self) -> None:
        """See whether somebody is still at work."""
        now = time.monotonic()
        if now - self._asked < _ASK:
            return
        self._asked = now
        states = clusters.states(self._client)
        self._idle = None if "running" in states else self._idle or now
        if self._idle is not None and now - self._idle >= GONE - _ASK:
            raise _given_up(clusters.address(self._client), paused="paused" in states)

    def release(self) -> None:
        """Let the cluster forget what has been calculated for this."""
        for future in self._futures.values():
            future.release()

    def cancel(self) -> None:
        """Have nothing more calculated for this."""
        if self._client.status == "running":
            self._client.cancel(list(self._futures.values()), force=True)


def _given_up(place: str, *, paused: bool) -> ClusterError:
    if paused:
        return ClusterError(
            f"the workers of the dask cluster at {place} are paused, their memory full: none works since {GONE:.0f} s",
            hint=f"Give them more (memory_limit), or smaller chunks. {_HERE}",
        )
    return ClusterError(
        f"the workers of the dask cluster at {place} are gone: none has been there for {GONE:.0f} s",
        hint=f"Start workers and run it again. {_HERE}",
    )


def explained(error: Exception, client: Any) -> Exception:
    """The error of a task for a person; one that is not the cluster's as it is.

    Args:
        error: it.
        client: whose cluster made the task.
    """
    from distributed import KilledWorker

    place = clusters.address(client)
    if isinstance(error, worker.UnreadError):
        return ClusterError(f"{error.title} cannot be read on the cluster at {place}: {error.why}", hint=_SEEN)
    if isinstance(error, KilledWorker):
        return ClusterError(
            f"workers of the dask cluster at {place} died {error.allowed_failures + 1} times over the same chunks",
            hint="Their memory may be too small for a chunk of each thread: smaller chunks, or fewer threads.",
        )
    if isinstance(error, CancelledError):  # of one future, or of several
        why = str(error).split("\n")[0]
        return ClusterError(f"the dask cluster at {place} was closed, or dropped the tasks: {why}")
    if isinstance(error, ImportError):
        return clusters.lacking(f"a worker of the cluster at {place}", error)
    return error if isinstance(error, SqlError) else error.with_traceback(None)


_SEEN = "Is the store to be seen from the workers, under the same address?"
