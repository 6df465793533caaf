"""CREATE OR REPLACE TABLE ... AS at every step: defined once, its rows written out when somebody reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...dense.ports import Form, GridOutput
from ...dense.stack import Stack
from ...grids.arrow import arrow
from ...storage.definition import Definition
from ...storage.scratch import Version
from .drafts import Drafting
from .write import Write

if TYPE_CHECKING:
    from ...engine.prepared import Prepared


class Remake:
    """Makes a table anew again and again.

    Args:
        write: the statement that does it.
        prepared: the same as it was prepared.
    """

    def __init__(self, write: Write, prepared: Prepared) -> None:
        self._write, self._prepared = write, prepared
        self._made: Definition | None = None
        self._drafting: Drafting | None = None

    def keep(self, outputs: Sequence[GridOutput]) -> None:
        """Let the table consist of these rows.

        Raises:
            SqlError: what the statement itself has to say.
        """
        table = self._prepared.context.store.entries().get(self._write.table)
        if isinstance(table, Version) and table.definition is self._made and self._drafting is not None:
            drafts = self._drafting.drafts(outputs)
            if drafts is not None:
                self._write.replace_drafts(drafts, self._prepared)
                return
        self._write.keep(arrow(outputs), self._prepared)
        self._made = self._prepared.context.store.table(self._write.table).definition
        self._drafting = Drafting(self._made) if _has_the_shape_of(self._made, outputs) else None

    watched = False

    def check(self, stacks: Sequence[Stack]) -> None:
        """See :class:`.together.Anew`: nothing."""

    def why_looked_at(self, forms: Sequence[Form], present: bool) -> str:
        """See :class:`.together.Anew`: never, since a table that is made so has no constraints."""
        return ""


def _has_the_shape_of(definition: Definition, outputs: Sequence[GridOutput]) -> bool:
    """Whether the columns of a table stand in the order of those of some rows, as its own would."""
    return all(definition.names == output.form.names for output in outputs)
