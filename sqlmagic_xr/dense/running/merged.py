"""What a loop would calculate twice, calculated once: the same cells under the names of two axes are one array.

A join gives its axis a name of its own, so that a view which is read in three places is three graphs. Once it is known
that an alignment stays as it is and leaves every cell in its place, they are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..node import FIRST, Axis, Node
from .align import Alignment
from .blocks import BundleMember
from .instructions import Instruction

_PURE = frozenset({"map", "sum", "count", "min", "max", "squares", "take", "same", "diagonal"})
_COMPARED = 65_536  # places of an alignment that are looked at


def merged(
    brief: Sequence[Instruction], known: Mapping[Node, Any], unmoved: Mapping[Node, Any], stay: Collection[Node]
) -> tuple[list[Instruction], Mapping[Node, Any], Mapping[Node, Any]]:  # fmt: skip
    """Instructions in which nothing is calculated twice, what they have calculated, and what of it is always the same.

    Args:
        brief: the instructions of all statements, arguments first.
        known: what they have calculated at some step.
        unmoved: of that what is the same at each step.
        stay: the nodes that have to be there under their own names.
    """
    (found,), known, unmoved = merged_apart([brief], known, unmoved, stay)
    return found, known, unmoved


def merged_apart(
    briefs: Sequence[Sequence[Instruction]], known: Mapping[Node, Any], unmoved: Mapping[Node, Any],
    stay: Collection[Node],
) -> tuple[list[list[Instruction]], Mapping[Node, Any], Mapping[Node, Any]]:  # fmt: skip
    """The same for statements whose instructions stay apart; what an earlier one calculates is there for those behind.

    Args:
        briefs: the instructions of each, in their order.
        known, unmoved, stay: see :func:`merged`.
    """
    merging, found = _Merging(known, unmoved, stay), []
    for brief in briefs:
        merging.found = []
        for instruction in brief:
            merging.add(*instruction)
        found.append(merging.found)
    return found, merging.known, merging.unmoved


class _Merging:
    def __init__(self, known: Mapping[Node, Any], unmoved: Mapping[Node, Any], stay: Collection[Node]) -> None:
        self.known, self.unmoved, self._stay = dict(known), dict(unmoved), stay
        self.found: list[Instruction] = []
        self._same: dict[Node, Node] = {}
        self._made: dict[Any, Node] = {}
        self._turned: dict[tuple[Node, tuple[Axis, ...]], Node] = {}
        for node in unmoved:
            self._name_apart(node)

    def _name_apart(self, node: Node) -> None:
        """Take what is the same at each step for what it is made of, or for another that is made alike."""
        if node.op not in _PURE or not all(argument in self.unmoved for argument in node.args):
            return
        given = tuple(self._same.get(argument, argument) for argument in node.args)
        other = _unchanged(node, given, self.known, self.unmoved)
        other = other or self._made.setdefault(_key(node, given, self.unmoved), node)
        if other is not node and other in self.unmoved:
            self._same[node] = other

    def add(self, node: Node, args: tuple[Node, ...], function: Callable[..., Any]) -> None:
        """Take an instruction, unless what it calculates is there already."""
        given = tuple(self._same.get(argument, argument) for argument in args)
        if function is np.reciprocal:  # of an exponential, which its node has another one for
            self._take(node, ("reciprocal", given, len(node.dims)), (node, given, function))
            return
        if (
            node.op not in _PURE
            or node in self.unmoved
            or tuple(args) != node.args
            or isinstance(function, BundleMember)
        ):
            self.found.append((node, given, function))
            return
        key = _key(node, given, self.unmoved)
        other = _unchanged(node, given, self.known, self.unmoved) or self._made.get(key)
        if other is None:
            other = self._made[key] = self._of(node, given)
            self.known[other] = self.known[node]
            self.found.append((other, given if other is node else other.args, function))
        if other is not node:
            self._same[node] = other
            if node in self._stay:
                self.found.append((node, (other,), itself))

    def _take(self, node: Node, key: Any, instruction: Instruction) -> None:
        """Take an instruction as it stands, unless what it calculates is there already."""
        other = self._made.setdefault(key, node)
        if other is node:
            self.found.append(instruction)
            return
        self._same[node] = other
        if node in self._stay:
            self.found.append((node, (other,), itself))

    def _of(self, node: Node, given: tuple[Node, ...]) -> Node:
        """The node of other arguments, whose cells lie as its own do; itself where its axes cannot be theirs."""
        if given == node.args or node.op in ("take", "diagonal"):
            return node
        axes: dict[Axis, Axis] = {}
        pairs = list(zip(node.args, given, strict=True))
        for own, other in sorted(pairs, key=lambda pair: pair[1] in self.unmoved):
            for axis, found in zip(own.dims, other.dims, strict=True):
                axes.setdefault(axis, found)
        if len(set(axes.values())) < len(axes):
            return node
        args = tuple(self._along(other, tuple(axes[a] for a in own.dims)) for own, other in pairs)
        return Node(node.op, args, tuple(axes[axis] for axis in node.dims), node.type, node.data)

    def _along(self, node: Node, dims: tuple[Axis, ...]) -> Node:
        """The same array under other names of its axes."""
        if node.dims == dims:
            return node
        if (node, dims) not in self._turned:
            named = self._turned[node, dims] = Node("same", (node,), dims, node.type)
            self.known[named] = self.known[node]
            if node in self.unmoved:
                self.unmoved[named] = self.unmoved[node]
            else:
                self.found.append((named, (node,), itself))
        return self._turned[node, dims]


def _unchanged(
    node: Node, given: Sequence[Node], known: Mapping[Node, Any], unmoved: Mapping[Node, Any]
) -> Node | None:  # fmt: skip
    """The argument whose array an operation hands on, or copies as it lies in memory; None where it makes another.

    A copy in another order is another array: a matrix product of it may round otherwise, and how many steps a call
    makes changes no bit.
    """
    if node.op == "same":
        return given[0]
    if node.op == "take" and node.args[1] in unmoved:
        index, array = _index(node, unmoved), known[node.args[0]]
        copied = isinstance(index, np.ndarray) and array.flags.c_contiguous and _counts_up(index, node, array)
        return given[0] if index is None or copied else None
    if node.op == "map" and node.data == "where" and node.args[0] in unmoved:
        chosen, array = node.args[1], known[node.args[1]]
        alike = chosen.type == node.type and chosen.dims == node.dims and array.flags.c_contiguous
        return given[1] if alike and np.all(unmoved[node.args[0]]) else None
    return None


def _index(take: Node, unmoved: Mapping[Node, Any]) -> Any:
    alignment: Alignment = unmoved[take.args[1]]
    return alignment.first if take.data[1] == FIRST else alignment.second


def _counts_up(index: Any, take: Node, array: Any) -> bool:
    """Whether places are all of an axis in their order."""
    size = array.shape[take.data[0]]
    return len(index) == size <= _COMPARED and bool((index == np.arange(size)).all())


def _key(node: Node, given: Sequence[Node], unmoved: Mapping[Node, Any]) -> Any:
    """What two nodes have in common that are the same array: the operation, its arguments, and how these lie."""
    numbers: dict[Axis, int] = {}
    lying = tuple(tuple(numbers.setdefault(axis, len(numbers)) for axis in n.dims) for n in (*node.args, node))
    if node.op == "take" and node.args[1] in unmoved:
        index = _index(node, unmoved)
        small = isinstance(index, np.ndarray) and index.size <= _COMPARED
        which: Any = index.tobytes() if small else repr(index) if isinstance(index, slice) else node.args[1]
        return "take", node.type, node.data[0], which, given[0], len(node.dims)
    return node.op, node.type, node.data, tuple(given), lying


def itself(array: Any) -> Any:
    """An array that is another node's too."""
    return array
