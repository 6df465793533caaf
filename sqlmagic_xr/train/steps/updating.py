"""UPDATE at every step: the query of all rows as they become, so that array code makes them as it makes any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dense.node import Refused
from ...dense.ports import Form, GridOutput
from ...dense.stack import Stack
from ...errors import SqlError
from ...statements.updated import Updated, updated
from ...storage.draft import Draft
from ...storage.scratch import Version
from .drafts import Drafting
from .watched import Watched
from .write import Write

if TYPE_CHECKING:
    from ...engine.prepared import Prepared


@dataclass(frozen=True)
class Update(Write):
    """``UPDATE table SET ... [FROM ...] [WHERE ...]``, and nothing else to it.

    Attributes:
        assigned: the columns that are set.
        alone: whether it reads no rows beside each of the table's own.
    """

    assigned: frozenset[str] = frozenset()
    alone: bool = True


def update_of(prepared: Prepared) -> Update | str | None:
    """What an UPDATE writes, or why it is not planned; None for any other statement."""
    found = updated(prepared.tree, prepared.context)
    if not isinstance(found, Updated):
        return found
    return Update(found.table, (), found.query, True, found.assigned, found.alone)


class Updating:
    """Gives the rows of a table other values in some columns.

    Args:
        write: the UPDATE.
        prepared: the same as it was prepared.
    """

    def __init__(self, write: Update, prepared: Prepared) -> None:
        self._write, self._prepared = write, prepared
        self._drafting: Drafting | None = None
        self._watched = Watched(prepared.context.store, write.table)

    def keep(self, outputs: Sequence[GridOutput]) -> None:
        """Let the table consist of these rows.

        Raises:
            Refused: they are not its own rows, or the statement itself has to tell what is wrong with them.
        """
        store = self._prepared.context.store
        before = store.table(self._write.table)
        drafts = self._drafts(before, outputs)
        try:
            store.update_drafts(before.name, drafts, self._prepared.statement.text, columns=self._write.assigned)
        except SqlError as error:
            raise Refused(error.what) from error

    def _drafts(self, before: Version, outputs: Sequence[GridOutput]) -> list[Draft]:
        definition = before.definition
        why = _why_others(self._write, [output.form for output in outputs], present=False)
        if why:
            raise Refused(why)
        (output,) = outputs
        if output.present is not None or output.count != before.rows:
            raise Refused("an UPDATE gives other rows than the table has")
        if any(not np.isfinite(cells).all() for cells in _narrow(output)):
            raise Refused("a number is none, or is too large for the column's type")
        self._drafting = Drafting.of(definition, self._drafting)
        drafts = self._drafting.drafts(outputs)
        if drafts is None:
            raise Refused("what it sets is NULL, or has to be brought to the column's type")
        return drafts

    @property
    def watched(self) -> bool:
        """See :class:`.together.Anew`."""
        return bool(self._watched)

    def check(self, stacks: Sequence[Stack]) -> None:
        """See :class:`.together.Anew`."""
        self._watched.check(stacks)

    def why_looked_at(self, forms: Sequence[Form], present: bool) -> str:
        """See :class:`.together.Anew`."""
        definition = self._prepared.context.store.table(self._write.table).definition
        if any(Drafting(definition).places_of(form) is None for form in forms):
            return f"what is set in {self._write.table} has to be brought to the column's type"
        return _why_others(self._write, forms, present)


def _narrow(output: GridOutput) -> list[Any]:
    """The columns of 32 bits: what is too large for these is an error, and no infinity."""
    return [cells for cells, kind in zip(output.cells, output.form.types, strict=True) if kind == "float32"]


def _why_others(write: Update, forms: Sequence[Form], present: bool) -> str:
    """Why the rows are not known to be the table's own; "" where they are."""
    if len(forms) != 1 or present:
        return "an UPDATE gives other rows than the table has"
    (form,) = forms
    apart = set(form.coordinates.values()) == set(range(form.axes)) or (form.axes == 1 and write.alone)
    if not apart or not write.assigned.isdisjoint(form.coordinates):
        return "nothing tells the rows apart that an UPDATE gives"
    return ""
