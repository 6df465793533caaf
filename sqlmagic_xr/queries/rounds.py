"""The rounds of a recursion as array code: a term is a step whose state is its working table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from ..dense.node import Refused
from ..dense.ports import Form, Output
from ..dense.program import Program, Query
from ..engine.answers import Gone, Tick
from ..engine.budget import default_budget
from ..grids.arrow import ARROW, arrow
from ..grids.working import WorkingGrids, is_row, stacked
from ..sql.syntax import Tree
from .guard import Compare, apart

if TYPE_CHECKING:
    from ..engine.context import Context

_PIECE = 4096  # outputs of one row each that are kept before they become a table
_KINDS = frozenset(ARROW.values())


def go(context: Context, term: Tree, working: str, rows: pa.Table, tick: Tick) -> Gone | None:
    """See :class:`..engine.answers.Answers`."""
    # Of many rows each round would be laid out as a grid anew, which costs more than the engine takes for it.
    if rows.num_rows != 1 or not _KINDS.issuperset(rows.schema.types):
        return None
    grids = WorkingGrids(context, working, term, default_budget(), rows)
    guard = apart(context, term, working)
    whole = {field.name for field in rows.schema if pa.types.is_integer(field.type)}
    compared = None if guard is None else guard.compared(whole)
    asked = [Query(term if guard is None else guard.rest, ((working,),), columns=tuple(rows.schema.names))]
    if guard is not None and compared is None:
        asked.insert(0, Query(guard.query))  # in front, since they are calculated in this order
    for name, compare, number in compared or ():
        value = rows[name][0].as_py()
        if value is None or not compare(value, number):
            return None
    try:
        program = Program(asked, grids, {})
    except Refused:
        return None
    return _Rounds(program, grids, rows.schema, tick, compared or []).gone()


@dataclass
class _Rounds:
    """Rounds of a recursion.

    Attributes:
        program: the term, behind its guard if that is no comparison.
        grids: the tables.
        schema: the working table's.
        tick: see :class:`..engine.answers.Answers`.
        compared: what must hold of a working table of one row.
    """

    program: Program
    grids: WorkingGrids
    schema: pa.Schema
    tick: Tick
    compared: Sequence[tuple[str, Compare, int]]
    forms: set[Form] = field(default_factory=set)

    def gone(self) -> Gone | None:
        """All rounds from here on that are array code."""
        found: list[pa.Table] = []
        waiting: list[Output] = []
        newest: Sequence[Output] = ()
        width, goes_on = 8 * len(self.schema), True
        while goes_on:
            try:
                given = self._round()
            except Refused:  # also where there is no row any more
                break
            newest = given
            self.grids.take(given)
            one = len(given) == 1 and is_row(given[0])
            if waiting and (not one or given[0].form is not waiting[0].form or len(waiting) == _PIECE):
                found.append(stacked(waiting).cast(self.schema))
                waiting = []
            if one:
                waiting.append(given[0])
                self.tick(1, width)
                goes_on = self._holds(given[0])
            else:
                found.append(arrow(given).cast(self.schema))
                self.tick(found[-1].num_rows, found[-1].nbytes)
        if waiting:
            found.append(stacked(waiting).cast(self.schema))
        return Gone(found, arrow(newest).cast(self.schema)) if newest else None

    def _round(self) -> list[Output]:
        self.grids.begin()
        step = self.program.step(self.grids, {})
        last = len(self.program.refusals) - 1
        if last and not _is_true(step.run(0)):
            raise Refused("it ends here")
        given = step.run(last)
        if given[0].form not in self.forms:
            if [ARROW[kind] for kind in given[0].form.types] != self.schema.types:
                raise Refused("the types of its columns are open")
            self.forms.add(given[0].form)
        return given

    def _holds(self, output: Output) -> bool:
        """Whether the row that a round has given is one that the next goes on from."""
        for name, compare, number in self.compared:
            place = output.form.names.index(name)
            known = output.valid[place]
            if not (compare(output.cells[place], number) and (known is None or bool(known))):
                return False
        return True


def _is_true(outputs: Sequence[Output]) -> bool:
    """Whether a guard's one value is true."""
    (output,) = outputs
    return bool(output.cells[0]) and (output.valid[0] is None or bool(output.valid[0]))
