"""A result as a table: HTML for notebooks, text for terminals; it always says how much the whole is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pyarrow as pa

from ..engine.headers import as_written
from ..properties import kept_property
from ..storage.types import type_name
from .cells import NULL, column_cells, is_number, shorten, width

MAX_COLUMNS = 40  # in HTML, which scrolls sideways; text shows what fits into the width
TEXT_WIDTH = 120  # where there is no terminal to ask
STYLES = ("lines", "ascii", "markdown")

# Lab's own variables, so that a table follows its theme; the fallbacks suit light and dark alike.
_CSS = """
.sqlmagic-xr table {border-collapse: collapse; width: auto; margin: 0; display: block; overflow: auto; max-height: 32em;
  font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)}
.sqlmagic-xr tr {background: transparent}
.sqlmagic-xr tbody tr:hover {background: var(--jp-rendermime-table-row-hover-background, rgba(128,128,128,.15))}
.sqlmagic-xr th, .sqlmagic-xr td {padding: 2px 12px 2px 6px; white-space: pre; text-align: right;
  color: var(--jp-content-font-color1, inherit); border: none}
.sqlmagic-xr thead {position: sticky; top: 0; z-index: 1; background: var(--jp-layout-color0, Canvas);
  box-shadow: 0 1px 0 var(--jp-border-color1, rgba(128,128,128,.6))}
.sqlmagic-xr th {vertical-align: bottom; font-weight: 600}
.sqlmagic-xr th small, .sqlmagic-xr i, .sqlmagic-xr p {color: var(--jp-content-font-color3, gray); font-weight: 400}
.sqlmagic-xr th small {display: block}
.sqlmagic-xr p {margin: 4px 6px}
"""
_LEFT = ' style="text-align:left"'  # inline: untrusted notebooks drop the style sheet


@dataclass(frozen=True)
class DrawnColumn:
    """A column as it is drawn; None among the cells is NULL."""

    name: str
    type: str
    cells: Sequence[str | None]
    right: bool
    null: str = NULL


@dataclass(frozen=True)
class DrawnTable:
    """Some rows of a result, to be drawn.

    Attributes:
        rows: the rows to show, as Arrow.
        total: the rows that the whole result has.
        style: how lines are drawn in text: one of ``STYLES``.
        null: what stands for NULL; "" in lists of ours, where nothing is to be said of it.
        note: what else is to be said of the result, behind its size, or "".
        headers: what the columns are called; by default the names that they have.

    >>> print(DrawnTable(pa.table({"lat": [15.0, 17.5], "name": ["a", None]}), total=1000).text())
     lat    │ name
     DOUBLE │ VARCHAR
    ────────┼─────────
       15.0 │ a
       17.5 │ NULL
    2 of 1,000 rows x 2 columns
    """

    rows: pa.Table
    total: int
    style: str = "lines"
    note: str = ""
    null: str = NULL
    headers: Sequence[str] = ()

    def html(self) -> str:
        """The table as HTML; every value is escaped."""
        shown = self._columns(MAX_COLUMNS)
        head = "".join("<th>…</th>" if c is None else _html_head(c) for c in shown)
        body = "".join(_html_row(shown, i) for i in range(self.rows.num_rows))
        return (
            f'<div class="sqlmagic-xr"><style>{_CSS}</style><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table><p>{escape(self.size(_present(shown)))}</p></div>"
        )

    def text(self, line_width: int | None = None) -> str:
        """The table as lines of text, at most ``line_width`` wide (the terminal's width by default)."""
        shown = self._fitting(line_width or _line_width())
        drawn = [_DrawnColumn.of(c or _gap(self.rows.num_rows)) for c in shown]
        lines = (line.rstrip() for line in _DRAW[self.style](drawn, self.rows.num_rows))
        return "\n".join([*lines, self.size(_present(shown))])

    def size(self, shown_columns: int | None = None) -> str:
        """How much is shown of how much: ``10 of 10,000,000 rows x 3 columns``."""
        rows, columns = self.rows.num_rows, self.rows.num_columns
        shown = columns if shown_columns is None else shown_columns
        note = f"; {self.note}" if self.note else ""
        return f"{_of(rows, self.total, 'row')} x {_of(shown, columns, 'column')}{note}"

    def _columns(self, most: int) -> list[DrawnColumn | None]:
        """At most ``most`` columns, first and last ones, with None where others were left out."""
        count = self.rows.num_columns
        if count <= most:
            return [self._column(i) for i in range(count)]
        front = (most + 1) // 2
        back = range(count - (most - front), count)
        return [*(self._column(i) for i in range(front)), None, *(self._column(i) for i in back)]

    def _fitting(self, line_width: int) -> list[DrawnColumn | None]:
        """The most columns that fit into a line, at least one."""
        shown = self._columns(max(1, line_width // 4))  # none is narrower than four characters
        while len(shown) > 2 and sum(3 + (1 if c is None else _drawn_width(c)) for c in shown) > line_width + 1:
            shown = self._columns(_present(shown) - 1)
        return shown

    def _column(self, index: int) -> DrawnColumn:
        if index not in self._drawn:
            field = self.rows.schema.field(index)
            name = shorten(self.headers[index] if self.headers else as_written(field.name))
            cells = column_cells(self.rows.column(index))
            self._drawn[index] = DrawnColumn(name, type_name(field.type), cells, is_number(field.type), self.null)
        return self._drawn[index]

    @kept_property
    def _drawn(self) -> dict[int, DrawnColumn]:
        return {}

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


def counted(number: int, noun: str) -> str:
    """A number and its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _of(shown: int, total: int, noun: str) -> str:
    return counted(total, noun) if shown == total else f"{shown:,} of {counted(total, noun)}"


def _line_width() -> int:
    return shutil.get_terminal_size((TEXT_WIDTH, 24)).columns if sys.stdout.isatty() else TEXT_WIDTH


def _html_head(column: DrawnColumn) -> str:
    return f"<th{'' if column.right else _LEFT}>{escape(column.name)}<small>{escape(column.type)}</small></th>"


def _html_row(columns: list[DrawnColumn | None], row: int) -> str:
    return f"<tr>{''.join('<td>…</td>' if c is None else _html_cell(c, c.cells[row]) for c in columns)}</tr>"


def _html_cell(column: DrawnColumn, cell: str | None) -> str:
    side = "" if column.right else _LEFT
    return f"<td{side}><i>{escape(column.null)}</i></td>" if cell is None else f"<td{side}>{escape(cell)}</td>"


def _present(columns: list[DrawnColumn | None]) -> int:
    return sum(c is not None for c in columns)


def _gap(rows: int) -> DrawnColumn:
    return DrawnColumn("…", "", ["…"] * rows, right=False)


def _drawn_width(column: DrawnColumn) -> int:
    return max(map(width, (column.name, column.type, *(column.null if c is None else c for c in column.cells))))


@dataclass(frozen=True)
class _DrawnColumn:
    """A column of text cells and the width of the widest."""

    name: str
    type: str
    cells: Sequence[str]
    right: bool
    width: int

    @staticmethod
    def of(column: DrawnColumn) -> _DrawnColumn:
        cells = [column.null if c is None else c for c in column.cells]
        return _DrawnColumn(column.name, column.type, cells, column.right, _drawn_width(column))

    def pad(self, cell: str, *, right: bool) -> str:
        space = " " * (self.width - width(cell))
        return space + cell if right else cell + space


def _lines(columns: list[_DrawnColumn], rows: int, bar: str = "│", line: str = "─", cross: str = "┼") -> list[str]:
    def row(cells: Sequence[tuple[_DrawnColumn, str]], *, head: bool) -> str:
        return " " + f" {bar} ".join(c.pad(cell, right=c.right and not head) for c, cell in cells)

    return [
        row([(c, c.name) for c in columns], head=True),
        row([(c, c.type) for c in columns], head=True),
        cross.join(line * (c.width + 2) for c in columns),
        *(row([(c, c.cells[i]) for c in columns], head=False) for i in range(rows)),
    ]


def _ascii(columns: list[_DrawnColumn], rows: int) -> list[str]:
    return _lines(columns, rows, "|", "-", "+")


def _markdown(columns: list[_DrawnColumn], rows: int) -> list[str]:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return [
        row([c.name for c in columns]),
        "|" + "|".join(" ---: " if c.right else " --- " for c in columns) + "|",
        *(row([c.cells[i] for c in columns]) for i in range(rows)),
        "",
    ]


_DRAW: dict[str, Callable[[list[_DrawnColumn], int], list[str]]] = dict(
    zip(STYLES, (_lines, _ascii, _markdown), strict=True)
)
