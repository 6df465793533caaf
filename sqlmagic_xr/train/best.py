"""The best generation of a run, and the way back to it: for ``--keep-best``."""

from __future__ import annotations

import math

from .holdings import Holdings, Tables

_RECENT = 2  # generations: the loss of one may be known a step later (:class:`.minimize.curve.LossCurve`)


class Best:
    """Holds the tables as they were at the generation with the least loss; versions share what they have in common.

    Args:
        holdings: the tables of the run.

    Attributes:
        generation: where the least loss was; None while no loss is known.
        loss: the least loss.
    """

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self.start_over()

    def start_over(self) -> None:
        """Others have changed the tables: what was before that is no longer the run's to go back to."""
        self.generation: int | None = None
        self.loss = math.inf
        self._at: tuple[Tables, int] = {}, 0
        self._recent: dict[int, tuple[Tables, int]] = {}

    def made(self, generation: int, tables: Tables, steps: int) -> None:
        """Note the tables as a generation has left them, ``steps`` after the run has begun."""
        self._recent[generation] = tables, steps
        while len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def note(self, generation: int, loss: float | None) -> None:
        """Note the loss of a generation."""
        if loss is not None and loss < self.loss and generation in self._recent:
            self.generation, self.loss, self._at = generation, loss, self._recent[generation]

    def keep(self) -> bool:
        """Put the tables back to the best generation; returns whether they stand there."""
        if self.generation is None:
            return False
        if self.generation >= self._holdings.generation:
            return True
        tables, steps = self._at
        return self._holdings.put_back(tables, "the best generation is kept", self.generation, steps)
