"""Many steps of a program in one call: the state is carried from step to step, and nobody looks in between.

What the steps write comes back as stacks: for each statement the arrays of all steps. Where a step meets what array
code does not answer, or would commit a number that is none, the call ends before it; that step is made by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import DTYPES
from .lowering.relation import LoweredRelation
from .node import FLOATS, Node, Refused
from .ports import Form, GridOutput, Source
from .reading import WrittenState
from .running import carry
from .running.batches import Batches
from .running.carry import AddedRows, Clock, Feed, Look, Stamp, Stamps, check_axes, picked, same_axis, unmoved
from .running.code import Code
from .running.instructions import Instruction
from .running.layout import Ran, Slot, StepLayout, StepsRunner, Stepwise, needed_of
from .running.looped import NumpyLoop
from .stack import MadeSteps, Stack
from .tables import Name, ScanRead
from .trims import Trims, Written


@dataclass(frozen=True)
class BlockRequest:
    """What a block is asked of its program.

    Attributes:
        clock: see :data:`.running.carry.Clock`.
        varying: the other parameters whose value may differ from step to step.
        watched: the places of statements that make a table anew, of which the rows of each step are asked for.
    """

    clock: Clock
    varying: frozenset[str]
    watched: frozenset[int] = frozenset()


class StepBlock:
    """Makes many steps.

    Args:
        codes: the statements, all lowered, whose brief instructions are known.
        writes: for each what it does to its table.
        known: what a step has calculated, everything of it.
        kept: what is the same at each step.
        state: the tables.
        asked: which parameters vary, and how.
        looks: queries that write nothing, by their places: what they give at each step comes back as well.

    Attributes:
        layout: what is calculated.
        clocks: for each table to which rows are added the columns that say which generation they are.

    Raises:
        Refused: they are made one by one.
    """

    def __init__(
        self, codes: Sequence[Code], writes: Sequence[Written], known: Mapping[Node, Any],
        kept: Mapping[Node, Any], state: WrittenState, asked: BlockRequest, looks: Mapping[int, Code],
    ) -> None:  # fmt: skip
        self._codes, self._writes, self._asked, self._state = codes, writes, asked, state
        self._every = (*codes, *looks.values())
        self._scans = [node for code in self._every for node, _, _ in code.whole if node.op == "scan"]
        self._changing = {each.table for each in writes}
        self._stamps = Stamps(asked.clock, asked.varying, self._is_newest)
        self._pieces: dict[tuple[int, int], AddedRows] = {}
        self._pieces = self._appended()
        self.clocks = self._clock_columns()
        self._anew = self._made_anew()
        self._trims = Trims(self._least(), self.clocks)
        self._looks = {
            (place, number): Look(part, form, self._stamped(part, form))
            for place, code in looks.items() for number, (part, form) in enumerate(code.parts)
        }  # fmt: skip
        self._watched = {
            (place, number): Look(part, form, self._stamped(part, form))
            for place in sorted(asked.watched) for number, (part, form) in enumerate(codes[place].parts)
        }  # fmt: skip
        brief = [step for code in self._every for step in code.brief or ()]
        scans = [node for node, _, _ in brief if node.op == "scan" and node.data.table in self._changing]
        self._feeds = {scan: self._feed(scan) for scan in scans if scan.data.extreme is None}
        self._known = {scan: known[scan] for scan in self._feeds if scan in known}
        self._known |= {a: known[a] for scan in self._feeds for a in scan.args if a in known}
        if not self._known.keys() >= self._feeds.keys():
            raise Refused("not all of the step is known yet")
        self._unmoved = unmoved(brief, known, kept, self._feeds)
        if any(axis.origin not in self._unmoved for each in self._given for axis in each.part.axes):
            raise Refused("the keys of the rows that a step gives are others at each step")
        for feed in self._feeds.values():
            check_axes(feed, self._unmoved, known[feed.scan])
        self._picks = {scan: picked(feed, self._unmoved, self._known) for scan, feed in self._feeds.items()}
        newest = [node for node, args, _ in brief if node.op == "cells" and self._is_latest(args[0])]
        self._refuse_others(brief, newest)
        self.layout = self._laid_out(brief, newest, known)
        found = [n for n, _, _ in brief if n.op == "parameter" and n.data in self.layout.varying]
        self._moving = (*found, *newest)
        try:
            self._numpy = NumpyLoop(brief, known, self.layout, [each.part for each in self._given])
        except KeyError:
            raise Refused("what an earlier statement has calculated is not known") from None

    # --- what is written

    def _appended(self) -> dict[tuple[int, int], AddedRows]:
        """What the statements add at each step: by the place of the statement, and of the query of its UNION ALL."""
        found: dict[tuple[int, int], AddedRows] = {}
        for place, (code, each) in enumerate(zip(self._codes, self._writes, strict=True)):
            if not (each.replaces or each.trims):
                found |= {(place, number): piece for number, piece in enumerate(self._pieces_of(code, each))}
                refuse_uneven([part for part, _ in code.parts])
        if not found:
            raise Refused("the step adds no rows")
        return found

    def _made_anew(self) -> dict[Name, list[tuple[int, list[AddedRows]]]]:
        """For each table that is made anew what it consists of from which statement on: how many have written it."""
        found: dict[Name, list[tuple[int, list[AddedRows]]]] = {}
        for code, each in zip(self._codes, self._writes, strict=True):
            if each.replaces:
                found.setdefault(each.table, []).append((each.before + 1, self._pieces_of(code, each)))
        return found

    def _least(self) -> dict[int, tuple[Written, Stamp | None]]:
        """For each statement that deletes old generations the least that stays, as far as it is known."""
        pairs = enumerate(zip(self._codes, self._writes, strict=True))
        stamp = self._stamps.of
        return {n: (each, stamp(code.parts[0][0].columns[0].value.cells)) for n, (code, each) in pairs if each.trims}

    def _pieces_of(self, code: Code, each: Written) -> list[AddedRows]:
        return [AddedRows(part, form, self._stamped(part, form), each.table, each.before) for part, form in code.parts]

    def _stamped(self, part: LoweredRelation, form: Form) -> dict[str, Any]:
        stamps = {form.names[p]: self._stamps.of(part.columns[p].value.cells) for p in form.constants}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _clock_columns(self) -> dict[Name, frozenset[str]]:
        """For each table to which rows are added the columns that say which generation they are."""
        found: dict[Name, frozenset[str]] = {}
        for piece in self._pieces.values():
            clocks = piece.behind(self._lag(piece.table))
            found[piece.table] = found.get(piece.table, clocks) & clocks
            if not found[piece.table]:
                raise Refused(f"not every row that is added to {'.'.join(piece.table)} has :next_step for a key")
        if any(each.replaces and each.table in found for each in self._writes):
            raise Refused("a table is made anew and added to")
        return found

    def _lag(self, table: Name) -> int:
        """How many generations the rows that are added to a table lie behind; 0 where the step reads them.

        A log of what a step began with has the generation before: that tells its rows apart as well.
        """
        pieces = [piece for piece in self._pieces.values() if piece.table == table]
        read = any(scan.data.table == table for scan in self._scans)
        return int(not read and all(not piece.clocks and piece.behind(1) for piece in pieces))

    @property
    def _given(self) -> list[Look]:
        """All rows that a step gives."""
        return [*self._pieces.values(), *self._looks.values(), *self._watched.values()]

    # --- what is read

    def _feed(self, scan: Node) -> Feed:
        read: ScanRead = scan.data
        if read.table not in self._anew:
            pieces = [piece for piece in self._pieces.values() if piece.table == read.table]
            feed = carry.feed_of(scan, pieces, self._stamps, self._state.reading)
            self._trims.check(read, 1 - feed.age)
            return feed
        within = [pieces for behind, pieces in self._anew[read.table] if behind <= read.version]
        if read.version and not within:
            raise Refused(f"{'.'.join(read.table)} is read where it has been emptied")
        pieces = within[-1] if within else self._anew[read.table][-1][1]
        refuse_uneven([piece.part for piece in pieces])
        return carry.feed_of_whole(scan, pieces, self._stamps, self._state.reading, age=int(not within))

    def _is_newest(self, read: ScanRead) -> bool:
        """Whether a scan for the greatest number of a column gives the newest generation."""
        what = read.extreme
        if what is None or what.which != "max" or read.version or read.table not in self._changing:
            return False
        # As long as the pieces are not known it is taken for granted; :meth:`_refuse_others` looks whether it is so.
        pieces = [piece for piece in self._pieces.values() if piece.table == read.table]
        return not self._pieces or (bool(pieces) and all(what.column in piece.clocks for piece in pieces))

    def _is_latest(self, scan: Node) -> bool:
        return scan.op == "scan" and scan.data.extreme is not None and self._is_newest(scan.data)

    def _refuse_others(self, brief: Sequence[Instruction], newest: Sequence[Node]) -> None:
        for node, _, _ in brief:
            if node.op == "scan" and node.data.table in self._changing and node.data.extreme is not None:
                least = node.data.extreme.which == "min" and not node.data.version
                self._trims.check(node.data, 0 if node.data.extreme.which == "max" else -sys.maxsize)
                if not least and not self._is_latest(node):
                    raise Refused(f"it reads the greatest number of a column of {'.'.join(node.data.table)}")
            if node.op == "differ":
                one, other = map(self._stamps.of, node.args)
                if one is None or other is None or one.kind != other.kind or one == other:
                    raise Refused("it is not known beforehand whether it reads what it has just written")

    # --- the functions

    def _laid_out(
        self, brief: Sequence[Instruction], newest: Sequence[Node], known: Mapping[Node, Any]
    ) -> StepLayout:  # fmt: skip
        pieces, given, still = list(self._pieces.values()), self._given, self._unmoved
        columns = dict.fromkeys(
            column.value.cells
            for each in given
            for column in each.part.columns
            if column.value.cells not in still and column.name not in each.clocks
        )
        if not columns:
            raise Refused("what a step writes does not depend on the step")
        anew = [part for code, each in zip(self._codes, self._writes, strict=True) if each.replaces
                for part, _ in code.parts]  # fmt: skip
        read = {feed.piece: None for feed in self._feeds.values()}  # of what is made anew it may be some of it
        last = dict.fromkeys(node for part in anew for node in needed_of(part) if node not in still)
        every = dict.fromkeys(c.value.cells for part in (*anew, *(p.part for p in pieces)) for c in part.columns)
        masks = (mask for g in (*given, *read) for mask in (g.part.present, *(c.value.valid for c in g.part.columns)))
        reads = [(node, function, self._feeds[args[0]]) for node, args, function in brief
                 if node.op in ("cells", "known") and args[0] in self._feeds]  # fmt: skip
        return StepLayout(
            slots=tuple(Slot(f, age, node, how) for node, how, f in reads for age in range(1, f.age + 1)),
            columns=tuple(columns), last=tuple(last),
            sound=tuple(node for node in every if node.type in FLOATS and node not in still),
            masks=tuple(dict.fromkeys(mask for mask in masks if mask is not None)),
            unmoved=still, feeds=self._feeds, picks=self._picks,
            grids={scan: self._known[scan] for scan in self._feeds}, clock=self._asked.clock, newest=tuple(newest),
            varying=self._asked.varying | self._asked.clock.keys(),
            own=tuple(node for node, _, f in reads if f.age == 0), batches=Batches(brief, known, still),
        )  # fmt: skip

    def run(
        self, source: Source, parameters: Mapping[str, Any], courses: Mapping[str, Sequence[Any]], k: int,
        runner: StepsRunner | None = None,
    ) -> MadeSteps:  # fmt: skip
        """Make steps.

        Args:
            source: the tables.
            parameters: the values of those that stay.
            courses: for each of the others its value at each step.
            k: the newest generation.
            runner: who makes them; NumPy where nobody else does.

        Raises:
            Refused, Changed: not even the first can be made so.
        """
        if not self._state.steady:
            raise Refused("whether a table has changed cannot be told")
        for table, columns in self.clocks.items():
            for column in columns:
                newest = self._state.newest(table, column)
                if newest is None or newest > k - self._lag(table) or (newest < k and self._reads_newest(table)):
                    raise Refused(f"the newest {column} of {'.'.join(table)} is not the newest generation")
        first = self.first(source, parameters, k)
        given = {node: self._course(node, courses) for node in self._moving}
        count = min(len(course) for course in courses.values())
        ran = (runner or self._numpy).run(source, first, parameters, given, count)
        stacks = self._stacks(ran, k, self._pieces)
        last = self._last(ran.last) if ran.made else {}
        looks, watched = (self._stacks(ran, k, some) for some in (self._looks, self._watched))
        return MadeSteps(ran.made, stacks, last, looks, self._trims.deleted(k, ran.made), watched)

    def _reads_newest(self, table: Name) -> bool:
        return any(scan.data.table == table and scan.data.extreme is not None for scan in self._scans)

    def _course(self, node: Node, courses: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """The values of a parameter that varies, as an array's cells."""
        name = node.data if node.op == "parameter" else next(n for n, ahead in self._asked.clock.items() if not ahead)
        kind = DTYPES[node.type]
        values = courses[name]
        if isinstance(values, range):
            return list(np.arange(values.start, values.stop, dtype=kind))
        return [kind(value) for value in values]

    def first(self, source: Source, parameters: Mapping[str, Any], k: int) -> list[Any]:
        """What is carried at first, from the tables."""
        grids: dict[tuple[Node, int], Any] = {}
        found = []
        for slot in self.layout.slots:
            key = slot.feed.scan, slot.age
            if key not in grids:
                grids[key] = self._grid(slot, source, parameters, k)
            found.append(slot.read(grids[key]))
        return found

    def _grid(self, slot: Slot, source: Source, parameters: Mapping[str, Any], k: int) -> Any:
        scan, feed = slot.feed.scan, slot.feed
        values: dict[str, Any] = {}
        for name, argument, stamp in zip(scan.data.fixed, scan.args, feed.fixed, strict=True):
            if stamp.kind == "generation":
                values[name] = np.int64(k + stamp.value + feed.age - slot.age)
            elif stamp.kind == "parameter":
                values[name] = DTYPES[argument.type](parameters[stamp.value])
            else:
                values[name] = np.asarray(self._known[argument])[()]
        grid = source.grid(scan.data, values)
        axes = self._known[scan].axes
        if grid.present is not None or not all(map(same_axis, grid.axes, axes)):
            raise Refused(f"the rows of {'.'.join(scan.data.table)} have other keys than those before")
        return grid

    # --- what comes back

    def _stacks(self, ran: Ran, k: int, given: Mapping[tuple[int, int], Look]) -> dict[int, list[Stack]]:
        found: dict[int, list[Stack]] = {}
        made = ran.made
        if not made:
            return found
        along: dict[Node, Any] = {
            node: column[:made] if isinstance(column, list) else column
            for node, column in zip(self.layout.columns, ran.columns, strict=True)
        }
        for (place, _), piece in given.items():
            cells: list[Any] = []
            for column, owned in zip(piece.part.columns, piece.form.owned, strict=True):
                node = column.value.cells
                if column.name in piece.clocks:
                    cells.append(Stepwise(np.arange(k + 1, k + 1 + made, dtype=DTYPES[node.type])))
                else:
                    cells.append(cells_of(node, along, self._unmoved, owned=owned))
            axes = tuple(self._unmoved[axis.origin].coordinates for axis in piece.part.axes)
            found.setdefault(place, []).append(Stack(piece.form, axes, made, tuple(cells)))
        return found

    def _last(self, values: Sequence[Any]) -> dict[int, list[GridOutput]]:
        known = {**self._unmoved, **dict(zip(self.layout.last, values, strict=True))}
        anew = [place for place, each in enumerate(self._writes) if each.replaces]
        return {place: self._codes[place].result.of(known) for place in anew}


def cells_of(node: Node, along: Mapping[Node, Any], unmoved: Mapping[Node, Any], *, owned: bool) -> Any:
    """What a stack has for a column.

    Args:
        node: the column.
        along: of nodes that differ from step to step the arrays of all steps.
        unmoved: the others' values.
        owned: whether its arrays are nobody else's (:class:`.ports.Form`).
    """
    if node not in along:
        value = unmoved[node]
        return value if owned or not node.dims else value.copy()
    same = owned or not node.dims or isinstance(along[node], Stepwise)
    return along[node] if same else [array.copy() for array in along[node]]


def refuse_uneven(parts: Sequence[LoweredRelation]) -> None:
    """Refuse columns whose cells and NULLs lie along different axes."""
    for column in (column for part in parts for column in part.columns):
        value = column.value
        if value.valid is not None and value.valid.dims != value.cells.dims:
            raise Refused(f"{column.name} is NULL along other axes than its values")
