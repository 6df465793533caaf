"""Mini-batches: which rows a step reads, where its parameters alone tell, and so many steps before it is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..node import Node, Refused
from .align import Alignment
from .blocks import BundleMember
from .instructions import Instruction

Parts = tuple[Any, Any, Any, Any]


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

    def at(self, values: Mapping[Node, Any]) -> dict[Node, Parts]:
        """The axes of one step, as :func:`parts_of` gives them.

        Args:
            values: of the parameters.

        Raises:
            Refused: they are longer or shorter than others, and no program has room for both.
        """
        known: dict[Node, Any] = {**self._unmoved, **values}
        with np.errstate(all="ignore"):
            for node, args, function in self._instructions:
                if node.op != "parameter":
                    known[node] = function(*[known[argument] for argument in args])
        found = {node: parts_of(known[node]) for node in self.nodes}
        for node, parts in found.items():
            if not all(map(_alike, parts, self.examples[node])):
                raise Refused("a batch has another number of rows than the one before")
        return found


def parts_of(alignment: Alignment) -> Parts:
    """What an alignment consists of, places that lie evenly as all of them."""
    first = alignment.first
    if isinstance(first, slice):
        first = np.arange(first.start, first.stop, first.step)
    return alignment.coordinates, first, alignment.second, alignment.found


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
