"""A stack as deep as a call needs: native code that calls itself for each term of a chain ends the process without."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_LOCK = threading.Lock()  # the size is the process's, for whatever thread begins next


def with_stack(size: int, call: Callable[[], T]) -> T:
    """What a call gives, run in a thread of its own that has a stack of so many bytes.

    >>> with_stack(1 << 20, lambda: 1 + 1)
    2
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=run)
    with _LOCK:
        before = threading.stack_size(size)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    return done.result()
