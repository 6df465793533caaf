"""A step planned: its statements offered to who runs them in the cheapest way that gives the same rows.

Array code is asked first, then whoever else there is; what they decline DataFusion runs (:mod:`.relational`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...engine.budget import default_budget
from ...relation.functions import of_session
from ..explain import Explained, Note
from .larder import Larder
from .looks import NOTHING, CalculatedCurves, Watch
from .relational import Relational
from .together import Courses

if TYPE_CHECKING:
    import pyarrow as pa

    from ...engine.prepared import Prepared


class Runner(Protocol):
    """One statement of a step, ready to run again and again."""

    def run(self, values: Mapping[str, Any]) -> None:
        """Make the statement's changes, inside the step's transaction.

        Args:
            values: every parameter by name.
        """

    def explain(self) -> Explained:
        """What has been decided so far."""


class Taker(Protocol):
    """A way to run statements other than DataFusion's, tried before it.

    Attributes:
        name: "dense", say.
    """

    name: str

    def expect(self, statements: Sequence[Prepared]) -> None:
        """Look at all statements of a step, before they are offered one by one."""

    def offer(
        self, statement: Prepared, *, writes: Collection[str], varying: Collection[str], fallback: Runner
    ) -> Runner | str:
        """A runner for a statement, or the first reason why there is none; "" where it is for somebody else.

        The statements of a step are offered in their order, to one executor, which may run some of them together.

        Args:
            statement: prepared, with its parameters as placeholders.
            writes: the scratch tables that the step changes.
            varying: the parameters whose value may differ from step to step.
            fallback: runs the statement relationally; for steps at which the runner cannot.
        """

    @property
    def seen(self) -> CalculatedCurves:
        """See :class:`.step.Step`."""

    def look(self) -> None:
        """Calculate what is wanted of the curves, where all statements of a step were offered to it and taken."""

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """See :class:`.step.Step`; asked where it has all statements of the step."""

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """See :class:`.step.Step`; asked where all statements of the step were offered to it and taken."""


class PlannedStep:
    """The statements of a step, each run in the cheapest way that gives the same rows (a :class:`.step.Step`).

    Args:
        statements: prepared once.
        writes: the scratch tables that they change.
        varying: the parameters whose value may differ from step to step.
        budget: how many bytes may be kept in memory; a quarter of the machine's by default.
        executors: other executors, in the order in which they are asked.
    """

    def __init__(
        self,
        statements: Sequence[Prepared],
        *,
        writes: Collection[str],
        varying: Collection[str],
        budget: int | None = None,
        executors: Sequence[Taker] = (),
    ) -> None:
        if not statements:
            raise ValueError("a step has statements")
        context = statements[0].context
        larder = Larder(context, default_budget() if budget is None else budget)
        self.runners: list[Runner] = []
        self._declined: list[list[Note]] = []
        with of_session(context):
            takers = self._offer(statements, larder, frozenset(writes), frozenset(varying), executors)
        self._taker = takers[0] if len(set(map(id, takers))) == 1 else None

    def _offer(
        self, statements: Sequence[Prepared], larder: Larder, writes: frozenset[str], varying: frozenset[str],
        executors: Sequence[Taker],
    ) -> list[Taker | None]:  # fmt: skip
        """Offer the statements to the executors; who takes each, or None."""
        takers: list[Taker | None] = []
        for executor in executors:
            executor.expect(statements)
        for statement in statements:
            runner: Runner = Relational(statement, larder, writes, varying)
            declined: list[Note] = []
            takers.append(None)
            for executor in executors:
                offered = executor.offer(statement, writes=writes, varying=varying, fallback=runner)
                if not isinstance(offered, str):
                    runner, takers[-1] = offered, executor
                    break
                if offered:
                    declined.append(Note(f"not {executor.name}", "", offered))
            self.runners.append(runner)
            self._declined.append(declined)
        return takers

    def run(self, values: Mapping[str, Any]) -> None:
        """Run each statement; each sees what the ones before it wrote."""
        for runner in self.runners:
            runner.run(values)
        if self._taker is not None:
            self._taker.look()

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows that a statement would write at the next step, where one executor has all statements."""
        return None if self._taker is None else self._taker.foretold(place, values)

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """Make several generations at once, where one executor has all statements."""
        return 0 if self._taker is None else self._taker.run_many(courses, watch)

    @property
    def seen(self) -> CalculatedCurves:
        """See :class:`.step.Step`."""
        return NOTHING if self._taker is None else self._taker.seen

    def explain(self) -> list[Explained]:
        """How each statement runs, as far as the steps that were made have shown it."""
        found = [runner.explain() for runner in self.runners]
        return [e.declined(n) for e, n in zip(found, self._declined, strict=True)]
