"""A query fails while it runs: its transaction hears of it, and whoever asked for rows gets an error of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any

from ..errors import SqlError
from .interrupt import of_panic

_OWN = (SqlError, TypeError, AttributeError, StopIteration, StopAsyncIteration)
"""What says itself what is wrong, or nothing."""


class ReentrantGuard:
    """A block in which a frame is used; it may be entered again, also while it is entered.

    Args:
        fail: aborts the transaction that the query belongs to.
        explain: gives the error of ours for one of the engine's; None where the engine's is told as it is.
    """

    def __init__(self, fail: Callable[[], None] | None, explain: Callable[[Exception], Exception] | None) -> None:
        self._fail, self._explain = fail, explain

    def __enter__(self) -> None:
        """Nothing is done before something fails."""

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        failure = of_panic(error) or (error if isinstance(error, Exception) else None)
        if failure is None or isinstance(failure, (StopIteration, StopAsyncIteration)):
            return
        if self._fail is not None:
            self._fail()
        if self._explain is not None and not isinstance(failure, _OWN):
            raise self._explain(failure) from failure
        if failure is not error:
            raise failure from None


class Stream:
    """The engine's stream of batches, each asked for within a guard.

    Args:
        stream: the engine's.
        guard: that of the frame.
    """

    def __init__(self, stream: Any, guard: ReentrantGuard) -> None:
        self._stream, self._guard = stream, guard

    def next(self) -> Any:
        """The next batch; StopIteration where there is none."""
        with self._guard:
            return self._stream.next()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._guard:
            return next(self._stream)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        with self._guard:
            return await self._stream.__anext__()
