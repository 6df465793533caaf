"""Which statements are let through to the engine as they are, and which it must never see."""

from __future__ import annotations

from datafusion import DataFrame, SessionContext

from ..errors import SqlError, UnsupportedError
from ..sql.copying import copy_of
from ..sql.depth import excess
from ..sql.lexer import TokenKind, span_at
from ..sql.syntax import Statement


def framed(session: SessionContext, sql: str) -> DataFrame:
    """A query's frame, planned by the engine.

    Raises:
        UnsupportedError: the name of a column holds U+0000; the query is longer than the engine can follow.
    """
    deep = excess(sql)
    if deep is not None:
        raise deep.kind(deep.what, hint=deep.hint)
    frame = SessionContext.sql(session, sql)
    if "\0" in sql:  # from a parameter; in a text it is refused
        _refuse_nul_in_names(frame)
    return frame


def _refuse_nul_in_names(frame: DataFrame) -> None:
    """Refuse a plan in which a column or a field of one is named with U+0000: handed to Arrow it ends the process."""
    for line in frame.logical_plan().display_indent_schema().split("\n"):
        names = line.rpartition(" [")[2]
        if "\0" in names or r"\0" in names:
            raise UnsupportedError(
                "U+0000 cannot stand in a column's name", hint="Give the column a name: ... AS name."
            )


def refuse_unread(statement: Statement) -> None:
    """Let a statement that sqloxide cannot read go on to DataFusion only where no table of ours can come to harm.

    DataFusion's DML loses rows, also behind EXPLAIN.
    """
    # The source of an INSERT is planned as a query, and thousands of rows of literals are not planned at all.
    deep = None if statement.text[:6].upper() == "INSERT" else excess(statement.text)
    if deep is not None:
        at = statement.start + deep.at
        raise statement.place(deep.kind(deep.what, hint=deep.hint), span_at(statement.script, at, at + 1))
    if copy_of(statement) is not None:
        return
    error = statement.parsed[1]
    if error is None:
        return
    words = [token.text.upper() for token in statement.tokens if token.kind is TokenKind.WORD]
    first = words[0] if words else ""  # a statement may be of nothing but parentheses
    harmless = first in ("COPY", "SHOW")
    explains = first == "EXPLAIN" and not _CHANGES.intersection(words)
    if not (harmless or explains) or isinstance(error, UnsupportedError):
        raise error
    if explains and statement.has_effects:
        raise refused_run(statement)


def refused_run(statement: Statement) -> SqlError:
    """The error of an EXPLAIN ANALYZE of a statement with effects, which the engine would run."""
    error = UnsupportedError("EXPLAIN ANALYZE would run the statement", hint="EXPLAIN alone shows its plan.")
    return statement.place(error, statement.first_word)


_CHANGES = {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "REPLACE", "CREATE", "DROP", "ALTER"}
