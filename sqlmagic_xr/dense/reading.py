"""How a step reads what the last one has written, without its having been a table in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .grid import Grid, GridCells
from .node import Type
from .ports import Form, GridOutput
from .tables import ScanRead


class WrittenState(Protocol):
    """What is asked of tables when several steps are made at once."""

    def reading(self, read: ScanRead, form: Form) -> ScanReading | None:
        """How a scan reads rows of a form; None where their axes or types are not those of the table."""

    def newest(self, table: tuple[str, ...], column: str) -> int | None:
        """The greatest number of a column of whole numbers without NULL; None where there is none."""

    @property
    def steady(self) -> bool:
        """Whether it can be told of all tables that are read whether they have changed."""


@dataclass(frozen=True, slots=True)
class ScanReading:
    """How a scan reads what was written.

    Attributes:
        fixed: the scan's fixed columns that are one value in what was written, and where they stand.
        picked: those that are an axis of it, and which one.
        order: for each axis of the scan the axis that it is in what was written.
        columns: for each column of the scan where it stands, and along which axes of the scan it varies.
        key: the scan's axes.
    """

    fixed: tuple[tuple[str, int], ...]
    picked: tuple[tuple[str, int], ...]
    order: tuple[int, ...]
    columns: tuple[tuple[str, int, tuple[int, ...]], ...]
    key: tuple[str, ...]

    def fits(self, output: GridOutput, fixed: Mapping[str, Any]) -> bool:
        """Whether the scan asks for what was written, as far as columns of one value tell."""
        return all(output.cells[place] == fixed[name] for name, place in self.fixed)

    def grid(self, output: GridOutput, fixed: Mapping[str, Any]) -> Grid | None:
        """What was written, as the scan reads it; None where no coordinate has the value of a fixed column."""
        if not self.picked and output.present is None:
            cells, valid = output.cells, output.valid
            values = {name: GridCells(new, cells[place], valid[place]) for name, place, new in self.columns}
            return Grid(tuple([output.axes[place] for place in self.order]), self.key, values)
        chosen: dict[int, int] = {}
        for name, axis in self.picked:
            (places,) = np.nonzero(output.axes[axis] == fixed[name])
            if len(places) != 1:
                return None
            chosen[axis] = int(places[0])
        dims = output.form.dims
        values = {
            name: GridCells(
                new, _cut(output.cells[place], dims[place], chosen), _cut(output.valid[place], dims[place], chosen)
            )
            for name, place, new in self.columns
        }
        present = output.present
        if present is not None:
            kept = sorted(self.order)
            present = _cut(present, range(len(output.axes)), chosen).transpose([kept.index(p) for p in self.order])
        return Grid(tuple([output.axes[place] for place in self.order]), self.key, values, present)


def reading_of(form: Form, read: ScanRead, types: Mapping[str, Type | None]) -> ScanReading | None:
    """How a scan reads rows of that form; None where their axes or types are not those of the table.

    Args:
        form: what was written.
        read: what is asked for.
        types: of the table's columns.
    """
    if any(types[name] != kind for name, kind in zip(form.names, form.types, strict=True)):
        return None
    places = {name: place for place, name in enumerate(form.names)}
    if read.key is None or not places.keys() >= {*read.columns, *read.fixed}:
        return None
    fixed = tuple((name, places[name]) for name in read.fixed if places[name] in form.constants)
    picked = tuple((name, form.coordinates[name]) for name in read.fixed if name in form.coordinates)
    order = tuple(form.coordinates[name] for name in read.key if name in form.coordinates)
    gone = {axis for _, axis in picked}
    if len(fixed) + len(picked) != len(read.fixed) or len(order) != len(read.key):
        return None
    if sorted([*order, *gone]) != list(range(form.axes)):
        return None
    new = {old: place for place, old in enumerate(order)}
    columns = tuple((n, places[n], tuple(new[d] for d in form.dims[places[n]] if d in new)) for n in read.columns)
    return ScanReading(fixed, picked, order, columns, read.key)


def _cut(array: Any, dims: Sequence[int], chosen: Mapping[int, int]) -> Any:
    """An array at the chosen coordinates of some axes."""
    if array is None or chosen.keys().isdisjoint(dims):
        return array
    return array[tuple(chosen.get(d, slice(None)) for d in dims)]
