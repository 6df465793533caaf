"""Steps that can still be taken back: a curve may show only later that one of them has diverged."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..storage.scratch import Version


@dataclass(frozen=True, slots=True)
class CommittedStep:
    """A step that was committed.

    Attributes:
        made: the generation it made; of several steps the last one's.
        generation: the one before.
        before: the tables before the step.
        shown: the parameters of the step, the loop's own apart.
        steps: how many steps were committed together.
        given: the parameters that were given then, where they were several: some of them may be made again.
    """

    made: int
    generation: int
    before: Mapping[str, Version]
    shown: Mapping[str, Any]
    steps: int = 1
    given: Mapping[str, Any] = field(default_factory=dict)


_MOST = 10_000
"""So many steps can be taken back: a curve that is looked at more seldom must not make a long run grow without end."""


class Undo:
    """The steps that no curve has shown to be sound yet, the oldest first; versions share what is unchanged."""

    def __init__(self) -> None:
        self._made: deque[CommittedStep] = deque(maxlen=_MOST)
        self._barred = False

    def __len__(self) -> int:
        return len(self._made)

    def add(self, made: CommittedStep) -> None:
        """Note a step that was committed."""
        self._made.append(made)

    def settle(self, seen: int) -> None:
        """The generations up to ``seen`` are sound."""
        while self._made and self._made[0].made <= seen:
            self._made.popleft()

    def bar(self) -> None:
        """Others have changed the tables: what came before that can no longer be taken back without it."""
        self._barred = self._barred or bool(self._made)
        self._made.clear()

    def take_back(self, generation: int) -> tuple[CommittedStep, int] | None:
        """The commit that made ``generation``, or the oldest still known, and how many steps there are from it on.

        All of them are forgotten. None where it was made before others changed the tables.
        """
        undone = [made for made in self._made if made.made >= generation]
        if not undone or (self._barred and undone[0].generation >= generation):
            return None
        self._made.clear()
        return undone[0], sum(made.steps for made in undone)
