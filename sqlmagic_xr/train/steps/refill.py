"""Scratch tables that a step empties and fills again: what a table made anew is, under constraints of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...dense.ports import Form, GridOutput
from ...dense.stack import Stack
from ...grids.arrow import arrow
from ...sql.syntax import local_name, name_of
from ...statements.update import emptied
from ...storage.definition import Definition
from ..explain import Explained, Note, title_of
from .drafts import Drafting, distinct_columns
from .watched import Watched
from .write import Write

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared


@dataclass(frozen=True)
class Emptied:
    """``DELETE FROM table`` or ``TRUNCATE table``, and nothing else to it.

    Attributes:
        table: the scratch table.
    """

    table: str


def refilled(context: Context, statements: Sequence[Prepared], writes: Sequence[Write | str]) -> dict[int, int]:
    """The places of INSERTs that fill a table again, and of the statements that have emptied it before them.

    Between the two no statement reads or writes the table, nor does the INSERT read it.

    Args:
        context: whose tables they are.
        statements: of a step, in their order.
        writes: what each of them writes (:func:`.write.write_of`).
    """
    found: dict[int, int] = {}
    open_: dict[str, int] = {}
    for place, (statement, write) in enumerate(zip(statements, writes, strict=True)):
        named = {local_name(name_of(parts))[-1] for parts in context.reads(statement.tree)} if statement.tree else set()
        name = emptied(statement.tree)
        if isinstance(write, Write) and not write.replaces and write.table in open_:
            if write.table not in {local_name(name_of(p))[-1] for p in context.reads({"Query": write.query})}:
                found[place] = open_.pop(write.table)
            named |= {write.table}
        for table in named & open_.keys():
            del open_[table]
        if name is not None:
            open_[name] = place
    return found


class Emptying:
    """Empties a table at each step (a :class:`.plan.Runner`)."""

    def __init__(self, prepared: Prepared, table: str) -> None:
        self._prepared, self._table = prepared, table

    refused = False

    def run(self, values: Mapping[str, Any]) -> None:
        """Delete every row."""
        with self._prepared.context.store.writing(self._prepared.statement.text) as work:
            version = work.table(self._table)
            work.put(self._table, version.replaced(version.definition, ()), 0, version.rows)

    def explain(self) -> Explained:
        """That the table is filled again."""
        note = Note("each step", f"{self._table} is emptied", "and filled again by a later statement")
        return Explained(title_of(self._prepared.statement), "dense", (note,))


class Refill:
    """Fills a table again with the rows of the last of many steps.

    Args:
        write: the INSERT.
        prepared: the same as it was prepared.
    """

    def __init__(self, write: Write, prepared: Prepared) -> None:
        self._write, self._prepared = write, prepared
        self._drafting: Drafting | None = None
        self._watched = Watched(prepared.context.store, write.table)

    def keep(self, outputs: Sequence[GridOutput]) -> None:
        """Let the table consist of these rows.

        Raises:
            SqlError: what the statement itself has to say.
        """
        Emptying(self._prepared, self._write.table).run({})
        definition = self._prepared.context.store.table(self._write.table).definition
        self._drafting = Drafting.of(definition, self._drafting)
        drafts = self._drafting.drafts(outputs)
        if drafts is None:
            self._write.keep(arrow(outputs), self._prepared)
        else:
            self._write.keep_drafts(drafts, distinct_columns(outputs), self._prepared)

    @property
    def watched(self) -> bool:
        """See :class:`.together.Anew`."""
        return bool(self._watched)

    def check(self, stacks: Sequence[Stack]) -> None:
        """See :class:`.together.Anew`."""
        self._watched.check(stacks)

    def why_looked_at(self, forms: Sequence[Form], present: bool) -> str:
        """See :class:`.together.Anew`."""
        self._watched.several = len(forms) > 1
        why = _why_looked_at(self._prepared.context.store.table(self._write.table).definition, forms, present)
        return f"{self._write.table} is filled again, and {why}" if why else ""


def _why_looked_at(definition: Definition, forms: Sequence[Form], present: bool) -> str:
    if any(column.length is not None for column in definition.columns):
        return "it has texts whose lengths are looked at"
    if definition.checks and any(Drafting(definition).places_of(form) is None for form in forms):
        return "what its constraints look at has to be brought to the types of its columns"
    if present or any(form.nullable or set(form.names) != set(definition.names) for form in forms):
        return "its rows are not the same ones at each step"
    for form in forms if definition.uniques else ():  # whether parts are apart is seen in them (:mod:`.watched`)
        if set(form.coordinates.values()) != set(range(form.axes)):
            return "nothing tells its rows apart"
        if any(not set(form.coordinates).issubset(unique.columns) for unique in definition.uniques):
            return "its key is not the axes of its rows"
    return ""
