"""DELETE of old generations at every step: a table keeps the newest ones, and none of them is written out for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dense.node import Refused
from ...dense.ports import Form, GridOutput
from ...dense.stack import Stack
from ...statements.trimmed import trimmed
from .write import Write

if TYPE_CHECKING:
    from ...engine.prepared import Prepared


@dataclass(frozen=True)
class Trim(Write):
    """``DELETE FROM table WHERE column < bound``; the query gives the bound.

    Attributes:
        column: which.
    """

    column: str = ""


def trim_of(prepared: Prepared) -> Trim | None:
    """What a DELETE of old generations writes; None for any other statement."""
    found = trimmed(prepared.tree)
    return None if found is None else Trim(found.table, (), found.query, False, found.column)


class Trimming:
    """Deletes old generations.

    Args:
        write: the DELETE.
        prepared: the same as it was prepared.
    """

    def __init__(self, write: Trim, prepared: Prepared) -> None:
        self._write, self._prepared = write, prepared

    def keep(self, outputs: Sequence[GridOutput]) -> None:
        """Delete what is below the number that the query gives.

        Raises:
            Refused: it gives none; then the statement as it stands tells what it deletes.
        """
        (output,) = outputs
        (least,), (valid,) = output.cells, output.valid
        if output.form.axes or output.form.types != ("int64",) or valid is not None or output.present is not None:
            raise Refused("what is deleted is not told by one whole number")
        self.trim(int(least))

    def trim(self, least: int, skipped: int = 0) -> None:
        """Delete what is below a number; so many rows have come and gone already."""
        store, write = self._prepared.context.store, self._write
        definition = store.table(write.table).definition
        kinds = {column.name: column.type for column in definition.columns}
        if str(kinds.get(write.column)) not in ("int64", "int32", "int16", "int8"):
            raise Refused(f"{write.column} is no column of whole numbers")
        store.trim(write.table, write.column, least, self._prepared.statement.text, skipped=skipped)

    watched = False

    def check(self, stacks: Sequence[Stack]) -> None:
        """See :class:`.together.Anew`: nothing."""

    def why_looked_at(self, forms: Sequence[Form], present: bool) -> str:
        """See :class:`.together.Anew`: never."""
        return ""
