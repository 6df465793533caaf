"""What array code calculates of the curves while it makes steps, so that they cost no query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dense.ports import GridOutput
from ...dense.program import LoweredQuery
from ...dense.stack import Stack
from ..curves.incremental import MADE
from ..explain import Note

if TYPE_CHECKING:
    from ...engine.prepared import Prepared
    from ...sql.syntax import Tree


@dataclass(frozen=True)
class CurveQueries:
    """The curves of a run, as array code is to calculate them.

    Attributes:
        table, column: the trajectory and its step column.
        queries: gives for each curve its query over the generation that a step has made, or None; others as soon as
            something that it reads has changed.
    """

    table: str
    column: str
    queries: Callable[[], Sequence[Prepared | None]]


@dataclass(frozen=True)
class CalculatedCurves:
    """What some steps have calculated of the curves.

    Attributes:
        queries: those of the curves; None where one was not calculated.
        outputs: of a step that was made by itself what they have given, by their places.
        stacks: the same of several steps.
        written: of several steps the rows that they have added to each table.
    """

    queries: Sequence[Prepared | None] = ()
    outputs: Mapping[int, Sequence[GridOutput]] = field(default_factory=dict)
    stacks: Mapping[int, Sequence[Stack]] = field(default_factory=dict)
    written: Mapping[str, Sequence[Stack]] = field(default_factory=dict)


NOTHING = CalculatedCurves()

Watch = Callable[[CalculatedCurves, int], int]
"""Told what a number of steps have calculated, says how many of them may stay."""


class Looks:
    """The queries of the curves in the program of a step, behind its statements.

    Args:
        curves: whose; None for none.
    """

    def __init__(self, curves: CurveQueries | None) -> None:
        self._curves = curves
        self._queries: tuple[Prepared | None, ...] = () if curves is None else tuple(curves.queries())
        self._refused: set[int] = set()

    def renewed(self) -> bool:
        """Whether what the curves read has changed, so that the program has to be made again."""
        if self._curves is None:
            return False
        now = self._curves.queries()
        if now is self._queries:
            return False
        now = tuple(now)
        if len(now) == len(self._queries) and all(map(_same, now, self._queries)):
            return False
        self._queries, self._refused = now, set()
        return True

    @property
    def queries(self) -> list[LoweredQuery]:
        """Those that are calculated."""
        return [self._query(prepared) for prepared in self._taken.values()]

    @property
    def trees(self) -> list[Tree]:
        """The insides of their queries."""
        return [query.tree for query in self.queries if query.tree is not None]

    @property
    def places(self) -> list[int]:
        """The curve of each of :attr:`queries`."""
        return list(self._taken)

    @property
    def asked(self) -> tuple[Prepared | None, ...]:
        """For each curve the query that is calculated, or None."""
        return tuple(self._taken.get(place) for place in range(len(self._queries)))

    def notes(self) -> list[Note]:
        """Which curves are calculated with the steps, for a person."""
        if not self._taken:
            return []
        return [Note("curves", f"{len(self._taken)} of {len(self._queries)}", "calculated with each step")]

    def refuse(self, *curves: int) -> None:
        """Calculate some curves no more: their data are none that array code has an answer for."""
        self._refused.update(curves)

    @property
    def _taken(self) -> dict[int, Prepared]:
        return {n: p for n, p in enumerate(self._queries) if p is not None and n not in self._refused}

    def _query(self, prepared: Prepared) -> LoweredQuery:
        assert self._curves is not None
        assert prepared.tree is not None
        return LoweredQuery(prepared.tree["Query"], newest=(MADE, (self._curves.table,), self._curves.column))


def _same(one: object, other: object) -> bool:
    return one is other
