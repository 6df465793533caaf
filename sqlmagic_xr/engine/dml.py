"""Statements with effects: each is a query plus one atomic commit, with PostgreSQL's semantics."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SqlError, UnsupportedError
from ..sql.syntax import Statement, Tree
from . import ddl, insert
from .effect import Effect, Engine

__all__ = ["Effect", "Engine", "execute", "has_effects"]

Execute = Callable[[Statement, Tree, Engine, Tree | None], Effect]


def _begin(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    engine.store.begin()
    return Effect("transaction begun")


def _commit(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    return Effect("committed" if engine.store.commit() else "rolled back: a statement of the transaction had failed")


def _rollback(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    engine.store.rollback()
    return Effect("rolled back")


_STATEMENTS: dict[str, Execute] = {
    "CreateTable": ddl.create_table,
    "CreateView": ddl.create_view,
    "Drop": ddl.drop,
    "Insert": insert.insert,
    "StartTransaction": _begin,
    "Commit": _commit,
    "Rollback": _rollback,
}


# What DataFusion must never see, since its own DML loses rows; until it is offered here it is refused here.
_REFUSED = {"Update", "Delete", "Merge", "Truncate", "AlterTable"}


def has_effects(tree: Tree) -> bool:
    """Whether :func:`execute` is to run a statement."""
    inner = _unwrap(tree)[0]
    kind = _kind(inner)
    return has_effects(inner["Explain"]["statement"]) if kind == "Explain" else kind in _STATEMENTS or kind in _REFUSED


def execute(statement: Statement, tree: Tree, engine: Engine) -> Effect:
    """Run a statement that changes tables, exactly once.

    Args:
        statement: the user's own.
        tree: its tree, parameters bound and derivatives worked out.
        engine: the context.

    Raises:
        SqlError: placed in the statement; the tables are as they were.
    """
    inner, ctes = _unwrap(tree)
    kind = _kind(inner)
    try:
        if kind not in _STATEMENTS:
            raise UnsupportedError(f"{statement.text.split()[0].upper()} is not offered")
        return _STATEMENTS[kind](statement, inner, engine, ctes)
    except SqlError as error:
        raise statement.place(error, error.span) from error.__cause__


def _unwrap(tree: Tree) -> tuple[Tree, Tree | None]:
    """The statement behind a WITH clause, and the clause: ``WITH q AS (...) INSERT ...`` is parsed as a query."""
    if isinstance(tree, dict) and "Query" in tree:
        body = tree["Query"]["body"]
        kind = next(iter(body)) if isinstance(body, dict) else ""
        if kind in ("Insert", "Update", "Delete", "Merge"):
            return body[kind], tree["Query"]["with"]
    return tree, None


def _kind(tree: Tree) -> str:
    return tree if isinstance(tree, str) else str(next(iter(tree)))
