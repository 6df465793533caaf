"""An SQL expression that a person gives beside the cell: a schedule, a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..dense.node import Refused
from ..dense.program import LoweredQuery, Program
from ..errors import SqlError
from ..grids.arrow import Grids, parameter_types
from ..sql.parameters import parameters_of
from ..sql.syntax import parse_one

if TYPE_CHECKING:
    from ..engine.context import Context

_NO_TABLES = Grids(lambda name: None, lambda name: ())


class RepeatedExpression:
    """An expression that is evaluated again and again: as array code, or by the engine where that is not to be had.

    Args:
        context: evaluates it.
        text: the SQL.
        role: what it is, for errors: ``--until``.
        source: what stands behind FROM, or "".

    Attributes:
        names: of its parameters.

    Raises:
        SqlError: it cannot be read; the error shows ``text`` alone.
    """

    def __init__(self, context: Context, text: str, role: str, source: str = "") -> None:
        self.text, self._role = text, role
        # On lines of its own the expression keeps its columns, and a comment in it ends where it should.
        query = f"SELECT (\n{text}\n) AS value" + (f" FROM {source}" if source else "")
        with self._told():
            self.prepared = context.prepare(parse_one(query))
        self.names = sorted(parameters_of(self.prepared.tree or {}))
        self._kinds: list[type] = []  # of the parameters' values, for which the program was made
        self._program: Program | None = None

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value as a Python object.

        Args:
            values: the parameters by name.
        """
        with self._told():
            try:
                return self._by_arrays(values)
            except Refused:
                return self.prepared.run(values).to_arrow_table().column(0)[0].as_py()

    def _by_arrays(self, values: Mapping[str, Any]) -> Any:
        """The value, in a hundredth of the time that the engine takes to plan a query.

        Raises:
            Refused: array code does not know the expression, or what these values make of it.
        """
        kinds = [type(values.get(name)) for name in self.names]
        if self._program is None or kinds != self._kinds:
            types = parameter_types({name: values[name] for name in self.names if name in values})
            query = LoweredQuery((self.prepared.tree or {}).get("Query"))
            self._program, self._kinds = Program([query], _NO_TABLES, types), kinds
        (output,) = self._program.step(_NO_TABLES, values).run(0)
        known = output.valid[0]
        return None if known is not None and not known else output.distinct(0).item()

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
