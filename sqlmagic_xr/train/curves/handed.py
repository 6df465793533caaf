"""The rows of a curve that the steps themselves have calculated, on their way into it: they cost no query."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dense.ports import GridOutput
from ...grids.arrow import ARROW, arrow


@dataclass
class HandedRows:
    """The rows of some generations.

    Attributes:
        after, upto: the generations behind the first, up to and with the second.
        rows: theirs; or of each generation what a query has given.
    """

    after: int
    upto: int
    rows: pa.Table | list[Sequence[GridOutput]]

    @property
    def table(self) -> pa.Table:
        """The rows as a table."""
        return table_of(self.rows) if isinstance(self.rows, list) else self.rows


class Handed:
    """Pieces that wait until the curve is refreshed."""

    def __init__(self) -> None:
        self._pieces: deque[HandedRows] = deque()

    def add(self, after: int, upto: int, rows: pa.Table | Sequence[GridOutput]) -> None:
        """Add the rows of some generations, or what a query has given for one."""
        last = self._pieces[-1] if self._pieces else None
        if isinstance(rows, pa.Table):
            self._pieces.append(HandedRows(after, upto, rows))
        elif last is not None and last.upto == after and isinstance(last.rows, list):
            last.rows.append(rows)
            last.upto = upto
        else:
            self._pieces.append(HandedRows(after, upto, [rows]))

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()

    def cut(self, newest: int) -> None:
        """Forget what lies behind a generation: of a piece of several that lies on both sides, all."""
        while self._pieces and self._pieces[-1].upto > newest:
            self._pieces.pop()

    def reach(self, upto: int) -> int:
        """How far a curve that shows the generations up to ``upto`` gets by itself or with the pieces."""
        return self._pieces[-1].upto if self._pieces else upto

    def begins(self) -> int | None:
        """The generation behind which the first piece begins; None where there is none."""
        return self._pieces[0].after if self._pieces else None

    def take(self, upto: int) -> HandedRows | None:
        """The piece that follows a generation; what lies before it is forgotten."""
        while self._pieces and self._pieces[0].after < upto:
            self._pieces.popleft()
        return self._pieces.popleft() if self._pieces and self._pieces[0].after == upto else None


def table_of(given: Sequence[Sequence[GridOutput]]) -> pa.Table:
    """What a query has given at several steps, as one table."""
    form = given[0][0].form
    plain = not form.axes and not form.nullable and "label" not in form.types
    if not plain or any(len(outputs) > 1 or outputs[0].form is not form for outputs in given):
        return pa.concat_tables([arrow(outputs) for outputs in given])
    columns = [
        pa.array(np.array([outputs[0].cells[place] for outputs in given]), ARROW[kind])
        for place, kind in enumerate(form.types)
    ]
    return pa.Table.from_arrays(columns, names=list(form.names))


def like(rows: pa.Table, schema: pa.Schema) -> pa.Table | None:
    """Rows in the types of a curve's; None where they are others than wider or narrower numbers of the same kind."""
    if rows.column_names != schema.names:
        return None
    for field, wanted in zip(rows.schema, schema, strict=True):
        if field.type != wanted.type and _kind(field.type) != _kind(wanted.type):
            return None
    try:
        return pa.Table.from_arrays(
            [pc.cast(c, f.type) for c, f in zip(rows.columns, schema, strict=True)], names=schema.names
        )
    except pa.ArrowInvalid:
        return None


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "float"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "text" if text else str(kind)
