"""The generations of many steps as one draft of their table: an array a step and column, in the order of the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from ...dense.arrays import DTYPES
from ...dense.ports import spread
from ...dense.running.layout import Stepwise
from ...dense.stack import Stack
from ...grids.arrow import ARROW
from ...properties import kept_property
from ...storage.definition import Definition
from ...storage.draft import Draft
from .drafts import Drafting


@dataclass(eq=False)
class _Column:
    """A column of stacks (:class:`...storage.draft.Cells`): of each step the rows of each stack.

    Attributes:
        stacks: what the queries of a step have given.
        places: where the column stands in each of them.
    """

    stacks: Sequence[Stack]
    places: Sequence[int]

    @kept_property
    def limits(self) -> tuple[Any, Any] | None:
        """The first and the last of whole numbers that never fall, where all queries give the same ones."""
        cells = [stack.cells[place] for stack, place in zip(self.stacks, self.places, strict=True)]
        if not all(isinstance(c, (list, Stepwise)) and isinstance(c[0], np.int64) for c in cells):
            return None
        first, *others = map(_array, cells)
        if (first[1:] < first[:-1]).any() or any(not np.array_equal(first, other) for other in others):
            return None
        return int(first[0]), int(first[-1])

    @property
    def distinct(self) -> Any:
        """The values, each at least once."""
        return np.concatenate([np.ravel(self._raw(*each)) for each in zip(self.stacks, self.places, strict=True)])

    def values(self) -> Any:
        """The value of each row."""
        parts = [self._rows(*each) for each in zip(self.stacks, self.places, strict=True)]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return whole.reshape(-1)

    def _raw(self, stack: Stack, place: int) -> Any:
        """The array of each step, behind one another; or the one of all."""
        cells, kind = stack.cells[place], stack.form.types[place]
        array = _array(cells)
        return stack.form.labels.texts(array) if kind == "label" else array.astype(DTYPES[kind], copy=False)

    def _rows(self, stack: Stack, place: int) -> Any:
        """The cell of each row: steps by rows of a step."""
        dims = tuple(dim + 1 for dim in stack.form.dims[place])
        if isinstance(stack.cells[place], (list, Stepwise)):
            dims = (0, *dims)
        shape = (stack.steps, *(len(axis) for axis in stack.axes))
        return spread(self._raw(stack, place), dims, shape, None).reshape(stack.steps, prod(shape[1:]))


def rows_of(stacks: Sequence[Stack]) -> pa.Table:
    """The rows of many steps as a table; of those of one step the order is that of the queries and their keys."""
    form = stacks[0].form
    places = [[stack.form.names.index(name) for stack in stacks] for name in form.names]
    columns = [_Column(stacks, place).values() for place in places]
    return pa.table({
        name: pa.array(column.tolist() if kind == "label" else column, ARROW[kind])
        for name, kind, column in zip(form.names, form.types, columns, strict=True)
    })  # fmt: skip


def stacked(stacks: Sequence[Stack], drafting: Drafting) -> Draft | None:
    """The rows of many steps as one draft; None where they have to be brought to the table's types or completed.

    Args:
        stacks: what each query of a step gives, in the order in which a step adds them.
        drafting: the table.
    """
    found = [drafting.places_of(stack.form) for stack in stacks]
    places = [p for p in found if p is not None]
    if len(places) < len(found):
        return None
    definition: Definition = drafting.definition
    rows = stacks[0].steps * sum(prod(len(axis) for axis in stack.axes) for stack in stacks)
    columns = tuple(_column(stacks, [place[number] for place in places]) for number in range(len(definition.columns)))
    return Draft(rows, columns, definition.schema, rows * drafting.width // 8)


def _column(stacks: Sequence[Stack], places: Sequence[int]) -> Any:
    """A column of the draft: a scalar where it is the same in all rows of all steps."""
    cells = [stack.cells[place] for stack, place in zip(stacks, places, strict=True)]
    kinds = {stack.form.types[place] for stack, place in zip(stacks, places, strict=True)}
    alone = all(isinstance(c, np.generic) and c == cells[0] for c in cells)
    return cells[0] if alone and "label" not in kinds else _Column(stacks, places)


def _array(cells: Any) -> Any:
    """The arrays of all steps as one."""
    return cells.array if isinstance(cells, Stepwise) else np.asarray(cells)
