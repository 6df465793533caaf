"""The learning rates of a MINIMIZE, looked at before each step in which they may be others than in the one before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import SqlError
from ...sql.expression import columns, parse
from ...sql.lexer import TokenKind, tokens
from ...sql.parameters import parameters_of
from ..expression import RepeatedExpression
from .text import quoted

if TYPE_CHECKING:
    from ...engine.prepared import Prepared
    from ..steps.together import Courses
    from .parameters import ParameterTable
    from .problem import Problem


class Rates:
    """A rate below zero climbs, and of a NULL one comes a parameter that is NULL: neither is stepped with.

    Args:
        problem: whose rates they are.

    Raises:
        SqlError: the rate cannot be read.
    """

    def __init__(self, problem: Problem) -> None:
        self._minimize, self._piece = problem.minimize, problem.minimize.options.get("lr")
        self._expression: RepeatedExpression | None = None
        self._queries: list[tuple[ParameterTable, Prepared]] = []
        self._names: tuple[str, ...] = ()
        self._last: tuple[Any, ...] | None = None  # the parameters' values that were found to be sound
        self._moved = False  # whether a column that it reads is one that is optimized
        if self._piece is None:
            return
        found = {path[-1] for path in columns(parse(f"(\n{self._piece.text}\n)"))}
        self._moved = any(found & set(table.columns) for table in problem.tables)
        try:
            self._prepare(problem, self._piece.text, rows=bool(found))
        except SqlError as error:
            raise self._placed(error) from None

    def _prepare(self, problem: Problem, text: str, *, rows: bool) -> None:
        if not rows:
            self._expression = RepeatedExpression(problem.context, text, "lr")
            self._names = tuple(sorted(parameters_of(self._expression.prepared.tree or {})))
            return
        for table in problem.tables:
            rate, free = problem.rate(table), problem.free(table)
            query = (
                f"SELECT COUNT(*) FILTER (WHERE {rate} IS NULL) AS without, MIN({rate}) AS least FROM {table.sql}\n"
                f"WHERE {quoted(table.step)} = :k" + (f" AND {free}" if free else "")
            )
            self._queries.append((table, problem.context.prepare(problem.written(query))))
        self._names = tuple(
            sorted({name for _, query in self._queries for name in parameters_of(query.tree or {})} - {"k"})
        )
        if any(word.kind is TokenKind.PARAMETER and word.text[1:] == "k" for word in tokens(text)):
            self._names += ("k",)

    def alone(self, varying: Collection[str]) -> bool:
        """Whether every step has to be looked at by itself: a query tells whether its rates are sound."""
        return bool(self._queries) and (self._moved or not set(varying).isdisjoint(self._names))

    def sound(self, courses: Courses) -> int:
        """How many of some steps, from the first on, have rates that can be stepped with."""
        along = [name for name in self._names if name in courses.along]
        for number in range(courses.count if along else 1):
            try:
                self.check({**courses.values, **{name: courses.along[name][number] for name in along}})
            except SqlError:
                return number  # the step that is to be made with them says so
        return courses.count

    def check(self, values: Mapping[str, Any]) -> None:
        """Look at the rates of one step.

        Args:
            values: its parameters.

        Raises:
            UsageError: a rate is below zero, or NULL.
        """
        now = tuple(values.get(name) for name in self._names)
        if self._piece is None or (now == self._last and not self._moved):
            return
        try:
            if self._expression is not None:
                self._judge(self._expression.value(values), "", values)
            for table, query in self._queries:
                (row,) = query.run(values).to_arrow_table().to_pylist()
                if row["without"]:
                    self._judge(None, f" in {row['without']} rows of `{table.name}`", values)
                if row["least"] is not None:
                    self._judge(row["least"], "", values)
        except SqlError as error:
            raise self._placed(error) from None
        self._last = now

    def _judge(self, rate: Any, where: str, values: Mapping[str, Any]) -> None:
        step = f" at step {values['next_step']}"
        if rate is None:
            raise self._minimize.refused(f"lr is NULL{where}{step}",
                                         "Give every row a rate: CASE ... ELSE 0.01 END.", self._piece)  # fmt: skip
        if isinstance(rate, bool) or not isinstance(rate, (int, float, Decimal)):
            raise self._minimize.refused(f"lr is {rate!r}{step}, which is no number", "As in: lr => 0.01", self._piece)
        if rate < 0:
            raise self._minimize.refused(f"lr is {rate:g}{step}, which is below zero",
                                         "Write MAXIMIZE to climb.", self._piece)  # fmt: skip

    def _placed(self, error: SqlError) -> SqlError:
        """An error about the rate, said of the user's own text."""
        assert self._piece is not None
        error.text, error.statement = self._piece.script, None
        error.span = self._piece.span
        return self._minimize.statement.place(error, self._piece.span)
