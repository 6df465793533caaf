"""Which arrays are finite because something that a step calculates of them is: nobody has to look at them again.

A sum that is not finite ends a call. Where it is, so is everything that it is a sum of. What a step commits is looked
at in any case, and with it what a sum, a product or a difference has carried there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..node import Node
from .blocks import BundleMember
from .instructions import Instruction
from .merged import itself


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
            if not isinstance(function, BundleMember) and tuple(args) == node.args and node.data[:2] == (1, 0):
                found.add(args[0])
    for node, args, _ in reversed(moving):  # the same cells under other names
        if node in found and node.op == "same":
            found.add(args[0])
    for node, args, _ in moving:
        finite = bool(args) and args[0] in found
        if finite and (node.op in ("same", "take") or _keeps_finite(node, known)):
            found.add(node)
    return frozenset(found)


def shown(
    moving: Sequence[Instruction], looked_at: Collection[Node], known: Mapping[Node, Any], still: Callable[[Node], bool]
) -> frozenset[Node]:  # fmt: skip
    """The nodes of which a cell that is not finite makes one of those not finite that are looked at.

    Args:
        moving: the instructions of a step, each of which is carried out.
        looked_at: the nodes that each step looks at.
        known: what they have calculated at some step.
        still: whether the origin of an axis is the same at each step.
    """
    found = set(looked_at)
    for node, args, function in reversed(moving):
        if node not in found or node.type != "float64" or isinstance(function, BundleMember):
            continue
        if function is itself:
            found.add(args[0])
        if tuple(args) != node.args:
            continue
        whole = all(still(axis.origin) for axis in node.dims) and np.size(known[node]) > 0
        for argument in carried_on(node):
            # Along an axis that might be empty at some step nothing would be left of it.
            if argument.type == "float64" and (whole or set(node.dims) <= set(argument.dims)):
                found.add(argument)
    return frozenset(found)


def carried_on(node: Node) -> tuple[Node, ...]:
    """The arguments of which a cell that is not finite makes a cell of the node not finite, whatever the others are."""
    if node.op == "same":
        return node.args[:1]
    if node.op == "map" and node.data in ("+", "-", "*", "negative"):
        return node.args
    if node.op == "map" and node.data == "/":
        return node.args[:1]
    return node.args[: node.data[0]] if node.op == "sum" and not node.data[1] else ()


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
