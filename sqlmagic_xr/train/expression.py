"""An SQL expression that a person gives beside the cell: a schedule, a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SqlError
from ..sql.syntax import parse_one

if TYPE_CHECKING:
    from ..engine.context import Context


class Expression:
    """An expression that is evaluated by the engine, again and again.

    Args:
        context: evaluates it.
        text: the SQL.
        role: what it is, for errors: ``--until``.
        source: what stands behind FROM, or "".

    Raises:
        SqlError: it cannot be read; the error shows ``text`` alone.
    """

    def __init__(self, context: Context, text: str, role: str, source: str = "") -> None:
        self.text, self._role = text, role
        # On lines of its own the expression keeps its columns, and a comment in it ends where it should.
        query = f"SELECT (\n{text}\n) AS value" + (f" FROM {source}" if source else "")
        with self._told():
            self.prepared = context.prepare(parse_one(query))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value as a Python object.

        Args:
            values: the parameters by name.
        """
        with self._told():
            return self.prepared.run(values).to_arrow_table().column(0)[0].as_py()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let an error speak of the expression, not of the query around it."""
        try:
            yield
        except SqlError as error:
            error.what = f"{self._role}: {error.what}"
            error.text = self.text
            if error.span is not None:
                lines = len(self.text.splitlines())
                line, end = (min(max(n - 1, 1), lines) for n in (error.span.line, error.span.end_line))
                error.span = replace(error.span, line=line, end_line=end)
            raise
