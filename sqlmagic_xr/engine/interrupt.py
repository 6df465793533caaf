"""Ctrl-C for queries: control comes back at once, whatever the engine is doing.

DataFusion looks for signals once a second, and a cross join that keeps the processor busy does not let it look for
half a minute. So a query runs in a thread of its own while the main thread waits, where Python delivers signals. An
interrupted query is told to stop; the engine drops it at the next point where its operators yield, which for nearly
all plans is within a second. A join that yields later goes on in the engine's threads and its rows go nowhere.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Watch = Callable[[float], None]
"""Is called about ten times a second while a query runs, with the seconds since it began."""

_TICK = 0.1  # seconds between two looks at the clock; a signal is seen at once, not at the next tick


def reserve_threads() -> None:
    """Give the engine threads to spare, so that a query abandoned in the middle of a join starves no other.

    The engine reads this setting when it first runs anything in this process; a value that the user set stays.
    """
    os.environ.setdefault("TOKIO_WORKER_THREADS", str(2 * (os.cpu_count() or 1) + 4))


def interruptible(work: Callable[[], T], watch: Watch | None = None) -> T:
    """What ``work()`` returns or raises, with control back at once when the main thread is interrupted.

    Args:
        work: runs a query; it must not change anything, since it may be cut off anywhere.
        watch: shows progress; called in this thread.

    Raises:
        KeyboardInterrupt: the user interrupted. ``work`` has been told to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()  # signals are delivered to the main thread alone
    call = _Call(work)
    begin = time.monotonic()
    thread = threading.Thread(target=call.run, name="sqlmagic_xr query", daemon=True)
    thread.start()
    try:
        while not call.done.wait(_TICK):
            if watch is not None:
                watch(time.monotonic() - begin)
    except BaseException:
        _stop(thread)
        raise
    return call.result()


class _Call(Generic[T]):
    """A call in another thread and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._value.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]


def _stop(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in a thread; DataFusion sees it when it next looks and drops the query."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
