"""What the pictures of a run may cost: a tenth of its time, the last one among them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 0.07  # of the time, for pictures; text, messages in other threads and surprises have the rest of a tenth
_MOST = 0.1  # of the time, in all
_REST = 0.25  # seconds: a person sees no more than four pictures a second
_HORIZON = 10.0  # seconds that a run is trusted to last, where it has so many steps to make
_LAST = 2.0  # the last picture, finer and packed well, costs so many times what one does that is drawn from scratch
_FORGET = 0.95  # how much of that is still believed a picture later


class Budget:
    """Says when the next picture is due, so that all of them together stay within their share.

    The last picture is due whatever it costs, and is counted from the beginning; what it leaves is spread evenly. In
    its first ten seconds a run is granted what it will have earned by then, or by its end if that comes sooner. So a
    run of a second shows its progress and then the picture, and one that someone stops early may have paid more than
    its share: by as much as the first and the last picture cost.

    Args:
        share: the part of the run's time.
        rest: the least seconds between two pictures.
        clock: seconds that only grow; a test's own.
    """

    def __init__(
        self, *, share: float = SHARE, rest: float = _REST, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share, self._rest, self._clock = share, rest, clock
        self._spent = self._cost = self._scratch = 0.0
        self._at = 0.0  # the run's time at the last picture
        self._drawn = False

    def due(self, elapsed: float, length: float) -> bool:
        """Whether there is time for another picture.

        Args:
            elapsed: seconds that the run has taken.
            length: seconds that it is going to take, as far as that is known.
        """
        since = elapsed - self._at
        if since < self._rest:
            return False
        horizon = min(length, _HORIZON)
        time_paid = max(elapsed, horizon)
        left = self._share * time_paid - self._spent - _LAST * self._scratch
        if not self._drawn:  # someone waits for it: what is kept for surprises is spent on it
            return left + max(_MOST - self._share, 0.0) * time_paid >= self._cost
        if left < self._cost:
            return False
        ahead = horizon - self._at
        return since * left >= self._cost * ahead

    def expect(self, cost: float) -> None:
        """Say what a picture is going to cost, before there has been one."""
        self._cost = self._scratch = cost

    @contextmanager
    def drawing(self, elapsed: float) -> Iterator[None]:
        """Draw a picture now; what happens inside is what it costs."""
        with self.spending() as spent:
            yield
        cost = spent[0]
        # Most of those that follow are drawn on the axes of the one before, for a third of what the first one costs.
        self._cost = (self._cost + cost) / 2 if self._drawn else cost / 2
        # Half of a rise is believed: a busy machine takes ten times as long once, and that is no forecast.
        self._scratch = max((self._scratch + cost) / 2, _FORGET * self._scratch)
        self._at, self._drawn = elapsed, True

    @contextmanager
    def spending(self) -> Iterator[list[float]]:
        """Spend on what is no picture; yields a list that then holds the seconds."""
        begin = self._clock()
        spent: list[float] = []
        try:
            yield spent
        finally:
            spent.append(self._clock() - begin)
            self._spent += spent[0]
