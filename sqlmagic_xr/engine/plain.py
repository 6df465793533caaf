"""A statement as plain SQL: tables in the place of files and of datasets of several shapes, and without shorthand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SqlError
from ..sql.pivoting import ShorthandQuestions
from ..sql.shorthand import written_out
from ..sql.syntax import Statement, Tree, to_sql
from .failures import translate
from .files import opened
from .interrupt import interruptible
from .shapes import with_tables_chosen

if TYPE_CHECKING:
    from .context import Context


def plain(tree: Tree, text: str, context: Context) -> Tree:
    """A tree as plain SQL; itself where it is that.

    Args:
        tree: a statement.
        text: its text.
        context: knows the tables, and is asked for what shorthand leaves out.
    """

    def names(query: Tree) -> list[str]:
        return list(context.plan(to_sql(query), query).schema().names)

    def texts(query: Tree) -> list[str]:
        frame = context.plan(to_sql(query), query)
        return list(interruptible(frame.to_arrow_table, frame).column(0).to_pylist())

    tree = with_tables_chosen(opened(tree, text, context), context)
    return written_out(
        tree, text, ShorthandQuestions(names, texts, lambda name: name in context.udafs(), stays="CreateView" in tree)
    )


def plainly(tree: Tree, statement: Statement, context: Context) -> Tree:
    """As :func:`plain`; what the engine says of a piece of a statement is said of the statement."""
    try:
        return plain(tree, statement.text, context)
    except (SqlError, RecursionError):
        raise
    except Exception as error:
        raise translate(error, statement, context.tables, functions=list(context.functions)) from error
