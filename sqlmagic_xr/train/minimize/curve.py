"""The curve that comes along with a MINIMIZE: the losses that its steps have written down, and the newest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...cluster.holding import Holding, held_by
from ...storage.scratch import Version
from ..curves.curve import Curve
from ..curves.pace import Pace
from ..steps.looks import CalculatedCurves
from ..steps.stacked import rows_of
from .evaluation import evaluated
from .expand import Expansion

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...engine.context import Context
    from ..trajectory import Trajectory

_BEHIND = 64  # generations; the first calls of a run make fewer steps, and are quicker than a look at their losses

_LINES = 8  # so many keys have a line each; of more of them the mean and the highest are drawn


class LossCurve(Curve):
    """Reads the table of the losses, which a step fills with what it has calculated anyway.

    A step knows the loss that it began with. That of the newest generation is evaluated where the run begins and ends,
    and not in between: whoever asks for the newest loss (:meth:`at`) is given the last that is known.

    Args:
        context: where the losses are.
        expansion: the MINIMIZE.
        trajectory: what grows.
        start: the generation before the run.
        clock: the run's time in seconds, pauses apart.
        holding: keeps the chunks that the run reads on a cluster.
        foretold: gives the rows that the next step would write down, for the values of its parameters, or None.
    """

    def __init__(
        self, context: Context, expansion: Expansion, trajectory: Trajectory, *, start: int, clock: Callable[[], float],
        holding: Holding | None = None, foretold: Callable[[Mapping[str, Any]], pa.Table | None] = lambda values: None,
    ) -> None:  # fmt: skip
        self._expansion, self._foretold = expansion, foretold
        self._begins = True  # and the loss of the first generation is still to be drawn
        super().__init__(
            context, expansion.query, trajectory, first=start, start=start, changing=frozenset(), varying=frozenset(),
            clock=clock, holding=holding,
        )  # fmt: skip

    def _prepare(self) -> None:
        self._whole = self._part = self._context.prepare(self.statement)
        self.one = None
        self._units = {}
        self._step = self._trajectory.column
        self._pace = Pace(times=0, clock=self._clock)

    def _forget_all(self, first: int) -> None:
        super()._forget_all(first)
        self._read = 0  # rows of the table that are in the curve
        self._last: int | None = None

    def _renew(self) -> None:
        if self._stale:
            self._forget_all(self.upto + 1)
            self.upto = self._start - 1

    @property
    def whole(self) -> bool:
        """It is not."""
        return False

    def forget(self, newest: int) -> None:
        """Drop what lies behind a generation, which has been taken back."""
        self._forget_all(newest)
        self.refresh({}, newest)

    def at(self, generation: int) -> dict[str, Any] | None:
        """The last loss that is known."""
        return super().at(self.known(generation))

    def known(self, generation: int) -> int:
        """The last generation whose loss is known."""
        return generation if self._last is None else min(generation, self._last)

    def late(self, newest: int) -> bool:
        """Whether it is many generations behind; to read a few more rows makes no end a wait."""
        return newest - self.upto > _BEHIND

    lag = 1

    def is_foretold(self, seen: CalculatedCurves, place: int) -> bool:
        """It is what the steps write down."""
        return True

    def ahead(self, seen: CalculatedCurves, place: int) -> pa.Table | None:
        """The losses that steps have written down and not committed yet."""
        stacks = seen.written.get(self._expansion.losses)
        if not stacks:
            return None
        rows = rows_of(stacks).select([self._trajectory.column, *self._expansion.loss.per, "loss"])
        return self._lines_of(rows).sort_by(self._trajectory.column)

    def complete(self, values: Mapping[str, Any], newest: int) -> None:
        """Evaluate the loss of the newest generation.

        Raises:
            UsageError: no step has had a row to go by.
        """
        if self._last is None or self._last < newest:
            rows = self._foretold(values)
            if rows is not None:  # by the code of the steps: a query would have to be planned
                self._add(rows.filter(rows["loss"].is_valid()))
            else:
                with held_by(self._context, self._holding):
                    rows = evaluated(self._context, self._whole, values)
                self._add(self._stepped(_there(rows), newest))
        minimize = self._expansion.minimize
        if minimize.batch is not None and newest > self._start and (self._last is None or self._last < self._start):
            raise minimize.refused(
                "BATCH keeps no row of the loss at any step, so nothing has been optimized",
                "Its condition is false or NULL for every row: look at what it compares.", minimize.batch,
            )  # fmt: skip

    def _piece(self, part: Any, step: str, values: Mapping[str, Any], newest: int) -> None:
        rows = self._written()
        if rows is not None:
            self._add(rows)
        if self._begins and (self._last is None or self._last < self._start <= newest):
            first = self._stepped(self._first_rows(values), self._start)
            self._add(first)
            if not self._parts:  # a batch without a row; its columns are known, and `--until` may ask for them
                self._append(self._lines_of(first))
        self._begins = False
        self.upto = newest

    def _first_rows(self, values: Mapping[str, Any]) -> pa.Table:
        """What the first step will write down: of a batch the keys that have a row in it."""
        loss = self._expansion.loss
        if loss.begun:
            return loss.rows
        with held_by(self._context, self._holding):
            return _there(evaluated(self._context, self._whole, values))

    def _written(self) -> pa.Table | None:
        """The losses that have been written since the last look; what is not read by anybody else stays as it is."""
        version = self._context.store.entries().get(self._expansion.losses)
        if not isinstance(version, Version):
            return None
        if version.rows < self._read:
            self._read = 0
        skip, found = self._read, []
        for chunk in version.chunks:
            if skip >= chunk.rows:
                skip -= chunk.rows
                continue
            found.append(chunk.behind(skip))
            skip = 0
        self._read = version.rows
        return pa.Table.from_batches(found) if found else None

    def _stepped(self, rows: pa.Table, generation: int) -> pa.Table:
        """Rows of one generation, as the table of the losses has them."""
        names = [self._trajectory.column, *self._expansion.loss.per, "loss"]
        steps = pa.array([generation] * rows.num_rows, pa.int64())
        return pa.Table.from_arrays([steps, *rows.columns], names=names)

    def _add(self, rows: pa.Table) -> None:
        step = self._trajectory.column
        if self._last is not None:
            rows = rows.filter(pc.greater(rows[step], self._last))
        if not rows.num_rows:
            return
        self._last = int(pc.max(rows[step]).as_py())
        self._append(self._lines_of(rows).sort_by(step))

    def _lines_of(self, rows: pa.Table) -> pa.Table:
        """A row for each generation: the mean over the keys of PER, and a line for each of them if they are few."""
        step, per = self._trajectory.column, list(self._expansion.loss.per)
        rows = rows.set_column(rows.num_columns - 1, "loss", rows["loss"].cast(pa.float64()))
        rows = rows.set_column(0, step, rows[step].cast(pa.int64()))
        if not per:
            return rows.select([step, "loss"])
        means = rows.group_by(step, use_threads=False).aggregate([("loss", "mean"), ("loss", "max")]).sort_by(step)
        keys = self._keys()
        columns = {step: means[step], "loss": means["loss_mean"]}
        if keys is None:
            columns["highest"] = means["loss_max"]
            return pa.table(columns)
        for key in keys:
            mask = pc.equal(rows[per[0]], pa.scalar(key[per[0]]))
            for name in per[1:]:
                mask = pc.and_(mask, pc.equal(rows[name], pa.scalar(key[name])))
            found = rows.filter(mask)
            places = pc.index_in(means[step], found[step])  # NULL where a batch had no row for the key
            columns[", ".join(f"{name} {value}" for name, value in key.items())] = found["loss"].take(places)
        return pa.table(columns)

    def _keys(self) -> list[dict[str, Any]] | None:
        """The keys of PER, in their order; None where they are too many for a line each."""
        loss = self._expansion.loss
        if loss.rows.num_rows > _LINES:
            return None
        return list(loss.rows.select(list(loss.per)).sort_by([(key, "ascending") for key in loss.per]).to_pylist())


def _there(rows: pa.Table) -> pa.Table:
    """The rows that have a loss: a batch may have none for a key, or none at all."""
    return rows.filter(rows.column(rows.num_columns - 1).is_valid())
