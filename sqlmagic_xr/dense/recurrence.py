"""Many rounds of a recursion in one call: the working table is carried from one to the next, and nobody looks between.

It is a block (:mod:`.block`) of one statement, whose rows are all that the next round reads of the state. Where a round
does not go on, has a NULL, other keys than the one before, or what array code does not answer, the call ends before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .block import cells_of, refuse_uneven
from .lowering.relation import LoweredRelation
from .node import Node, Refused, Type
from .ports import Form, Source
from .reading import reading_of
from .running.carry import AddedRows, Feed, Stamp, Stamps, check_axes, picked, unmoved
from .running.code import Code
from .running.layout import Slot, StepLayout
from .running.looped import NumpyLoop
from .stack import Stack
from .tables import Name, ScanRead


class Recurrence:
    """Goes through many rounds.

    Args:
        codes: the term's instructions, behind those of the condition under which it goes on, if that stands apart.
        table: the working table.
        types: of its columns.
        known: what a round has calculated, everything of it.
        kept: what is the same in each round.

    Raises:
        Refused: rounds are gone through one by one.
    """

    def __init__(
        self, codes: Sequence[Code], table: Name, types: Mapping[str, Type | None], known: Mapping[Node, Any],
        kept: Mapping[Node, Any],
    ) -> None:  # fmt: skip
        *guards, term = codes
        self._stamps = Stamps({}, frozenset(), lambda read: False)
        self._pieces = [AddedRows(part, form, self._stamped(part, form), table, 0) for part, form in term.parts]
        self._known = known
        brief = [step for code in codes for step in code.brief or ()]
        scans = [node for node, _, _ in brief if node.op == "scan" and node.data.table == table]
        feeds = {scan: self._feed(scan, types) for scan in scans}
        self._unmoved = unmoved(brief, known, kept, feeds)
        refuse_uneven([feeds[args[0]].piece.part for node, args, _ in brief if node.op == "known" and args[0] in feeds])
        for feed in feeds.values():
            check_axes(feed, self._unmoved, known[feed.scan])
        written = [(piece.part, column.value) for piece in self._pieces for column in piece.part.columns]
        columns = dict.fromkeys(value.cells for _, value in written if value.cells not in self._unmoved)
        if not columns:
            raise Refused("what a round gives does not depend on the one before")
        if any(axis.origin not in self._unmoved for piece in self._pieces for axis in piece.part.axes):
            raise Refused("the rows of a round have other keys than those of the one before")
        conditions = [c.value for code in guards for guard, _ in code.parts for c in guard.columns]
        masks = [mask for part, value in written for mask in (part.present, value.valid)]
        masks += [mask for value in conditions for mask in (value.cells, value.valid)]
        reads = [(node, function, feeds[args[0]]) for node, args, function in brief
                 if node.op in ("cells", "known") and args[0] in feeds]  # fmt: skip
        self._layout = StepLayout(
            slots=tuple(Slot(feed, 1, node, how) for node, how, feed in reads),
            columns=tuple(columns), last=(), sound=(),
            masks=tuple(dict.fromkeys(mask for mask in masks if mask is not None)),
            unmoved=self._unmoved, feeds=feeds, picks={s: picked(f, self._unmoved, known) for s, f in feeds.items()},
            grids={scan: known[scan] for scan in feeds}, clock={}, newest=(), varying=frozenset(), own=(),
        )  # fmt: skip
        try:
            self._loop = NumpyLoop(brief, known, self._layout, [piece.part for piece in self._pieces])
        except KeyError:
            raise Refused("not all of a round is known yet") from None

    def _stamped(self, part: LoweredRelation, form: Form) -> dict[str, Stamp]:
        stamps = {form.names[p]: self._stamps.of(part.columns[p].value.cells) for p in form.constants}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _feed(self, scan: Node, types: Mapping[str, Type | None]) -> Feed:
        """How a scan of the working table reads what the round before has given."""
        read: ScanRead = scan.data
        fixed = [self._stamps.of(argument) for argument in scan.args]
        if read.extreme is not None or read.holes or read.key is None:
            raise Refused("which rows of the working table there are is not known beforehand")
        wanted = {n: stamp for n, stamp in zip(read.fixed, fixed, strict=True) if stamp and stamp.kind == "constant"}
        if len(wanted) < len(fixed):
            raise Refused("which rows of the working table are read is not the same in each round")
        found = [piece for piece in self._pieces if _agrees(piece, wanted)]
        how = reading_of(found[0].form, read, types) if len(found) == 1 else None
        if how is None:
            raise Refused("the rows of a round have other keys than those of the one before")
        return Feed(scan, found[0], 1, how, tuple(wanted.values()))

    def run(self, source: Source, count: int) -> list[Stack]:
        """Go through so many rounds, or fewer; returns their rows, nothing where not even one can be gone through so.

        Args:
            source: the tables, the working table as the last round has left it.
            count: how many.
        """
        ran = self._loop.run(source, self._first(source), {}, {}, count)
        if not ran.made:
            return []
        along: dict[Node, Any] = {
            node: column[: ran.made] if isinstance(column, list) else column
            for node, column in zip(self._layout.columns, ran.columns, strict=True)
        }
        return [self._stack(piece, along, ran.made) for piece in self._pieces]

    def _stack(self, piece: AddedRows, along: Mapping[Node, Any], made: int) -> Stack:
        part, form = piece.part, piece.form
        cells = tuple(
            cells_of(column.value.cells, along, self._unmoved, owned=owned)
            for column, owned in zip(part.columns, form.owned, strict=True)
        )
        return Stack(form, tuple(self._unmoved[axis.origin].coordinates for axis in part.axes), made, cells)

    def _first(self, source: Source) -> list[Any]:
        """What is carried at first."""
        found = []
        for slot in self._layout.slots:
            scan = slot.feed.scan
            values = {n: np.asarray(self._known[a])[()] for n, a in zip(scan.data.fixed, scan.args, strict=True)}
            found.append(slot.read(source.grid(scan.data, values)))
        return found


def _agrees(piece: AddedRows, wanted: Mapping[str, Stamp]) -> bool:
    """Whether the rows of a piece are those that a scan asks for, or may have some of them."""
    for name, stamp in wanted.items():
        if name not in piece.form.coordinates:
            known = piece.stamps.get(name)
            if known is None:
                raise Refused(f"it is not known beforehand which {name} the rows of a round have")
            if known != stamp:
                return False
    return True
