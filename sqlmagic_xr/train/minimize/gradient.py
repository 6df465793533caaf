"""The gradient of a MINIMIZE as CTEs: of the loss's own expression or of its whole query, clipped, with decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .parameters import ParameterTable
from .problem import Problem
from .text import cte, fresh_column, join, listed_in_lines, quoted


@dataclass(frozen=True)
class Gradient:
    """Where a statement finds it.

    Attributes:
        ctes: what has to stand behind its WITH.
        name: the relation that has it.
        source: a FROM of the parameters beside it; "" where ``name`` is to be joined on the table's key.
        slopes: column -> its slope there. NULL where a batch has no row for a key.
        rate: the learning rate there; "" unless it was asked for.
    """

    ctes: tuple[str, ...]
    name: str
    source: str
    slopes: Mapping[str, str]
    rate: str = ""

    @property
    def known(self) -> str:
        """SQL of whether a row has a gradient."""
        return " AND ".join(f"{slope} IS NOT NULL" for slope in self.slopes.values())


def bare_gradient(problem: Problem, table: ParameterTable) -> Gradient:
    """It as it is, beside the parameters: in the shortest text, for what needs it in one place.

    Of a whole query it is taken apart from what reads it where a batch may leave a key without a row.
    """
    direct = _direct(problem, table)
    if direct is None and problem.batched:
        named = joined_gradient(problem, table)
        source = f"{table.sql} {keeping_join(problem, named.name, table.sql, table.keys)}"
        return Gradient(named.ctes, named.name, source, named.slopes)
    ctes, source, slopes = _slopes(problem, table, masked=False)
    return Gradient(ctes, problem.fresh("slope") if direct else problem.loss_name, source, slopes)


def joined_gradient(problem: Problem, table: ParameterTable, rate: str = "") -> Gradient:
    """It as a relation with the table's key, for what has another table to be joined with.

    Args:
        problem: whose gradient.
        table: by the columns of which table.
        rate: SQL of the learning rate, where that is needed as well.
    """
    ctes, _, slopes = _slopes(problem, table, masked=True)
    name = problem.fresh("slope")
    plain = {column: f"{name}.{quoted(column)}" for column in table.columns}
    if slopes == plain and not rate and not _clips(problem):
        return Gradient(ctes, name, "", plain)
    if _clips(problem):
        return _clipped(problem, table, rate, ctes)
    name = problem.fresh("gradient")
    found = (*ctes, _gradient_cte(problem, table, name, rate))
    columns = {column: f"{name}.{quoted(column)}" for column in table.columns}
    return Gradient(found, name, "", columns, f"{name}.{_rate_name(table)}" if rate else "")


def keeping_join(problem: Problem, what: str, to: str, keys: Sequence[str], alias: str = "") -> str:
    """A join that loses no row of the parameters: of a batch, some keys may have none."""
    kind = "LEFT JOIN" if problem.batched and problem.loss.per else "JOIN"
    return join(what, to, keys, alias, kind)


def _direct(problem: Problem, table: ParameterTable) -> str | None:
    """A CTE with the slope by each column, made of the loss's own query; None where that cannot be.

    It costs one pass over the rows, with all columns together.
    """
    found = problem.readable(table)
    if found is None:
        return None
    keys, alias = found
    slopes = [f"grad({problem.loss.expression}, {alias}.{quoted(c)}) AS {quoted(c)}" for c in table.columns]
    return problem.of_the_loss(problem.fresh("slope"), [*keys, *slopes])


def _slopes(
    problem: Problem, table: ParameterTable, *, masked: bool
) -> tuple[tuple[str, ...], str, dict[str, str]]:  # fmt: skip
    """CTEs, a FROM, and column -> its gradient there: of what is optimized, turned for MAXIMIZE, with decay."""
    direct = _direct(problem, table)
    name = problem.fresh("slope") if direct else problem.loss_name
    per = problem.loss.per
    source = f"{table.sql} {join(name, table.sql, per) if masked else keeping_join(problem, name, table.sql, per)}"
    free = problem.free(table) if masked else ""
    found = {}
    for column in table.columns:
        slope = f"{name}.{quoted(column)}" if direct else f"grad({problem.loss_column}, {table.column(column)})"
        if problem.batched and not direct:
            slope = f"CASE WHEN {problem.loss_column} IS NOT NULL THEN {slope} END"
        slope = _negative(slope) if problem.minimize.maximize else slope
        if not _clips(problem):
            slope = _decayed(problem, slope, table.column(column))
        found[column] = f"CASE WHEN {free} THEN {slope} ELSE 0.0 END" if free else slope
    return (direct or problem.loss_cte,), source, found


def _negative(slope: str) -> str:
    return f"-({slope})" if slope.startswith("CASE") else f"-{slope}"


def _gradient_cte(problem: Problem, table: ParameterTable, name: str, rate: str) -> str:
    _, source, slopes = _slopes(problem, table, masked=True)
    items = [table.column(key) for key in table.keys]
    items += [f"{slope} AS {quoted(column)}" for column, slope in slopes.items()]
    if _clips(problem) and _decays(problem):
        items += [f"{table.column(c)} AS {_value_name(table, c)}" for c in table.columns]
    items += [f"{rate} AS {_rate_name(table)}"] if rate else []
    body = "SELECT " + ",\n       ".join(items)
    body += f"\nFROM {source}\nWHERE {table.column(table.step)} = :k"
    return cte(name, body)


def _rate_name(table: ParameterTable) -> str:
    return quoted(fresh_column("rate", (*table.keys, *table.columns)))


def _value_name(table: ParameterTable, column: str) -> str:
    return quoted(fresh_column(f"{column}_value", (*table.keys, *table.columns)))


# --- clipping and decay, in optax's order: clipped, then decayed, then the optimizer


def _clips(problem: Problem) -> bool:
    return bool({"max_norm", "max_delta"} & set(problem.minimize.options))


def _decays(problem: Problem) -> bool:
    return "weight_decay" in problem.minimize.options and not problem.optimizer.decay


def _decayed(problem: Problem, slope: str, value: str) -> str:
    return f"({slope} + {problem.options['weight_decay']} * {value})" if _decays(problem) else slope


def _clipped(problem: Problem, table: ParameterTable, rate: str, ctes: Sequence[str]) -> Gradient:
    """The clipped gradient; the norm is that of the gradients by all tables together."""
    options, name = problem.options, problem.fresh("gradient")
    found = [*ctes, _gradient_cte(problem, table, name, rate)]
    source, slopes = name, _within(problem, name, table)
    if "max_norm" in options:
        found += _norm(problem, table, name)
        norm, most = problem.fresh("norm"), options["max_norm"]
        slopes = {
            c: f"CASE WHEN {norm}.length < {most} THEN {g} ELSE ({g}) / {norm}.length * {most} END"
            if g.startswith("CASE")
            else f"CASE WHEN {norm}.length < {most} THEN {g} ELSE {g} / {norm}.length * {most} END"
            for c, g in slopes.items()
        }
        source += " " + join(norm, name, problem.loss.per)
    items = [f"{name}.{quoted(key)}" for key in table.keys]
    for column, slope in slopes.items():
        items.append(f"{_decayed(problem, slope, f'{name}.{_value_name(table, column)}')} AS {quoted(column)}")
    items += [f"{name}.{_rate_name(table)}"] if rate else []
    clipped = problem.fresh("clipped")
    found.append(cte(clipped, f"SELECT {listed_in_lines(items)}\nFROM {source}"))
    columns = {column: f"{clipped}.{quoted(column)}" for column in table.columns}
    return Gradient(tuple(found), clipped, "", columns, f"{clipped}.{_rate_name(table)}" if rate else "")


def _within(problem: Problem, name: str, table: ParameterTable) -> dict[str, str]:
    """The slopes, clipped by value where that is asked; a NULL stays one, which greatest() would not leave."""
    found = {column: f"{name}.{quoted(column)}" for column in table.columns}
    most = problem.options.get("max_delta")
    if most is None:
        return found
    return {
        c: f"CASE WHEN {g} > {most} THEN {most} WHEN {g} < -{most} THEN -{most} ELSE {g} END" for c, g in found.items()
    }


def _norm(problem: Problem, own: ParameterTable, name: str) -> list[str]:
    """CTEs of the gradients' common length, for each key of PER one; the last is called ``norm``."""
    ctes, totals, per, alone = [], [], problem.loss.per, len(problem.tables) == 1
    norm = problem.fresh("norm")
    for number, table in enumerate(problem.tables, 1):
        gradient = name if table is own else problem.fresh(f"gradient_{number}")
        if table is not own:
            ctes.append(_gradient_cte(problem, table, gradient, ""))
        squares = " + ".join(f"SUM(power({g}, 2))" for g in _within(problem, gradient, table).values())
        keys = [f"{gradient}.{quoted(key)}" for key in per]
        group = "\nGROUP BY " + ", ".join(keys) if keys else ""
        totals.append(norm if alone else problem.fresh(f"total_{number}"))
        items = [*keys, f"sqrt({squares}) AS length" if alone else f"{squares} AS total"]
        ctes.append(cte(totals[-1], f"SELECT {', '.join(items)}\nFROM {gradient}{group}"))
    if not alone:
        first, *others = totals
        length = f"sqrt({' + '.join(f'{total}.total' for total in totals)}) AS length"
        items = [*(f"{first}.{quoted(key)}" for key in per), length]
        source = " ".join([first, *(join(other, first, per) for other in others)])
        ctes.append(cte(norm, f"SELECT {', '.join(items)}\nFROM {source}"))
    return ctes
