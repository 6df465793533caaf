"""What many steps of a program give: for each statement the arrays of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from .ports import Form, GridOutput
from .running.layout import Stepwise


@dataclass(frozen=True, eq=False)
class Stack:
    """The rows that a statement gives at several steps, one step after the other.

    Attributes:
        form: the rows of each step.
        axes: the coordinates of each axis, the same at each step.
        steps: how many.
        cells: for each column the steps' arrays, as a list or :class:`.running.layout.Stepwise`; or the one of all.
    """

    form: Form
    axes: tuple[Any, ...]
    steps: int
    cells: tuple[Any, ...]

    def output(self, step: int) -> GridOutput:
        """The rows of one step."""
        cells = tuple([c[step] if isinstance(c, (list, Stepwise)) else c for c in self.cells])
        return GridOutput(self.form, self.axes, cells, (None,) * len(cells))

    @property
    def rows(self) -> int:
        """How many rows a step has."""
        return prod(map(len, self.axes))

    def since(self, step: int) -> Stack:
        """The rows from one of the steps on."""
        cells = [
            Stepwise(c.array[step:]) if isinstance(c, Stepwise) else c[step:] if isinstance(c, list) else c
            for c in self.cells
        ]
        return replace(self, steps=self.steps - step, cells=tuple(cells))

    def whole(self) -> GridOutput:
        """The rows of all steps, along one axis more: the steps."""
        form, cells, dims = self.form, list[Any](), list[tuple[int, ...]]()
        for given, along in zip(self.cells, form.dims, strict=True):
            moving = isinstance(given, (list, Stepwise))
            cells.append(np.asarray(given.array if isinstance(given, Stepwise) else given))
            dims.append((*((0,) if moving else ()), *(dim + 1 for dim in along)))
        steps = replace(form, axes=form.axes + 1, dims=tuple(dims), coordinates={}, constants=())
        return GridOutput(steps, (np.arange(self.steps), *self.axes), tuple(cells), (None,) * len(cells))


@dataclass(frozen=True)
class Deleted:
    """What the steps of a call have left of the generations of a table.

    Attributes:
        least: the least one that the last step has left.
        steps: how many of the call's own are gone.
    """

    least: int
    steps: int


@dataclass(frozen=True, eq=False)
class MadeSteps:
    """What a call has made.

    Attributes:
        steps: how many; the step behind them has to be made by itself where they are fewer than were asked for.
        stacks: the rows that were added, by the place of the statement, one for each query of a UNION ALL.
        last: by the place of the statement the rows of tables that are made anew at each step, as the last step has
            left them.
        looks: the rows of the queries that write nothing, by their places.
        deleted: what statements have deleted of old generations, by their places.
        watched: the rows of all steps of tables that are made anew, as far as they were asked for.
    """

    steps: int
    stacks: Mapping[int, Sequence[Stack]]
    last: Mapping[int, Sequence[GridOutput]]
    looks: Mapping[int, Sequence[Stack]]
    deleted: Mapping[int, Deleted] = field(default_factory=dict)
    watched: Mapping[int, Sequence[Stack]] = field(default_factory=dict)
