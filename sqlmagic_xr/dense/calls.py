"""How many steps one call makes: as many as nobody has to wait for."""

from __future__ import annotations

import math

_LONGEST = 0.05  # seconds a call: a button, a slider and an interrupt act behind it
_ALONE = 0.2  # seconds; a step by itself may take so long, and tell little of what it takes among others
_REST = 1024  # steps, at most, from one attempt that came to nothing to the next


class Calls:
    """Begins at one step and makes more and more, as long as a call stays short.

    Args:
        alone: every step is a call of its own.
        growth: how many times as many steps the next call makes.

    Attributes:
        alone: the same.
    """

    def __init__(self, *, alone: bool, growth: int = 2) -> None:
        self.alone, self._growth = alone, growth
        self._length = 1
        self._rest = self._pause = 0
        self._steps = 1  # of the last call
        self._look = math.inf  # seconds of the shortest look

    def length(self, *limits: int) -> int:
        """How many steps the next call shall make, and no more than any of the limits."""
        return 1 if self.alone or self._rest > 0 else max(1, min(self._length, *limits))

    def made(self, steps: int, seconds: float) -> None:
        """A call has made so many steps in so many seconds."""
        most = int(_LONGEST * steps / max(seconds, 1e-9))
        if steps == 1 and seconds < _ALONE:
            most = max(most, 2)
        self._length = max(1, min(self._growth * steps, most))
        if steps > 1:
            self._pause = 0
        self._rest -= 1
        self._steps = steps

    def looked(self, seconds: float) -> None:
        """Whoever looks at each step of a call has taken so long; what every look takes is no matter of its length."""
        self._look = min(self._look, seconds)
        more = seconds - self._look
        if more > _LONGEST:
            self._length = max(1, min(self._length, int(_LONGEST * self._steps / more)))

    def failed(self) -> None:
        """A call for many steps came to none: the next ones are made by themselves."""
        self._pause = min(max(1, 2 * self._pause), _REST)
        self._rest = self._pause
