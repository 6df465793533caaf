"""The recursions of one statement, and the query over their rows: worked out at once, or watched round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...sql.syntax import Tree
from ...storage.schema import provider
from ..admission import framed
from .members import Member, Recursion
from .rounds import Evaluation, MemberRows, provided

if TYPE_CHECKING:
    from ..context import Context


class Settling:
    """Works out the recursions of a statement, once.

    Args:
        context: where it runs.
        evaluation: works them out.
        recursions: in the order in which they are worked out.
        tree: the query over their rows.
        text: the same as the engine plans it.
    """

    def __init__(
        self, context: Context, evaluation: Evaluation, recursions: Sequence[Recursion], tree: Tree, text: str
    ) -> None:
        self._context, self._evaluation, self._recursions = context, evaluation, recursions
        self.tree, self._text = tree, text
        self._found: dict[str, Any] = {}
        self._members: list[MemberRows] = []

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
            self._members = [MemberRows(member) for member in recursion.members]
            yield from self._evaluation.rounds(recursion, self._members, self._found)
            self._found.update((rows.member.result, provided(rows.all())) for rows in self._members)

    def so_far(self) -> Any | None:
        """DataFusion's frame of the query over the rows that there are; None where one of the recursions has none."""
        if not self._members or self._members[0].member is not self._recursions[-1].members[0]:
            return None
        return self._framed({**self._found, **{rows.member.result: provided(rows.all()) for rows in self._members}})

    @property
    def alone(self) -> Member | None:
        """The one CTE that is recursive, where there is but one."""
        members = [member for one in self._recursions for member in one.members]
        return members[0] if len(members) == 1 else None

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Within this block the relations of the recursions are known, as relations without rows."""
        members = [member for one in self._recursions for member in one.members]
        with self._evaluation.showing({m.result: provider([], m.schema) for m in members}):
            yield

    def newer(self) -> pa.Table | None:
        """Of the one recursive CTE, the rows since this was asked last; None where they are not all that is read."""
        one = self.alone
        if one is None or not self._members or one.definition.limit is not None or one.definition.skip:
            return None
        return self._members[0].newer()

    def over(self, rows: pa.Table) -> Any:
        """DataFusion's frame of the query over some rows of the one recursive CTE."""
        return self._framed({self._members[0].member.result: provided(rows)})

    @property
    def newest(self) -> pa.Table:
        """What the last round has given."""
        return self._members[0].last

    def _framed(self, relations: dict[str, Any]) -> Any:
        with self._evaluation.showing(relations):
            return framed(self._context, self._text)
