"""When a curve says that it is enough: a condition that has become true, or a loss that no longer falls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..sql.syntax import expression_sql, make_identifier
from .expression import RepeatedExpression

if TYPE_CHECKING:
    from ..engine.context import Context


class Until:
    """An SQL condition on the newest row of the curves.

    Args:
        context: evaluates it.
        condition: the SQL.
        columns: the columns that the condition may read.

    Raises:
        SqlError: it cannot be read, or reads a column that the curves do not have.
    """

    def __init__(self, context: Context, condition: str, columns: Iterable[str]) -> None:
        self.condition = condition
        self._names = {name: f"curve_{i}" for i, name in enumerate(columns)}
        source = ", ".join(f":{parameter} AS {_quoted(name)}" for name, parameter in self._names.items())
        self._expression = RepeatedExpression(context, condition, "until", f"(SELECT {source}) AS newest")

    @property
    def reads_parameters(self) -> bool:
        """Whether it reads anything but the curves."""
        return not set(self._names.values()).issuperset(self._expression.names)

    def holds(self, row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
        """Whether it is true of ``row``; NULL is not true."""
        bound = {**values, **{parameter: row.get(name) for name, parameter in self._names.items()}}
        answer = self._expression.value(bound)
        if answer is not None and not isinstance(answer, bool):
            raise UsageError(f"until takes a condition; {self.condition} is {answer!r}")
        return bool(answer)


class Patience:
    """Ends a run whose loss has not fallen for a while.

    Args:
        steps: for how many generations.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._since: int | None = None
        self.best, self.best_at = math.inf, 0

    def over(self, generation: int, loss: float | None) -> bool:
        """Note the loss of a generation; whether it has lasted long enough."""
        if self._since is None:
            self._since = generation
        if loss is not None and loss < self.best:
            self.best, self.best_at, self._since = loss, generation, generation
        return generation - self._since >= self.steps


def _quoted(name: str) -> str:
    return expression_sql({"Identifier": {**make_identifier(name), "quote_style": '"'}})
