"""The brief instructions of a whole step as the lines of one loop: many steps, and nothing between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import MAPS
from ..lowering.relation import LoweredRelation
from ..node import Node, Refused
from ..ports import Changed, Source
from .align import aligner
from .carry import Feed
from .compiled import FunctionLines, last_uses, one_spans
from .inplace import Overwritable
from .instructions import Instruction, along
from .laned import Laned
from .layout import Ran, StepLayout, Stepwise, needed_of
from .merged import merged
from .recurring import RecurringLines, recurring
from .soundness import implied, shown

_TURNED = 1_000_000  # cells of an array that is copied, so that it need not be turned at each step


class NotSoundError(Exception):
    """A number that a step would commit is none, or NULL: the step is made by itself, and says what it has to say."""


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
        self,
        brief: Sequence[Instruction],
        known: Mapping[Node, Any],
        layout: StepLayout,
        parts: Sequence[LoweredRelation],
    ) -> None:
        self._layout = layout
        stay = {*layout.roots, *(n for part in parts for n in needed_of(part))}
        once, known, unmoved = merged(brief, known, layout.unmoved, stay)
        writer = _LoopWriter(once, known, replace(layout, unmoved=unmoved))
        self._function, self._courses = writer.written(parts)
        self._outs, self._places, self._behind = writer.outs, writer.places, writer.behind

    def run(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        """Make steps; see :class:`Runner`."""
        ran = self._ran(source, first, parameters, courses, count)
        if (
            self._layout.last and 0 < ran.made < count
        ):  # what is asked for of the last step is that of the last sound one
            ran = self._ran(source, first, parameters, courses, ran.made)
        return ran

    def _ran(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        outs: list[list[Any]] = [[] for _ in self._outs]
        last: list[Any] = []
        given = [courses[node][:count] for node in self._courses]
        # The step that meets one of these is made by itself, and says what there is to say.
        faults = NotSoundError, Refused, Changed, TypeError, MemoryError, OverflowError
        with np.errstate(all="ignore"), suppress(*faults):
            self._function(source, parameters, given if given else range(count), first, outs, last)
        made = min(map(len, outs))
        if not self._places or not made:
            return Ran(made, outs if made else [[] for _ in self._layout.columns], last)
        every = dict(zip(self._outs, outs, strict=True))
        lanes = {vector: np.array(every[vector][:made]) for vector in {vector for vector, _ in self._places.values()}}
        sound = [np.isfinite(lanes[vector]).all(axis=1) for vector in self._behind]
        made = min([made, *(int(np.argmin(steps)) for steps in sound if not steps.all())])
        lanes = {vector: np.ascontiguousarray(steps[:made].T) for vector, steps in lanes.items()}
        return Ran(made, [self._column(node, every, lanes) for node in self._layout.columns], last)

    def _column(
        self, node: Node, every: Mapping[Node, list[Any]], lanes: Mapping[Node, Any]
    ) -> list[Any] | Stepwise:  # fmt: skip
        """A column of the layout; of a vector its lane."""
        vector, place = self._places.get(node, (node, 0))
        return every[node] if vector is node else Stepwise(lanes[vector][place])


class _LoopWriter(FunctionLines):
    """Writes a loop: ``(source, parameters, courses, first, outs, last)``, which adds to the lists ``outs``."""

    def __init__(self, brief: Sequence[Instruction], known: Mapping[Node, Any], layout: StepLayout) -> None:
        super().__init__(known, layout.unmoved)
        self._brief, self._layout, self._feeds = brief, layout, layout.feeds
        self._newest = {*layout.newest, *(node.args[0] for node in layout.newest)}
        self._steady: set[Node] = set()
        self._over: Overwritable | None = None
        self._looked_at: list[Node] = []
        self._shown: frozenset[Node] = frozenset()
        self._place = 0  # of the instruction that is written
        self._again = RecurringLines([])
        self._slots = {(s.feed.scan, s.age, s.node): f"s{n}" for n, s in enumerate(layout.slots)}
        self._laned = Laned((), known, layout.unmoved, (), {}, {})
        self.outs: list[Node] = list(layout.columns)
        self.places: dict[Node, tuple[Node, int]] = {}
        self.behind: list[Node] = []

    def written(self, parts: Sequence[LoweredRelation]) -> tuple[Callable[..., None], tuple[Node, ...]]:
        """The function, and the nodes whose courses it is given."""
        text, layout = self.text, self._layout
        stay = {*layout.roots, *(n for part in parts for n in needed_of(part))}
        steady = [i for i in self._brief if self._is_steady(i)]
        moving = self._used([i for i in self._brief if not self._is_steady(i) and not self._is_free(i[0])], stay)
        for node, args, function in steady:
            if node not in self.names:
                self.write(node, args, function)
        courses = self._courses(moving)
        self._again = recurring(self._in_lanes(moving, stay), self.kept, self._steady, stay)
        moving = self._again.instructions
        if self._slots:
            text.line(f"{', '.join(self._slots.values())}, = first")
        for vector in self._laned.begins:
            text.line(f"{self.new(vector)} = {text.name(np.array)}(({', '.join(map(self._slot, vector.args))},))")
        appends = [f"a{place}" for place in range(len(self.outs))]
        text.line(f"{', '.join(appends)}, = [out.append for out in outs]")
        names = [self.names[node] for node in courses]
        text.line(f"for {', '.join(names)}, in zip(*courses):" if names else "for _ in courses:")
        text.depth += 1
        room = text.place()
        sums = implied(moving, self._known)
        self._looked_at = [node for node in self._whole(self._layout.sound) if node not in sums]
        self._shown = shown(moving, self._looked_at, self._known, self.kept.__contains__)
        self._body(moving, stay)
        self._checks()
        for place, node in enumerate(self.outs):
            text.line(f"a{place}({self.name(node)})")
        last = self._last(room)
        self._hand_on({argument for _, args, _ in moving for argument in args} | set(stay))
        text.depth -= 1
        text.line(f"last += ({''.join(f'{name}, ' for name in last)})")
        function = text.function(["source", "parameters", "courses", "first", "outs", "last"])
        return function, tuple(courses)

    def _in_lanes(self, moving: Sequence[Instruction], stay: Collection[Node]) -> list[Instruction]:
        """The instructions, numbers that are calculated alike being one vector."""
        slots = [s.node for s in self._layout.slots if s.age == s.feed.age == 1]
        own = [n for n, args, _ in moving if args and args[0] in self._feeds and not self._feeds[args[0]].age]
        sources, carried = self._numbers(own), self._numbers(slots)
        self._laned = Laned(moving, self._known, self.kept, stay, sources, carried)
        self._known, self.kept = self._laned.known, self._laned.kept
        every = self._laned.places
        self.places = {node: every[node] for node in self._layout.columns if node in every}
        self.outs = list(dict.fromkeys(self.places[n][0] if n in self.places else n for n in self._layout.columns))
        return self._laned.moving

    def _numbers(self, nodes: Sequence[Node]) -> dict[Node, Node]:
        """For the numbers among what is read the numbers that they are."""
        found = {node: self._layout.fed(node) for node in nodes if node.op == "cells" and not node.dims}
        return {
            node: fed.source for node, fed in found.items()
            if fed.source is not None and fed.cut is None and fed.whole and not fed.source.dims
            and fed.source.type == node.type
        }  # fmt: skip

    def _slot(self, node: Node) -> str:
        return self._slots[node.args[0], 1, node]

    def fetched(self, node: Node) -> str:
        """A lane of a vector."""
        vector, place = self._laned.places[node]
        self.text.line(f"{self.new(node)} = {self.name(vector)}[{place}]")
        return self.names[node]

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
        reads = [n for n, args, _ in moving if n.op in ("cells", "known") and args[0] in self._feeds]
        own = {n: self._layout.fed(n).source for n in reads if not self._feeds[n.args[0]].age}
        # What is remembered of a number that comes again is not written over.
        begins = [*reads, *(n for n, _, _ in moving[max(self._again.start, 0) :] if n.op == "parameter")]
        self._over = Overwritable(moving, stay, own, begins)
        ends = last_uses(
            moving, lambda n: n not in stay and n not in self.kept and n not in self._steady and self.is_large(n)
        )
        held = set(self._slots.values())
        for place, (node, args, function) in enumerate(moving):
            self._place = place
            if place == self._again.start:
                self._again.begin(self.text, self.name)
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
            if place + 1 == self._again.stop:
                self._again.end(self.text, self.name)

    def _read(self, node: Node, feed: Feed) -> None:
        """A column of the state: what is carried, or what the step itself has written."""
        if feed.age:
            self.names[node] = self._slots[feed.scan, feed.age, node]
        else:
            value = self._fed(node)
            self.text.line(f"{self.new(node)} = {value}")

    def _value(self, node: Node, given: Sequence[str], function: Callable[..., Any]) -> str:
        over = self._overwritten(node)
        if over is None:
            return super()._value(node, given, function)
        text = self.text
        turned = [self._turned(argument, name, node) for argument, name in zip(node.args, given, strict=True)]
        return f"{text.name(MAPS[node.data])}({', '.join(turned)}, out={self.names[over]})"

    def _overwritten(self, node: Node) -> Node | None:
        """The argument whose cells a function of cells writes over."""
        large = node.op == "map" and isinstance(MAPS[node.data], np.ufunc) and self.is_large(node) and one_spans(node)
        if self._over is None or not large:
            return None
        over = self._over.chosen(self._place, node)
        return over if over is not None and self._known[over].dtype == self._known[node].dtype else None

    def _turned(self, argument: Node, name: str, node: Node) -> str:
        """An argument along the axes of a function; what is the same at each step is turned once."""
        align = aligner(argument.dims, node.dims)
        if align is None:
            return name
        if argument in self.kept and self.kept[argument].size <= _TURNED:
            return self.text.name(np.ascontiguousarray(align(self.kept[argument])))
        return f"{self.text.name(align)}({name})"

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

    def is_shown(self, node: Node) -> bool:
        """Whether another line finds out where a sum is not finite."""
        return node in self._shown

    def _checks(self) -> None:
        """The lines that look whether what a step would commit is all there, and finite."""
        text, refuse = self.text, self.text.name(_refuse)
        for mask in self._whole(self._layout.masks):
            text.line(f"if not {self.name(mask)}{'.all()' if mask.dims else ''}: {refuse}()")
        for node in self._looked_at:
            if node in self._laned.members and node in self.outs:
                self.behind.append(node)
                continue
            cells = self.name(node)
            if node.dims:
                text.line(f"total = {text.name(np.add.reduce)}({cells}, None)")
                cells = "total"
            text.line(f"if {cells} - {cells} != 0.0: {refuse}()")

    def _whole(self, nodes: Sequence[Node]) -> list[Node]:
        """Some nodes; the vectors instead of those whose lanes are all among them."""
        whole = {vector for vector, lanes in self._laned.members.items() if set(lanes) <= set(nodes)}
        places = self._laned.places
        return list(dict.fromkeys(places[n][0] if n in places and places[n][0] in whole else n for n in nodes))

    def _last(self, begin: int) -> list[str]:
        """The names of what is asked for of the last step; of any other step it is room for the next one."""
        found, gone = [], dict[str, None]()
        for place, node in enumerate(self._layout.last):
            name = self.name(node)
            if name in self._slots.values():  # whose name is handed on
                self.text.line(f"l{place} = {name}")
                name = f"l{place}"
            elif self.is_large(node) and node not in self.kept and node not in self._steady:
                gone[name] = None
            found.append(name)
        if gone:
            self.text.line(f"{' = '.join(gone)} = None", at=begin)
        return found

    def _hand_on(self, used: Collection[Node]) -> None:
        """The line that makes what the step has written what the next one reads."""
        vectors = self._laned.begins
        inside = {number for vector in vectors for number in vector.args if number not in used}
        slots = [s for s in self._layout.slots if s.node not in inside]
        names = [self._slots[s.feed.scan, s.age, s.node] for s in slots] + [self.names[vector] for vector in vectors]
        values = [self._fed(s.node) if s.age == 1 else self._slots[s.feed.scan, s.age - 1, s.node] for s in slots]
        values += [self.name(following) for following in vectors.values()]
        if values:
            self.text.line(f"{', '.join(names)}, = {', '.join(values)},")


def _refuse() -> None:
    raise NotSoundError
