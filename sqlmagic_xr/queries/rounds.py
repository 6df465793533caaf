"""The rounds of a recursion as array code: a term is a step whose state is its working table.

As many rounds as nobody has to wait for are one call (:mod:`..dense.recurrence`); a round before which such a call ends
is gone through by itself, and what it refuses is the engine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..dense.calls import Calls
from ..dense.node import Node, Refused
from ..dense.ports import Changed, Form, GridOutput
from ..dense.program import LoweredQuery, Program, ProgramRun
from ..dense.recurrence import Recurrence
from ..engine.answers import Gone
from ..engine.budget import default_budget
from ..grids.arrow import ARROW, arrow
from ..grids.working import WorkingGrids, copied, is_row, stacked
from ..sql.syntax import Tree
from .guard import apart
from .naming import direct

if TYPE_CHECKING:
    from ..engine.context import Context

_PIECE = 4096  # outputs of one row each that are kept before they become a table
_CALL = 1 << 26  # bytes that a call may give: memory is looked at between two calls
_MANY, _LAVISH = 1 << 20, 32  # cells of an array that are never too many; and for each cell of the tables
_GROWTH = 4  # nobody looks at what the first rounds give: what a call costs besides them is paid less often
_KINDS = frozenset(ARROW.values())


def rounds(context: Context, term: Tree, working: str, rows: pa.Table) -> ArrayRounds | None:
    """See :class:`..engine.answers.Answers`."""
    if not _KINDS.issuperset(rows.schema.types):
        return None
    term = direct(term, working)
    grids = WorkingGrids(context, working, term, default_budget(), rows)
    guard = apart(context, term, working, grids.single if rows.num_rows > 1 else rows.column_names)
    asked = [] if guard is None else [LoweredQuery(query) for query in guard.queries]  # calculated in this order
    asked.append(LoweredQuery(term if guard is None else guard.rest, ((working,),), columns=tuple(rows.schema.names)))
    try:
        program = Program(asked, grids, {})
    except Refused:
        return None
    return ArrayRounds(program, grids, rows)


@dataclass
class ArrayRounds:
    """Rounds of a recursion (:class:`..engine.answers.Rounds`).

    Attributes:
        program: the term, behind the condition under which it goes on, if that stands apart.
        grids: the tables.
        rows: the working table's at the beginning.
        ended: whether there are no rows any more.
    """

    program: Program
    grids: WorkingGrids
    rows: pa.Table
    ended: bool = False
    _newest: Sequence[GridOutput] = ()
    _forms: set[Form] = field(default_factory=set)
    _found: list[pa.Table] = field(default_factory=list)
    _waiting: list[GridOutput] = field(default_factory=list)
    _left: bool = False
    _recurrence: Recurrence | None = None
    _edition: int = -1

    def again(self, rows: pa.Table) -> bool:
        """See :class:`..engine.answers.Rounds`."""
        if self._left or not self.grids.again(rows):
            return False
        self.rows, self.ended, self._newest, self._found, self._waiting = rows, False, (), [], []
        return True

    def go(self, most: int) -> Iterator[Gone]:
        """See :class:`..engine.answers.Rounds`."""
        calls = Calls(alone=False, growth=_GROWTH)
        with suppress(Refused):
            while most and not (self.ended or self._left):
                begin, count = time.perf_counter(), calls.length(self._most(), most)
                gone = self._go_many(count) if count > 1 else None
                if count > 1 and (gone is None or gone.rounds < count):
                    calls.failed()
                gone = gone or self._go_one()
                if gone is not None:
                    calls.made(gone.rounds, time.perf_counter() - begin)
                    most -= gone.rounds
                    yield gone

    def found(self) -> list[pa.Table]:
        """See :class:`..engine.answers.Rounds`."""
        self._put_together()
        found, self._found = self._found, []
        return found

    @property
    def newest(self) -> pa.Table:
        """See :class:`..engine.answers.Rounds`."""
        if self.ended:
            return self.rows.schema.empty_table()
        return arrow(self._newest).cast(self.rows.schema) if self._newest else self.rows

    def _most(self) -> int:
        """How many rounds a call may make, for the memory that they take."""
        rows: int = sum(output.count for output in self._newest)
        width: int = 8 * self.rows.num_columns
        return max(1, _CALL // max(1, width * rows))

    def _go_many(self, count: int) -> Gone | None:
        """Go through rounds in one call, if one can be gone through so."""
        recurrence = self._recurrence
        if recurrence is None or self._edition != self.program.edition:
            return None
        try:
            stacks = recurrence.run(self.grids, count)
        except (Changed, Refused):
            return None
        if not stacks:
            return None
        self._put_together()
        given = arrow([stack.whole() for stack in stacks]).cast(self.rows.schema)
        self._found.append(given)
        self._take([stack.output(stack.steps - 1) for stack in stacks])
        return Gone(stacks[0].steps, given.num_rows, given.nbytes)

    def _prepare(self, step: ProgramRun) -> None:
        """Make what goes through many rounds, from one that has been gone through node by node."""
        self._edition, self._recurrence = self.program.edition, None
        if _is_lavish(step.known):
            self._left = True
            return
        try:
            self._recurrence = self.program.recurrence(step, self.grids.working, self.grids.types)
        except Refused:
            self._left = self.rows.num_rows > 1  # then a round by itself costs more than the engine's

    def _go_one(self) -> Gone | None:
        """Go through one round, or find that there is none.

        Raises:
            Refused: it is the engine's.
        """
        step = self.program.step(self.grids, {}, whole=self._edition != self.program.edition)
        last = len(self.program.refusals) - 1
        going = [_is_true(step.run(place)) for place in range(last)]
        if going and not any(going):
            self.ended = True
            return None
        if not all(going):
            raise Refused("one query of a UNION ALL gives rows and another does not")
        given = step.run(last)
        self._check(given)
        if step.complete and self._edition != self.program.edition:
            self._prepare(step)
        self._take(given)
        if len(given) == 1 and is_row(given[0]):
            if self._waiting and (given[0].form is not self._waiting[0].form or len(self._waiting) == _PIECE):
                self._put_together()
            self._waiting.append(given[0])
            return Gone(1, 1, 8 * len(given[0].cells))
        self._put_together()
        self._found.append(arrow(copied(given)).cast(self.rows.schema))
        return Gone(1, self._found[-1].num_rows, self._found[-1].nbytes)

    def _check(self, given: Sequence[GridOutput]) -> None:
        form = given[0].form
        if form not in self._forms:
            if [ARROW[kind] for kind in form.types] != self.rows.schema.types:
                raise Refused("the types of its columns are open")
            self._forms.add(form)

    def _take(self, given: Sequence[GridOutput]) -> None:
        """Let these rows be those of the working table."""
        self._newest = given
        self.grids.take(given)

    def _put_together(self) -> None:
        """Make one table of the rows that were given one by one."""
        if self._waiting:
            self._found.append(stacked(self._waiting).cast(self.rows.schema))
            self._waiting = []


def _is_lavish(known: Mapping[Node, Any]) -> bool:
    """Whether a round goes through far more cells than its tables have: pairs of rows, which the engine would hash."""
    cells = sum(prod(value.shape) for node, value in known.items() if node.op == "scan")
    largest = max((getattr(value, "size", 0) for node, value in known.items() if node.op != "scan"), default=0)
    return bool(largest > max(_MANY, _LAVISH * cells))


def _is_true(outputs: Sequence[GridOutput]) -> bool:
    """Whether a guard is true: it says the same of all rows."""
    (output,) = outputs
    return bool(output.cells[0]) and (output.valid[0] is None or bool(output.valid[0]))
