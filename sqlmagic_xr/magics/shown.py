"""Results, tables, sizes and places as ``%%xsql`` shows them and hands them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Span, SqlError

if TYPE_CHECKING:
    from ..engine.context import Context
    from ..engine.result import Result
    from ..sql.syntax import Statement


def names_listed(names: list[str]) -> str:
    """Names as a list for people; the first few of many."""
    if not names:
        return "no table"
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def converted(result: Result, kind: str, dims: tuple[str, ...] | None = None) -> Any:
    """A result as what ``--type`` names."""
    if kind == "frame" or result.frame is None:
        return result
    if kind == "xarray":
        try:
            return result.to_dataset(dims)
        except SqlError as error:
            raise result.statement.place(error, result.statement.first_word) from error.__cause__
    return {"pandas": result.to_pandas, "polars": result.to_polars, "arrow": result.to_arrow_table}[kind]()


def moved(span: Span, asks: Statement, statement: Statement) -> Span:
    """A place in ``EXPLAIN statement`` as the place in the statement's own script."""
    first = statement.span
    added = len(asks.text) - len(statement.text)

    def column(line: int, number: int) -> int:
        return number - added + first.column - 1 if line == 1 else number

    lines = first.line - 1
    return Span(
        span.line + lines, column(span.line, span.column),
        span.end_line + lines, column(span.end_line, span.end_column),
    )  # fmt: skip


def profiled(statement: Statement) -> Statement:
    """A query as the SUMMARIZE of it, its places those of the cell."""
    from ..sql.syntax import parse_one

    return parse_one(f"SUMMARIZE {statement.text}")


def human_bytes(size: int) -> str:
    """A number of bytes as people say it.

    >>> human_bytes(999), human_bytes(1_600_000_000)
    ('999 bytes', '1.6 GB')
    """
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 1000 or unit == "PB":
            break
    return f"{value:.1f} {unit}"


def tables_shown(context: Context, style: str) -> Any:
    """The list of tables, sizes as people say them."""
    import pyarrow as pa

    from ..display.table import DrawnTable
    from ..engine.inventory import tables

    found = tables(context)
    sizes = [None if size is None else human_bytes(size) for size in found["bytes"].to_pylist()]
    found = found.set_column(found.schema.get_field_index("bytes"), "size", pa.array(sizes, pa.string()))
    return DrawnTable(found, found.num_rows, style=style, null="")
