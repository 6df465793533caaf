"""Numbers that are calculated alike, each from its own: lanes of a vector, which is one operation and not many.

An optimizer whose weights are columns says the same of each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from types import MappingProxyType

from ..node import Axis, Node

Lanes = Mapping[Node, tuple[Node, ...]]
"""For each node the nodes that are calculated with it, in their order."""

Key = tuple[Hashable, ...]
NO_LANES: Lanes = MappingProxyType({})


def alike(nodes: Iterable[Node], key: Callable[[Node, Callable[[Node], int]], Key], few: int) -> Lanes:
    """Which of some nodes are calculated alike.

    Args:
        nodes: what is calculated, arguments first.
        key: (a node, the forms of others) -> what nodes of one form have in common; those that are to be lanes have
            "map" or "sum" for its first item.
        few: how many lanes a vector has at least.
    """
    forms: dict[Key, int] = {}
    form: dict[Node, int] = {}
    groups: dict[int, list[Node]] = {}

    def form_of(node: Node) -> int:
        return form[node] if node in form else forms.setdefault(alone(node), len(forms))

    for node in nodes:
        shared = key(node, form_of)
        form[node] = forms.setdefault(shared, len(forms))
        if shared[0] in ("map", "sum"):
            groups.setdefault(form[node], []).append(node)
    return {node: tuple(some) for some in groups.values() if len(some) >= few for node in some}


@cache
def lane(count: int) -> Axis:
    """The axis of vectors of so many lanes."""
    return Axis(Node("lanes", data=count))


def alone(node: Node) -> Key:
    """The key of a node that is like no other."""
    return "node", id(node)
