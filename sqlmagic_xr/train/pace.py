"""How often something may be done beside the steps, so that it stays a small part of the run's time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pace:
    """Says when something is due again: after ``rest`` seconds, or later where it is costly.

    Args:
        rest: the least seconds between the end of one turn and the next: a person sees no more than four pictures
            a second, and each costs a message to the browser.
        times: a turn that took t seconds is followed by ``times * t`` seconds without one; 10 keeps its share of the
            time under a tenth.
        clock: seconds that only grow; a test's own.
    """

    def __init__(
        self, *, rest: float = 0.25, times: float = 10.0, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._rest, self._times, self._clock = rest, times, clock
        self._next = -float("inf")

    @property
    def due(self) -> bool:
        """Whether it is time for a turn; the first is due at once."""
        return self._clock() >= self._next

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take a turn now; what happens inside is what it costs."""
        begin = self._clock()
        try:
            yield
        finally:
            end = self._clock()
            self._next = end + max(self._rest, self._times * (end - begin))
