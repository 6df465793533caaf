"""Which sums nobody has to look at: where one is not finite, neither is what a step looks at in any case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..node import Node
from ..running.layout import StepLayout
from ..running.soundness import carried_on
from .lanes import ordered


def unseen(layout: StepLayout, arguments: Callable[[Node], Sequence[Node]]) -> frozenset[Node]:
    """The sums of which a cell that is not finite makes one of those not finite that each step looks at.

    Args:
        layout: what a step calculates and looks at.
        arguments: what a node is calculated from.
    """
    seen, found = set[Node](), set(layout.sound)
    ends = {*layout.unmoved, *layout.batches.nodes, *(s.node for s in layout.slots if s.age == s.feed.age)}
    for node in reversed(ordered(layout.roots, arguments, ends)):
        if node in ends or node.type != "float64":
            continue
        if node not in found and node.op in ("sum", "sum by value"):
            seen.add(node)
            found.add(node)
        if node in found:
            found.update(_carried(node, arguments(node), layout))
    return frozenset(node for node in found if node.op == "sum" and node not in seen)


def _carried(node: Node, arguments: Sequence[Node], layout: StepLayout) -> list[Node]:
    if tuple(arguments) != node.args:
        return []
    whole = all(np.size(layout.unmoved[a.origin].coordinates) for a in node.dims if a.origin in layout.unmoved)
    whole = whole and all(axis.origin in layout.unmoved for axis in node.dims)
    # Along an axis that might be empty at some step nothing would be left of it.
    return [one for one in carried_on(node) if one.type == "float64" and (whole or set(node.dims) <= set(one.dims))]
