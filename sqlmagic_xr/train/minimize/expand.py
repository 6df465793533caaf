"""MINIMIZE -> the plain statements that a step is: anybody could type them, and they are what runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...grids.datasets import ReadDatasets
from ...sql.syntax import Statement
from .beside import loss_items, losses_insert, set_up_losses
from .curvature import second_order
from .first import first_order
from .lbfgs import quasi_newton
from .loss import Loss, read_loss
from .options import optimizer_of
from .parameters import ParameterTable, check_fit, parameters_of
from .problem import Problem
from .rates import Rates
from .statement import Minimize, read
from .stationary import curvature_query

if TYPE_CHECKING:
    from ...engine.context import Context


@dataclass(frozen=True)
class Expansion:
    """What a MINIMIZE becomes.

    Attributes:
        minimize: the statement.
        setup: run once, before the first step: the tables beside the parameters.
        step: the statements of a step.
        insert: the one among ``step`` that makes the generation.
        losses: the table that takes the loss of each generation.
        tables: the parameters.
        loss: what is minimized.
        query: gives its rows at the newest generation.
        rates: look at the learning rates of a step before it is made.
        curvature: gives the Hessian, where the run may end at the wrong kind of point (:mod:`.stationary`).
    """

    minimize: Minimize
    setup: tuple[Statement, ...]
    step: tuple[Statement, ...]
    insert: Statement
    losses: str
    tables: tuple[ParameterTable, ...]
    loss: Loss
    query: Statement
    rates: Rates
    curvature: Statement | None

    @property
    def table(self) -> ParameterTable:
        """The parameters; of several tables the first."""
        return self.tables[0]


def written_out(setup: Sequence[Statement], step: Sequence[Statement]) -> str:
    """The statements as a person would type them, those that run once apart."""
    once = "".join(f"{statement.text};\n" for statement in setup)
    each = ";\n\n".join(statement.text for statement in step)
    head = f"-- once, before the first step (%%xsql)\n{once}\n" if once else ""
    return f"{head}-- each step (%%xsql_train)\n{each};"


def expand(
    context: Context, statement: Statement, values: Callable[[int], Mapping[str, Any]], *, restart: bool,
    datasets: ReadDatasets | None = None,
) -> Expansion:  # fmt: skip
    """Write the statements of a MINIMIZE.

    Args:
        context: where they will run.
        statement: the MINIMIZE.
        values: the parameters of the step behind a generation.
        restart: whether the run begins at the first generation.
        datasets: takes what the loss reads, for the first step.

    Raises:
        SqlError: something does not fit; it points into the user's text.
    """
    problem = _problem(context, read(statement), values, datasets, restart=restart)
    first = problem.tables[0]
    setup: list[str] = []
    rates = Rates(problem)
    rates.check(problem.values)
    losses = problem.name_of("losses", f"{first.name}_loss")
    stated: list[str] = []
    inserts: list[str] = []
    for table in problem.tables:
        before, insert = _writer_of(problem)(problem, table, setup)
        stated += before
        inserts.append(insert)
    set_up_losses(problem, losses, setup)
    step = [problem.written(text) for text in (*stated, *inserts, losses_insert(problem, losses))]
    items = ", ".join(loss_items(problem))
    query = problem.written(f"{problem.with_ctes(problem.loss_cte)}\nSELECT {items} FROM {problem.loss_name}")
    return Expansion(
        problem.minimize, tuple(map(problem.written, setup)), tuple(step), step[len(stated)], losses, problem.tables,
        problem.loss, query, rates, curvature_query(problem),
    )  # fmt: skip


def _writer_of(problem: Problem) -> Callable[[Problem, ParameterTable, list[str]], tuple[list[str], str]]:
    if problem.optimizer.name == "lbfgs":
        return quasi_newton
    return second_order if problem.optimizer.second else first_order


def _problem(
    context: Context, minimize: Minimize, values: Callable[[int], Mapping[str, Any]], datasets: ReadDatasets | None, *,
    restart: bool,
) -> Problem:  # fmt: skip
    """Look up what a statement names, and whether it belongs together."""
    tables = parameters_of(context, minimize, restart=restart)
    first = tables[0]
    for table in tables[1:]:
        if table.newest != first.newest:
            raise minimize.refused(
                f"`{table.name}` stands at {table.step} = {table.newest} and `{first.name}` at {first.newest}",
                "Tables that are optimized together have the same generations.",
            )  # fmt: skip
    known = values(first.newest)
    optimizer = optimizer_of(context, minimize, known)
    loss = read_loss(context, minimize, first.step, known, datasets)
    check_fit(context, minimize, loss, tables)
    return Problem(context, minimize, tables, loss, optimizer, known, restart)
