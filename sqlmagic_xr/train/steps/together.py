"""Many steps in one call, and what they have made in one commit: nobody looks in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ...dense.block import BlockRequest, StepBlock
from ...dense.node import Refused
from ...dense.ports import Changed, Form, GridOutput
from ...dense.program import Program, ProgramRun
from ...dense.stack import MadeSteps, Stack
from ...errors import SqlError
from .drafts import Drafting, distinct_columns
from .looks import NOTHING, CalculatedCurves, Watch
from .processor import Processor
from .stacked import stacked
from .trimming import Trimming
from .write import Write

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared
    from ...grids.generations import Generations


class Anew(Protocol):
    """Keeps the rows of a statement of which its table consists afterwards."""

    def keep(self, outputs: Sequence[GridOutput]) -> None:
        """Let the table consist of these rows.

        Raises:
            Refused: the statement as it stands is to do it.
            SqlError: what the statement itself has to say.
        """

    @property
    def watched(self) -> bool:
        """Whether the rows of all steps are to be checked, and not those of the last one alone."""

    def check(self, stacks: Sequence[Stack]) -> None:
        """Check the rows of all steps.

        Raises:
            SqlError: those of one of them cannot come.
        """

    def why_looked_at(self, forms: Sequence[Form], present: bool) -> str:
        """Why the rows have to be looked at at each step; "" where they need not be.

        Args:
            forms: of the rows.
            present: whether some cells may be no rows.
        """


Writes = tuple[Write, "Prepared", Anew]
"""What a statement writes, the statement, and what makes its table anew."""

CLOCK = {"k": 0, "step": 0, "next_step": 1}


@dataclass(frozen=True)
class Courses:
    """The parameters of some steps that follow one another.

    Attributes:
        values: every parameter's value at the first step.
        along: of those that differ from step to step the values of all steps.
        k: the newest generation.
    """

    values: Mapping[str, Any]
    along: Mapping[str, Sequence[Any]]
    k: int

    @property
    def count(self) -> int:
        """How many steps there are."""
        return len(self.along["k"])

    def first(self, count: int) -> Courses:
        """The first of the steps."""
        return Courses(self.values, {name: values[:count] for name, values in self.along.items()}, self.k)

    @property
    def steady(self) -> bool:
        """Whether each parameter has values of one type."""
        return all(isinstance(v, range) or len({type(value) for value in v}) == 1 for v in self.along.values())


class Together:
    """Makes many steps of a program.

    Args:
        context: whose tables they write.
        varying: the parameters that differ from step to step.
        trajectory: the table that counts the generations, and its column.
        processor: where the loop is calculated; None for NumPy.

    Attributes:
        reason: why steps are made one by one; "" where they are not, or it is not known yet.
    """

    def __init__(
        self, context: Context, varying: frozenset[str], trajectory: tuple[str, str],
        processor: Processor | None = None,
    ) -> None:  # fmt: skip
        self._processor = processor
        self._context, self._asked = context, BlockRequest(CLOCK, varying - CLOCK.keys())
        self._trajectory = trajectory
        self._block: StepBlock | None = None
        self._edition: tuple[Program, int] | None = None
        self._drafting: dict[str, Drafting] = {}
        self.reason = ""

    def ready(
        self, program: Program, step: ProgramRun | None, grids: Generations, watched: frozenset[int] = frozenset()
    ) -> bool:
        """Whether there is a function that makes many steps; it is made where a step has been made node by node.

        Args:
            program, step, grids: what makes a step.
            watched: see :class:`...dense.block.BlockRequest`.

        Raises:
            Refused: there is none.
        """
        if self._block is not None and self._edition == (program, program.edition):
            return True
        self._block = None
        if step is None or not step.complete:
            return False
        try:
            self._block = program.block(step, grids, replace(self._asked, watched=watched))
            self._edition = program, program.edition
            self.reason = self._refused(self._block)
        except Refused as refused:
            self.reason = refused.reason
            raise
        if self.reason:
            raise Refused(self.reason)
        return True

    def run(
        self, courses: Courses, program: Program, grids: Generations, writes: Sequence[Writes],
        seen: Callable[[MadeSteps, Mapping[str, Sequence[Stack]]], CalculatedCurves], watch: Watch | None = None,
    ) -> tuple[int, CalculatedCurves]:  # fmt: skip
        """Make steps, inside a transaction.

        Args:
            courses: their parameters.
            program, grids: what they are made by.
            writes: for each statement what it writes.
            seen: what they have calculated of the curves.
            watch: says how many of them may stay.

        Returns:
            How many were made, and what of the curves.

        Raises:
            Refused: none; whatever has been changed is to be taken back.
        """
        assert self._block is not None
        program.kept(grids)
        if self._edition != (program, program.edition) or not courses.steady:
            return 0, NOTHING
        grids.begin()
        made, found = self._made(courses, program.coded(courses.values), grids), NOTHING
        if made.steps:
            stacks = _by_table(made, writes)
            found = seen(made, stacks)
            stay = made.steps if watch is None else watch(found, made.steps)
            if stay < made.steps:  # the same numbers again, as far as they go
                again = courses.first(stay)
                made = self._made(again, program.coded(courses.values), grids) if stay else replace(made, steps=0)
                stacks = _by_table(made, writes)
                found = seen(made, stacks)
        if made.steps:
            try:
                self._keep(made, stacks, grids, writes)
            except SqlError as error:  # it is met again by the step that is at fault, and told in its words
                raise Refused(error.what) from error
        return made.steps, found

    def _made(self, courses: Courses, values: Mapping[str, Any], grids: Generations) -> MadeSteps:
        assert self._block is not None
        try:
            runner = None if self._processor is None else self._processor.runner(self._block, grids, values, courses.k)
            along = courses.along if runner is None else {n: c[: runner.most] for n, c in courses.along.items()}
            return self._block.run(grids, values, along, courses.k, runner)
        except Changed as change:
            raise Refused("there is a NULL or a hole where there was none") from change

    def compile(self, program: Program, grids: Generations, values: Mapping[str, Any]) -> None:
        """Have a device's program ready, as the next call would."""
        if self._processor is not None and self._block is not None:
            with suppress(Refused, Changed):
                self._processor.runner(self._block, grids, program.coded(values), int(values["k"]))

    @property
    def said(self) -> str:
        """By what many steps are calculated, for a person."""
        return "NumPy" if self._processor is None else self._processor.said

    def _refused(self, block: StepBlock) -> str:
        table, column = self._trajectory
        if column in block.clocks.get((table,), ()):
            return ""
        return f"a step does not add the rows of :next_step to {table}"

    def _keep(
        self, made: MadeSteps, stacks: Mapping[str, Sequence[Stack]], grids: Generations,
        writes: Sequence[Writes],
    ) -> None:  # fmt: skip
        for place, some in made.watched.items():
            writes[place][2].check(some)
        for place, outputs in made.last.items():
            write, _, anew = writes[place]
            anew.keep(outputs)
            grids.remember_whole(write.table, self._context.store.table(write.table), outputs)
        for table, some in stacks.items():
            texts = [writes[place][1].statement.text for place in made.stacks if writes[place][0].table == table]
            deleted = {place: each for place, each in made.deleted.items() if writes[place][0].table == table}
            gone = max((each.steps for each in deleted.values()), default=0)
            self._append(table, [stack.since(gone) for stack in some] if gone else some, texts)
            skipped = gone * sum(stack.rows for stack in some)
            for place, each in deleted.items():
                anew = writes[place][2]
                assert isinstance(anew, Trimming)
                anew.trim(each.least, skipped)
                skipped = 0
            self._remember(table, some, grids)

    def _append(self, table: str, stacks: Sequence[Stack], texts: Sequence[str]) -> None:
        store = self._context.store
        definition = store.table(table).definition
        drafting = self._drafting[table] = Drafting.of(definition, self._drafting.get(table))
        draft = stacked(stacks, drafting)
        if draft is None:
            raise Refused(f"the rows have to be brought to the types of {table}")
        assert self._block is not None
        clocks = self._block.clocks[(table,)]
        store.append_drafts(table, [draft], ";\n".join(texts), apart=_apart(stacks, min(clocks)))

    def _remember(self, table: str, stacks: Sequence[Stack], grids: Generations) -> None:
        assert self._block is not None
        last = [stack.output(stack.steps - 1) for stack in stacks]
        grids.remember_last(table, self._context.store.table(table), last, self._block.clocks[(table,)])


def _by_table(made: MadeSteps, writes: Sequence[Writes]) -> dict[str, list[Stack]]:
    """The rows that were added to each table."""
    found: dict[str, list[Stack]] = {}
    for place, stacks in made.stacks.items():
        found.setdefault(writes[place][0].table, []).extend(stacks)
    return found


def _apart(stacks: Sequence[Stack], clock: str) -> frozenset[str]:
    """Columns that tell any two of the rows of all steps apart; empty where that is not known."""
    if len(stacks) == 1 and not stacks[0].form.axes:
        return frozenset({clock})
    within = distinct_columns([stack.output(0) for stack in stacks])
    return within | {clock} if within else within
