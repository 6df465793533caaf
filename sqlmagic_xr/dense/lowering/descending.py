"""How one axis comes of another: by joins and conditions that leave some of its coordinates."""

from __future__ import annotations

from ..node import FIRST, SECOND, Axis, Graph, Node

Path = tuple[tuple[Node, int], ...]
"""The origins on the way, and which of each one's indices picks the cells."""


def descent(start: Node, end: Node) -> Path | None:
    """How the coordinates of one origin come of those of another, () where they are one; None where they do not."""
    return _descent(start, end, set())


def _descent(start: Node, end: Node, seen: set[Node]) -> Path | None:
    if start is end:
        return ()
    seen.add(end)
    for parent, side in zip(end.args, _SIDES.get(end.op, ()), strict=False):
        above = None if parent in seen else _descent(start, parent, seen)
        if above is not None:
            return (*above, (end, side))
    return None


def holds(condition: Node) -> bool:
    """Whether a condition on an axis' coordinates is one by which they were chosen, so that it is true of all.

    What a view of one batch is joined with once more says the batch again.
    """
    (axis,) = condition.dims
    pending, seen = [axis.origin], set[Node]()
    while pending:
        origin = pending.pop()
        if origin in seen:
            continue
        seen.add(origin)
        if origin.op == "restrict" and _says(origin.args[1], condition):
            return True
        pending += origin.args[: len(_SIDES.get(origin.op, ()))]
    return False


def _says(one: Node, other: Node) -> bool:
    """Whether two conditions say the same of the coordinates of their axes."""
    pairs = [(one, other)]
    while pairs:
        one, other = pairs.pop()
        if one.op == other.op == "coordinate" and one.type == other.type:
            continue
        if one is other and not one.dims:
            continue
        if one.op != "map" or (one.op, one.type, one.data) != (other.op, other.type, other.data):
            return False
        pairs += zip(one.args, other.args, strict=True)
    return True


_SIDES = {"restrict": (FIRST,), "lookup": (FIRST,), "match": (FIRST, SECOND)}


def descended(graph: Graph, node: Node, above: Axis, below: Axis, path: Path) -> Node:
    """A node along an axis instead of one that it comes of."""
    axis = above
    for origin, side in path:
        node, axis = graph.take(node, axis, Axis(origin, -1), side), Axis(origin, -1)
    return graph.relabel(node, axis, below)
