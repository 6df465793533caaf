"""Which function of cells may write over one of its arguments: a step that goes through less memory is faster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..arrays import MAPS
from ..node import Node
from .blocks import BundleMember
from .instructions import Instruction

_VIEWS = frozenset({"take", "same"})  # of an array that may be written, such a view may be


class Overwritable:
    """The arrays of a loop that nobody reads any more.

    Args:
        moving: the instructions of a step, in order.
        stay: the nodes whose arrays are read behind the last instruction.
        sources: for the nodes that read what the step has written what that is.
        starts: the nodes that begin anew at each step: what they lead to is calculated by the step alone, and nobody
            remembers it.
    """

    def __init__(
        self, moving: Sequence[Instruction], stay: Collection[Node], sources: Mapping[Node, Node | None],
        starts: Collection[Node],
    ) -> None:  # fmt: skip
        self._moves = set(starts)
        self._memory: dict[Node, frozenset[Node]] = {}  # the nodes whose arrays each may share
        self._views: set[Node] = set()
        self._last: dict[Node, int] = {}
        for place, (node, args, function) in enumerate(moving):
            given = (sources[node],) if node in sources else args
            made_of = [argument for argument in given if argument is not None]
            self._note(node, made_of, new=tuple(args) == node.args and not isinstance(function, BundleMember))
            for argument in made_of:
                self._last.update(dict.fromkeys(self._memory.get(argument, ()), place))
        for node in stay:
            self._last.update(dict.fromkeys(self._memory.get(node, ()), len(moving)))

    def _note(self, node: Node, made_of: Sequence[Node], *, new: bool) -> None:
        if any(argument in self._moves for argument in made_of):
            self._moves.add(node)
        if new and node in self._moves and _makes_an_array(node):
            self._memory[node] = frozenset((node,))
            self._views.add(node)
            return
        shared = [self._memory.get(argument, frozenset((argument,))) for argument in made_of]
        self._memory[node] = frozenset((node,)).union(*shared)
        if node.op in _VIEWS and made_of and made_of[0] in self._views:
            self._views.add(node)

    def chosen(self, place: int, node: Node) -> Node | None:
        """The argument that a function of cells may write over; None where there is none.

        Args:
            place: of its instruction.
            node: the function.
        """
        for argument in node.args:
            alike = argument.dims == node.dims and argument.type == node.type
            if alike and argument in self._views and all(self._last[n] <= place for n in self._memory[argument]
                                                         if n in self._last):  # fmt: skip
                return argument
        return None


def _makes_an_array(node: Node) -> bool:
    """Whether an operation gives an array of its own, and no view of an argument's or one that it keeps."""
    if node.op == "map":
        return bool(node.dims) and isinstance(MAPS[node.data], np.ufunc)
    return node.op == "sum" and node.type == "float64" and bool(node.dims)
