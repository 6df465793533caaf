"""CHECK constraints of a table that each step makes anew: the rows of all steps of a call are checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dense.node import Refused
from ...dense.stack import Stack
from ...storage.chunk import Chunk
from ...storage.constraints import check
from .drafts import Drafting
from .stacked import stacked

if TYPE_CHECKING:
    from ...storage.store import ScratchStore


class Watched:
    """Checks the rows of a table at each step, of which the last one's alone are kept.

    Args:
        store: where the table is.
        table: its name.
    """

    def __init__(self, store: ScratchStore, table: str) -> None:
        self._store, self._table = store, table
        self._drafting: Drafting | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._store.table(self._table).definition.checks)

    def check(self, stacks: Sequence[Stack]) -> None:
        """Check the rows of all steps.

        Raises:
            ConstraintError: those of one of them cannot come.
            Refused: they have to be brought to the table's types first.
        """
        version = self._store.table(self._table)
        self._drafting = Drafting.of(version.definition, self._drafting)
        draft = stacked(stacks, self._drafting)
        if draft is None:
            raise Refused(f"the rows have to be brought to the types of {self._table}")
        alone = replace(version, definition=replace(version.definition, uniques=()))  # keys are those of each step
        check(Chunk((draft,)), alone, self._store)
