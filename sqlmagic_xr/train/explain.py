"""What the plan of a step has decided, for a person: what is kept, what is folded, what runs each step, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..sql.syntax import Statement


@dataclass(frozen=True)
class Note:
    """One decision.

    Attributes:
        kind: "kept", "folded", "bound" (to the rows of a key), "read each step", "not folded", "not kept", "verbatim",
            "state" (one generation, from what the last step calculated), "each step", "a call", "curves", "not dense".
        what: the relation or read that it is about.
        detail: how much, or why.
    """

    kind: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: " + (
            f"{self.what} ({self.detail})" if self.what and self.detail else self.what or self.detail
        )


@dataclass(frozen=True)
class Explained:
    """How one statement of a step runs.

    Attributes:
        title: the statement's first line.
        executor: "relational", "dense" or "verbatim": who runs it.
        notes: the decisions.
        sql: what runs each step, the values of this step in it.
    """

    title: str
    executor: str
    notes: Sequence[Note] = field(default=())
    sql: str = ""

    def declined(self, notes: Sequence[Note]) -> Explained:
        """The same, with the notes of executors that were asked before, unless their reasons are told already."""
        told = {note.detail for note in self.notes}
        return replace(self, notes=(*(note for note in notes if note.detail not in told), *self.notes))

    def __str__(self) -> str:
        lines = [f"{self.title}", f"  executor: {self.executor}", *(f"  {note}" for note in self.notes)]
        return "\n".join(lines + ([f"  each step: {self.sql}"] if self.sql else []))


def title_of(statement: Statement) -> str:
    """A statement's own comment, or its first line, by which a person knows it again."""
    return statement.title or " ".join(statement.text.split("\n")[0].split())
