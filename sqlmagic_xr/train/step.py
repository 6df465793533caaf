"""One step: what the loop asks of whoever runs it, and the way that is always right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .explain import Explained, Note, title_of

if TYPE_CHECKING:
    from ..engine.prepared import Prepared


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

    def explain(self) -> list[Explained]:
        """How each statement runs, as far as the steps that were made have shown it."""


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

    def explain(self) -> list[Explained]:
        """That each runs as it stands."""
        asked = (Note("verbatim", "runs as it stands", "--verbatim asks for it"),)
        return [Explained(title_of(s.statement), "verbatim", asked) for s in self._statements]
