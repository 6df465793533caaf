"""A run's generations on their way into the file of its store; nothing at all where the store has none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..storage.store import ScratchStore


def interval(text: str | float) -> tuple[float | None, int | None]:
    """How far apart generations go to disk: seconds, or a number of steps.

    Raises:
        UsageError: it is neither.

    >>> interval(2.5), interval("2.5"), interval("100 steps")
    ((2.5, None), (2.5, None), (None, 100))
    """
    words = str(text).split()
    try:
        if len(words) == 2 and words[1] in ("step", "steps") and (steps := int(words[0])) > 0:
            return None, steps
        (number,) = words
        if 0 <= (seconds := float(number)) < float("inf"):
            return seconds, None
    except ValueError:
        pass
    raise UsageError(f"keep_every is a number of seconds, or of steps, not {text!r}", hint='As in: 5 or "100 steps"')


class Keeping:
    """What a run asks of its store's file.

    Args:
        store: the tables.
        trajectory: the run's table.
        every: see :func:`interval`.

    Attributes:
        seed: of a run over this table that was cut off when its process died; None where none was.
    """

    def __init__(self, store: ScratchStore, trajectory: str, every: str | float) -> None:
        self._disk, self._trajectory = store.durable, trajectory
        self._seconds, self._steps = interval(every)
        self._begun = False
        cut_off = self._disk.unfinished(trajectory)
        self.seed: int | None = None if cut_off is None else int(cut_off["seed"])

    def notice(self, generation: int) -> str:
        """What a person is told of a run that goes on where another one was cut off; "" where none was."""
        if self.seed is None:
            return ""
        return (
            f"the last run over `{self._trajectory}` was cut off: it goes on at {generation}, with its seed {self.seed}"
        )

    def begin(self, seed: int) -> None:
        """From now on commits go to disk in the background.

        Raises:
            StorageError: the file cannot be written.
        """
        if self._disk.used:
            self._disk.begin(self._trajectory, {"seed": seed}, self._seconds)
            self._begun = True

    def stepped(self, steps: int) -> None:
        """So many steps are made."""
        if self._begun and self._steps is not None and steps % self._steps == 0:
            self._disk.nudge()

    def left(self, steps: int) -> int:
        """How many steps may follow so many without a look at the disk; no end where it does not matter."""
        return sys.maxsize if self._steps is None else self._steps - steps % self._steps

    def end(self) -> None:
        """Return when all generations are on disk; once more does nothing.

        Raises:
            StorageError: the file cannot be written; it has whole generations, and memory has all.
        """
        if self._begun:
            self._begun = False
            self._disk.end(self._trajectory)
