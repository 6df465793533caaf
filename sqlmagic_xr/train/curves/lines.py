"""The numbers of a curve as arrays that grow, so that what is drawn costs what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import TypeMismatchError
from ...sql.syntax import Statement
from ..events import Panel


class Lines:
    """The numbers of a curve in buffers that grow, so that what is drawn costs what is new."""

    def __init__(self, rows: pa.Table, statement: Statement) -> None:
        self.x_name = rows.column_names[0]
        self.names = measures(rows, statement)
        self._x = Growing(axis(rows.column(0)))
        self._lines = {name: Growing(numbers(rows[name])) for name in self.names}

    def append(self, rows: pa.Table) -> None:
        """Add rows."""
        self._x.append(axis(rows.column(0)))
        for name, line in self._lines.items():
            line.append(numbers(rows[name]))

    def panel(self, title: str, units: Mapping[str, str]) -> Panel:
        """The rows so far; what is handed out never changes."""
        return Panel(title, self.x_name, self._x.view, {name: line.view for name, line in self._lines.items()}, units)


def measures(rows: pa.Table, statement: Statement, keys: Sequence[str] = ()) -> list[str]:
    """The columns of numbers that are drawn.

    Raises:
        TypeMismatchError: there is none.
    """
    found = [n for n in rows.column_names[1:] if is_number(rows.schema.field(n).type) and n not in keys]
    if not found:
        raise statement.place(
            TypeMismatchError(
                "a curve needs a column of numbers behind its first, which is the x axis",
                hint="As in: SELECT step, AVG(...) AS loss FROM ... GROUP BY step",
            ),
            statement.span,
        )
    return found


class Growing:
    """An array to which others are appended, in amortised constant time for each number."""

    def __init__(self, first: npt.NDArray[Any]) -> None:
        self._room = first
        self._length = len(first)

    @property
    def view(self) -> npt.NDArray[Any]:
        """What is there; a view that later appends leave as it is."""
        view = self._room[: self._length]
        view.flags.writeable = False
        return view

    def append(self, more: npt.NDArray[Any]) -> None:
        """Add ``more`` behind the rest."""
        end = self._length + len(more)
        if end > len(self._room) or not self._room.flags.writeable:
            room = np.empty(max(end, 2 * self._length, 64), np.result_type(self._room, more))
            room[: self._length] = self._room[: self._length]
            self._room = room
        self._room[self._length : end] = more
        self._length = end


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are drawn."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as float64, NULL as NaN."""
    return np.array(pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy(), np.float64)


def axis(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The first column as something to draw along: integers, floats, instants, or text."""
    kind = column.type
    if pa.types.is_integer(kind) and not column.null_count:
        return np.array(column.to_numpy(), np.int64)
    if is_number(kind):
        return numbers(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return np.array(column.cast(pa.timestamp("us"), safe=False).to_numpy())
    return np.array(["" if v is None else str(v) for v in column.to_pylist()], object)
