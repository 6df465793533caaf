"""One step: what the loop asks of whoever runs it, and the way that is always right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...sql.syntax import Statement, local_name, name_of
from ..explain import Explained, Note, title_of
from .basis import Basis
from .looks import NOTHING, CalculatedCurves, Watch
from .rehearsal import prepare_step
from .together import Courses

if TYPE_CHECKING:
    import pyarrow as pa

    from ...engine.context import Context
    from ...engine.prepared import Prepared


class Step(Protocol):
    """Runs the statements of one step.

    The loop calls it inside a transaction of the store, looks at what has changed in the scratch tables, and commits
    or rolls back; so a step changes tables through the store and need not clean up.
    """

    def run(self, values: Mapping[str, Any]) -> None:
        """Make the changes of one generation.

        Args:
            values: every parameter by name, the loop's own among them.

        Raises:
            SqlError: with the place in the user's text.
        """

    @property
    def seen(self) -> CalculatedCurves:
        """What array code has calculated of the curves in the last :meth:`run` or :meth:`run_many`."""

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows that a statement would write at the next step, which is not made; None where arrays cannot tell.

        Args:
            place: of the statement; it reads nothing that those before it write.
            values: the parameters of that step.
        """

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """Make several generations at once, each as :meth:`run` would make it, down to the last bit.

        Args:
            courses: the parameters of each.
            watch: says how many of them may stay.

        Returns:
            How many were made; 0 where the next one has to be made by itself.

        Raises:
            Refused: the next one has to be made by itself, and whatever has been changed is to be taken back.
        """

    def explain(self) -> list[Explained]:
        """How each statement runs, as far as the steps that were made have shown it."""


class FollowingStep:
    """A step that is prepared and planned again when what it was planned on has changed.

    Args:
        context: where it runs.
        statements: as the user wrote them.
        prepared: the same, prepared just now.
        writes: the tables that they change.
        plan: makes a step of statements that are prepared.
        beside: the curves; where what they read is another, the step is planned again as well.
    """

    def __init__(
        self, context: Context, statements: Sequence[Statement], prepared: Sequence[Prepared], *,
        writes: Collection[str], plan: Callable[[Sequence[Prepared]], Step], beside: Sequence[Prepared] = (),
    ) -> None:  # fmt: skip
        self._beside = tuple(beside)
        self._context, self._statements, self._writes, self._plan = context, statements, writes, plan
        self._made = {
            local_name(name_of(s.tree["CreateTable"]["name"]))[-1] for s in statements if s.kind == "CreateTable"
        }
        self._take(prepared)

    def run(self, values: Mapping[str, Any]) -> None:
        """Make the changes of one generation."""
        if not self._basis.stands():
            self._take(prepare_step(self._context, self._statements, values))
        self._step.run(values)
        self._basis.settle()

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """The rows that a statement would write at the next step."""
        return self._step.foretold(place, values) if self._basis.stands() else None

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """Make several generations at once."""
        return self._step.run_many(courses, watch) if self._basis.stands() else 0

    @property
    def seen(self) -> CalculatedCurves:
        """See :class:`Step`."""
        return self._step.seen

    def explain(self) -> list[Explained]:
        """How each statement runs, as far as the steps since the last planning have shown it."""
        return self._step.explain()

    def _take(self, prepared: Sequence[Prepared]) -> None:
        self._step = self._plan(prepared)
        self._basis = Basis(self._context, [*prepared, *self._beside], self._writes, self._made)


class VerbatimStep:
    """The statements as they stand, one after the other; each sees what the ones before it wrote.

    Args:
        statements: prepared once.
    """

    def __init__(self, statements: Sequence[Prepared]) -> None:
        self._statements = tuple(statements)

    def run(self, values: Mapping[str, Any]) -> None:
        """Bind and run each."""
        for statement in self._statements:
            statement.run(values)

    def foretold(self, place: int, values: Mapping[str, Any]) -> pa.Table | None:
        """Nothing."""
        return None

    def run_many(self, courses: Courses, watch: Watch | None = None) -> int:
        """None at once."""
        return 0

    @property
    def seen(self) -> CalculatedCurves:
        """Nothing."""
        return NOTHING

    def explain(self) -> list[Explained]:
        """That each runs as it stands."""
        asked = (Note("verbatim", "runs as it stands", "--verbatim asks for it"),)
        return [Explained(title_of(s.statement), "verbatim", asked) for s in self._statements]
