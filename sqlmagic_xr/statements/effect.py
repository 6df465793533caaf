"""What a statement that changes tables needs of a context, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ..errors import ImmutableError, SqlError, UnsupportedError, UsageError
from ..relation.layers import KnownTable
from ..sql.syntax import Tree, local_name, name_of, span_of
from ..storage.reserved import refuse_reserved
from ..storage.scratch import Version
from ..storage.store import ScratchStore
from ..storage.transaction import Entries, View, no_table


@dataclass(frozen=True)
class Effect:
    """What a statement did.

    Attributes:
        tag: one line for a person: "params: 3 rows inserted".
        rows: how many rows were added, changed or removed; None where that has no meaning (CREATE TABLE).
        returning: the rows of RETURNING, or of EXPLAIN.
    """

    tag: str
    rows: int | None = None
    returning: pa.Table | None = None


class Engine(Protocol):
    """What the statements here ask of the context."""

    @property
    def session(self) -> Any:
        """The DataFusion session."""

    @property
    def store(self) -> ScratchStore:
        """The session's scratch tables."""

    def rows_of(self, query: Tree) -> pa.Table:
        """Run a query (a statement's tree) and give all its rows."""

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """The table or view of that name, or None."""


def plain_name(parts: list[Tree]) -> str:
    """The name of a table in the default schema.

    Raises:
        UnsupportedError: another schema is named.
    """
    name = name_of(parts)
    if len(local_name(name)) > 1:
        raise _at(
            UnsupportedError(
                f"scratch tables live in the default schema, not in `{'.'.join(name[:-1])}`",
                hint=f"Write {name[-1]} alone.",
            ),
            parts,
        )
    return name[-1]


def target(parts: list[Tree], entries: Entries, engine: Engine, doing: str) -> Version:
    """The scratch table that a statement is to change.

    Args:
        parts: the name in the tree.
        entries: the tables as the statement sees them.
        engine: who knows what else has that name.
        doing: what the statement would do to it, for the message: "INSERT into".

    Raises:
        ImmutableError: it is an xarray table, a variable of the notebook, or a view.
        UnknownNameError: there is nothing of that name.
    """
    name = name_of(parts)
    short = name[-1] if len(local_name(name)) == 1 else None
    entry = entries.get(short) if short is not None else None
    if isinstance(entry, Version):
        return entry
    shown = ".".join(name)
    known = engine.relation(name)
    if isinstance(entry, View) or (known is not None and known.kind == "view"):
        raise _at(ImmutableError(f"`{shown}` is a view: {doing} the table that it reads"), parts)
    if known is None:
        raise _at(no_table(shown, entries), parts)
    what = {
        "xarray": "is an xarray table: its rows are the cells of a dataset and never change",
        "variable": "is a variable of the notebook: SQL reads it and never changes it",
    }.get(known.kind, "was registered from outside and is read-only")
    raise _at(
        ImmutableError(
            f"`{shown}` {what}",
            hint=f"CREATE TABLE {name[-1]}_scratch AS SELECT * FROM {shown}; makes a copy that can.",
        ),
        parts,
    )


def free_name(parts: list[Tree], entries: Entries, engine: Engine, replaceable: type[Version] | type[View]) -> str:
    """A name for a new table or view: not taken, or taken by one of its kind (which the caller decides about).

    Raises:
        UsageError: something else has the name.
    """
    name = plain_name(parts)
    try:
        refuse_reserved(name, "a table")
    except SqlError as error:
        raise _at(error, parts) from None
    entry = entries.get(name)
    if isinstance(entry, replaceable):
        return name
    taken = "a view" if isinstance(entry, View) else "a scratch table" if entry is not None else None
    if taken is None and engine.store.schema.registered(name):
        known = engine.relation((name,))
        taken = {"xarray": "an xarray table", "view": "a view"}.get(known.kind if known else "", "a registered table")
    if taken is not None:
        raise _at(UsageError(f"`{name}` is {taken} already", hint="Take another name."), parts)
    return name


def counted(rows: int, verb: str) -> str:
    """``1 row inserted``, ``3 rows inserted``."""
    return f"{rows:,} row{'' if rows == 1 else 's'} {verb}"


def _at(error: SqlError, tree: Tree) -> SqlError:
    error.span = span_of(tree)
    return error
