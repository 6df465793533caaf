"""Statements with effects: each is a query plus one atomic commit, with PostgreSQL's semantics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ..errors import SqlError, UnsupportedError
from ..sql.build import cte_names
from ..sql.complaint import statement_hint
from ..sql.syntax import Statement, Tree, identifier, name_of, to_sql
from ..storage.reserved import refuse_reserved
from ..storage.transaction import Entries
from .alter import alter_table
from .ddl import create_table, create_view
from .drop import drop
from .effect import Effect, Engine
from .insert import insert, insert_question
from .into import into_table
from .merge import merge, merge_question
from .update import delete, delete_question, truncate, update, update_question

__all__ = ["Effect", "Engine", "execute", "has_effects"]

Execute = Callable[[Statement, Tree, Engine, Tree | None], Effect]
Question = Callable[[Tree, Entries, Engine, Tree | None], tuple[Tree, dict[str, Any]]]


def _begin(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    for mode in tree["StartTransaction"]["modes"] if isinstance(tree, dict) else ():
        if mode.get("AccessMode") == "ReadOnly":
            raise UnsupportedError("a transaction that is READ ONLY is not offered")
    engine.store.begin()
    return Effect("transaction begun")


def _commit(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    kept = engine.store.commit()
    done = "committed" if kept else "rolled back: a statement of the transaction had failed"
    return _chained(done, tree["Commit"]["chain"], engine)


def _chained(done: str, chain: bool, engine: Engine) -> Effect:
    """What ended a transaction; AND CHAIN begins another at once."""
    if chain:
        engine.store.begin()
    return Effect(f"{done}; transaction begun" if chain else done)


def _rollback(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    savepoint = tree["Rollback"]["savepoint"]
    if savepoint is not None:
        engine.store.rollback_to(identifier(savepoint))
        return Effect(f"rolled back to {identifier(savepoint)}")
    engine.store.rollback()
    return _chained("rolled back", tree["Rollback"]["chain"], engine)


def _savepoint(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    engine.store.savepoint(identifier(tree["Savepoint"]["name"]))
    return Effect("savepoint set")


def _release(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    engine.store.release(identifier(tree["ReleaseSavepoint"]["name"]))
    return Effect("savepoint released")


def _explain(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None) -> Effect:
    """EXPLAIN of a statement with effects: the plan of the query that it would run; nothing is changed."""
    inner, ctes = _unwrap(tree["Explain"]["statement"])
    kind = _kind(inner)
    if kind in _QUESTIONS:
        question, names = _QUESTIONS[kind](inner, engine.store.entries(), engine, ctes)
    elif kind == "CreateTable" and inner[kind]["query"] is not None:
        question, names = {"Query": inner[kind]["query"]}, {}
    else:
        plan = pa.table({"plan_type": ["effect"], "plan": [f"{to_sql(inner)}: reads no rows, makes one version"]})
        return Effect("explained; nothing was changed", None, plan)
    question = {"Explain": {**tree["Explain"], "statement": question}}
    with engine.store.showing(names):
        plan = engine.rows_of(question)
    return Effect("explained; nothing was changed", None, plan)


_STATEMENTS: dict[str, Execute] = {
    "AlterTable": alter_table,
    "Commit": _commit,
    "CreateTable": create_table,
    "CreateView": create_view,
    "Delete": delete,
    "Drop": drop,
    "Insert": insert,
    "Merge": merge,
    "ReleaseSavepoint": _release,
    "Rollback": _rollback,
    "Savepoint": _savepoint,
    "StartTransaction": _begin,
    "Truncate": truncate,
    "Update": update,
}

_QUESTIONS: dict[str, Question] = {
    "Delete": delete_question,
    "Insert": insert_question,
    "Merge": merge_question,
    "Update": update_question,
}


def has_effects(tree: Tree) -> bool:
    """Whether :func:`execute` is to run a statement; EXPLAIN of one is as well, since DataFusion would run it."""
    inner, _ = _unwrap(tree)
    if _kind(inner) == "Explain":
        return has_effects(inner["Explain"]["statement"])
    kind = _kind(inner)
    if kind == "Drop":
        return inner[kind]["object_type"] in ("Table", "View")
    return kind in _STATEMENTS


def made_by(tree: Tree) -> str | None:
    """The name of the table or view that a statement creates, or None."""
    inner, _ = _unwrap(tree)
    kind = _kind(inner)
    return name_of(inner[kind]["name"])[-1] if kind in ("CreateTable", "CreateView") else None


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
        run = _explain if kind == "Explain" else _STATEMENTS.get(kind)
        for name in cte_names(ctes):
            refuse_reserved(name, "a common table expression")
        if run is None:
            raise UnsupportedError(f"{statement.text.split()[0].upper()} is not offered")
        return run(statement, inner, engine, ctes)
    except SqlError as error:
        error.hint = error.hint or (statement_hint(statement.text) if isinstance(error, UnsupportedError) else None)
        raise statement.place(error, error.span) from error.__cause__


def _unwrap(tree: Tree) -> tuple[Tree, Tree | None]:
    """The statement behind a WITH clause, and the clause: ``WITH q AS (...) INSERT ...`` is parsed as a query.

    SELECT ... INTO name is CREATE TABLE name AS SELECT ...
    """
    if isinstance(tree, dict) and "Query" in tree:
        made = into_table(tree)
        if made is not None:
            return made, None
        body = tree["Query"]["body"]
        kind = next(iter(body)) if isinstance(body, dict) else ""
        if kind in ("Insert", "Update", "Delete", "Merge"):
            return body[kind], tree["Query"]["with"]
    return tree, None


def _kind(tree: Tree) -> str:
    return tree if isinstance(tree, str) else str(next(iter(tree)))
