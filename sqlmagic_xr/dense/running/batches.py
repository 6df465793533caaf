"""Mini-batches: which rows a step reads, where its parameters alone tell, and so many steps before it is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import DTYPES
from ..node import Node, Refused
from .align import Alignment
from .blocks import BundleMember
from .instructions import Instruction

Parts = tuple[Any, Any, Any, Any]

_COMING = 64  # steps of which the batches are looked at beforehand
_CELLS = 10_000_000  # that are gone through for it

_PARTNERS = {"restrict": (True, False, False), "match": (True, True, False), "lookup": (True, True, False),
             "partner": (False, True, True)}  # fmt: skip
"""For each operation whose rows may be more or fewer whether there are places of two partners, and who has one."""


class Batches:
    """The axes that are others at each step and depend on nothing that a step calculates.

    Args:
        brief: the instructions of a step.
        known: what they have calculated at some step.
        unmoved: what is the same at each step.

    Attributes:
        nodes: the origins of these axes.
    """

    def __init__(self, brief: Sequence[Instruction], known: Mapping[Node, Any], unmoved: Mapping[Node, Any]) -> None:
        self._unmoved = unmoved
        ahead: dict[Node, Instruction] = {}
        for node, args, function in brief:
            if (
                node in unmoved
                or isinstance(function, BundleMember)
                or node.op in ("scan", "cells", "known", "present")
            ):
                continue
            if node.op == "parameter" or (args and all(a in unmoved or a in ahead for a in args)):
                ahead[node] = node, args, function
        self.nodes = tuple(node for node in ahead if isinstance(known.get(node), Alignment))
        needed = _leading_to(self.nodes, ahead)
        self._instructions = [instruction for node, instruction in ahead.items() if node in needed]
        self.examples = {node: parts_of(known[node]) for node in self.nodes}

    @property
    def parameters(self) -> list[Node]:
        """The parameters that tell them."""
        return [node for node, _, _ in self._instructions if node.op == "parameter"]

    def at(self, values: Mapping[Node, Any]) -> dict[Node, Alignment]:
        """The axes of one step.

        Args:
            values: of the parameters.
        """
        known: dict[Node, Any] = {**self._unmoved, **values}
        with np.errstate(all="ignore"):
            for node, args, function in self._instructions:
                if node.op != "parameter":
                    known[node] = function(*[known[argument] for argument in args])
        return {node: known[node] for node in self.nodes}

    def lengths(self, steps: Iterable[Mapping[Node, Any]]) -> dict[Node, int]:
        """How many rows an axis has at most at some steps, for those whose rows are not as many as in the example.

        Args:
            steps: the values of the parameters at each.
        """
        longest: dict[Node, int] = {}
        for found in map(self.at, steps):
            for node, axis in found.items():
                if node in longest or not self.fits(node, axis):
                    before = longest.get(node, len(self.examples[node][0]))
                    longest[node] = max(before, len(axis.coordinates))
        return longest

    def coming(self, clock: Mapping[str, int], values: Mapping[str, Any], k: int) -> dict[Node, int]:
        """The :meth:`lengths` of the next steps, as far as the generation alone tells.

        Args:
            clock: how many generations a parameter is ahead of the newest one.
            values: the other parameters that stay.
            k: the newest generation.
        """
        if not all(node.data in clock or node.data in values for node in self.parameters):
            return {}
        large = max((np.size(value) for value in self._read), default=1)
        steps = range(k, k + max(2, min(_COMING, _CELLS // max(1, large))))
        stay = {n: DTYPES[n.type](values[n.data]) for n in self.parameters if n.data not in clock}
        moving = [node for node in self.parameters if node.data in clock]
        return self.lengths({**stay, **{n: DTYPES[n.type](step + clock[n.data]) for n in moving}} for step in steps)

    @property
    def _read(self) -> list[Any]:
        return [self._unmoved[a] for _, args, _ in self._instructions for a in args if a in self._unmoved]

    def fits(self, node: Node, axis: Alignment) -> bool:
        """Whether an axis has as many rows as in the example."""
        return all(map(_alike, parts_of(axis), self.examples[node]))


def parts_of(alignment: Alignment) -> Parts:
    """What an alignment consists of, places that lie evenly as all of them."""
    first = alignment.first
    if isinstance(first, slice):
        first = np.arange(first.start, first.stop, first.step)
    return alignment.coordinates, first, alignment.second, alignment.found


def padded(node: Node, axis: Alignment, length: int) -> Parts:
    """What an alignment consists of, its last row repeated until there are so many.

    Args:
        node: the origin.
        axis: what it is at some step.
        length: how many rows.

    Raises:
        Refused: these are no rows, or they are more.
    """
    has = _PARTNERS.get(node.op)
    count = len(axis.coordinates)
    if has is None:
        raise Refused("a batch has other groups than the one before")
    if count > length:
        raise Refused("a batch has more rows than the ones before")
    coordinates, first, second, found = parts_of(axis)
    every = np.arange(count)
    whole = (every if first is None else first, every if second is None else second,
             np.ones(count, np.bool_) if found is None else found)  # fmt: skip
    parts = [part if there else None for part, there in zip(whole, has, strict=True)]
    coordinates, first, second, found = (None if p is None else _repeated(p, length) for p in (coordinates, *parts))
    return coordinates, first, second, found


def _repeated(part: Any, length: int) -> Any:
    few = length - len(part)
    return np.pad(part, (0, few), mode="edge" if len(part) else "constant") if few else part


def _leading_to(nodes: Collection[Node], ahead: Mapping[Node, Instruction]) -> set[Node]:
    needed: set[Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node in ahead and node not in needed:
            needed.add(node)
            pending += ahead[node][1]
    return needed


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(one.shape == other.shape and one.dtype == other.dtype)
    return one is other
