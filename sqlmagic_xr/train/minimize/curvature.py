"""Optimizers of the second order: the statements that go where the curvature says that the bottom is."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import SqlError
from .beside import set_up_state
from .generation import generation, kept
from .gradient import keeping_join
from .parameters import ParameterTable
from .problem import Problem
from .second import gauss_newton, hessian, solve, summed
from .text import cte, join, listed_in_lines, quoted

_EXAMPLE = "As in: (SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN params WHERE step = :k)."


def second_order(problem: Problem, table: ParameterTable, setup: list[str]) -> tuple[list[str], str]:
    """The statement of the state, if there is one, and the INSERT of the next generation.

    Args:
        problem: whose they are.
        table: the parameters.
        setup: takes what is run once before.

    Raises:
        UsageError: the loss has no second derivatives that are known, or is not what the optimizer is for.
    """
    keys, items = _curvature(problem, table)
    if problem.optimizer.name == "levenberg_marquardt":
        return _marquardt(problem, table, keys, items, setup)
    curvature, direction, per = problem.fresh("curvature"), problem.fresh("direction"), problem.loss.per
    ctes = [problem.of_the_loss(curvature, [*keys, *items])]
    ctes += solve(curvature, direction, per, len(table.columns), problem.options.get("damping", ""))
    rate, new = problem.rate(table), {}
    for number, column in enumerate(table.columns):
        known, old = f"{direction}.d_{number} IS NOT NULL" if problem.batched else "", table.column(column)
        new[column] = kept(known, f"{old} - {rate} * {direction}.d_{number}", old)
    source = f"{table.sql} {keeping_join(problem, direction, table.sql, per)}"
    return [], generation(problem, table, new, ctes=problem.with_ctes(*ctes), source=source)


def _curvature(problem: Problem, table: ParameterTable) -> tuple[list[str], list[str]]:
    """The items of the loss's keys, and those of its slopes and second derivatives."""
    found = problem.readable(table)
    if found is None:
        raise _without_curvature(problem, table)
    keys, alias = found
    columns, expression = [f"{alias}.{quoted(c)}" for c in table.columns], problem.loss.expression
    name, minimize = problem.optimizer.name, problem.minimize
    if name == "newton":
        return keys, hessian(expression, columns)
    squares = summed(expression)
    if squares is None or not squares.residual:
        raise minimize.refused(
            f"{name} is for least squares, and this loss is no mean or sum of squares",
            "As in: AVG(power(y - (a*x + b), 2)); newton takes any loss.", minimize.loss,
        )  # fmt: skip
    if minimize.maximize:
        raise minimize.refused(f"{name} goes to the least of the squares, so it cannot climb",
                               "Write MINIMIZE, or take another optimizer.", minimize.optimizer)  # fmt: skip
    return keys, gauss_newton(expression, squares, columns)


def _without_curvature(problem: Problem, table: ParameterTable) -> SqlError:
    """Why there are no second derivatives: they are taken of the loss's own expression, by columns of one row."""
    name, loss, hint = problem.optimizer.name, problem.loss, "lbfgs learns the curvature from the gradients alone."
    own = [key for key in table.keys if key not in loss.per]
    if len(problem.tables) > 1:
        what = f"{name} takes the columns of one table, not of several"
    elif loss.select is None or not loss.select.plain:
        what, hint = f"{name} needs a loss that is one SELECT with nothing behind its GROUP BY", _EXAMPLE
    elif loss.alias_of(table.name) is None:
        what = (
            f"{name} needs second derivatives, and those through a whole query are not known: the loss reads "
            f"`{table.name}` within a view, a CTE or a subquery"
        )
        hint = f"Read it in the FROM of the loss itself, or take another optimizer: {hint}"
    elif loss.readings(table.name) != 1:
        what = f"{name} needs a loss that reads `{table.name}` once"
    elif own:
        what = (
            f"{name} needs one row of `{table.name}` for each loss, and it has one for each {', '.join(own)}: the "
            "second derivatives by many rows would be a table of their pairs"
        )
        hint = f"Name the key behind PER if each row has a loss of its own; {hint}"
    else:
        what = f"{name} needs a loss that selects its keys and one number"
    return problem.minimize.refused(what, hint, problem.minimize.optimizer)


def _marquardt(
    problem: Problem, table: ParameterTable, keys: Sequence[str], items: Sequence[str], setup: list[str]
) -> tuple[list[str], str]:
    """Levenberg 1944, Marquardt 1963: a step that did not lower the loss is shortened, and the next is damped."""
    name = problem.name_of("state", f"{table.name}_{problem.optimizer.name}", table)
    firsts = [("damping", problem.options["damping"]), ("best_loss", "1e308")]
    firsts += [(f"{c}_{what}", quoted(c)) for c in table.columns for what in ("best", "next")]
    set_up_state(problem, table, name, firsts, setup)
    state, direction = problem.fresh("state"), problem.fresh("direction")
    beside = f"{quoted(name)} AS {state}"
    known = f"{direction}.damping IS NOT NULL" if problem.batched else ""
    made = [f"{state}.damping", f"{state}.best_loss"]
    better = f"{direction}.better = 1"
    new = [f"{direction}.damping", kept(better, f"{direction}.loss", made[1])]
    for i, c in enumerate(table.columns):
        now, best = table.column(c), f"{state}.{quoted(c + '_best')}"
        made += [best, f"{state}.{quoted(c + '_next')}"]
        new += [kept(better, now, best), kept(better, f"{now} - {direction}.d_{i}", f"{best} + ({now} - {best}) / 4")]
    values = [":next_step", *(f"{state}.{quoted(key)}" for key in table.keys)]
    values += [kept(known, later, before) for later, before in zip(new, made, strict=True)]
    listed = ", ".join(map(quoted, (table.step, *table.keys, *(column for column, _ in firsts))))
    insert = (
        f"INSERT INTO {quoted(name)} ({listed})\n{problem.with_ctes(*_judged(problem, table, keys, items, beside))}\n"
        f"SELECT {listed_in_lines(values)}\n"
        f"FROM {beside} {keeping_join(problem, direction, state, problem.loss.per)} "
        f"{join(table.sql, state, table.keys)}\n"
        f"WHERE {state}.{quoted(table.step)} = :k AND {table.column(table.step)} = :k"
    )
    source = f"{table.sql} {join(beside, table.sql, table.keys, state)}"
    falls = {c: f"{table.column(c)} - ({table.column(c)} - {state}.{quoted(c + '_next')})" for c in table.columns}
    now = f"{state}.{quoted(table.step)} = :next_step"
    return [insert], generation(problem, table, falls, source=source, where=now)


def _judged(
    problem: Problem, table: ParameterTable, keys: Sequence[str], items: Sequence[str], beside: str
) -> list[str]:  # fmt: skip
    """CTEs of the damped direction from the loss and curvature, and of whether the last step lowered the loss."""
    curvature, judged, state = problem.fresh("curvature"), problem.fresh("judged"), problem.fresh("state")
    per, count, better = problem.loss.per, len(table.columns), f"{curvature}.loss <= {state}.best_loss"
    entries = [f"g_{i}" for i in range(count)] + [f"h_{i}_{j}" for i in range(count) for j in range(i, count)]
    columns = [
        *(f"{curvature}.{quoted(key)}" for key in per), f"{kept(better, '1', '0')} AS better",
        f"{kept(better, f'greatest({state}.damping / 10, 1e-12)', f'{state}.damping * 10')} AS damping",
        f"{curvature}.loss AS loss", *(f"{curvature}.{entry}" for entry in entries),
    ]  # fmt: skip
    text = f"SELECT {listed_in_lines(columns)}\nFROM {curvature} {join(beside, curvature, per, state)}"
    where = f"WHERE {state}.{quoted(table.step)} = :k"
    where += f" AND {curvature}.loss IS NOT NULL" if problem.batched else ""
    return [
        problem.of_the_loss(curvature, [*keys, f"{problem.loss.expression} AS loss", *items]),
        cte(judged, f"{text}\n{where}"),
        *solve(judged, problem.fresh("direction"), per, count, "damping", ("better", "damping", "loss")),
    ]
