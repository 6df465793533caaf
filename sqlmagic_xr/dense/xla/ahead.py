"""The batches of many steps, worked out before a call and passed to its program: an array a step for each index.

Batches of other sizes are given the length of the longest, and a truth value tells which of their rows there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..arrays import DTYPES
from ..node import Node
from ..running.align import Alignment
from ..running.batches import Batches, padded, parts_of
from .rows import Padded

_SPARE = 8  # of so many rows one more


class OutgrownError(Exception):
    """Batches have other numbers of rows than the program has room for: another one is compiled.

    Args:
        lengths: how many rows each axis has to have room for.
    """

    def __init__(self, lengths: Mapping[Node, int]) -> None:
        super().__init__("a batch has another number of rows than the one before")
        self.lengths = lengths


class AheadAxes:
    """Axes that are others at each step.

    Args:
        batches: works them out.
        nodes: those that are asked for.
        lengths: of those that have another number of rows at each step for how many rows there is to be room.

    Attributes:
        like: the shapes and types of what one step is passed.
    """

    def __init__(self, batches: Batches, nodes: Sequence[Node], lengths: Mapping[Node, int]) -> None:
        self._batches, self._nodes = batches, tuple(nodes)
        self._lengths = {node: lengths[node] for node in nodes if node in lengths}
        examples = [self._example(node) for node in self._nodes]
        found = [part for example in examples for part in example if part is not None]
        self._places = [
            (node, n)
            for node, example in zip(self._nodes, examples, strict=True)
            for n, part in enumerate(example)
            if part is not None
        ]
        self.like = [jax.ShapeDtypeStruct(np.shape(part), np.asarray(part).dtype) for part in found]

    def axes(self, parts: Sequence[Any]) -> list[Alignment]:
        """The axes of a step within the program."""
        given: dict[Any, Any] = dict(zip(self._places, parts, strict=True))
        found: list[Alignment] = []
        for node in self._nodes:
            axis: list[Any] = [given.get((node, place)) for place in range(5)]
            if node in self._lengths:
                present = np.arange(self._lengths[node]) < axis[4]
                found.append(Padded(axis[0], axis[1], axis[2], axis[3], present))
            else:
                found.append(Alignment(axis[0], axis[1], axis[2], axis[3]))
        return found

    def courses(
        self, parameters: Mapping[str, Any], courses: Mapping[Node, Sequence[Any]], count: int, most: int
    ) -> tuple[list[Any], int]:
        """What is passed for the steps of a call, and of how many it could be worked out.

        Raises:
            Refused: not of the first.
            OutgrownError: the first has other numbers of rows than there is room for.
        """
        if not self._nodes:
            return [], count
        rooms = [np.zeros((most, *part.shape), part.dtype) for part in self.like]
        steps = list(self._values(parameters, courses, count))
        for step, values in enumerate(steps):
            found = self._batches.at(values)
            if not all(self._has_room(node, found[node]) for node in self._nodes):
                if not step:
                    raise OutgrownError(self._longer(self._batches.lengths(steps)))
                return rooms, step
            every = {node: self._parts(node, found[node]) for node in self._nodes}
            for room, (node, place) in zip(rooms, self._places, strict=True):
                room[step] = every[node][place]
        return rooms, count

    def _values(
        self, parameters: Mapping[str, Any], courses: Mapping[Node, Sequence[Any]], count: int
    ) -> Iterator[Mapping[Node, Any]]:  # fmt: skip
        """What the parameters are at each step."""
        asked = self._batches.parameters
        stay = {n: DTYPES[n.type](parameters[n.data]) for n in asked if n not in courses}
        for step in range(count):
            yield {**stay, **{node: courses[node][step] for node in asked if node in courses}}

    def _example(self, node: Node) -> Sequence[Any]:
        if node not in self._lengths:
            return self._batches.examples[node]
        parts = self._batches.examples[node]
        return self._parts(node, Alignment(parts[0], parts[1], parts[2], parts[3]))

    def _parts(self, node: Node, axis: Alignment) -> Sequence[Any]:
        if node not in self._lengths:
            return parts_of(axis)
        return *padded(node, axis, self._lengths[node]), np.int64(len(axis.coordinates))

    def _has_room(self, node: Node, axis: Alignment) -> bool:
        if node in self._lengths:
            return len(axis.coordinates) <= self._lengths[node]
        return self._batches.fits(node, axis)

    def _longer(self, lengths: Mapping[Node, int]) -> dict[Node, int]:
        """Room for somewhat more rows than there were, so that it is not outgrown again and again."""
        more = {node: length for node, length in lengths.items() if length > self._lengths.get(node, 0)}
        return {**self._lengths, **{node: length + length // _SPARE for node, length in more.items()}}
