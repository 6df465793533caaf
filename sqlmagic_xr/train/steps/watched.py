"""Constraints of a table that each step makes anew: of the rows of all steps of a call at once.

That the rows of one query have keys of their own is told by their axes (:mod:`.refill`); those of several have a column
that tells these apart at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dense.node import Refused
from ...dense.running.layout import Stepwise
from ...dense.stack import Stack
from ...storage.chunk import Chunk
from ...storage.constraints import check
from ...storage.definition import Definition
from .drafts import Drafting, distinct_columns
from .stacked import stacked

if TYPE_CHECKING:
    from ...storage.store import ScratchStore


class Watched:
    """Checks the rows of a table at each step, of which the last one's alone are kept.

    Args:
        store: where the table is.
        table: its name.

    Attributes:
        several: whether several queries fill it.
    """

    def __init__(self, store: ScratchStore, table: str) -> None:
        self._store, self._table, self.several = store, table, False
        self._drafting: Drafting | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        definition = self._store.table(self._table).definition
        return bool(definition.checks or (self.several and definition.uniques))

    def check(self, stacks: Sequence[Stack]) -> None:
        """Check the rows of all steps.

        Raises:
            ConstraintError: those of one of them cannot come.
            Refused: they have to be brought to the table's types first, or may have the same keys.
        """
        version = self._store.table(self._table)
        if len(stacks) > 1 and version.definition.uniques:
            _refuse_unless_apart(stacks, version.definition)
        if not version.definition.checks:
            return
        self._drafting = Drafting.of(version.definition, self._drafting)
        draft = stacked(stacks, self._drafting)
        if draft is None:
            raise Refused(f"the rows have to be brought to the types of {self._table}")
        alone = replace(version, definition=replace(version.definition, uniques=()))  # keys are those of each step
        check(Chunk((draft,)), alone, self._store)


def _refuse_unless_apart(stacks: Sequence[Stack], definition: Definition) -> None:
    names = distinct_columns([stack.output(0) for stack in stacks])
    alone = [name for name in names if not all(name in stack.form.coordinates for stack in stacks)]
    moving = any(
        isinstance(stack.cells[stack.form.names.index(name)], (list, Stepwise)) for stack in stacks for name in alone
    )
    if not names or moving or any(not names.issubset(unique.columns) for unique in definition.uniques):
        raise Refused("nothing tells the rows of a UNION ALL apart")
