"""A curve with keys beside its x axis: of ``SELECT step, lr, AVG(...) ... GROUP BY step, lr`` each lr has a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from ...relation.columns import Field
from ...relation.nodes import Aggregate, Relation, RowsOf, Select
from ...sql.expression import Expression
from ..events import Panel
from .lines import Growing, axis, numbers

MOST = 40
"""So many lines are drawn; more could not be told apart."""


def grouped_by(query: Relation) -> frozenset[str]:
    """The columns of a query that are keys of its GROUP BY.

    Args:
        query: bound.
    """
    while isinstance(query, RowsOf):
        query = query.source
    if not isinstance(query, Select):
        return frozenset()
    return frozenset(output.name for output in query.outputs if output.name is not None and _is_key(output.expression))


def _is_key(expression: Expression) -> bool:
    if not isinstance(expression, Field) or not isinstance(expression.relation, Aggregate):
        return False
    return any(key.name == expression.name for key in expression.relation.keys)


def keys_of(rows: pa.Table, grouped: frozenset[str]) -> list[str]:
    """The columns that tell lines apart: texts, truth values and keys, where the rows would not be one line.

    Args:
        rows: of a curve; the first column is the x axis.
        grouped: the columns that are keys.
    """
    x, *others = rows.column_names
    keys = [name for name in others if name in grouped or _is_label(rows.schema.field(name).type)]
    if not keys or rows.num_rows < 2 or len(rows[x].unique()) == rows.num_rows:
        return []
    return keys


def _is_label(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind) or pt.is_boolean(kind))


class SeriesLines:
    """The numbers of a curve in buffers that grow, a line for each combination of keys.

    Args:
        rows: the first ones.
        keys: the columns that tell lines apart.
        names: the columns of numbers.
    """

    def __init__(self, rows: pa.Table, keys: Sequence[str], names: Sequence[str]) -> None:
        self.x_name = rows.column_names[0]
        self.names = list(names)
        self._keys = list(keys)
        self._x: Growing | None = None
        self._lines: dict[str, Growing] = {}
        self._left_out: set[str] = set()
        self.append(rows)

    def append(self, rows: pa.Table) -> None:
        """Add rows: all those of the values of x that are in them."""
        if not rows.num_rows and self._x is not None:
            return
        rows = rows.sort_by([(key, "ascending") for key in self._keys])  # so the lines come in the order of their keys
        x, places = np.unique(axis(rows.column(0)), return_inverse=True)
        before = 0 if self._x is None else len(self._x.view)
        labels = [_label(self._keys, values) for values in zip(*(rows[k].to_pylist() for k in self._keys), strict=True)]
        columns = {name: numbers(rows[name]) for name in self.names}
        for label, name in product(dict.fromkeys(labels), self.names):
            self._add(label, name, before)
        if self._x is None:
            self._x = Growing(x)
        else:
            self._x.append(x)
        more = {line: np.full(len(x), np.nan) for line in self._lines}
        for name, values in columns.items():
            for row, label in enumerate(labels):
                line = self._line(label, name)
                if line in more:
                    more[line][places[row]] = values[row]
        for line, values in more.items():
            self._lines[line].append(values)

    def _add(self, label: str, name: str, length: int) -> None:
        line = self._line(label, name)
        if line in self._lines or line in self._left_out:
            return
        if len(self._lines) >= MOST:
            self._left_out.add(line)
            return
        self._lines[line] = Growing(np.full(length, np.nan))

    def _line(self, label: str, name: str) -> str:
        return label if len(self.names) == 1 else f"{name}, {label}"

    def of(self, name: str) -> tuple[str, ...]:
        """The lines of one column of numbers."""
        return tuple(line for line in self._lines if len(self.names) == 1 or line.startswith(f"{name}, "))

    def panel(self, title: str, units: Mapping[str, str]) -> Panel:
        """The rows so far; what is handed out never changes."""
        assert self._x is not None
        if self._left_out:
            title = f"{title} ({MOST} of {MOST + len(self._left_out)} lines)".strip()
        of = {line: next((n for n in self.names if line == n or line.startswith(f"{n}, ")), self.names[0])
              for line in self._lines}  # fmt: skip
        own = {line: units[name] for line, name in of.items() if name in units}
        if self.x_name in units:
            own[self.x_name] = units[self.x_name]
        return Panel(title, self.x_name, self._x.view, {n: line.view for n, line in self._lines.items()}, own)


def _label(keys: Sequence[str], values: Sequence[Any]) -> str:
    """What a line is called: a text as it is, a number with its name."""
    return ", ".join(
        value if isinstance(value, str) else f"{key} = {value:.6g}" if isinstance(value, float) else f"{key} = {value}"
        for key, value in zip(keys, values, strict=True)
    )


def merged(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Panels of one title over one axis as one panel; the others as they are.

    Where one of them has not come as far as another, its line ends earlier.
    """
    found: list[Panel] = []
    for panel in panels:
        alike = (n for n, other in enumerate(found) if panel.title and _goes_with(other, panel))
        place = next(alike, None)
        if place is None:
            found.append(panel)
        else:
            found[place] = _together(found[place], panel)
    return tuple(found)


def _goes_with(one: Panel, other: Panel) -> bool:
    """Whether two panels have one title and one axis, as far as both have come."""
    length = min(len(one.x), len(other.x))
    alike = one.title == other.title and one.x_name == other.x_name and one.x.dtype.kind == other.x.dtype.kind
    return alike and bool(np.array_equal(one.x[:length], other.x[:length]))


def _together(one: Panel, other: Panel) -> Panel:
    x = one.x if len(one.x) >= len(other.x) else other.x
    lines: dict[str, npt.NDArray[np.float64]] = {name: _padded(values, len(x)) for name, values in one.lines.items()}
    units, loss = dict(one.units), list(one.loss)
    for name, values in other.lines.items():
        free = next(n for n in (name, *(f"{name} ({k})" for k in range(2, 99))) if n not in lines)
        lines[free] = _padded(values, len(x))
        if name in other.units:
            units[free] = other.units[name]
        if name in other.loss:
            loss.append(free)
    return Panel(one.title, one.x_name, x, lines, units, tuple(loss))


def _padded(values: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    if len(values) == length:
        return values
    return np.concatenate([values, np.full(length - len(values), np.nan)])
