"""What an expression of a statement with effects may not hold."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedError, UsageError
from ..sql.syntax import Tree, name_of, span_of, walk
from .effect import Engine

SUBQUERIES = frozenset({"Subquery", "InSubquery", "Exists"})
"""The nodes of an expression that hold a query."""


def aggregated(expression: Tree, engine: Engine) -> Tree | None:
    """The first aggregate or window function of an expression outside of its subqueries; None where there is none."""
    aggregates = set(engine.session.udafs())
    for node in outside_subqueries(expression):
        function = node.get("Function")
        if isinstance(function, dict) and (name_of(function["name"])[-1] in aggregates or function.get("over")):
            return function
    return None


def refuse_aggregates(expression: Tree, engine: Engine, place: str) -> None:
    """Refuse what needs many rows where there is one.

    Raises:
        UsageError: an aggregate or a window function outside of a subquery.
    """
    function = aggregated(expression, engine)
    if function is not None:
        error = UsageError(
            f"{place} cannot use {name_of(function['name'])[-1].upper()}, which needs many rows",
            hint="A subquery can: SET a = (SELECT avg(x) FROM ...)." if place == "SET" else None,
        )
        error.span = span_of(function["name"])
        raise error


def refuse_subqueries(expression: Tree, place: str) -> None:
    """Refuse what other tables would decide.

    Raises:
        UnsupportedError: there is a subquery.
    """
    for node in walk(expression):
        if SUBQUERIES & set(node):
            error = UnsupportedError(f"{place} cannot have a subquery: it is about one row")
            error.span = span_of(node)
            raise error


def outside_subqueries(tree: Tree) -> list[dict[str, Any]]:
    """Every dictionary of an expression, those inside a subquery left out."""
    found, todo = [], [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (list, tuple)):
            todo += reversed(node)
        elif isinstance(node, dict) and "body" not in node:
            found.append(node)
            todo += reversed(node.values())
    return found
