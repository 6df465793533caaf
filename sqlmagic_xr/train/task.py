"""What a training cell says: the statements of one step, and the curves to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UnsupportedError, UsageError
from ..sql.lexer import TokenKind, tokens
from ..sql.syntax import Statement, Tree, name_of, short_name, split
from ..statements.trimmed import trimmed
from ..statements.update import emptied
from .minimize.statement import is_minimize

if TYPE_CHECKING:
    from .minimize.expand import Expansion

EXAMPLE = "INSERT INTO params SELECT :next_step, ... FROM ..."

_EFFECTS = {"Insert", "Update", "Delete", "Merge", "Truncate", "CreateTable"}


@dataclass(frozen=True)
class Task:
    """A training cell, taken apart.

    Attributes:
        step: the statements with effects, in order; together they are one step.
        curves: the queries after them, one panel each.
        insert: the first INSERT into a table that the step does not empty, or that of the MINIMIZE; its target,
            ``table``, is the trajectory.
        writes: the names of all tables that a step changes.
        appends: whether a step does nothing to the trajectory but add rows.
        grows: whether it does nothing but that, and delete old generations.
        minimize: what the MINIMIZE of the cell became, whose statements are among ``step``; or None.
    """

    step: tuple[Statement, ...]
    curves: tuple[Statement, ...]
    insert: Statement
    table: str
    writes: frozenset[str]
    appends: bool
    grows: bool
    minimize: Expansion | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """How many rows a generation of each table has that nothing but a MINIMIZE adds to."""
        if self.minimize is None:
            return {}
        targets = [name for statement in self.step for name in _targets(statement)]
        return {t.name: t.rows for t in self.minimize.tables if targets.count(t.name) == 1}

    @property
    def setup(self) -> tuple[Statement, ...]:
        """What runs once, before the first step."""
        return () if self.minimize is None else self.minimize.setup


def read_task(
    script: str, curves: Sequence[str] = (), expand: Callable[[Statement], Expansion] | None = None
) -> Task:  # fmt: skip
    """Take a training cell apart.

    Args:
        script: the cell.
        curves: names of views to draw instead of SELECTs in the cell.
        expand: writes the statements of a MINIMIZE.

    Raises:
        ParseError: a statement cannot be read.
        UsageError: no INSERT, a step after a curve, or curves both in the cell and by name.
        UnsupportedError: a statement that cannot be part of a step.
    """
    step: list[Statement] = []
    queries: list[Statement] = []
    written: list[Statement] = []  # the INSERTs that may tell the trajectory
    minimize: Expansion | None = None
    for statement in split(script):
        asked = expand is not None and is_minimize(statement)
        if not asked and _effect(statement) is None:
            queries.append(statement)
        elif queries:
            raise statement.place(
                UsageError("the statements of a step stand before the curves", hint="Move it above the first SELECT."),
                statement.first_word,
            )
        elif asked and expand is not None:
            if minimize is not None:
                raise statement.place(UsageError("a step has one MINIMIZE", hint="Add the losses up to one."),
                                      statement.first_word)  # fmt: skip
            minimize = expand(statement)
            step += minimize.step
            written.append(minimize.insert)
        else:
            step.append(statement)
            written += [statement] if _effect(statement) == "Insert" else []
    scratch = {emptied(statement.tree) for statement in step}
    inserts = [s for s in written if _targets(s)[0] not in scratch] or written
    if not inserts:
        raise UsageError("a training cell needs an INSERT: each step adds one generation", hint=f"As in: {EXAMPLE}")
    if queries and curves:
        raise queries[0].place(
            UsageError("the curve is given twice, in the cell and by name", hint="Leave one of them out."),
            queries[0].first_word,
        )
    queries += [_curve_of(name) for name in curves]
    table = _targets(inserts[0])[0]
    ours = [s for s in step if table in _targets(s)]
    appends = all(map(_appends, ours))
    grows = appends or all(_appends(s) or trimmed(s.tree) is not None for s in ours)
    writes = frozenset(name for s in step for name in _targets(s))
    return Task(tuple(step), tuple(queries), inserts[0], table, writes, appends, grows, minimize)


def _effect(statement: Statement) -> str | None:
    """The kind of a statement of a step; None for a query."""
    tree = statement.tree
    kind = statement.kind
    if kind == "Query":
        body = tree["Query"]["body"]
        return next((k for k in ("Insert", "Update", "Delete", "Merge") if k in body), None)
    if kind in _EFFECTS:
        return kind
    word = statement.tokens[0].text.upper()
    raise statement.place(
        UnsupportedError(
            f"{word} cannot be part of a training cell",
            hint="A step is INSERT, UPDATE, DELETE, MERGE, TRUNCATE or CREATE OR REPLACE TABLE; a curve is a SELECT.",
        ),
        statement.first_word,
    )


def _node(statement: Statement) -> Tree:
    """The part of the tree that says what a statement does: ``WITH ... INSERT`` is an INSERT inside a query."""
    tree, kind = statement.tree, _effect(statement)
    return tree[kind] if statement.kind == kind else tree["Query"]["body"][kind][kind]


def _targets(statement: Statement) -> list[str]:
    kind, node = _effect(statement), _node(statement)
    if kind == "Insert":
        names = [node["table"]["TableName"]]
    elif kind == "Update":
        names = [node["table"]["relation"]["Table"]["name"]]
    elif kind == "Delete":
        source = next(iter(node["from"].values()))
        names = list(node["tables"] or ()) or [source[0]["relation"]["Table"]["name"]]
    elif kind == "Merge":
        names = [node["table"]["Table"]["name"]]
    elif kind == "Truncate":
        names = [t["name"] for t in node["table_names"]]
    else:
        names = [node["name"]]
    return [short_name(name_of(name)) for name in names]


def _appends(statement: Statement) -> bool:
    node = _node(statement)
    return _effect(statement) == "Insert" and not (node.get("on") or node.get("overwrite") or node.get("replace_into"))


def _curve_of(name: str) -> Statement:
    """The query that draws a whole view, whose name may be qualified and quoted."""
    parts = list(tokens(name, strict=False))
    names, dots = parts[::2], parts[1::2]
    if not all(t.kind in (TokenKind.WORD, TokenKind.QUOTED) for t in names) or any(t.text != "." for t in dots):
        raise UsageError(f"{name!r} is not the name of a view")
    text = f"SELECT * FROM {name}"
    return Statement(text, text, title=name)
