"""Ctrl-C for queries: control comes back at once, whatever the engine is doing.

DataFusion looks for signals once a second, and a cross join that keeps the processor busy does not let it look for
half a minute. So queries run in a thread of their own while the main thread waits, where Python delivers signals. An
interrupted query is told to stop; the engine drops it at the next point where its operators yield, which for nearly
all plans is within a second. A join that yields later goes on in the engine's threads and its rows go nowhere.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Watch = Callable[[float, Any], None]
"""Is called about ten times a second while a query runs, with the seconds since it began and its frame, or None."""

PANIC = "sqlmagic: the engine panicked"
"""What the error says, for who translates it."""

_TICK = 0.1  # seconds between two looks at the clock; a signal is seen at once, not at the next tick


def reserve_threads() -> None:
    """Give the engine threads to spare, so that a query abandoned in the middle of a join starves no other.

    The engine reads this setting when it first runs anything in this process; a value that the user set stays.
    """
    os.environ.setdefault("TOKIO_WORKER_THREADS", str(2 * (os.cpu_count() or 1) + 4))


def interruptible(work: Callable[[], T], frame: Any = None) -> T:
    """What ``work()`` returns or raises, with control back at once when the main thread is interrupted.

    The detour over the other thread costs 0.05 ms.

    Args:
        work: runs a query; it must not change anything, since it may be cut off anywhere.
        frame: the frame that ``work`` collects, for whoever watches (:func:`watched`).

    Raises:
        KeyboardInterrupt: the user interrupted. ``work`` has been told to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        return _without_panic(work)  # signals are delivered to the main thread alone
    worker = _worker()
    call = _Call(work)
    worker.calls.put(call)
    begin = time.monotonic()
    try:
        while not call.done.wait(_TICK):
            if _watches:
                _watches[-1](time.monotonic() - begin, frame)
    except BaseException:
        worker.abandon()
        raise
    return call.result()


def _without_panic(work: Callable[[], T]) -> T:
    """What ``work()`` returns or raises; a panic of the engine, which is no Exception to Python, as one."""
    try:
        return work()
    except BaseException as error:
        panic = of_panic(error)
        if panic is None:
            raise
        raise panic from None


def of_panic(error: BaseException | None) -> RuntimeError | None:
    """The exception that stands for a panic of the engine; None of anything else."""
    if type(error).__name__ not in ("PanicException", "RustPanic"):  # the second of a stream that is awaited
        return None
    return RuntimeError(f"{PANIC}: {' '.join(str(error).split())}")


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Within this block ``watch`` is told of the queries that take their time."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)


_watches: list[Watch] = []


class _Call(Generic[T]):
    """A call in another thread and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work, self._context = work, copy_context()  # what has been set for this thread holds for the work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._value.append(self._context.run(_without_panic, self._work))
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]


class _Worker:
    """A thread that makes one call after another; a thread for each would cost 1 ms a query."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[_Call[Any]] = SimpleQueue()
        self.abandoned = False
        self.thread = threading.Thread(target=self._run, name="sqlmagic_xr queries", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.abandoned:
                self.calls.get().run()
        except KeyboardInterrupt:  # it came when the call had just ended
            return

    def abandon(self) -> None:
        """Raise KeyboardInterrupt in the thread, which DataFusion sees when it next looks, and call it no more."""
        self.abandoned = True
        _left[:] = [thread for thread in _left if thread.is_alive()] + [self.thread]
        thread_id = ctypes.c_ulong(self.thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, ctypes.py_object(KeyboardInterrupt))


_workers: list[_Worker] = []
_left: list[threading.Thread] = []
"""Those that have been told to stop."""

_PATIENCE = 1.0  # seconds


@atexit.register
def _end_threads() -> None:
    """Give what has been told to stop the time to: a thread that comes back to an interpreter which is gone aborts."""
    end = time.monotonic() + _PATIENCE
    for thread in _left:
        thread.join(max(0.0, end - time.monotonic()))


def _worker() -> _Worker:
    """The thread that queries run in: a new one after an interrupt, and in a forked process."""
    if not _workers or _workers[0].abandoned or not _workers[0].thread.is_alive():
        _workers[:] = [_Worker()]
    return _workers[0]
