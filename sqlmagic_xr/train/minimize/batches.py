"""What is wrong with the condition of BATCH: said of that, not of the statements that were written with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ...errors import SqlError
from ...grids.datasets import ReadDatasets
from ...sql.syntax import Statement
from .evaluation import Names, evaluated
from .query import SelectText
from .statement import Minimize

if TYPE_CHECKING:
    from ...engine.context import Context
    from .loss import Loss


class Batched(Protocol):
    """A MINIMIZE and its loss."""

    @property
    def minimize(self) -> Minimize:
        """The statement."""

    @property
    def loss(self) -> Loss:
        """What is minimized."""


def of_one_batch(
    context: Context,
    minimize: Minimize,
    select: SelectText,
    values: Mapping[str, Any],
    names: Names | None,
    datasets: ReadDatasets | None = None,
) -> pa.Table:
    """The rows of the loss for one batch.

    Args:
        context: where it runs.
        minimize: the statement.
        select: the loss's query, the condition of BATCH in it.
        values: the parameters of a step.
        names: of its columns.
        datasets: takes what it reads.

    Raises:
        SqlError: it cannot be evaluated; the error points to the condition.
    """
    text = str(select)
    try:
        return evaluated(context, context.prepare(Statement(text, text)), values, names, datasets)
    except SqlError as error:  # its place is that of no text of the user's
        assert minimize.batch is not None
        error.text, error.span = minimize.statement.script, minimize.batch.span
        raise minimize.statement.place(error, minimize.batch.span) from None


def blamed(
    context: Context, expansion: Batched | None, values: Callable[[], Mapping[str, Any]], error: BaseException
) -> BaseException:  # fmt: skip
    """The error of a step; that of the condition of BATCH, where the loss has one with it alone.

    Args:
        context: where it runs.
        expansion: the MINIMIZE among the statements; None where there is none.
        values: gives the parameters of the step.
        error: what the step has raised.
    """
    if expansion is None or expansion.minimize.batch is None or not isinstance(error, SqlError):
        return error
    loss = expansion.loss
    if loss.select is None or loss.whole is None or (loss.ctes and loss.select.ctes):
        return error
    whole, part = (replace(select, ctes=loss.ctes or select.ctes) for select in (loss.whole, loss.select))
    if _fault(context, expansion, whole, values()) is not None:  # of all rows as well
        return error
    return _fault(context, expansion, part, values()) or error


@contextmanager
def blaming(
    context: Context, expansion: Batched | None, values: Callable[[], Mapping[str, Any]]
) -> Iterator[None]:  # fmt: skip
    """Within this block an error is that of the condition of BATCH, where it is one (:func:`blamed`)."""
    try:
        yield
    except SqlError as error:
        found = blamed(context, expansion, values, error)
        if found is error:
            raise
        raise found from None


def _fault(context: Context, expansion: Batched, select: SelectText, values: Mapping[str, Any]) -> SqlError | None:
    try:
        of_one_batch(context, expansion.minimize, select, values, expansion.loss.bound.names or ())
    except SqlError as error:
        return error
    return None
