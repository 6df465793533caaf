"""The curve of a recursive query: its SELECT over the rows of the rounds so far, or over those that are new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...engine.recursion.settling import Settling
from ...sql.syntax import Statement
from ...storage.fetch import fetch
from ..trajectory import Trajectory
from .curve import Curve
from .incremental import step_of
from .pace import Allowance, Pace
from .series import grouped_by
from .units import units_of

if TYPE_CHECKING:
    from ...engine.context import Context


class RoundsCurve(Curve):
    """The rows of a recursive query while its rounds go on.

    Where each row of the query comes from one value of a whole number that grows from round to round, such as the step,
    the query over the new rows is what is new in it; else it is evaluated whole.

    Args:
        context: where the query runs.
        statement: the query.
        tree: its tree, which reads the rows of the recursion as a relation.
        settling: goes through the rounds.
        clock: the run's time in seconds, pauses apart.
    """

    def __init__(
        self, context: Context, statement: Statement, tree: Any, settling: Settling, clock: Callable[[], float]
    ) -> None:
        self._tree, self._settling = tree, settling
        super().__init__(
            context, statement, Trajectory("", ""), first=0, start=0, changing=None, varying=frozenset(), clock=clock
        )

    def _prepare(self) -> None:
        bound = self._context.tables.bound(self.statement.tree["Query"])
        self._grouped, self._units = grouped_by(bound), units_of(bound, self._context.tables)
        self._part = self.one = self._step = None
        self._column, self._last, self._named = "", None, ""
        alone = self._settling.alone
        if alone is not None:
            with self._settling.planning():
                read = self._context.tables.bound(self._tree["Query"])
                names = [field.name for field in alone.schema if pa.types.is_integer(field.type)]
                told = ((name, step_of(read, alone.result, name)) for name in names)
                self._column, self._named = next(((n, step) for n, step in told if step is not None), ("", ""))
        self._pace = Pace(clock=self._clock) if self._column else Allowance(clock=self._clock)

    def refresh(self, values: Mapping[str, Any], newest: int) -> bool:
        """Bring the curve to the last round; returns whether there are rows of the recursion by now."""
        with self._pace.turn():
            frame = self._newer() if self._column else None
            if frame is not None:
                rows = fetch(frame)
                self._step = self._named
                self._append(rows.sort_by(self._named) if rows.num_rows > 1 else rows)
            else:
                frame = self._settling.so_far()
                if frame is None:
                    return False
                rows = fetch(frame)
                self._trajectory = Trajectory("", rows.column_names[0])
                self._take(rows)
        self.upto = newest
        return True

    def _newer(self) -> Any | None:
        """The query over the rows that have come since; None where some are of a step that was there before."""
        rows = self._settling.newer()
        if rows is None:
            return None
        steps = rows[self._column]
        span = pc.min_max(steps).as_py()
        if steps.null_count or (self._last is not None and rows.num_rows and span["min"] <= self._last):
            self._column, self._pace = "", Allowance(clock=self._clock)  # it grows no more: evaluated whole from now on
            return None
        self._last = self._last if span["max"] is None else span["max"]
        return self._settling.over(rows)
