"""The INSERT of the next generation: what is optimized becomes new, everything else is copied."""

from __future__ import annotations

from collections.abc import Mapping

from .parameters import ParameterTable
from .problem import Problem
from .text import listed_in_lines, quoted


def generation(
    problem: Problem, table: ParameterTable, new: Mapping[str, str], *, ctes: str = "", source: str, where: str = ""
) -> str:  # fmt: skip
    """The statement.

    Args:
        problem: whose it is.
        table: the parameters.
        new: column -> SQL of its next value.
        ctes: WITH and what stands behind it, or "".
        source: a FROM that has a row for each row of the table.
        where: a condition beside that on the generation, or "".
    """
    free, items = problem.free(table), []
    for name in table.definition.names:
        value = table.column(name)
        if name in new:
            value = kept(free, new[name], value)
        items.append(":next_step" if name == table.step else value)
    condition = f"WHERE {table.column(table.step)} = :k" + (f" AND {where}" if where else "")
    return (
        f"INSERT INTO {table.sql} ({', '.join(map(quoted, table.definition.names))})\n{ctes}{chr(10) if ctes else ''}"
        f"SELECT {listed_in_lines(items)}\nFROM {source}\n{condition}"
    )


def kept(condition: str, new: str, old: str) -> str:
    """What is new where a condition holds, and stays elsewhere; new everywhere without a condition."""
    return f"CASE WHEN {condition} THEN {new} ELSE {old} END" if condition else new
