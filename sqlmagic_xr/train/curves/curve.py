"""A curve: the rows of one query, kept up to date while the trajectory grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...cluster.holding import Holding, held_by
from ...dense.ports import GridOutput
from ...errors import SqlError
from ...sql.syntax import Statement, identifier, parse_one, to_sql
from ...storage.definition import stored
from ...storage.scratch import Version
from ..events import Panel
from ..steps.basis import Basis
from ..steps.looks import CalculatedCurves
from ..steps.stacked import rows_of
from ..trajectory import Trajectory
from .handed import Handed, like
from .incremental import AFTER, UPTO, over_one, restrict
from .lines import Lines, measures
from .pace import Allowance, Pace
from .series import SeriesLines, grouped_by, keys_of
from .units import units_of

if TYPE_CHECKING:
    from ...engine.context import Context
    from ...engine.prepared import Prepared

_PIECE = 0.2  # seconds that bringing a curve up to date may take at a time, so that buttons act in between
_GROWTH = 8  # a piece is at most so many times as long as the one before it


@dataclass(frozen=True, slots=True)
class Blemish:
    """A NaN or an infinity in a curve that was finite before."""

    generation: int
    column: str
    value: float


class Curve:
    """The rows of a curve's query.

    Args:
        context: where the query runs.
        statement: the query.
        trajectory: what grows.
        first: the first generation there is.
        start: the generation before the run; older ones are not watched for blemishes.
        changing: the other tables that a step changes; None where a step does more to the trajectory than add rows.
        varying: the parameters whose value changes from step to step.
        clock: the run's time in seconds, pauses apart.
        holding: keeps the chunks that the run reads on a cluster.

    Attributes:
        blemish: the first one that was found, or None.
        upto: the newest generation that it shows.
        one: its query over the generation that a step has made (:func:`.incremental.over_one`); None where it is
            evaluated whole.
    """

    _grouped: frozenset[str] = frozenset()  # the columns that are keys of its query's GROUP BY

    def __init__(
        self, context: Context, statement: Statement, trajectory: Trajectory, *, first: int, start: int,
        changing: frozenset[str] | None, varying: frozenset[str], clock: Callable[[], float] = time.perf_counter,
        holding: Holding | None = None,
    ) -> None:  # fmt: skip
        self.statement = statement
        self._context, self._trajectory, self._start, self._clock = context, trajectory, start, clock
        self._changing, self._varying = changing, varying
        self._holding = holding or Holding()
        self._prepare()
        self._forget_all(first)

    def _prepare(self) -> None:
        """Read the query for the tables, views and functions as they are."""
        context, statement, trajectory = self._context, self.statement, self._trajectory
        self._whole = context.prepare(statement)
        bound = context.tables.bound(statement.tree["Query"])
        self._units = units_of(bound, context.tables)
        self._grouped = grouped_by(bound)
        self._part: Prepared | None = None
        self.one: Prepared | None = None
        self._step: str | None = None  # the column that tells the generation
        self._pace: Pace = Allowance(clock=self._clock)
        restricted = None if self._changing is None else restrict(
            statement.tree, bound, trajectory.table, trajectory.column, changing=self._changing, varying=self._varying,
        )  # fmt: skip
        if restricted is not None:
            tree, self._step = restricted
            self._part = context.prepare(parse_one(to_sql(tree)))
            one = over_one(statement.tree, bound, trajectory.table, trajectory.column)
            self.one = context.prepare(parse_one(to_sql(one)))
            self._pace = Pace(times=0, clock=self._clock)
        self._basis = Basis(context, [self._whole])
        names = {identifier(parts[-1]) for parts in context.reads(statement.tree)} - {trajectory.table}
        entries = context.store.entries()
        self._beside = {name: entries[name] for name in names if name in entries} if self._part is not None else {}

    def _forget_all(self, first: int) -> None:
        """Begin with the first generation."""
        self.blemish: Blemish | None = None
        self.upto = first - 1
        self._length = 1  # generations in the next piece
        self._parts: list[pa.Table] = []
        self._lines: Lines | SeriesLines | None = None
        self._finite: dict[str, bool] = {}
        self._handed = Handed()
        self._stale = self._unfinished = False

    def start_over(self) -> None:
        """Others have changed the trajectory: what it shows is evaluated again at the next refresh."""
        self._stale = True
        self._handed.clear()
        version = self._context.store.entries().get(self._trajectory.table)
        first = self._trajectory.first(version) if isinstance(version, Version) else None
        self.upto = (self._start if first is None else first) - 1

    def _renew(self) -> None:
        """Look whether the rows are still those of the query; not while they are made, or they might never be."""
        if self._unfinished:
            return
        entries = self._context.store.entries()
        if not self._basis.stands() or any(entries.get(name) is not known for name, known in self._beside.items()):
            self._prepare()
            self.start_over()
        if self._stale:
            self._forget_all(self.upto + 1)
            self._unfinished = True

    @property
    def prepared(self) -> Prepared:
        """The query as the user wrote it."""
        return self._whole

    @property
    def evaluated(self) -> bool:
        """Whether there are rows, or at least it is known that there are none yet."""
        return bool(self._parts)

    @property
    def step(self) -> str:
        """The column that tells the generation of a row, where one does."""
        assert self._step is not None
        return self._step

    @property
    def watched(self) -> bool:
        """Whether its rows tell their generation, so that a fault in them tells which step was at fault."""
        return self._step is not None

    @property
    def whole(self) -> bool:
        """Whether it is evaluated whole each time."""
        return self._part is None

    def allow(self, share: float) -> None:
        """Give the evaluations of a curve that is evaluated whole another share of the run's time."""
        if self.whole:
            self._pace = Allowance(share=share, clock=self._clock)

    @property
    def due(self) -> bool:
        """Whether it is time for :meth:`refresh`."""
        return self._pace.due

    def late(self, newest: int) -> bool:
        """Whether the generations that it does not show yet are more than a quarter of a piece of work."""
        return self._part is not None and newest - self._handed.reach(self.upto) > self._length // 4

    def refresh(self, values: Mapping[str, Any], newest: int) -> bool:
        """Bring the curve nearer to the generation ``newest``; returns whether it is there.

        A curve that is evaluated by generation does about 0.2 s of work at a time.
        """
        self._renew()
        with self._pace.turn():
            if self._part is None or self._step is None:
                self._take(self._query(self._whole, values))
                self.upto = newest
            elif self.upto < newest and not self._take_handed():
                begins = self._handed.begins()
                self._piece(self._part, self._step, values, newest if begins is None else min(begins, newest))
        self._unfinished = self._unfinished and self.upto < newest
        return self.upto >= newest

    def hand(self, after: int, upto: int, rows: pa.Table | Sequence[GridOutput]) -> None:
        """Give it the rows of the generations behind ``after`` up to ``upto``, which the steps have calculated."""
        self._handed.add(after, upto, rows)

    def _take_handed(self) -> bool:
        """Take the rows of the next generations from those that were handed; whether there were any."""
        taken = False
        while (piece := self._handed.take(self.upto)) is not None:
            rows = like(piece.table, self._parts[0].schema) if self._parts else None
            if rows is None:
                self._handed.clear()
                return taken
            self._append(rows)
            self.upto, taken = piece.upto, True
        return taken

    def forget(self, newest: int) -> None:
        """Drop what lies behind the generation ``newest``, which has been taken back."""
        self.blemish = None
        self._handed.cut(newest)
        if self._part is not None:
            kept = self.table.filter(pc.less_equal(self.table[self._step], newest))
            self._parts, self._lines = [kept], self._laid_out(kept)
        self.upto = min(self.upto, newest)

    @property
    def table(self) -> pa.Table:
        """All rows; in the order of the steps where the query is evaluated by generation."""
        return pa.concat_tables(self._parts)

    @property
    def panel(self) -> Panel:
        """The rows as they are drawn."""
        assert self._lines is not None, "refresh() comes first"
        return self._lines.panel(self.statement.title, self._units)

    @property
    def losses(self) -> tuple[str, ...]:
        """The lines that :meth:`loss` looks at."""
        assert self._lines is not None, "refresh() comes first"
        first = self._lines.names[:1]
        return self._lines.of(first[0]) if isinstance(self._lines, SeriesLines) else tuple(first)

    def at(self, generation: int) -> dict[str, Any] | None:
        """The last row of a generation, as Python values; None where there is none."""
        found = self._of(generation)
        return found.slice(found.num_rows - 1).to_pylist()[0] if found is not None and found.num_rows else None

    def _of(self, generation: int) -> pa.Table | None:
        """The rows of a generation; None where there are none."""
        if self._step is None:
            return None
        for part in reversed(self._parts):  # each in the order of the steps
            steps = part[self._step].to_numpy()
            first, last = np.searchsorted(steps, [generation, generation + 1])
            if first < last:
                return part.slice(first, last - first)
            if first:
                break
        return None

    def known(self, generation: int) -> int:
        """The generation that :meth:`at` tells of when it is asked for the newest one."""
        return generation

    lag = 0
    """How many generations what is known lies behind the newest one."""

    def is_foretold(self, seen: CalculatedCurves, place: int) -> bool:
        """Whether steps calculate its rows, as it is now."""
        return self.one is not None and place < len(seen.queries) and seen.queries[place] is self.one

    def ahead(self, seen: CalculatedCurves, place: int) -> pa.Table | None:
        """Its rows at generations that are not committed yet; None where the steps have not calculated them.

        Args:
            seen: what they have calculated.
            place: where the curve stands.
        """
        if not self.is_foretold(seen, place) or place not in seen.stacks or not self._parts:
            return None
        return like(rows_of(seen.stacks[place]), self._parts[0].schema)

    def first_of(self, rows: Sequence[Mapping[str, Any]]) -> float | None:
        """The first number of one generation's rows; of several rows the least. None where it has none."""
        assert self._lines is not None
        name = self._lines.names[0]
        some = rows if isinstance(self._lines, SeriesLines) else rows[-1:]
        return min((float(row[name]) for row in some if row[name] is not None), default=None)

    @property
    def measures(self) -> Sequence[str]:
        """The columns of numbers that are drawn."""
        return self._lines.names if self._lines else ()

    def complete(self, values: Mapping[str, Any], newest: int) -> None:
        """The run is over; a curve that left something out shows it."""

    def loss(self, generation: int) -> float | None:
        """The first number of a generation; of several rows the least. None where it has none."""
        if not isinstance(self._lines, SeriesLines):
            value = (self.at(generation) or {}).get(next(iter(self.panel.lines)))
        else:
            rows = self._of(generation)
            value = None if rows is None else pc.min(rows[self._lines.names[0]]).as_py()
        return None if value is None else float(value)

    def _piece(self, part: Prepared, step: str, values: Mapping[str, Any], newest: int) -> None:
        begin = time.perf_counter()
        after, upto = self.upto, min(self.upto + self._length, newest)
        try:
            rows = self._query(part, {**values, AFTER: after, UPTO: upto})
        except SqlError:
            # Said of the user's own text, the error points to the right place.
            self._query(self._whole, values)
            raise
        rows = rows.sort_by(step) if rows.num_rows > 1 else rows
        self._append(rows)
        self.upto = upto
        seconds = time.perf_counter() - begin
        self._length = max(1, min(int((upto - after) * _PIECE / max(seconds, 1e-6)), _GROWTH * self._length))

    def _query(self, prepared: Prepared, values: Mapping[str, Any]) -> pa.Table:
        with held_by(self._context, self._holding):
            rows = prepared.run(values, "auto").to_arrow_table()
        # Arrow can neither sort nor filter texts as the engine gives them.
        kinds = [stored(kind) for kind in rows.schema.types]
        if kinds == rows.schema.types:
            return rows
        return rows.cast(pa.schema(list(zip(rows.column_names, kinds, strict=True))))

    def _take(self, rows: pa.Table) -> None:
        """The whole result, anew; by step where that is its x axis, since rows come in any order."""
        first = rows.schema.field(0)
        if first.name == self._trajectory.column and pa.types.is_integer(first.type):
            rows = rows.sort_by(first.name)
            self._step = first.name
        self._lines = self._laid_out(rows)
        self._parts = [rows]
        if self._step is not None:
            self._finite = {}
            self._watch(rows, self._step)

    def _append(self, rows: pa.Table) -> None:
        """The rows of more generations."""
        apart = isinstance(self._lines, Lines) and bool(keys_of(rows, self._grouped))
        if self._lines is None:
            self._lines = self._laid_out(rows)
        elif not apart:
            self._lines.append(rows)
        self._keep(rows)
        if apart:  # as soon as two rows are one generation's
            self._lines = self._laid_out(self.table)
        self._watch(rows, str(self._step))

    def _laid_out(self, rows: pa.Table) -> Lines | SeriesLines:
        """The rows as one line for each number, or for each combination of keys."""
        keys = keys_of(rows, self._grouped)
        names = measures(rows, self.statement, keys)
        return SeriesLines(rows, keys, names) if keys else Lines(rows, self.statement)

    def _keep(self, rows: pa.Table) -> None:
        """Add rows to the parts; like parts are merged, so that there are few after any number of refreshes."""
        if self._parts and not rows.num_rows:
            return
        # What the engine knows to be without NULL may differ from piece to piece.
        schema = pa.schema([field.with_nullable(True) for field in rows.schema])
        self._parts.append(pa.Table.from_arrays(rows.columns, schema=schema))
        while len(self._parts) > 1 and self._parts[-1].num_rows >= self._parts[-2].num_rows:
            self._parts[-2:] = [pa.concat_tables(self._parts[-2:]).combine_chunks()]

    def _watch(self, rows: pa.Table, step: str) -> None:
        """Look for a number that is none any more, in the generations of this run."""
        steps = rows[step].to_numpy()
        for name in self._lines.names if self._lines else ():
            column = rows[name]
            if not pa.types.is_floating(column.type):
                continue
            sound = pc.fill_null(pc.is_finite(column), True).to_numpy()
            # What was never finite is not this run's doing.
            since = np.full(len(sound), self._finite.get(name, False)) | (np.cumsum(sound) > 0)
            self._finite[name] = bool(since.any())
            bad = np.flatnonzero(~sound & since & (steps > self._start))
            if len(bad) and (self.blemish is None or steps[bad[0]] < self.blemish.generation):
                self.blemish = Blemish(int(steps[bad[0]]), name, float(column[int(bad[0])].as_py()))
