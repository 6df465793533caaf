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
    """A pace for what becomes costlier as the run grows: all turns, and one more at the end, stay within a share.

    The next turn's cost is foreseen on the straight line through the last turn and one at half its time or before. A
    turn is due when it and the final one, each of that cost, would still be paid by seven tenths of the share; the
    rest is for what cannot be foreseen. Two early turns say little about how the cost grows (what is fixed in it looks
    like growth), so after a second one more is taken, if it alone is paid for: it may have to be earned until some
    five seconds into the run.

    Args:
        rest: the least seconds between the end of one turn and the next.
        share: the part of the time since the first turn.
        clock: seconds that only grow, and stand still where the run does.
    """

    def __init__(
        self, *, rest: float = 0.25, share: float = 0.1, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(rest=rest, times=0.0, clock=clock)
        self._share = share
        self._began = self._spent = 0.0
        self._turns: list[tuple[float, float]] = []  # seconds after the first, cost

    @property
    def due(self) -> bool:
        """Whether there is enough time on the account."""
        if not self._turns:
            return True
        if not super().due:
            return False
        elapsed = self._clock() - self._began
        allowed, expected = self._share * elapsed, self._expected(elapsed)
        if self._spent + 2 * expected <= _PLANNED * allowed:
            return True
        unknown = self._turns[-1][0] < _EARLY <= elapsed
        return unknown and self._spent + expected <= allowed and expected <= _AFFORDABLE * allowed

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take a turn now; what happens inside is what it costs."""
        begin = self._clock()
        with super().turn():
            yield
        cost = self._clock() - begin
        self._began = self._began if self._turns else begin
        self._spent += cost
        elapsed = begin - self._began
        # Of the turns before, those that stand apart in time: a base for any line, and few in a run of any length.
        if len(self._turns) > 1 and self._turns[-1][0] < _APART * self._turns[-2][0]:
            self._turns.pop()
        self._turns.append((elapsed, cost))

    def _expected(self, elapsed: float) -> float:
        """The cost of a turn at that time."""
        last, cost = self._turns[-1]
        base = next((t for t in reversed(self._turns) if t[0] <= last / 2), self._turns[0])
        slope = max(0.0, cost - base[1]) / (last - base[0]) if last > base[0] else 0.0
        return cost + slope * (elapsed - last)


_PLANNED = 0.7  # of the share is planned with
_APART = 1.25
_EARLY = 1.0  # seconds: turns before that do not tell how the cost grows
_AFFORDABLE = 0.8  # of the share: what alone takes more is left for the end


class Stopwatch:
    """Seconds that a run takes: it can be held, and then time stands still."""

    def __init__(self) -> None:
        self._idle = 0.0
        self._held: float | None = None

    def __call__(self) -> float:
        """Seconds since some moment, without those that it was held."""
        return (time.perf_counter() if self._held is None else self._held) - self._idle

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this block no time passes."""
        self._held = time.perf_counter()
        try:
            yield
        finally:
            self._idle += time.perf_counter() - self._held
            self._held = None
