"""Axes that are taken to stay as they are from step to step: a look at each, instead of one at what stands on it.

What is made of coordinates alone (which rows a join brings together, where a text stands, how long an axis is) is the
same as long as they are. A step that is made by itself looks whether they are the same objects, which costs a tenth of
a microsecond; for each match, look-up and mask that stands on them it would cost one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..grid import Array
from ..node import Node
from .carry import unmoved
from .instructions import Instruction
from .merged import merged_apart


class Moved(Exception):  # noqa: N818 - no error: the function of a step is written again
    """An axis has other coordinates than those for which a step was written."""


class Coordinates:
    """The coordinates of an axis that are expected.

    Args:
        coordinates: them; other objects are compared with them, and then expected themselves.
    """

    __slots__ = ("coordinates",)

    def __init__(self, coordinates: Array) -> None:
        self.coordinates = coordinates

    def __call__(self, found: Array) -> None:
        """Compare.

        Raises:
            Moved: they are others.
        """
        expected = self.coordinates
        if found.dtype != expected.dtype or not np.array_equal(found, expected):
            raise Moved
        self.coordinates = found


Standing = Mapping[Node, Mapping[int, Coordinates]]
"""For the scans the places of their axes, and what is expected there."""


def left(
    briefs: Sequence[Sequence[Instruction]], known: Mapping[Node, Any], kept: Mapping[Node, Any],
    stay: Sequence[Node], *, stands: bool,
) -> tuple[list[list[Instruction]], Mapping[Node, Any], Mapping[Node, Any], Standing]:  # fmt: skip
    """What is left of the instructions of some statements where their axes stay as they are.

    Args:
        briefs: the instructions of each.
        known: what they have calculated.
        kept: what is the same whatever the axes are.
        stay: the nodes that have to be there under their own names.
        stands: whether axes are taken to stay as they are.

    Returns:
        What is left of each; what it calculates; what is the same at each step; what that takes for granted.
    """
    every = [instruction for brief in briefs for instruction in brief]
    scans = dict.fromkeys(node for node, _, _ in every if node.op == "scan") if stands else {}
    same: Mapping[Node, Any] = unmoved(every, known, kept, scans)
    standing: dict[Node, dict[int, Coordinates]] = {}
    for node, _, _ in every:
        if node.op == "axis" and node.args[0] in scans:
            standing.setdefault(node.args[0], {})[node.data] = Coordinates(known[node].coordinates)
    rest = [[instruction for instruction in brief if instruction[0] not in same] for brief in briefs]
    found, calculated, same = merged_apart(rest, known, same, stay)
    return found, calculated, same, standing
