"""The brief instructions of a whole step as the lines of one loop: many steps, and nothing between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Grid
from ..lowering.relation import Relation
from ..node import Node, Refused
from .carry import Clock, Feed, Piece
from .compiled import Lines, last_uses
from .instructions import Instruction, along


class NotSoundError(Exception):
    """A number that a step would commit is none, or NULL: the step is made by itself, and says what it has to say."""


@dataclass(frozen=True, eq=False)
class Slot:
    """An array that is carried from step to step.

    Attributes:
        feed: the scan that reads it, and what it comes from.
        age: how many steps ago it was written.
        node: what the scan is asked for.
        read: calculates that from the scan's grid.
    """

    feed: Feed
    age: int
    node: Node
    read: Callable[[Grid], Any]


@dataclass(frozen=True, eq=False)
class Loop:
    """A function that makes steps.

    Attributes:
        function: ``(source, parameters, courses, first, outs, last)``: the tables, the parameters that stay, the values
            of the others step by step, what is carried at first, the lists that the columns are added to, and a list
            whose first item is what the last step has calculated for ``last``.
        courses: the parameters that vary, in order.
        slots: what is carried.
        columns: the nodes whose values are added to a list each.
        last: the nodes of which the last step's are asked for.
    """

    function: Callable[..., None]
    courses: tuple[Node, ...]
    slots: tuple[Slot, ...]
    columns: tuple[Node, ...]
    last: tuple[Node, ...]


class LoopWriter(Lines):
    """Writes a loop.

    Args:
        brief: the instructions of all statements, in order.
        known: what they have calculated at some step.
        unmoved: what is the same at each step (:func:`.carry.unmoved`).
        feeds: where the scans of the state get their rows.
        picks: for each scan the axes of these along which it asks for one coordinate, and where that stands.
        clock: see :data:`.carry.Clock`.
        newest: the nodes that are the newest generation.
        varying: the other parameters that differ from step to step.
    """

    def __init__(
        self, brief: Sequence[Instruction], known: Mapping[Node, Any], unmoved: Mapping[Node, Any],
        feeds: Mapping[Node, Feed], picks: Mapping[Node, Mapping[int, int]], clock: Clock, newest: Collection[Node],
        varying: Collection[str],
    ) -> None:  # fmt: skip
        super().__init__(known, unmoved)
        self._brief, self._feeds, self._picks, self._clock = brief, feeds, picks, clock
        self._newest = {*newest, *(node.args[0] for node in newest)}
        self._varying = frozenset(varying) | frozenset(clock)
        self._steady: set[Node] = set()
        self._slots = {(s.feed.scan, s.age, s.node): f"s{n}" for n, s in enumerate(self._carried())}

    def _carried(self) -> list[Slot]:
        return [
            Slot(feed, age, node, function)
            for node, args, function in self._brief
            if node.op in ("cells", "known") and (feed := self._feeds.get(args[0])) is not None
            for age in range(1, feed.age + 1)
        ]

    def written(
        self, pieces: Sequence[Piece], columns: Sequence[Node], last: Sequence[Node], sound: Sequence[Node]
    ) -> Loop:
        """The loop.

        Args:
            pieces: the rows that a step adds.
            columns: the nodes that become columns and differ from step to step.
            last: what is asked for of the last step.
            sound: what has to be finite.
        """
        text = self.text
        slots = self._carried()
        stay = {*columns, *last, *sound, *(n for p in pieces for n in needed_of(p.part))}
        steady = [i for i in self._brief if self._is_steady(i)]
        moving = self._used([i for i in self._brief if not self._is_steady(i) and not self._is_free(i[0])], stay)
        for node, args, function in steady:
            if node not in self.names:
                self.write(node, args, function)
        if self._slots:
            text.line(f"{', '.join(self._slots.values())}, = first")
        appends = [f"a{place}" for place in range(len(columns))]
        if appends:
            text.line(f"{', '.join(appends)}, = [out.append for out in outs]")
        courses = self._courses(moving)
        names = [self.names[node] for node in courses]
        text.line(f"for {', '.join(names)}, in zip(*courses):" if names else "for _ in courses:")
        text.depth += 1
        self._body(moving, stay)
        self._checks(pieces, sound)
        for place, node in enumerate(columns):
            text.line(f"a{place}({self.name(node)})")
        if last:
            text.line(f"last[0] = ({', '.join(map(self.name, last))},)")
        self._hand_on(slots)
        function = text.function(["source", "parameters", "courses", "first", "outs", "last"])
        return Loop(function, tuple(courses), tuple(slots), tuple(columns), tuple(last))

    def _is_steady(self, instruction: Instruction) -> bool:
        """Whether it is calculated once for all steps of the loop, since it depends on nothing that varies."""
        node, args, _ = instruction
        if node in self.kept or node in self._feeds or node in self._newest or node.op == "differ":
            return False
        steady = node.op == "parameter" and node.data not in self._varying
        if node.op != "parameter" and not any(argument in self._feeds for argument in args):
            steady = all(argument in self.kept or argument in self._steady for argument in args)
        if steady:
            self._steady.add(node)
        return steady

    def _is_free(self, node: Node) -> bool:
        """Whether a node asks for no line: it is known, or a scan whose rows are carried, or a promise that holds."""
        return (
            node in self.kept
            or node in self._feeds
            or node.op == "differ"
            or (node.op == "scan" and node in self._newest)
        )

    def _courses(self, moving: Sequence[Instruction]) -> list[Node]:
        """The parameters that vary, each under a name."""
        found = [n for n, _, _ in moving if n.op == "parameter" and n.data in self._varying]
        for node in found:
            self.new(node)
        newest = [n for n, _, _ in moving if n.op == "cells" and n in self._newest]
        if newest:
            key = next((n for n in found if self._clock.get(n.data) == 0), newest[0])
            if key is newest[0]:
                self.new(key)
                found.append(key)
            self.names.update(dict.fromkeys(newest, self.names[key]))
        return found

    def _body(self, moving: Sequence[Instruction], stay: Collection[Node]) -> None:
        ends = last_uses(
            moving, lambda n: n not in stay and n not in self.kept and n not in self._steady and self.is_large(n)
        )
        held = set(self._slots.values())
        for place, (node, args, function) in enumerate(moving):
            if node not in self.names:
                feed = self._feeds.get(args[0]) if node.op in ("cells", "known") else None
                if feed is not None:
                    self._read(node, feed)
                else:
                    self.write(node, args, function)
            gone = {self.names[dead] for dead in ends.get(place, ()) if dead in self.names}
            kept = {self.names[n] for n in stay if n in self.names}
            gone -= held | kept
            if gone:
                self.text.line(f"del {', '.join(sorted(gone))}")

    def _read(self, node: Node, feed: Feed) -> None:
        """A column of the state: what is carried, or what the step itself has written."""
        if feed.age:
            self.names[node] = self._slots[feed.scan, feed.age, node]
        else:
            value = self._fed(feed, node)
            self.text.line(f"{self.new(node)} = {value}")

    def _fed(self, feed: Feed, node: Node) -> str:
        """What a piece gives for a column of the scan that reads it."""
        name = node.data[0] if node.op == "cells" else node.data
        ((_, place, dims),) = (column for column in feed.reading.columns if column[0] == name)
        value = feed.piece.part.columns[place].value
        grid = self._known[feed.scan]
        if node.op == "known":
            source = self.text.name(np.True_) if value.valid is None else self.name(value.valid)
            dims = () if value.valid is None else dims
        elif value.valid is not None and not node.data[1]:
            raise Refused(f"{name} may be NULL")
        else:
            source = self.name(value.cells)
        chosen = self._picks[feed.scan]
        whole = feed.piece.form.dims[place]
        if source != self.text.name(np.True_) and not chosen.keys().isdisjoint(whole):
            source += f"[{self.text.name(tuple(chosen.get(dim, slice(None)) for dim in whole))}]"
        if dims == tuple(range(len(grid.axes))):
            return source
        return f"{self.text.name(along)}({source}, {dims}, {self.text.name(grid)})"

    def _used(self, moving: Sequence[Instruction], stay: Collection[Node]) -> list[Instruction]:
        """The instructions without parameters that only told which rows are read."""
        used = {a for node, args, _ in moving for a in args if node.op != "scan" or node not in self._feeds} | set(stay)
        return [i for i in moving if i[0].op != "parameter" or i[0] in used]

    def _checks(self, pieces: Sequence[Piece], sound: Sequence[Node]) -> None:
        """The lines that look whether what a step would commit is all there, and finite."""
        text, refuse = self.text, self.text.name(_refuse)
        for piece in pieces:
            masks = [piece.part.present, *(column.value.valid for column in piece.part.columns)]
            for mask in dict.fromkeys(m for m in masks if m is not None):
                text.line(f"if not {self.name(mask)}.all(): {refuse}()")
        for node in dict.fromkeys(sound):
            cells = self.name(node)
            if node.dims:
                text.line(f"total = {text.name(np.add.reduce)}({cells}, None)")
                cells = "total"
            text.line(f"if {cells} - {cells} != 0.0: {refuse}()")

    def _hand_on(self, slots: Sequence[Slot]) -> None:
        """The line that makes what the step has written what the next one reads."""
        if not slots:
            return
        values = [
            self._fed(s.feed, s.node) if s.age == 1 else self._slots[s.feed.scan, s.age - 1, s.node] for s in slots
        ]
        self.text.line(f"{', '.join(self._slots.values())}, = {', '.join(values)},")


def needed_of(part: Relation) -> list[Node]:
    """The nodes that the rows of a relation are put together from."""
    nodes = [axis.origin for axis in part.axes] + ([] if part.present is None else [part.present])
    for column in part.columns:
        nodes += [column.value.cells, *([] if column.value.valid is None else [column.value.valid])]
    return list(dict.fromkeys(nodes))


def _refuse() -> None:
    raise NotSoundError
