"""What many steps calculate, whoever does it: what is carried from step to step, what comes back, who runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..grid import Grid
from ..lowering.relation import LoweredRelation
from ..node import Node, Refused
from ..ports import Source
from .batches import Batches
from .carry import Clock, Feed


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
class StepLayout:
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


class StepsRunner(Protocol):
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


def needed_of(part: LoweredRelation) -> list[Node]:
    """The nodes that the rows of a relation are put together from."""
    nodes = [axis.origin for axis in part.axes] + ([] if part.present is None else [part.present])
    for column in part.columns:
        nodes += [column.value.cells, *([] if column.value.valid is None else [column.value.valid])]
    return list(dict.fromkeys(nodes))
