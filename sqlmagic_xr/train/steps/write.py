"""A statement of a step as a query and what becomes of its rows; whoever has the rows hands them over here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import SqlError
from ...sql.syntax import Tree, local_name, name_of
from ...statements import dml

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared
    from ...storage.draft import Draft


@dataclass(frozen=True)
class Write:
    """``INSERT INTO table (columns) query`` or ``CREATE OR REPLACE TABLE table AS query``, and nothing else to it.

    Attributes:
        table: the scratch table that it writes.
        columns: those that it fills, or () for all.
        query: the inside of its query.
        replaces: whether the table is made anew.
    """

    table: str
    columns: tuple[str, ...]
    query: Tree
    replaces: bool

    def keep(self, rows: pa.Table, prepared: Prepared) -> None:
        """Make the rows of the query the table's, with the checks and the errors of the statement itself.

        Args:
            rows: what the query gives, its columns in order.
            prepared: the statement.
        """
        context: Context = prepared.context
        try:
            if self.replaces:
                context.variables.release(self.table)  # a table wins over a variable of its name
                dml.execute(prepared.statement, prepared.tree, _Answered(context, rows))
                return
            names = self.columns or context.store.table(self.table).definition.names
            context.store.append(self.table, rows.rename_columns(list(names)), statement=prepared.statement.text)
        except SqlError as error:
            raise prepared.statement.place(error) from error.__cause__

    def replace_drafts(self, rows: Sequence[Draft], prepared: Prepared) -> None:
        """The same for a table that this statement has made before, and whose shape its rows still have."""
        prepared.context.store.replace_drafts(self.table, rows, prepared.statement.text)

    def keep_drafts(self, rows: Sequence[Draft], apart: frozenset[str], prepared: Prepared) -> None:
        """The same for rows of the table's own shape that are not written out (see ``ScratchStore.append_drafts``)."""
        statement = prepared.statement
        try:
            prepared.context.store.append_drafts(self.table, rows, statement.text, apart=apart)
        except SqlError as error:
            raise statement.place(error) from error.__cause__


_PLANNED = ("INSERT INTO ... SELECT", "CREATE OR REPLACE TABLE ... AS SELECT")


def write_of(prepared: Prepared) -> Write | str:
    """What a statement writes, or why it is no plain write of a query."""
    tree = prepared.tree
    outer = None
    if isinstance(tree, dict) and "Query" in tree and "Insert" in tree["Query"]["body"]:
        outer, tree = tree["Query"]["with"], tree["Query"]["body"]["Insert"]
    if isinstance(tree, dict) and "Insert" in tree:
        return _insert(tree["Insert"], outer)
    if isinstance(tree, dict) and "CreateTable" in tree:
        body = tree["CreateTable"]
        if body["query"] is None or body["columns"] or body["constraints"] or not body["or_replace"]:
            return f"CREATE TABLE is planned only as {_PLANNED[1]}"
        return _in_default_schema(Write(name_of(body["name"])[-1], (), body["query"], True), body["name"])
    word = prepared.statement.tokens[0].text.upper()
    return f"{word} is not planned, only {_PLANNED[0]} and {_PLANNED[1]} are"


def _insert(body: Tree, outer: Tree | None) -> Write | str:
    extra = [k for k, v in body.items() if v and k not in ("insert_token", "table", "columns", "source", "into")]
    if extra or "TableName" not in body["table"] or not body["source"] or "Values" in body["source"]["body"]:
        return f"only {_PLANNED[0]} is planned, without ON CONFLICT, RETURNING and the like"
    columns = tuple(name_of([c] if isinstance(c, dict) else c)[-1] for c in body["columns"])
    source = body["source"]
    if outer is not None:
        inner = source["with"]
        if outer["recursive"] or (inner and inner["recursive"]):
            return "WITH RECURSIVE"
        tables = [*outer["cte_tables"], *(inner["cte_tables"] if inner else [])]
        source = {**source, "with": {**outer, "cte_tables": tables}}
    name = body["table"]["TableName"]
    return _in_default_schema(Write(name_of(name)[-1], columns, source, False), name)


def _in_default_schema(write: Write, name: list[Tree]) -> Write | str:
    if len(local_name(name_of(name))) == 1:
        return write
    return "its table stands in a schema of its own"


class _Answered:
    """A context whose query has been answered already (an :class:`...statements.effect.Engine`)."""

    def __init__(self, context: Context, rows: pa.Table) -> None:
        self._context, self._rows = context, rows
        self.session, self.store = context.session, context.store

    def rows_of(self, query: Tree) -> pa.Table:
        return self._rows

    def relation(self, name: tuple[str, ...]) -> Any:
        return self._context.relation(name)
