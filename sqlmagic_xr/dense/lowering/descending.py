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


_SIDES = {"restrict": (FIRST,), "lookup": (FIRST,), "match": (FIRST, SECOND)}


def descended(graph: Graph, node: Node, above: Axis, below: Axis, path: Path) -> Node:
    """A node along an axis instead of one that it comes of."""
    axis = above
    for origin, side in path:
        node, axis = graph.take(node, axis, Axis(origin, -1), side), Axis(origin, -1)
    return graph.relabel(node, axis, below)
