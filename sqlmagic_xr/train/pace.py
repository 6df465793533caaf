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


class Allowance(Pace):
    """A pace for what becomes costlier as the run grows: all turns together stay a small part of the time.

    A turn is due when it and one more at the end, each of the cost that is to be expected by now, would still be paid
    for. The cost is expected to grow as it did from the turn before the last to the last.

    Args:
        rest: the least seconds between the end of one turn and the next.
        share: the part of the time since the first turn.
        clock: seconds that only grow.
    """

    def __init__(
        self, *, rest: float = 0.25, share: float = 0.1, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(rest=rest, times=0.0, clock=clock)
        self._share = share
        self._began: float | None = None
        self._spent = self._cost = self._slope = self._last = 0.0

    @property
    def due(self) -> bool:
        """Whether there is enough time on the account."""
        if self._began is None:
            return True
        now = self._clock()
        expected = self._cost + self._slope * (now - self._last)
        return super().due and self._spent + 2 * expected <= self._share * (now - self._began)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take a turn now; what happens inside is what it costs."""
        begin = self._clock()
        with super().turn():
            yield
        cost = self._clock() - begin
        if self._began is None:
            self._began = begin
        else:
            self._slope = max(0.0, cost - self._cost) / max(begin - self._last, 1e-9)
        self._spent, self._cost, self._last = self._spent + cost, cost, begin
