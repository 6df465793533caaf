"""Which arrays are finite because something that a step calculates of them is: nobody has to look at them again.

A sum that is not finite ends a call. Where it is, so is everything that it is a sum of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..node import Node
from .blocks import Member
from .instructions import Instruction


def implied(moving: Sequence[Instruction], known: Mapping[Node, Any]) -> frozenset[Node]:
    """The nodes that are finite wherever the instructions come to their end.

    Args:
        moving: the instructions of a step, each of which is carried out.
        known: what they have calculated at some step.
    """
    found: set[Node] = set()
    for node, args, function in moving:
        if node.op == "sum" and node.type == "float64":
            found.add(node)
            if not isinstance(function, Member) and tuple(args) == node.args and node.data[:2] == (1, 0):
                found.add(args[0])
    for node, args, _ in reversed(moving):  # the same cells under other names
        if node in found and node.op == "same":
            found.add(args[0])
    for node, args, _ in moving:
        finite = bool(args) and args[0] in found
        if finite and (node.op in ("same", "take") or _keeps_finite(node, known)):
            found.add(node)
    return frozenset(found)


def _keeps_finite(node: Node, known: Mapping[Node, Any]) -> bool:
    """Whether a function of cells gives a finite number for each."""
    if node.op != "map":
        return False
    if node.data in ("negative", "tanh"):
        return True
    if node.data not in ("*", "/") or node.args[1].op != "constant":
        return False
    sizes = np.abs(known[node.args[1]])
    return bool(np.all(sizes <= 1.0 if node.data == "*" else sizes >= 1.0))
