"""The batches of many steps, worked out before a call and passed to its program: an array a step for each index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..arrays import DTYPES
from ..node import Node, Refused
from ..running.align import Alignment
from ..running.batches import Batches


class AheadAxes:
    """Axes that are others at each step.

    Args:
        batches: works them out.
        nodes: those that are asked for.

    Attributes:
        like: the shapes and types of what one step is passed.
    """

    def __init__(self, batches: Batches, nodes: Sequence[Node]) -> None:
        self._batches, self._nodes = batches, tuple(nodes)
        examples = batches.examples
        self._places = [(node, n) for node in self._nodes for n, part in enumerate(examples[node]) if part is not None]
        found = [examples[node][place] for node, place in self._places]
        self.like = [jax.ShapeDtypeStruct(part.shape, part.dtype) for part in found]

    def axes(self, parts: Sequence[Any]) -> list[Alignment]:
        """The axes of a step within the program."""
        given: dict[Any, Any] = dict(zip(self._places, parts, strict=True))
        found: list[list[Any]] = [[given.get((node, place)) for place in range(4)] for node in self._nodes]
        return [Alignment(axis[0], axis[1], axis[2], axis[3]) for axis in found]

    def courses(
        self, parameters: Mapping[str, Any], courses: Mapping[Node, Sequence[Any]], count: int, most: int
    ) -> tuple[list[Any], int]:
        """What is passed for the steps of a call, and of how many it could be worked out.

        Raises:
            Refused: not of the first.
        """
        if not self._nodes:
            return [], count
        rooms = [np.zeros((most, *part.shape), part.dtype) for part in self.like]
        stay = {n: DTYPES[n.type](parameters[n.data]) for n in self._batches.parameters if n not in courses}
        for step in range(count):
            moving = {node: courses[node][step] for node in self._batches.parameters if node in courses}
            try:
                found = self._batches.at({**stay, **moving})
            except Refused:
                if not step:
                    raise
                return rooms, step
            for room, (node, place) in zip(rooms, self._places, strict=True):
                room[step] = found[node][place]
        return rooms, count
