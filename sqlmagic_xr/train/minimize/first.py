"""Optimizers of the first order: the statement of their moments, and that of the next generation."""

from __future__ import annotations

from .beside import OptimizerTable, set_up_state
from .generation import generation, kept
from .gradient import Gradient, bare_gradient, joined_gradient, keeping_join
from .optimizers import Old, Rule, Setting
from .parameters import ParameterTable
from .problem import Problem
from .text import count_from, factor, join, listed_in_lines, quoted


def first_order(problem: Problem, table: ParameterTable, setup: list[str]) -> tuple[list[str], str]:
    """The statement of the moments, if there are some, and the INSERT of the next generation.

    Args:
        problem: whose they are.
        table: the parameters.
        setup: takes what is run once before.
    """
    rule = _rule(problem, count_from(table.newest), "")
    if not rule.moments:
        return [], _without_state(problem, table, rule)
    name = problem.name_of("state", f"{table.name}_{problem.optimizer.name}", table)
    firsts = [(f"{c}_{m.name}", m.initial) for c in table.columns for m in rule.moments]
    state = set_up_state(problem, table, name, firsts, setup, counted=problem.batched)
    return [_moments(problem, table, state)], _with_state(problem, table, state)


def _rule(problem: Problem, count: str, rate: str) -> Rule:
    return problem.optimizer.rule(Setting(problem.options, count, rate))


def _without_state(problem: Problem, table: ParameterTable, rule: Rule) -> str:
    clips = {"max_norm", "max_delta"} & set(problem.minimize.options)
    found = joined_gradient(problem, table) if clips else bare_gradient(problem, table)
    source = found.source or f"{table.sql} {keeping_join(problem, found.name, table.sql, table.keys)}"
    rate, new = problem.rate(table), {}
    known = found.known if problem.batched else ""
    for column, slope in found.slopes.items():
        fallen = _fallen(table, column, rule, rate, rule.update(slope, lambda moment: moment))
        new[column] = kept(known, fallen, table.column(column))
    return generation(problem, table, new, ctes=problem.with_ctes(*found.ctes), source=source)


def _moments(problem: Problem, table: ParameterTable, state: OptimizerTable) -> str:
    """Each moment anew, out of the old ones and the gradient; without a gradient it stays."""
    alias = problem.fresh("state")
    rated = _rule(problem, "1", "1.0").rated
    found = joined_gradient(problem, table, problem.rate(table) if rated else "")
    count = f"({alias}.{state.steps} + 1)" if state.counts else count_from(state.begun)
    rule, known = _rule(problem, count, found.rate), found.known if state.counts else ""
    listed = [table.step, *table.keys, *(f"{c}_{m.name}" for c in table.columns for m in rule.moments)]
    items = [":next_step", *(f"{alias}.{quoted(key)}" for key in table.keys)]
    for column in table.columns:
        old = _state_of(alias, column)
        items += [kept(known, m.new(found.slopes[column], old), old(m.name)) for m in rule.moments]
    if state.counts:
        listed += state.counts
        items += [kept(known, f"{alias}.{state.steps} + 1", f"{alias}.{state.steps}"), kept(known, "1", "0")]
    return (
        f"INSERT INTO {quoted(state.name)} ({', '.join(map(quoted, listed))})\n{problem.with_ctes(*found.ctes)}\n"
        f"SELECT {listed_in_lines(items)}\n"
        f"FROM {quoted(state.name)} AS {alias} {_to_gradient(problem, found, alias, table)}\n"
        f"WHERE {alias}.{quoted(table.step)} = :k"
    )


def _to_gradient(problem: Problem, found: Gradient, alias: str, table: ParameterTable) -> str:
    return keeping_join(problem, found.name, alias, table.keys)


def _with_state(problem: Problem, table: ParameterTable, state: OptimizerTable) -> str:
    alias, rate = problem.fresh("state"), problem.rate(table)
    rule = _rule(problem, f"{alias}.{state.steps}" if state.counts else count_from(state.begun), "")
    moved = f"{alias}.{state.moved} = 1" if state.counts else ""
    new = {}
    for column in table.columns:
        fallen = _fallen(table, column, rule, rate, rule.update("", _state_of(alias, column)))
        new[column] = kept(moved, fallen, table.column(column))
    source = f"{table.sql} {join(f'{quoted(state.name)} AS {alias}', table.sql, table.keys, alias)}"
    return generation(problem, table, new, source=source, where=f"{alias}.{quoted(table.step)} = :next_step")


def _fallen(table: ParameterTable, column: str, rule: Rule, rate: str, update: str) -> str:
    if rule.decay is not None:
        update = f"({update} + {rule.decay} * {table.column(column)})"
    return f"{table.column(column)} - {update if rule.rated else f'{rate} * {factor(update)}'}"


def _state_of(alias: str, column: str) -> Old:
    return lambda moment: f"{alias}.{quoted(f'{column}_{moment}')}"
