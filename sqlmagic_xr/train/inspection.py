"""What a step has done to its tables, looked at before it is committed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UsageError
from .task import Task
from .trajectory import Trajectory

if TYPE_CHECKING:
    from ..storage.chunk import Chunk
    from ..storage.definition import Definition
    from ..storage.scratch import Version

Chunks = tuple["Chunk", ...]
_HANDFUL = 16  # so few numbers are looked at one by one, which is quicker than as an array


class DivergedError(Exception):
    """A number that a step would commit is none any more.

    Args:
        column: where it stands.
        value: NaN or an infinity.
    """

    def __init__(self, column: str, value: float) -> None:
        super().__init__(column, value)
        self.column, self.value = column, value


class Inspection:
    """Looks at one step after the other; what it costs is what a step has changed, however long the tables are.

    Args:
        task: what a step does.
        trajectory: the table that it adds generations to.
    """

    def __init__(self, task: Task, trajectory: Trajectory) -> None:
        self._task, self._trajectory = task, trajectory
        self._sizes = task.sizes
        self._floating: dict[str, tuple[Definition, tuple[int, ...]]] = {}
        self._placed: tuple[Definition | None, int] = None, 0

    def look(self, before: Mapping[str, Version], after: Mapping[str, Version], generation: int) -> int:
        """The generation that a step has made.

        Args:
            before, after: the tables that a step changes, by name, as they were and as they shall be.
            generation: the newest one before.

        Raises:
            DivergedError: the step adds a NaN or an infinity.
            UsageError: it has dropped the trajectory, inserted nothing, nothing newer, or something older.
        """
        table, new = self._task.table, None
        for name, version in after.items():
            old = before.get(name)
            if old is version:
                continue
            added = None if old is None else _appended(old, version)
            if not added or not _are_finite(added, self._floating_columns(version)):
                found = self._fault(old, version, added)
                if found is not None:
                    raise DivergedError(*found)
            if name == table:
                new = added
        if table not in after:
            raise UsageError(f"the step has dropped `{table}`")
        if self._sizes:
            self.count(before, after, 1)
        made = self._appended_in_order(before[table], after[table], new, generation)
        return self._found(before[table], after[table], generation) if made is None else made

    def count(self, before: Mapping[str, Version], after: Mapping[str, Version], steps: int) -> None:
        """Look whether the generations that a MINIMIZE has made have a row for each row of the ones before.

        Raises:
            UsageError: rows are missing, or there are more.
        """
        for table, rows in self._sizes.items():
            if table in before and table in after:
                made = after[table].rows - before[table].rows
                if made not in (0, rows * steps):
                    raise self._at_insert(
                        f"a generation of `{table}` has {rows} rows, and the step gives {made / steps:g}: the loss has "
                        "not one row for each of them",
                        "A condition that leaves some of them without data for a step belongs behind BATCH: those "
                        "take no step then.",
                    )

    def fault(self, before: Version | None, after: Version) -> tuple[str, float] | None:
        """The first column with more NaNs and infinities than before, and one of them; None where there is none.

        Only what is new is looked at, so an append costs what it appends.
        """
        return self._fault(before, after, None if before is None else _appended(before, after))

    def _fault(self, before: Version | None, after: Version, added: Chunks | None) -> tuple[str, float] | None:
        same_shape = before is not None and (
            before.definition is after.definition or before.definition == after.definition
        )
        gone, new = _exchanged(() if before is None else before.chunks, after.chunks) if added is None else ((), added)
        for place in self._floating_columns(after):
            bad = [v for chunk in new for v in _not_finite(chunk, place)]
            if bad and len(bad) > (sum(len(_not_finite(chunk, place)) for chunk in gone) if same_shape else 0):
                return after.definition.names[place], bad[-1]
        return None

    def next_generation(self, before: Version, after: Version, generation: int) -> int:
        """The generation that a step has made, from the trajectory alone; see :meth:`look`."""
        made = self._appended_in_order(before, after, _appended(before, after), generation)
        return self._found(before, after, generation) if made is None else made

    def _place(self, version: Version) -> int:
        """The place of the trajectory's step column."""
        if version.definition is not self._placed[0]:
            self._placed = version.definition, self._trajectory.place(version)
        return self._placed[1]

    def _floating_columns(self, version: Version) -> tuple[int, ...]:
        known = self._floating.get(version.name)
        if known is None or known[0] is not version.definition:
            places = tuple(i for i, c in enumerate(version.definition.columns) if _may_be_infinite(c.type))
            known = self._floating[version.name] = (version.definition, places)
        return known[1]

    def _appended_in_order(
        self, before: Version, after: Version, new: Chunks | None, generation: int
    ) -> int | None:  # fmt: skip
        """The greatest step of rows that were added and are all newer; None where it is not so."""
        if not new or not self._task.appends or before.definition is not after.definition:
            return None
        place = self._place(after)
        span = before.spans.get(place)
        if (self._trajectory.newest(before) if span is None else span.high) != generation:
            return None
        newest = generation
        for chunk in new:
            bounds = chunk.bounds(place)
            if bounds is None or bounds.low <= generation or not _without_nulls(chunk, place):
                return None
            newest = max(newest, int(bounds.high))
        return newest

    def _found(self, before: Version, after: Version, generation: int) -> int:
        task, trajectory = self._task, self._trajectory
        newest = trajectory.newest(after)
        if after.rows == before.rows and newest == generation:
            raise self._at_insert(
                f"the step inserts nothing into `{task.table}`",
                "Its query gave no row: look whether a table that it reads is empty, or a join or WHERE lets nothing "
                "pass.",
            )
        if newest is None or newest <= generation:
            raise self._at_insert(
                f"the step adds no generation to `{task.table}`: the newest stays {trajectory.column} = {generation}",
                f"Insert `:next_step` as `{trajectory.column}`.",
            )
        if task.appends:
            added = pa.chunked_array(_last_rows(before, after, trajectory.place(after)))
            if added.null_count:
                raise self._at_insert(
                    f"the step inserts a row whose {trajectory.column} is NULL", "Insert `:next_step` there."
                )
            oldest = pc.min(added).as_py()
            if oldest <= generation:
                raise self._at_insert(
                    f"the step inserts {trajectory.column} = {oldest}, but the newest generation is {generation} "
                    "already",
                    f"Insert `:next_step` as `{trajectory.column}`; UPDATE changes rows that are there.",
                )
        return int(newest)

    def _at_insert(self, what: str, hint: str) -> UsageError:
        error = UsageError(what, hint=hint)
        self._task.insert.place(error, self._task.insert.span)
        return error


def _exchanged(before: Chunks, after: Chunks) -> tuple[Chunks, Chunks]:
    """The chunks that are no more, and those that are new."""
    kept = len(after) - 1
    if kept >= 0 and after[:kept] == before[:kept]:  # an append, whose last chunk may have taken in some before it
        return before[kept:], after[kept:] if before[kept:] != after[kept:] else ()
    both = {id(c) for c in before} & {id(c) for c in after}
    return tuple(c for c in before if id(c) not in both), tuple(c for c in after if id(c) not in both)


def _appended(before: Version, after: Version) -> Chunks | None:
    """The chunks that were appended to a table; None where more than that was done to it."""
    first, last = before.added, after.added
    if first is None or last is None or last[: len(first)] != first:
        return None
    if before.lineage is not after.lineage or before.number != after.number:  # a commit lies between the two
        return None
    return last[len(first) :]


def _without_nulls(chunk: Chunk, place: int) -> bool:
    return bool(chunk.drafts) or not chunk.column(place).null_count


def _last_rows(before: Version, after: Version, place: int) -> Iterator[pa.Array]:
    """The values of a column in the rows that were added at the end, the last chunk first."""
    missing = after.rows - before.rows
    for chunk in reversed(after.chunks):
        if missing <= 0:
            return
        yield chunk.column(place).slice(max(chunk.rows - missing, 0))
        missing -= chunk.rows


def _may_be_infinite(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind))


def _are_finite(chunks: Chunks, places: Collection[int]) -> bool:
    """Whether rows that arrays have calculated hold numbers only, as nearly always; of others it is not told."""
    for chunk in chunks:
        drafts = chunk.drafts
        if not drafts:
            return False
        for draft in drafts:
            columns = draft.columns
            for place in places:
                cells = columns[place]
                if isinstance(cells, np.generic):
                    if not math.isfinite(cells):
                        return False
                elif _not_finite_of(cells.distinct):
                    return False
    return True


def _not_finite(chunk: Chunk, place: int) -> list[float]:
    if chunk.drafts:
        return [value for cells in chunk.numbers(place) for value in _not_finite_of(cells)]
    column = chunk.column(place)
    if pa.types.is_list(column.type):
        column = column.flatten()
    if column.null_count:
        bad = column.filter(pc.invert(pc.fill_null(pc.is_finite(column), True)))
        return [float(value) for value in bad.to_pylist()]
    return _not_finite_of(column.to_numpy())


def _not_finite_of(values: Any) -> list[float]:
    """The NaNs and infinities of an array, or of a scalar."""
    if values.size <= _HANDFUL:
        return [value for value in values.ravel().tolist() if not math.isfinite(value)]
    with np.errstate(all="ignore"):  # infinities of both signs are no reason to warn: they are what is looked for
        total = np.add.reduce(values, axis=None)
    if total - total == 0.0:  # which is so where all are finite, unless the sum overflows
        return []
    return [float(value) for value in values[~np.isfinite(values)]]
