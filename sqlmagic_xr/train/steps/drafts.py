"""What array code has calculated as drafts of a scratch table: committed as it is, written out when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from ...dense.node import INSTANTS
from ...dense.ports import Form, GridOutput
from ...grids.arrow import ARROW
from ...properties import kept_property
from ...storage.definition import Definition
from ...storage.draft import Draft


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """A column of a grid (:class:`...storage.draft.Cells`)."""

    output: GridOutput
    place: int

    limits: ClassVar[None] = None  # they are not looked at for it

    @property
    def distinct(self) -> Any:
        """The cells, which stand for several rows each."""
        return self.output.distinct(self.place) if self.output.present is None else self.values()

    def values(self) -> Any:
        """The cell of each row."""
        return self.output.column(self.place)


@dataclass
class Drafting:
    """Makes drafts for one table.

    Attributes:
        definition: the table's.
        _places: for each form of rows where each of the table's columns stands in it, or None where they do not fit.
    """

    definition: Definition
    _places: dict[Form, tuple[int, ...] | None] = field(default_factory=dict)

    @kept_property
    def width(self) -> int:
        """The bits of a row, of which a text has sixteen letters."""
        return sum(128 if column.type == pa.string() else column.type.bit_width for column in self.definition.columns)

    @classmethod
    def of(cls, definition: Definition, known: Drafting | None) -> Drafting:
        """What makes drafts for a table of this definition: what did so before, as long as the table has it."""
        return known if known is not None and known.definition is definition else cls(definition)

    def drafts(self, outputs: Sequence[GridOutput]) -> list[Draft] | None:
        """The rows as drafts; None where some are NULL, or have to be brought to the table's types or completed."""
        found = []
        for output in outputs:
            form = output.form
            places = self.places_of(form)
            if places is None or (form.nullable and any(v is not None and not v.all() for v in output.valid)):
                return None
            rows = output.count if form.axes or output.present is not None else 1
            columns = tuple([_column(output, place) for place in places])
            for column in columns:
                if not isinstance(column, (np.generic, _Spread)):
                    return None
            if rows:
                found.append(Draft(rows, columns, self.definition.schema, rows * self.width // 8))
        return found or None

    def places_of(self, form: Form) -> tuple[int, ...] | None:
        """Where each of the table's columns stands in rows of a form; None where they do not fit the table."""
        if form not in self._places:
            kinds = dict(zip(form.names, form.types, strict=True))
            columns = self.definition.columns
            fits = kinds.keys() == set(self.definition.names) and all(
                ARROW[kinds[c.name]] == c.type and kinds[c.name] not in INSTANTS and c.length is None for c in columns
            )
            self._places[form] = tuple(form.names.index(c.name) for c in columns) if fits else None
        return self._places[form]


def _column(output: GridOutput, place: int) -> Any:
    """A column of a draft: a scalar where it is the same in all rows."""
    form, cells = output.form, output.cells[place]
    if not form.dims[place]:
        if form.types[place] == "label":
            return _text(output, place)
        return cells if isinstance(cells, np.generic) else np.asarray(cells)[()]  # what CASE gives is an array
    if not form.owned[place]:  # an array of the user's may be what is read, and can still change
        cells = tuple(c.copy() if n == place else c for n, c in enumerate(output.cells))
        output = GridOutput(form, output.axes, cells, output.valid, output.present)
    return _Spread(output, place)


def _text(output: GridOutput, place: int) -> Any:
    """A text that is the same in all rows; NumPy's own loses U+0000 at its end."""
    text = str(output.distinct(place).item())
    scalar = np.str_(text)
    return scalar if str(scalar) == text else _Spread(output, place)


def distinct_columns(outputs: Sequence[GridOutput]) -> frozenset[str]:
    """Columns that tell any two rows apart: the coordinates, and what differs from part to part; empty for none."""
    names: set[str] = set()
    for output in outputs:
        if set(output.form.coordinates.values()) != set(range(output.form.axes)):
            return frozenset()
        names |= output.form.coordinates.keys()
    if len(outputs) == 1:
        return frozenset(names)
    for place in outputs[0].form.constants:
        name = outputs[0].form.names[place]
        held = [(o, o.form.names.index(name)) for o in outputs]
        values = {np.asarray(o.cells[at]).item() for o, at in held if at in o.form.constants}
        if len(values) == len(outputs):
            return frozenset({*names, name})
    return frozenset()
