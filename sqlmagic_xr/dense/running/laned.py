"""The instructions of a loop in which numbers that are calculated alike are one vector, also from step to step.

A step of an optimizer whose thirty weights are columns is six hundred operations on single numbers, and twenty on
vectors of thirty.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ..arrays import UNARY
from ..node import Node
from .blocks import Bundle, BundleMember, Wide
from .buffers import Buffers
from .instructions import Instruction
from .lanes import Key, alike, alone, lane
from .operations import mapped

_FEW = 10  # lanes; fewer numbers are as quick one by one
_INEXACT = frozenset({*UNARY, "power", "power unless zero", "atan2"}) - {"sqrt", "floor", "ceil", "round", "trunc",
                                                                         "signum"}  # fmt: skip
"""Functions whose last bit may be another where several are calculated at once: a loop gives what single steps give."""


class Laned:
    """Instructions with vectors for the numbers that are calculated alike.

    Args:
        moving: the instructions of a step, arguments first.
        known: what they have calculated at some step.
        kept: what is the same whenever they run.
        stay: the nodes that have to be there under their own names.
        sources: for the numbers that read what the step itself has written what that is.
        carried: the numbers that a step begins with, and what is handed on to the next one.

    Attributes:
        moving: the instructions, arguments first.
        known, kept: as given, and the same of the vectors.
        begins: the vectors that a step begins with, and what is handed on to the next one.
        places: the numbers that are lanes, and of which vector which.
        members: the vectors, and their numbers.
    """

    def __init__(
        self, moving: Sequence[Instruction], known: Mapping[Node, Any], kept: Mapping[Node, Any],
        stay: Collection[Node], sources: Mapping[Node, Node], carried: Mapping[Node, Node],
    ) -> None:  # fmt: skip
        self.known, self.kept, self._sources, self._carried = dict(known), dict(kept), sources, carried
        self.moving: list[Instruction] = []
        self.begins: dict[Node, Node] = {}
        self.members: dict[Node, tuple[Node, ...]] = {}
        self.places: dict[Node, tuple[Node, int]] = {}
        self._vectors: dict[tuple[Node, ...], Node] = {}
        self._given = {node: (node, args, function) for node, args, function in moving}
        self._together = dict(_products(moving))
        self._lanes = alike(self._given, self._key, _FEW)
        for node in self._ordered():
            self._write(node)
        self._hand_on()
        used = {argument for _, args, _ in self.moving for argument in args}.union(stay, self.begins.values())
        self.moving = [i for i in self.moving if i[0] in used or i[0] not in sources]

    def _key(self, node: Node, form: Callable[[Node], int]) -> Key:
        """What numbers that are lanes of one vector have in common."""
        if node in self._carried:
            return "carried", node.type
        if node in self._together:
            return "sum", self._together[node]
        _, args, _ = self._given[node]
        numbers = node.op == "map" and not node.dims and not any(argument.dims for argument in args)
        if not numbers or node.data in _INEXACT or tuple(args) != node.args:
            return alone(node)
        return "map", node.type, node.data, *(form(self._own(argument)) for argument in args)

    def _own(self, node: Node) -> Node:
        """What a number is that the step itself has written, and reads."""
        while node in self._sources:
            node = self._sources[node]
        return node

    # --- the order

    def _ordered(self) -> Iterator[Node]:
        """One node of each vector, of the sums that are calculated together, and every other node; arguments first."""
        seen: set[Node] = set()
        pending = [(node, False) for node in reversed(self._given)]
        while pending:
            node, ready = pending.pop()
            if ready:
                yield node
            elif node in self._given and (first := self._first(node)) not in seen:
                seen.add(first)
                pending.append((first, True))
                pending += [(argument, False) for argument in reversed(self._needed(first))]

    def _first(self, node: Node) -> Node:
        _, _, function = self._given[node]
        if isinstance(function, BundleMember):
            return next(total for total in function.bundle.sums if total in self._given)
        return self._lanes.get(node, (node,))[0]

    def _needed(self, node: Node) -> list[Node]:
        if node in self._sources:
            return [self._sources[node]]
        single = isinstance(self._given[node][2], BundleMember)
        group = (node,) if single else self._lanes.get(node, (node,))
        return [argument for one in group for argument in self._given[one][1]]

    # --- the instructions

    def _write(self, node: Node) -> None:
        _, _, function = self._given[node]
        if isinstance(function, BundleMember):
            self._write_sums(node, function.bundle)
        elif node not in self._lanes or not self._write_lanes(self._lanes[node]):
            group = self._lanes.get(node, (node,))
            self.moving += [self._given[one] for one in group]

    def _write_sums(self, node: Node, bundle: Bundle | Wide) -> None:
        vectors = isinstance(bundle, Bundle) and any(total in self._lanes for total in bundle.sums)
        wide = bundle.wide(self.kept, self._vector) if isinstance(bundle, Bundle) and vectors else None
        if wide is None:
            self.moving += [self._given[total] for total in bundle.sums if total in self._given]
            return
        self.moving += [(total, wide.leaves, BundleMember(total, wide)) for total in wide.sums]
        for vector, totals in wide.lanes.items():
            self._note(vector, totals)

    def _write_lanes(self, group: tuple[Node, ...]) -> bool:
        """Calculate numbers as a vector; returns False where they are one number."""
        columns = list(zip(*(map(self._own, self._given[node][1]) for node in group), strict=True))
        args = tuple([column[0] if len(set(column)) == 1 else self._vector(column) for column in columns])
        if not any(argument.dims for argument in args):
            return False
        first, axis = group[0], lane(len(group))
        args = tuple([self._vector((a,) * len(group)) if a in self.kept and not a.dims else a for a in args])
        vector = Node("map", args, (axis,), first.type, first.data)
        self.moving.append((vector, args, mapped(vector, Buffers())))
        self._note(vector, group)
        return True

    def _note(self, vector: Node, members: tuple[Node, ...]) -> None:
        self.members[vector], self._vectors[members] = members, vector
        self.places.update({member: (vector, place) for place, member in enumerate(members)})
        self._learn(vector, members)

    def _learn(self, vector: Node, numbers: Sequence[Node]) -> None:
        self.known[vector] = np.array([self.known[number] for number in numbers])

    # --- the vectors

    def _vector(self, numbers: Sequence[Node]) -> Node:
        """The vector of some numbers, each of which has been calculated."""
        members = tuple(map(self._own, numbers))
        if members not in self._vectors:
            vector = self._vectors[members] = self._made(members)
            if vector not in self.known:
                self._learn(vector, members)
        return self._vectors[members]

    def _made(self, members: tuple[Node, ...]) -> Node:
        dims, kind = (lane(len(members)),), members[0].type
        if all(number in self.kept for number in members):
            vector = Node("constant", (), dims, kind)
            self.kept[vector] = np.array([self.kept[number] for number in members])
            return vector
        if all(number in self._carried for number in members):
            vector = Node("carried", members, dims, kind)
            self.begins[vector] = vector  # until it is known what is handed on
            return vector
        whole = {self.places[number][0] for number in members if number in self.places}
        if len(whole) == 1 and all(number in self.places for number in members):
            vector, (lanes,) = Node("lanes", tuple(whole), dims, kind), whole
            places = [self.places[number][1] for number in members]
            steady = places == list(range(places[0], places[0] + len(places)))
            which: Any = slice(places[0], places[0] + len(places)) if steady else np.array(places)
            self.moving.append((vector, (lanes,), itemgetter(which)))
            return vector
        vector = Node("numbers", members, dims, kind)
        self.moving.append((vector, members, _stacked))
        return vector

    def _hand_on(self) -> None:
        pending = list(self.begins)
        while pending:
            vector = pending.pop()
            self.begins[vector] = self._vector([self._carried[number] for number in vector.args])
            pending += [other for other, following in self.begins.items() if other is following is not vector]


def _stacked(*numbers: Any) -> Any:
    return np.array(numbers)


def _products(moving: Sequence[Instruction]) -> Iterator[tuple[Node, int]]:
    """The sums that a matrix product gives, each with a number that those of one product have in common."""
    for _, _, function in moving:
        if isinstance(function, BundleMember) and function.bundle.matrices is not None:
            for some in function.bundle.matrices.projected.values():
                yield from ((function.bundle.sums[place], id(some)) for place in some.places)
