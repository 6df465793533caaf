"""The recursions of one statement, and the query over their rows: worked out at once, or watched round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..admission import framed
from .plan import Recursion
from .rounds import Evaluation, Rows, provided

if TYPE_CHECKING:
    from ..context import Context


class Settling:
    """Works out the recursions of a statement, once.

    Args:
        context: where it runs.
        evaluation: works them out.
        recursions: in the order in which they are worked out.
        text: the query over their rows, as the engine plans it.
    """

    def __init__(self, context: Context, evaluation: Evaluation, recursions: Sequence[Recursion], text: str) -> None:
        self._context, self._evaluation, self._recursions, self._text = context, evaluation, recursions, text
        self._found: dict[str, Any] = {}
        self._members: list[Rows] = []

    def settled(self) -> Any:
        """DataFusion's frame of the query, all recursions gone through."""
        return self._framed(self._evaluation.relations(self._recursions))

    def rounds(self, most: int | None = None) -> Iterator[None]:
        """Go through the rounds: once the first rows are there, and then after each round or several.

        Args:
            most: after so many rounds a recursion is left as it is.
        """
        self._evaluation.most = most
        for recursion in self._recursions:
            self._members = [Rows(member) for member in recursion.members]
            yield from self._evaluation.rounds(recursion, self._members, self._found)
            self._found.update((rows.member.result, provided(rows.all())) for rows in self._members)

    def so_far(self) -> Any | None:
        """DataFusion's frame of the query over the rows that there are; None where one of the recursions has none."""
        if not self._members or self._members[0].member is not self._recursions[-1].members[0]:
            return None
        return self._framed({**self._found, **{rows.member.result: provided(rows.all()) for rows in self._members}})

    @property
    def newest(self) -> pa.Table:
        """What the last round has given."""
        return self._members[0].last

    def _framed(self, relations: dict[str, Any]) -> Any:
        with self._evaluation.showing(relations):
            return framed(self._context, self._text)
