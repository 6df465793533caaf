"""The tables beside the parameters: an optimizer's state, and the loss of each generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...storage.scratch import Version
from .parameters import ParameterTable
from .problem import Problem
from .text import fresh_column, quoted


@dataclass(frozen=True)
class OptimizerTable:
    """The table of an optimizer's state.

    Attributes:
        name: its name.
        begun: the generation that it began with.
        counts: two columns of it, or none: how many steps a row has made, and whether the newest generation is one.
    """

    name: str
    begun: int
    counts: tuple[str, ...] = ()

    @property
    def steps(self) -> str:
        """The first of ``counts``, as SQL writes it."""
        return quoted(self.counts[0])

    @property
    def moved(self) -> str:
        """The second of ``counts``, as SQL writes it."""
        return quoted(self.counts[1])


def set_up_state(
    problem: Problem, table: ParameterTable, name: str, firsts: Sequence[tuple[str, str]], setup: list[str], *,
    counted: bool = False,
) -> OptimizerTable:  # fmt: skip
    """Write what makes the table, unless it stands where the parameters stand.

    Args:
        problem: whose state it is.
        table: the parameters.
        name: what the state is to be called.
        firsts: its columns beside the key, each with SQL of the first value.
        setup: takes the statements.
        counted: whether a row may stay behind the others, so that its steps are counted.
    """
    names = (table.step, *table.keys, *(column for column, _ in firsts))
    _check_names(problem, table, names)
    counts = (fresh_column("steps", names), fresh_column("moved", names))
    entry, found = problem.context.store.entries().get(name), (*names, *counts)
    begun = None if problem.restart or not isinstance(entry, Version) else _standing(entry, table.newest)
    if isinstance(entry, Version) and begun is not None and entry.definition.names == found:
        return OptimizerTable(name, begun, counts)
    if isinstance(entry, Version) and begun is not None and entry.definition.names == names:
        if counted:
            setup += _begin_to_count(table, name, begun, counts)
        return OptimizerTable(name, begun, counts if counted else ())
    if isinstance(entry, Version) and entry.definition.names[: len(table.keys) + 1] != names[: len(table.keys) + 1]:
        raise problem.minimize.refused(
            f"`{name}` is a table of other columns, not that of the moments",
            f"Give it another name: USING {problem.optimizer.name}(..., state => name).",
        )  # fmt: skip
    problem.check_free(name)
    firsts = [*firsts, *((count, "0") for count in (counts if counted else ()))]
    setup += _make(table, name, firsts, len(counts) if counted else 0, exists=isinstance(entry, Version))
    return OptimizerTable(name, table.newest, counts if counted else ())


def _standing(entry: Version, newest: int) -> int | None:
    """The first generation of a state that stands where the parameters stand; None where it does not."""
    bounds = entry.span(0) if entry.rows else None
    return int(bounds.low) if bounds is not None and bounds.high == newest else None


def _check_names(problem: Problem, table: ParameterTable, names: Sequence[str]) -> None:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise problem.minimize.refused(
            f"the state of {problem.optimizer.name} has a column `{twice}` for `{table.name}`, and one of that name "
            "is there already",
            "Give the column of the parameters another name: ALTER TABLE ... RENAME COLUMN.",
        )  # fmt: skip


def _begin_to_count(table: ParameterTable, name: str, begun: int, counts: tuple[str, ...]) -> list[str]:
    steps, moved = map(quoted, counts)
    made = quoted(table.step) if begun == 0 else f"{quoted(table.step)} - {begun}" if begun > 0 else (
        f"{quoted(table.step)} + {-begun}"
    )  # fmt: skip
    return [
        *(f"ALTER TABLE {quoted(name)} ADD COLUMN {column} BIGINT" for column in (steps, moved)),
        f"UPDATE {quoted(name)} SET {steps} = {made}, {moved} = 1",
    ]


def _make(
    table: ParameterTable, name: str, firsts: Sequence[tuple[str, str]], whole: int, *, exists: bool
) -> list[str]:  # fmt: skip
    """Statements that make the state; the last ``whole`` of its columns are integers."""
    kinds = {c.name: c.sql_type for c in table.definition.columns}
    made = [f"{quoted(column)} {kinds[column]}" for column in (table.step, *table.keys)]
    for place, (column, _) in enumerate(firsts):
        made.append(f"{quoted(column)} {'BIGINT' if place >= len(firsts) - whole else 'DOUBLE'} NOT NULL")
    key = ", ".join(map(quoted, (table.step, *table.keys)))
    create = "CREATE OR REPLACE TABLE" if exists else "CREATE TABLE"
    items = ", ".join((*map(quoted, (table.step, *table.keys)), *(first for _, first in firsts)))
    return [
        f"{create} {quoted(name)} ({', '.join(made)}, PRIMARY KEY ({key}))",
        f"INSERT INTO {quoted(name)} SELECT {items} FROM {table.sql} WHERE {quoted(table.step)} = {table.newest}",
    ]


def set_up_losses(problem: Problem, losses: str, setup: list[str]) -> None:
    """Write what makes the table of the losses, or takes out of it what the run is going to write anew."""
    first, per = problem.tables[0], problem.loss.per
    problem.check_free(losses)
    entry = problem.context.store.entries().get(losses)
    kinds = {c.name: c.sql_type for c in first.definition.columns}
    wanted = (first.step, *per, "loss")
    if isinstance(entry, Version) and not _are_losses(entry.definition.names, wanted):
        raise problem.minimize.refused(
            f"`{losses}` is a table of other columns ({', '.join(entry.definition.names)}), not that of the losses "
            f"({', '.join(wanted)})",
            f"Give it another name: USING {problem.optimizer.name}(..., losses => name).",
        )  # fmt: skip
    if isinstance(entry, Version):
        bounds = entry.span(entry.definition.names.index(first.step)) if entry.rows else None
        if bounds is not None and bounds.high >= first.newest:
            setup.append(f"DELETE FROM {quoted(losses)} WHERE {quoted(first.step)} >= {first.newest}")
        return
    columns = [f"{quoted(first.step)} BIGINT", *(f"{quoted(k)} {kinds[k]}" for k in per), "loss DOUBLE NOT NULL"]
    key = ", ".join(map(quoted, (first.step, *per)))
    setup.append(f"CREATE TABLE {quoted(losses)} ({', '.join(columns)}, PRIMARY KEY ({key}))")


def _are_losses(names: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a table of these columns can take the losses: an earlier run may have named the keys in another order."""
    return (names[0], names[-1]) == (wanted[0], wanted[-1]) and sorted(names) == sorted(wanted)


def losses_insert(problem: Problem, losses: str) -> str:
    """The statement that writes down the loss that a step began with; of a batch, of the keys that have one."""
    listed = ", ".join(map(quoted, (problem.tables[0].step, *problem.loss.per, "loss")))
    items = ", ".join((":k", *loss_items(problem)))
    query = f"{problem.with_ctes(problem.loss_cte)}\nSELECT {items}\nFROM {problem.loss_name}"
    there = f"\nWHERE {problem.loss_column} IS NOT NULL" if problem.batched else ""
    return f"INSERT INTO {quoted(losses)} ({listed})\n{query}{there}"


def loss_items(problem: Problem) -> list[str]:
    """The columns of the loss's CTE: its keys, and its number."""
    return [*(f"{problem.loss_name}.{quoted(key)}" for key in problem.loss.per), problem.loss_column]
