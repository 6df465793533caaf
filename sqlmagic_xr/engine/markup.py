"""DataFusion's own HTML and text of a frame, with nothing in them that a browser or a terminal would obey."""

from __future__ import annotations

from html import escape, unescape
from typing import Any

import pyarrow as pa
from datafusion import dataframe_formatter
from datafusion.dataframe_formatter import DataFrameHtmlFormatter

from ..errors import escape_controls


class _Escaped(str):
    """Text for HTML that is cut between characters, not inside what stands for one."""

    def __str__(self) -> str:
        return self

    def __getitem__(self, key: Any) -> str:
        return escape(unescape("".join(self))[key])


class EscapingFormatter(DataFrameHtmlFormatter):
    """DataFusion's formatter, which writes names and values into its HTML as they are, escaped.

    What a formatter or a builder of the user's own returns stays as it is.
    """

    @classmethod
    def like(cls, other: DataFrameHtmlFormatter) -> DataFrameHtmlFormatter:
        """A formatter with the settings of another; one that overrides DataFusion's is kept."""
        if type(other) is not DataFrameHtmlFormatter:
            return other
        made = cls()
        made.__dict__.update(other.__dict__)
        return made

    def _format_cell_value(self, value: Any) -> str:
        text = super()._format_cell_value(value)
        own = any(isinstance(value, kind) for kind in self._type_formatters)
        return text if own else _Escaped(escape(escape_controls(text, keep="\n\t")))

    def _build_table_header(self, schema: Any) -> list[str]:
        if self._custom_header_builder is None:
            names = [escape(escape_controls(name)) for name in schema.names]
            schema = pa.schema([f.with_name(n) for f, n in zip(schema, names, strict=True)])
        return list(super()._build_table_header(schema))


def make_safe() -> None:
    """Let frames of DataFusion that are none of ours be escaped too, unless the user has a formatter of his own."""
    dataframe_formatter.set_formatter(EscapingFormatter.like(dataframe_formatter.get_formatter()))


def html(rows: pa.Table, most: int) -> str:
    """The first rows of a result as DataFusion's HTML."""
    formatter = EscapingFormatter.like(dataframe_formatter.get_formatter())
    return str(formatter.format_html(rows.slice(0, most).to_batches(), rows.schema, has_more=rows.num_rows > most))


def shown_rows() -> int:
    """How many rows DataFusion shows of a frame."""
    return int(dataframe_formatter.get_formatter().max_rows)
