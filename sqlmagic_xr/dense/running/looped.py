"""The brief instructions of a whole step as the lines of one loop: many steps, and nothing between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..grid import Grid
from ..lowering.relation import Relation
from ..node import Node, Refused
from ..ports import Changed, Source
from .batches import Batches
from .carry import Clock, Feed
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


@dataclass(frozen=True)
class Fed:
    """What of the rows of a step is what a later one reads.

    Attributes:
        source: the column; None for the truth value that is the same everywhere.
        cut: an index that picks the cells that are asked for; None for all.
        dims: the axes of the scan along which they vary.
        grid: what the scan has read, whose axes these are.
        single: whether one value is asked for, the same in all rows.
    """

    source: Node | None
    cut: tuple[Any, ...] | None
    dims: tuple[int, ...]
    grid: Grid
    single: bool = False

    @property
    def whole(self) -> bool:
        """Whether they vary along all axes in their order."""
        return self.single or self.dims == tuple(range(len(self.grid.axes)))


@dataclass(frozen=True, eq=False)
class Layout:
    """What many steps calculate, whoever does it.

    Attributes:
        slots: what is carried.
        columns: the nodes whose values become columns and differ from step to step.
        last: the nodes of which the last step's values are asked for.
        sound: what has to be finite.
        masks: what has to be true everywhere.
        unmoved: what is the same at each step (:func:`.carry.unmoved`).
        feeds: where the scans of the state get their rows.
        picks: for each scan the axes of these along which it asks for one coordinate, and where that stands.
        grids: what these scans have read.
        clock: see :data:`.carry.Clock`.
        newest: the nodes that are the newest generation.
        varying: the parameters that differ from step to step.
        own: the nodes that read what the step itself has written.
        batches: which rows a step reads, where parameters alone tell.
    """

    slots: tuple[Slot, ...]
    columns: tuple[Node, ...]
    last: tuple[Node, ...]
    sound: tuple[Node, ...]
    masks: tuple[Node, ...]
    unmoved: Mapping[Node, Any]
    feeds: Mapping[Node, Feed]
    picks: Mapping[Node, Mapping[int, int]]
    grids: Mapping[Node, Grid]
    clock: Clock
    newest: tuple[Node, ...]
    varying: frozenset[str]
    own: tuple[Node, ...]
    batches: Batches = field(default_factory=lambda: Batches((), {}, {}))

    @property
    def roots(self) -> list[Node]:
        """What has to be calculated at each step."""
        handed = [self.fed(slot.node).source for slot in self.slots]
        return list(dict.fromkeys(
            n for n in (*self.columns, *self.last, *self.sound, *self.masks, *handed) if n is not None
        ))  # fmt: skip

    def fed(self, node: Node) -> Fed:
        """What a piece gives for a column of the scan that reads it."""
        scan = node.args[0]
        feed = self.feeds[scan]
        name = node.data[0] if node.op == "cells" else node.data
        ((_, place, dims),) = (column for column in feed.reading.columns if column[0] == name)
        value, grid, chosen = feed.piece.part.columns[place].value, self.grids[scan], self.picks[scan]
        single = not node.dims and bool(grid.axes)
        if node.op == "known" and value.valid is None:
            return Fed(None, None, (), grid, single)
        if single and dims:
            raise Refused(f"{name} is not the same in all rows")
        whole = feed.piece.form.dims[place]
        cut = None if chosen.keys().isdisjoint(whole) else tuple(chosen.get(dim, slice(None)) for dim in whole)
        return Fed(value.cells if node.op == "cells" else value.valid, cut, dims, grid, single)


@dataclass(frozen=True, eq=False)
class Stepwise:
    """The arrays of several steps as one, whose first axis they are."""

    array: Any

    def __getitem__(self, step: int) -> Any:
        return self.array[step]

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True, eq=False)
class Ran:
    """What a call has calculated.

    Attributes:
        made: how many steps.
        columns: for each column of the layout the arrays of these steps, and perhaps of one more.
        last: what was asked for of the last step.
    """

    made: int
    columns: Sequence[list[Any] | Stepwise]
    last: Sequence[Any]


class Runner(Protocol):
    """Makes many steps.

    Attributes:
        most: how many in a call.
    """

    @property
    def most(self) -> int:
        """How many steps a call makes at most."""

    def run(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        """Make steps.

        Args:
            source: the tables.
            first: what is carried at first.
            parameters: the values of those that stay.
            courses: the values of the parameters that vary, and of the newest generation, step by step.
            count: how many.
        """


class NumpyLoop:
    """Makes steps by a function that is written for them (a :class:`Runner`).

    Args:
        brief: the instructions of all statements, in order.
        known: what they have calculated at some step.
        layout: what is calculated.
        parts: the rows that a step gives.
    """

    most = sys.maxsize

    def __init__(
        self, brief: Sequence[Instruction], known: Mapping[Node, Any], layout: Layout, parts: Sequence[Relation]
    ) -> None:
        self._layout = layout
        self._function, self._courses = _LoopWriter(brief, known, layout).written(parts)

    def run(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        """Make steps; see :class:`Runner`."""
        outs: list[list[Any]] = [[] for _ in self._layout.columns]
        last: list[Any] = [()]
        given = [courses[node] for node in self._courses]
        # The step that meets one of these is made by itself, and says what there is to say.
        faults = NotSoundError, Refused, Changed, TypeError, MemoryError, OverflowError
        with np.errstate(all="ignore"), suppress(*faults):
            self._function(source, parameters, given if given else range(count), first, outs, last)
        return Ran(min(map(len, outs)), outs, last[0])


class _LoopWriter(Lines):
    """Writes a loop: ``(source, parameters, courses, first, outs, last)``, which adds to the lists ``outs``."""

    def __init__(self, brief: Sequence[Instruction], known: Mapping[Node, Any], layout: Layout) -> None:
        super().__init__(known, layout.unmoved)
        self._brief, self._layout, self._feeds = brief, layout, layout.feeds
        self._newest = {*layout.newest, *(node.args[0] for node in layout.newest)}
        self._steady: set[Node] = set()
        self._slots = {(s.feed.scan, s.age, s.node): f"s{n}" for n, s in enumerate(layout.slots)}

    def written(self, parts: Sequence[Relation]) -> tuple[Callable[..., None], tuple[Node, ...]]:
        """The function, and the nodes whose courses it is given."""
        text, layout = self.text, self._layout
        stay = {*layout.roots, *(n for part in parts for n in needed_of(part))}
        steady = [i for i in self._brief if self._is_steady(i)]
        moving = self._used([i for i in self._brief if not self._is_steady(i) and not self._is_free(i[0])], stay)
        for node, args, function in steady:
            if node not in self.names:
                self.write(node, args, function)
        if self._slots:
            text.line(f"{', '.join(self._slots.values())}, = first")
        appends = [f"a{place}" for place in range(len(layout.columns))]
        text.line(f"{', '.join(appends)}, = [out.append for out in outs]")
        courses = self._courses(moving)
        names = [self.names[node] for node in courses]
        text.line(f"for {', '.join(names)}, in zip(*courses):" if names else "for _ in courses:")
        text.depth += 1
        self._body(moving, stay)
        self._checks()
        for place, node in enumerate(layout.columns):
            text.line(f"a{place}({self.name(node)})")
        if layout.last:
            text.line(f"last[0] = ({', '.join(map(self.name, layout.last))},)")
        self._hand_on()
        function = text.function(["source", "parameters", "courses", "first", "outs", "last"])
        return function, tuple(courses)

    def _is_steady(self, instruction: Instruction) -> bool:
        """Whether it is calculated once for all steps of the loop, since it depends on nothing that varies."""
        node, args, _ = instruction
        if node in self.kept or node in self._feeds or node in self._newest or node.op == "differ":
            return False
        steady = node.op == "parameter" and node.data not in self._layout.varying
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
        found = [n for n, _, _ in moving if n.op == "parameter" and n.data in self._layout.varying]
        for node in found:
            self.new(node)
        newest = [n for n, _, _ in moving if n.op == "cells" and n in self._newest]
        if newest:
            key = next((n for n in found if self._layout.clock.get(n.data) == 0), newest[0])
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
            value = self._fed(node)
            self.text.line(f"{self.new(node)} = {value}")

    def _fed(self, node: Node) -> str:
        """What a piece gives for a column of the scan that reads it."""
        text, fed = self.text, self._layout.fed(node)
        value = text.name(np.True_) if fed.source is None else self.name(fed.source)
        value += "" if fed.cut is None else f"[{text.name(fed.cut)}]"
        return value if fed.whole else f"{text.name(along)}({value}, {fed.dims}, {text.name(fed.grid)})"

    def _used(self, moving: Sequence[Instruction], stay: Collection[Node]) -> list[Instruction]:
        """The instructions without parameters that only told which rows are read."""
        used = {a for node, args, _ in moving for a in args if node.op != "scan" or node not in self._feeds} | set(stay)
        return [i for i in moving if i[0].op != "parameter" or i[0] in used]

    def _checks(self) -> None:
        """The lines that look whether what a step would commit is all there, and finite."""
        text, refuse = self.text, self.text.name(_refuse)
        for mask in self._layout.masks:
            text.line(f"if not {self.name(mask)}{'.all()' if mask.dims else ''}: {refuse}()")
        for node in self._layout.sound:
            cells = self.name(node)
            if node.dims:
                text.line(f"total = {text.name(np.add.reduce)}({cells}, None)")
                cells = "total"
            text.line(f"if {cells} - {cells} != 0.0: {refuse}()")

    def _hand_on(self) -> None:
        """The line that makes what the step has written what the next one reads."""
        values = [
            self._fed(s.node) if s.age == 1 else self._slots[s.feed.scan, s.age - 1, s.node] for s in self._layout.slots
        ]
        if values:
            self.text.line(f"{', '.join(self._slots.values())}, = {', '.join(values)},")


def needed_of(part: Relation) -> list[Node]:
    """The nodes that the rows of a relation are put together from."""
    nodes = [axis.origin for axis in part.axes] + ([] if part.present is None else [part.present])
    for column in part.columns:
        nodes += [column.value.cells, *([] if column.value.valid is None else [column.value.valid])]
    return list(dict.fromkeys(nodes))


def _refuse() -> None:
    raise NotSoundError
