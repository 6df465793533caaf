"""What a step has done to its tables, looked at before it is committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UsageError
from .task import Task
from .trajectory import Trajectory

if TYPE_CHECKING:
    from ..engine.chunk import Chunk
    from ..engine.scratch import Version


def fault(before: Version | None, after: Version) -> tuple[str, float] | None:
    """The first column that has more NaNs and infinities than before, and one of them; None where there is none.

    Only chunks that are new are looked at, so an append costs what it appends.
    """
    old = () if before is None else before.chunks
    kept = {id(c) for c in old} & {id(c) for c in after.chunks}
    new = [c for c in after.chunks if id(c) not in kept]
    gone = [c for c in old if id(c) not in kept]
    same_shape = before is not None and before.definition == after.definition
    for place, column in enumerate(after.definition.columns):
        if not _may_be_infinite(column.type):
            continue
        bad = [v for chunk in new for v in _not_finite(chunk, place)]
        if len(bad) > (sum(1 for chunk in gone for _ in _not_finite(chunk, place)) if same_shape else 0):
            return column.name, bad[-1]
    return None


def next_generation(task: Task, trajectory: Trajectory, before: Version, after: Version, generation: int) -> int:
    """The generation that a step has made.

    Args:
        before, after: the trajectory.
        generation: the newest one before.

    Raises:
        UsageError: the step has inserted nothing, nothing newer, or something older.
    """
    newest = trajectory.newest(after)
    if after.rows == before.rows and newest == generation:
        raise _at_insert(
            task,
            f"the step inserts nothing into `{task.table}`",
            "Its query gave no row: look whether a table that it reads is empty, or a join or WHERE lets nothing pass.",
        )
    if newest is None or newest <= generation:
        raise _at_insert(
            task,
            f"the step adds no generation to `{task.table}`: the newest stays {trajectory.column} = {generation}",
            f"Insert `:next_step` as `{trajectory.column}`.",
        )
    if task.appends:
        added = pa.chunked_array(_appended(before, after, trajectory.place))
        if added.null_count:
            raise _at_insert(
                task, f"the step inserts a row whose {trajectory.column} is NULL", "Insert `:next_step` there."
            )
        oldest = pc.min(added).as_py()
        if oldest <= generation:
            raise _at_insert(
                task,
                f"the step inserts {trajectory.column} = {oldest}, but the newest generation is {generation} already",
                f"Insert `:next_step` as `{trajectory.column}`; UPDATE changes rows that are there.",
            )
    return int(newest)


def _appended(before: Version, after: Version, place: int) -> Iterator[pa.Array]:
    """The values of a column in the rows that were added at the end, the last chunk first."""
    missing = after.rows - before.rows
    for chunk in reversed(after.chunks):
        if missing <= 0:
            return
        yield chunk.batch.column(place).slice(max(chunk.rows - missing, 0))
        missing -= chunk.rows


def _may_be_infinite(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind))


def _not_finite(chunk: Chunk, place: int) -> Iterator[float]:
    column = chunk.batch.column(place)
    if pa.types.is_list(column.type):
        column = column.flatten()
    if not column.null_count:
        values = column.to_numpy()
        finite = np.isfinite(values)
        if not finite.all():
            yield from (float(v) for v in values[~finite])
        return
    for value in column.filter(pc.invert(pc.fill_null(pc.is_finite(column), True))).to_pylist():
        yield float(value)


def _at_insert(task: Task, what: str, hint: str) -> UsageError:
    error = UsageError(what, hint=hint)
    task.insert.place(error, task.insert.span)
    return error
