"""The array executor as the plan of a step asks for it: it runs what is array code, and hands back what is not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...dense.node import Refused
from ...dense.ports import GridOutput
from ...dense.program import LoweredQuery, Program, ProgramRun
from ...dense.stack import MadeSteps, Stack
from ...engine.budget import default_budget, nbytes_shown
from ...errors import SqlError, UnsupportedError
from ...grids.arrow import arrow, parameter_types
from ...grids.bindings import bindings_of
from ...grids.datasets import ReadDatasets
from ...grids.generations import Generations, newer_columns
from ...relation.functions import of_session
from ...sql.parameters import parameter_names
from ...statements.update import emptied
from ..curves.incremental import MADE
from ..explain import Explained, Note, title_of
from .drafts import Drafting, distinct_columns
from .looks import NOTHING, CalculatedCurves, CurveQueries, Looks, Watch
from .refill import Emptied, Emptying, Refill, refilled
from .remake import Remake
from .together import Anew, Courses, Together
from .trimming import Trim, Trimming, trim_of
from .updating import Update, Updating, update_of
from .write import Write, write_of

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared
    from .plan import Runner


class ArrayExecutor:
    """Runs the statements of a step that are array code (an :class:`.plan.Taker`).

    Args:
        context: whose tables they read and write.
        insist: fail where a statement is no array code, and do not run it relationally.
        budget: how many bytes of data may be held; a quarter of the machine's memory by default.
        together: makes many steps at once; None where they are made one by one.
        curves: what it is to calculate of them with each step.
        elsewhere: whether a statement's data are where only somebody else goes through them.
        datasets: what has been read already.

    Attributes:
        seen: what the last step, or the last steps, have calculated of the curves.
    """

    name = "dense"

    def __init__(
        self, context: Context, *, insist: bool = False, budget: int | None = None, together: Together | None = None,
        curves: CurveQueries | None = None, elsewhere: Callable[[Write], bool] | None = None,
        datasets: ReadDatasets | None = None,
    ) -> None:  # fmt: skip
        self._elsewhere, self._datasets = elsewhere, datasets
        self.context, self.insist, self._together = context, insist, together
        self._runners: list[ArrayRunner | Emptying] = []
        self._refills: dict[int, int] = {}
        self._added: frozenset[str] = frozenset()
        self._values: Mapping[str, Any] = {}  # of the parameters at the last step
        self._whole = False  # whether the next step is to be made node by node
        self._budget = default_budget() if budget is None else budget
        self._statements: list[Write | Emptied | str] = []
        self._writes: tuple[str, ...] = ()
        self._program: Program | None = None
        self._names: list[str] | None = None  # of the parameters that the statements name
        self._kinds: list[type] = []  # the types of their values at the last step
        self._step: ProgramRun | None = None
        self._last = -1
        self.grids: Generations | None = None
        self._looks = Looks(curves)
        self.seen = NOTHING

    def offer(
        self, statement: Prepared, *, writes: Collection[str], varying: Collection[str], fallback: Runner
    ) -> Runner | str:
        """A runner for the next statement of the step, or the first reason why there is none."""
        found: Write | Emptied | str = self._written(statement)
        if self._elsewhere is not None and isinstance(found, Write) and self._elsewhere(found):
            found = ""
        self._writes, place = tuple(writes), len(self._statements)
        if place in self._refills.values():
            name = emptied(statement.tree)
            found = Emptied(name) if name is not None else found
        self._statements.append(found)
        if isinstance(found, Emptied):
            self._runners.append(Emptying(statement, found.table))
            return self._runners[-1]
        if not isinstance(found, str):
            self._runners.append(ArrayRunner(self, statement, found, place, fallback, self._anew(found, statement)))
            return self._runners[-1]
        if self.insist:
            raise self.refusal(statement, Refused(found))
        return found

    def expect(self, statements: Sequence[Prepared]) -> None:
        """See :class:`.plan.Taker`."""
        writes = [write_of(statement) for statement in statements]
        self._refills = refilled(self.context, statements, writes)
        added = {n: w.table for n, w in enumerate(writes) if isinstance(w, Write) and not w.replaces}
        self._added = frozenset(table for place, table in added.items() if place not in self._refills)

    def _written(self, statement: Prepared) -> Write | str:
        """What a statement writes, or why it is none of ours."""
        update = update_of(statement)
        if isinstance(update, Update) and update.table in self._added:
            return f"the step adds rows to {update.table} as well"
        if update is not None:
            return update
        trim = trim_of(statement)
        return trim if trim is not None and trim.table in self._added else write_of(statement)

    def _anew(self, write: Write, statement: Prepared) -> Anew:
        """What keeps the rows of a table that consists of nothing else afterwards."""
        if isinstance(write, Update):
            return Updating(write, statement)
        if isinstance(write, Trim):
            return Trimming(write, statement)
        refills = len(self._statements) - 1 in self._refills
        return Refill(write, statement) if refills else Remake(write, statement)

    def notes(self, index: int) -> list[Note]:
        """What a statement keeps, reads and does as array code."""
        found = self._program.summary(index) if self._program is not None else None
        if found is None:
            return []
        kept = [Note("kept", name, f"{rows:,} rows, {nbytes_shown(nbytes)}") for name, rows, nbytes in found.kept]
        state = [Note("state", f"{name} where {key}" if key else name) for name, key in found.state]
        each = Note("each step", f"array code: {found.said}" if found.said else "array code")
        return [*kept, *state, each, *self._calls(), *self._looks.notes()]

    def _calls(self) -> list[Note]:
        """How many steps a call makes."""
        if self._together is None:
            return []
        try:
            many = self._is_ready()
        except Refused:
            many = False
        if many:
            assert self._program is not None
            assert self.grids is not None
            self._together.compile(self._program, self.grids, self._values)
            return [Note("a call", "many steps", self._together.said)]
        return [Note("a call", "one step", self._together.reason)] if self._together.reason else []

    def refusal(self, prepared: Prepared, reason: Refused) -> SqlError:
        """The error of a statement that has to be array code and is not."""
        error = UnsupportedError(
            f"this statement cannot run as array code: {reason.reason}", hint="Use --executor auto."
        )
        return prepared.statement.place(error, reason.span)

    def look(self) -> None:
        """Calculate what is wanted of the curves of the step that has just been made."""
        self.seen, step, program = NOTHING, self._step, self._program
        places = self._looks.places
        if step is None or program is None or not places or any(runner.refused for runner in self._runners):
            return
        outputs, asked = {}, self._looks.asked
        for index, curve in enumerate(places, len(self._statements)):
            try:
                outputs[curve] = step.run(index)
            except Refused:
                self._looks.refuse(curve)
                self._program = None
        self.seen = CalculatedCurves(asked, outputs=outputs)

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """Make several steps at once, inside one transaction; returns how many.

        Args:
            courses: their parameters.
            watch: says how many of them may stay.

        Raises:
            Refused: none; whatever has been changed is to be taken back.
        """
        kinds, self.seen = [type(courses.values.get(name)) for name in self._names or ()], NOTHING
        if self._together is None or kinds != self._kinds or any(runner.refused for runner in self._runners):
            return 0
        if not self._is_ready():
            self._whole = True
            return 0
        assert self._program is not None
        assert self.grids is not None
        self._step = None  # its arrays may be used again
        writes = [runner.write for runner in self._runners if isinstance(runner, ArrayRunner)]
        curves = dict(enumerate(self._looks.places, len(self._statements)))

        def seen(made: MadeSteps, written: Mapping[str, Sequence[Stack]]) -> CalculatedCurves:
            return CalculatedCurves(
                self._looks.asked, stacks={curves[n]: s for n, s in made.looks.items()}, written=written
            )

        made, self.seen = self._together.run(courses, self._program, self.grids, writes, seen, watch)
        return made

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows that a statement would write at the next step; None where they are none of ours."""
        program, grids = self._program, self.grids
        kinds = [type(values.get(name)) for name in self._names or ()]
        if program is None or grids is None or kinds != self._kinds or any(runner.refused for runner in self._runners):
            return None
        self._step = None  # its arrays may be used again
        grids.begin()
        try:
            return arrow(program.step(grids, values).run(place))
        except Refused:
            return None

    def _is_ready(self) -> bool:
        together, program, grids = self._together, self._program, self.grids
        if together is None or program is None or grids is None or len(self._runners) < len(self._statements):
            return False
        for place, runner in enumerate(self._runners):
            code = program.code(place)
            if isinstance(runner, ArrayRunner) and code is not None:
                parts = code.parts
                why = runner.write[2].why_looked_at([f for _, f in parts], any(p.present is not None for p, _ in parts))
                if why:
                    together.reason = why
                    raise Refused(why)
        ours = [runner for runner in self._runners if isinstance(runner, ArrayRunner)]
        watched = frozenset(place for place, runner in enumerate(ours) if runner.write[2].watched)
        return together.ready(program, self._step, grids, watched)

    def outputs(self, index: int, values: Mapping[str, Any]) -> list[GridOutput]:
        """The rows of a statement at this step.

        Raises:
            Refused: they are none of ours.
        """
        if self._step is None or index <= self._last:
            self._step = None  # its arrays may be used again
            self._step = self._begin(values)
        self._last = index
        return self._step.run(index)

    def _begin(self, values: Mapping[str, Any]) -> ProgramRun:
        if self._names is None:
            trees = [s.query for s in self._statements if isinstance(s, Write)]
            self._names = sorted({n for tree in (*trees, *self._looks.trees) for n in parameter_names(tree)} - {MADE})
        kinds = [type(values.get(name)) for name in self._names]
        if self._looks.renewed():
            self._program = self.grids = None
        if self._program is None or self.grids is None or kinds != self._kinds:
            with of_session(self.context):
                self._program, self._kinds = self._lowered(values, self._names), kinds
        assert self.grids is not None
        self._values = values
        self.grids.begin()
        whole, self._whole = self._whole, False
        return self._program.step(self.grids, values, whole=whole)

    def _lowered(self, values: Mapping[str, Any], names: Collection[str]) -> Program:
        ours = [statement for statement in self._statements if isinstance(statement, Write)]
        filled = {
            s.table for place, s in enumerate(self._statements) if place in self._refills and isinstance(s, Write)
        }
        inserted = set(self._writes) - {statement.table for statement in ours if statement.replaces} - filled
        read = [*(s.query for s in ours), *self._looks.trees]
        if self.grids is None:
            self.grids = Generations(self.context, inserted, read, self._budget, self._datasets)
            self._datasets = None  # a later program reads what is there then
        types = parameter_types({name: values[name] for name in names if name in values})
        queries = [self._query(place, statement) for place, statement in enumerate(self._statements)]
        bindings, slow = bindings_of(self.context), 1 if self._together is None else 2
        program = Program(
            [*queries, *self._looks.queries], self.grids, types, lasting=True, bindings=bindings, slow=slow
        )  # fmt: skip
        if self._looks.places and any(program.refusals[: len(queries)]):
            # A step that others have a part in is not looked at by array code.
            self._looks.refuse(*self._looks.places)
            program = Program(queries, self.grids, types, lasting=True, bindings=bindings, slow=slow)
        return program

    def _query(self, place: int, statement: Write | Emptied | str) -> LoweredQuery:
        if isinstance(statement, str):
            return LoweredQuery(None, tuple((table,) for table in self._writes))
        if isinstance(statement, Emptied):
            return LoweredQuery(None, ((statement.table,),), empties=True)
        if isinstance(statement, Trim):
            return LoweredQuery(statement.query, ((statement.table,),), trims=statement.column)
        columns = statement.columns or self._filled(statement)
        return LoweredQuery(
            statement.query, ((statement.table,),), statement.replaces or place in self._refills, columns
        )

    def _filled(self, statement: Write) -> tuple[str, ...]:
        """The columns of the table that an INSERT without a list, or an UPDATE, fills."""
        if statement.replaces and not isinstance(statement, Update):
            return ()
        return tuple(self.context.store.table(statement.table).definition.names)


class ArrayRunner:
    """One statement of a step, run as array code where it can be (a :class:`.plan.Runner`)."""

    def __init__(
        self, executor: ArrayExecutor, prepared: Prepared, statement: Write, index: int, fallback: Runner,
        anew: Anew,
    ) -> None:  # fmt: skip
        self._executor, self._prepared, self._statement = executor, prepared, statement
        self._index, self._fallback = index, fallback
        self._reason: Refused | None = None
        self._drafting: Drafting | None = None
        self._anew = anew

    @property
    def refused(self) -> bool:
        """Whether the last step was not made as array code."""
        return self._reason is not None

    @property
    def write(self) -> tuple[Write, Prepared, Anew]:
        """What the statement writes, the statement, and what makes its table anew."""
        return self._statement, self._prepared, self._anew

    def run(self, values: Mapping[str, Any]) -> None:
        """Make the statement's changes, inside the step's transaction."""
        try:
            self._keep(self._executor.outputs(self._index, values))
        except Refused as reason:
            self._reason = reason
            if self._executor.insist:
                raise self._executor.refusal(self._prepared, reason) from None
            self._fallback.run(values)
            return
        self._reason = None

    def _keep(self, outputs: list[GridOutput]) -> None:
        statement, prepared = self._statement, self._prepared
        store, grids = self._executor.context.store, self._executor.grids
        if isinstance(statement, Trim):
            before = store.table(statement.table)
            self._anew.keep(outputs)
            if grids is not None:
                grids.trimmed(statement.table, before, store.table(statement.table), statement.column)
            return
        if statement.replaces:
            self._anew.keep(outputs)
            if grids is not None:
                grids.remember_whole(statement.table, store.table(statement.table), outputs)
            return
        before = store.table(statement.table)
        newer = frozenset[str]() if grids is None else newer_columns(before, outputs)
        self._drafting = Drafting.of(before.definition, self._drafting)
        drafts = self._drafting.drafts(outputs)
        if drafts is None:
            statement.keep(arrow(outputs), prepared)
        else:
            statement.keep_drafts(drafts, distinct_columns(outputs), prepared)
        if grids is not None:
            grids.remember(statement.table, before, store.table(statement.table), outputs, newer)

    def explain(self) -> Explained:
        """Who runs the statement, and why not arrays."""
        if self._reason is None:
            return Explained(title_of(self._prepared.statement), "dense", self._executor.notes(self._index))
        ran = self._fallback.explain()
        note = Note("not dense", "", self._reason.reason)
        return Explained(ran.title, ran.executor, (note, *ran.notes), ran.sql)
