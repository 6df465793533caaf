"""What the pictures of a run may cost: a small part of its time, and yet one at least every second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 0.05  # of the run's time; threads that send, the last picture and surprises have the rest of a tenth
REST = 0.25  # seconds: a person sees no more than four pictures a second
MOST = 0.75  # seconds after which a picture is due whatever it costs: with its way to the page it comes every second


class Budget:
    """Says when the next picture is due.

    Pictures are paid with the time of a processor, not with that of the clock: on a busy machine both the run and its
    pictures wait, and what waits costs nothing. So nothing but dear pictures makes them rare, and a bounded number of
    points is never dear.

    Args:
        share: the part of the run's time.
        rest: the least seconds between two pictures.
        clock: seconds of a processor that the calling thread has had.
        run: seconds of processors that the run has had.
    """

    def __init__(
        self, *, share: float = SHARE, rest: float = REST, clock: Callable[[], float] = time.thread_time,
        run: Callable[[], float] = time.process_time,
    ) -> None:  # fmt: skip
        self._share, self._rest, self._clock, self._run = share, rest, clock, run
        self._began = run()
        self._spent = self._cost = 0.0
        self._at = 0.0  # the run's time at the last picture

    def due(self, elapsed: float) -> bool:
        """Whether it is time for another picture, ``elapsed`` seconds of the clock after the run has begun."""
        since = elapsed - self._at
        if since < self._rest:
            return False
        worked = min(elapsed, self._run() - self._began)
        return since >= MOST or self._spent + self._cost <= self._share * worked

    @contextmanager
    def drawing(self, elapsed: float) -> Iterator[None]:
        """Draw a picture now; what happens inside is what it costs."""
        before = self._spent
        self._at = elapsed
        with self.spending():
            yield
        self._cost = self._spent - before

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Spend on what is no picture."""
        begin = self._clock()
        try:
            yield
        finally:
            self._spent += self._clock() - begin
