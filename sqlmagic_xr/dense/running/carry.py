"""What one step leaves to the next: which rows of the state each scan reads, and what stays as it is meanwhile.

A step that adds the generation ``:next_step`` is read by the next one at ``:k``. Which scan reads which statement's
rows is told by how far a key lies from the newest generation, and by keys that are constants; where that leaves a
doubt, steps are made one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Grid
from ..lowering.relation import LoweredRelation
from ..node import Node, Refused
from ..ports import Form
from ..reading import ScanReading
from ..tables import Name, Parts, ScanRead
from .instructions import Instruction

Clock = Mapping[str, int]
"""Parameter -> how many generations it is ahead of the newest one: ``{"k": 0, "step": 0, "next_step": 1}``."""

_DEEPEST = 4  # generations that are carried on


@dataclass(frozen=True)
class Stamp:
    """What is known of a number that is the same in all rows: a constant, a parameter's, or the newest generation's.

    Attributes:
        kind: "generation", "constant" or "parameter".
        value: how far ahead of the newest one; the constant; the parameter's name.
    """

    kind: str
    value: Any

    def before(self, steps: int) -> Stamp:
        """The stamp of what was written so many steps ago, as seen from now."""
        return Stamp(self.kind, self.value - steps) if self.kind == "generation" else self


@dataclass(frozen=True, eq=False)
class Look:
    """Rows that a query gives at each step.

    Attributes:
        part: the rows.
        form: theirs.
        stamps: the columns that are one number for all rows, as far as it is known.
    """

    part: LoweredRelation
    form: Form
    stamps: Mapping[str, Stamp]

    @property
    def clocks(self) -> frozenset[str]:
        """The columns that are the generation that the step makes."""
        return frozenset(name for name, stamp in self.stamps.items() if stamp == Stamp("generation", 1))

    def behind(self, steps: int) -> frozenset[str]:
        """The columns that are the generation so many steps before the one that the step makes."""
        return frozenset(name for name, stamp in self.stamps.items() if stamp == Stamp("generation", 1 - steps))


@dataclass(frozen=True, eq=False)
class AddedRows(Look):
    """Rows that a statement adds to a table at each step.

    Attributes:
        table: which.
        write: how many statements have written it before in the step.
    """

    table: Name
    write: int


@dataclass(frozen=True, eq=False)
class Feed:
    """Where the rows of a scan come from.

    Attributes:
        scan: the node.
        piece: what was written.
        age: how many steps ago; 0 for what the step itself has written.
        reading: how the scan reads it.
        fixed: the stamps of its arguments.
    """

    scan: Node
    piece: AddedRows
    age: int
    reading: ScanReading
    fixed: tuple[Stamp, ...]


class Stamps:
    """Tells what is known of single numbers.

    Args:
        clock: see :data:`Clock`.
        varying: other parameters that are not the same at each step.
        newest: whether a scan for the greatest number of a column gives the newest generation.
    """

    def __init__(self, clock: Clock, varying: Collection[str], newest: Callable[[ScanRead], bool]) -> None:
        self._clock, self._varying, self._newest = clock, varying, newest

    def of(self, node: Node) -> Stamp | None:
        """What is known of a node."""
        if node.dims:
            return None
        if node.op == "constant":
            return Stamp("constant", node.data[1])
        if node.op == "parameter":
            if node.data in self._clock:
                return Stamp("generation", self._clock[node.data])
            return None if node.data in self._varying else Stamp("parameter", node.data)
        if node.op == "cells" and node.args[0].data.extreme is not None:
            return Stamp("generation", 0) if self._newest(node.args[0].data) else None
        if node.op == "same" or (node.op == "map" and node.data in ("to int64", "to int32")):
            return self.of(node.args[0])
        if node.op == "map" and node.data in ("integer +", "integer -") and node.type == "int64":
            return self._moved(node.data[-1], *map(self.of, node.args))
        return None

    def _moved(self, operator: str, left: Stamp | None, right: Stamp | None) -> Stamp | None:
        if left is None or right is None or "parameter" in (left.kind, right.kind):
            return None
        if left.kind == "generation" and right.kind == "constant":
            return Stamp("generation", left.value + (right.value if operator == "+" else -right.value))
        if operator == "+" and left.kind == "constant" and right.kind == "generation":
            return Stamp("generation", left.value + right.value)
        return None


def feed_of(
    scan: Node, pieces: Sequence[AddedRows], stamps: Stamps, reading: Callable[[ScanRead, Form], ScanReading | None]
) -> Feed:
    """Where the rows of a scan of a table that the step changes come from.

    Args:
        scan: the node.
        pieces: what a step adds to that table.
        stamps: what is known of its arguments.
        reading: how a scan reads rows of a form; None where it cannot.

    Raises:
        Refused: it cannot be told beforehand.
    """
    read: ScanRead = scan.data
    name = ".".join(read.table)
    fixed = tuple(stamps.of(argument) for argument in scan.args)
    known = dict(zip(read.fixed, fixed, strict=True))
    clocks = [known[n] for n in frozenset.intersection(*(p.clocks for p in pieces)) if n in known]
    if read.holes or read.key is None:
        raise Refused(f"cells of {name} may be missing")
    if not clocks or any(stamp is None for stamp in fixed):
        raise Refused(f"which rows of {name} a step reads is not told by a distance from the newest generation")
    clock = clocks[0]
    if clock is None or clock.kind != "generation" or not 0 <= 1 - clock.value <= _DEEPEST:
        raise Refused(f"it reads {name} at no fixed distance from the newest generation")
    age = 1 - clock.value
    found = [p for p in pieces if (age or p.write < read.version) and _agree(p, known, age, name)]
    return _feed(scan, pieces, found, age, reading, fixed)


def feed_of_whole(
    scan: Node,
    pieces: Sequence[AddedRows],
    stamps: Stamps,
    reading: Callable[[ScanRead, Form], ScanReading | None],
    age: int,
) -> Feed:
    """The same for a table that consists of nothing but what one statement has written.

    Args:
        scan, stamps, reading: see :func:`feed_of`.
        pieces: what that statement has written.
        age: how many steps ago; 0 for what the step itself has written.

    Raises:
        Refused: it cannot be told beforehand.
    """
    read: ScanRead = scan.data
    name = ".".join(read.table)
    fixed = [stamps.of(argument) for argument in scan.args]
    if read.holes or read.key is None or read.extreme is not None:
        raise Refused(f"the rows of {name} are not read as they are written")
    if None in fixed:
        raise Refused(f"which rows of {name} a step reads is calculated")
    found = [p for p in pieces if _agree(p, dict(zip(read.fixed, fixed, strict=True)), age, name)]
    return _feed(scan, pieces, found, age, reading, fixed)


def _feed(
    scan: Node,
    pieces: Sequence[AddedRows],
    found: Sequence[AddedRows],
    age: int,
    reading: Callable[[ScanRead, Form], ScanReading | None],
    fixed: Sequence[Stamp | None],
) -> Feed:
    """A scan that reads what one of some pieces has written."""
    read: ScanRead = scan.data
    name = ".".join(read.table)
    if len(found) != 1:
        raise Refused(f"a scan of {name} reads what {len(found)} queries of the step have written")
    if read.among is not None and not all(_is_among(piece, read.among) for piece in pieces):
        raise Refused(f"it is not known beforehand which {read.among.column} the rows of {name} have")
    how = reading(read, found[0].form)
    if how is None:
        raise Refused(f"the rows of {name} are not read as they are written")
    return Feed(scan, found[0], age, how, tuple(s for s in fixed if s is not None))


def _is_among(piece: AddedRows, parts: Parts) -> bool:
    """Whether rows that were written are in one of some parts."""
    stamp = piece.stamps.get(parts.column)
    return stamp is not None and stamp.kind == "constant" and stamp.value in parts.values


def _agree(piece: AddedRows, known: Mapping[str, Stamp | None], age: int, table: str) -> bool:
    """Whether rows that were written so many steps ago are those that a scan asks for."""
    for name, wanted in known.items():
        if name in piece.form.coordinates:
            continue  # some of the rows may have it
        stamp = piece.stamps.get(name)
        if stamp is None or wanted is None or stamp.kind != wanted.kind:
            raise Refused(f"it is not known beforehand which {name} the rows of {table} have")
        if stamp.kind == "parameter" and stamp != wanted:
            raise Refused(f"it is not known beforehand which {name} the rows of {table} have")
        if stamp.before(age) != wanted:
            return False
    return True


def unmoved(
    brief: Sequence[Instruction], known: Mapping[Node, Any], kept: Mapping[Node, Any], scans: Collection[Node]
) -> dict[Node, Any]:
    """What is the same at each step as long as the state keeps its coordinates.

    Args:
        brief: the instructions of a step.
        known: what they have calculated.
        kept: what is the same for other reasons.
        scans: those of the state.
    """
    found = dict(kept)
    for node, args, _ in brief:
        of_state = node.op == "axis" and node.args[0] in scans
        pure = node.op not in ("scan", "parameter", "cells", "known", "present", "differ")
        if of_state or (pure and all(argument in found for argument in args)):
            if node not in known:
                raise Refused("not all of the step is known yet")
            found[node] = known[node]
    return found


def picked(feed: Feed, unmoved: Mapping[Node, Any], known: Mapping[Node, Any]) -> dict[int, int]:
    """For the axes along which a scan asks for one coordinate, where that stands.

    Args:
        feed: the rows.
        unmoved: see :func:`unmoved`.
        known: what the scan's arguments have been.
    """
    scan, found = feed.scan, {}
    for name, axis in feed.reading.picked:
        place = scan.data.fixed.index(name)
        origin = feed.piece.part.axes[axis].origin
        if feed.fixed[place].kind != "constant" or origin not in unmoved:
            raise Refused(f"which {name} of {'.'.join(feed.piece.table)} is read is not the same at each step")
        (cells,) = np.nonzero(unmoved[origin].coordinates == known[scan.args[place]])
        if len(cells) != 1:
            raise Refused(f"the rows of {'.'.join(feed.piece.table)} have other keys than those before")
        found[axis] = int(cells[0])
    return found


def check_axes(feed: Feed, unmoved: Mapping[Node, Any], grid: Grid) -> None:
    """Refuse rows that lie along other coordinates than those that are read.

    Args:
        feed: the rows.
        unmoved: see :func:`unmoved`.
        grid: what the scan has read.
    """
    name = ".".join(feed.piece.table)
    for place, axis in zip(feed.reading.order, grid.axes, strict=True):
        origin = feed.piece.part.axes[place].origin
        if origin not in unmoved:
            raise Refused(f"which keys the rows of {name} have is calculated anew at each step")
        if not same_axis(unmoved[origin].coordinates, axis):
            raise Refused(f"the rows of {name} have other keys than those before")


def same_axis(one: Any, other: Any) -> bool:
    """Whether two axes have the same coordinates."""
    return one is other or (one.dtype == other.dtype and np.array_equal(one, other))
