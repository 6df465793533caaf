"""Which axes of tables have turned out to have the same coordinates: it is taken for granted, and looked at each step.

What is joined along such axes is the same array under another name, so that equal parts of queries are equal nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from .node import Node, ancestors
from .ports import Source
from .running.align import Alignment
from .running.code import calculate

_JOINS = {"match": 2, "partner": 2, "lookup": 1, "restrict": 1}
"""How many of the arguments of an axis' origin are axes."""


class Alike:
    """Axes that are the same, told by what they read, since each lowering makes nodes of its own."""

    def __init__(self) -> None:
        self._first: dict[Hashable, Hashable] = {}

    def kind(self, axis: Node) -> Hashable:
        """What an axis of a table has in common with those that are the same; None where none is known."""
        return self._first.get(_named(axis)) if self._first else None

    @property
    def known(self) -> Mapping[Hashable, Hashable]:
        """All that is known, to be compared."""
        return dict(self._first)

    def learn(self, nodes: Iterable[Node], known: Mapping[Node, Any]) -> bool:
        """Take down which axes that are joined are the same; returns whether something is new.

        Args:
            nodes: all of a program.
            known: what they have come to.
        """
        found = False
        for node in nodes:
            for one, other in combinations(_joined(node), 2):
                if _are_equal(known.get(one), known.get(other)):
                    found |= self._join(_named(one), _named(other))
        return found

    def forget(self) -> None:
        """Begin anew: two axes are not the same any more."""
        self._first = {}

    def _join(self, one: Hashable, other: Hashable) -> bool:
        first, second = self._first.get(one, one), self._first.get(other, other)
        members = {k for k, v in self._first.items() if v in (first, second)} | {one, other}
        if first == second:
            return False
        self._first |= dict.fromkeys(members, first)
        return True


def axes_of(
    nodes: Collection[Node], function: Callable[[Node], Callable[..., Any]], source: Source,
    parameters: Mapping[str, Any],
) -> dict[Node, Any]:  # fmt: skip
    """The axes of tables that are joined, as far as they are told before a step is made.

    Args:
        nodes: all of a program.
        function: what calculates a node.
        source: the tables.
        parameters: their values.

    Raises:
        Refused, Changed: the data are not what they were taken for.
    """
    known: dict[Node, Any] = {}
    for axis in dict.fromkeys(axis for node in nodes for axis in _joined(node)):
        made_of = list(ancestors([axis]))
        if any(node.op == "scan" and node.data.version for node in made_of):
            continue  # a statement of the step makes it
        for node in made_of:
            if node not in known:
                calculate(node, node.args, function(node), known, source, parameters)
    return known


def _named(node: Node) -> Hashable:
    """What tells a node that reads tables, in any lowering."""
    return node.op, node.data, tuple(map(_named, node.args))


def _joined(node: Node) -> list[Node]:
    """The axes of tables that a join brings together."""
    if node.op not in ("match", "partner"):
        return []
    found, pending = dict[Node, None](), [node]
    while pending:
        one = pending.pop()
        if one.op == "axis":
            found[one] = None
        pending += one.args[: _JOINS.get(one.op, 0)]
    return list(found)


def _are_equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Alignment) or not isinstance(other, Alignment):
        return False
    left, right = one.coordinates, other.coordinates
    return left is right or (left.dtype == right.dtype and np.array_equal(left, right))
