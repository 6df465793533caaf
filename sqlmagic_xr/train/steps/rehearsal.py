"""Prepares the statements of a step, each against the tables as the ones before it leave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...sql import build as query
from ...sql.syntax import Statement, Tree

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared


def prepare_step(context: Context, statements: Sequence[Statement], values: Mapping[str, Any]) -> list[Prepared]:
    """Prepare the statements of a step.

    A table that the step makes (CREATE OR REPLACE TABLE) may not be there yet, or have other columns from an earlier
    cell; a derivative in a later statement needs the columns that it will have. So it is made, without rows, and taken
    back with everything else when all statements are read.

    Args:
        context: where they will run.
        statements: in their order.
        values: every parameter by name, the loop's own among them.

    Raises:
        SqlError: with the place in the user's text. Nothing has changed then.
    """
    if not any(s.kind == "CreateTable" for s in statements[:-1]):
        return [context.prepare(s) for s in statements]
    prepared: list[Prepared] = []
    try:
        with context.store.transaction():
            for statement in statements:
                prepared.append(context.prepare(statement))
                if statement.kind == "CreateTable":
                    _without_rows(prepared[-1]).run(values)
            raise _RehearsalOverError
    except _RehearsalOverError:
        return prepared


@contextmanager
def rehearsed(context: Context, setup: Sequence[Statement], values: Mapping[str, Any]) -> Iterator[None]:
    """Within this block some statements have run; at its end they are taken back.

    Args:
        context: where they run.
        setup: statements that change tables; where there is none, nothing is done.
        values: every parameter by name.
    """
    if not setup:
        yield
        return
    with suppress(_RehearsalOverError), context.store.transaction():
        for statement in setup:
            context.prepare(statement).run(values)
        yield
        raise _RehearsalOverError


class _RehearsalOverError(Exception):
    """The rehearsal is over."""


def _without_rows(statement: Prepared) -> Prepared:
    """CREATE TABLE ... AS with a query that gives the same columns and no row."""
    assert statement.tree is not None
    body: Tree = statement.tree["CreateTable"]
    if body["query"] is None:
        return statement
    empty = query.select([query.wildcard("q")], [query.derived(body["query"], "q")], query.false())["Query"]
    return replace(statement, tree={**statement.tree, "CreateTable": {**body, "query": empty}})
