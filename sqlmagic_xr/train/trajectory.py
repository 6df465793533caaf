"""The trajectory: the scratch table that grows by one generation each step, and its step column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import SqlError, TypeMismatchError, UsageError
from ..grids.lookup import extreme
from .events import Newest, Shown
from .task import Task

if TYPE_CHECKING:
    from ..storage.chunk import Chunk
    from ..storage.scratch import Version

_SHOWN = 20  # rows of a generation that are looked at by a person


@dataclass(frozen=True)
class Trajectory:
    """Which table, and which of its columns counts the generations.

    Attributes:
        table: its name in the store.
        column: the one called ``step`` in its PRIMARY KEY, or else the key's first; ``step`` where there is no key.
    """

    table: str
    column: str

    def place(self, version: Version) -> int:
        """The column's place in the table as it is, from 0.

        Raises:
            UnknownNameError: it has been dropped or renamed.
        """
        return version.definition.index(self.column, self.table)

    def newest(self, version: Version) -> int | None:
        """The greatest step of the table; None where it has no row."""
        self.place(version)
        return extreme(version, self.column, "max")

    def first(self, version: Version) -> int | None:
        """The least step of the table; None where it has no row."""
        return extreme(version, self.column, "min")

    def behind(self, version: Version, number: int) -> npt.NDArray[np.int64]:
        """The positions of the rows whose step is greater than ``number``."""
        place = self.place(version)
        steps = [np.empty(0, np.int64), *(_steps(chunk, place) for chunk in version.chunks)]
        return np.flatnonzero(np.concatenate(steps) > number)

    def generation(self, version: Version, number: int) -> Newest:
        """The rows of one generation, for the eye."""
        place = self.place(version)
        return Newest(later=lambda: _shown(version, place, number))


def _shown(version: Version, place: int, number: int) -> Shown:
    found: list[pa.RecordBatch] = []
    for chunk in version.chunks:
        bounds = chunk.bounds(place)
        if bounds is not None and bounds.low <= number <= bounds.high:
            here = np.flatnonzero(_steps(chunk, place) == number)
            found.append(chunk.batch.take(pa.array(here)))
    rows = pa.Table.from_batches(found, schema=version.definition.schema)
    shown = rows.slice(0, _SHOWN).to_pylist()
    return tuple(rows.column_names), tuple(tuple(row.values()) for row in shown), rows.num_rows


def _steps(chunk: Chunk, place: int) -> npt.NDArray[Any]:
    """The step of each row; NaN where it is NULL."""
    return np.asarray(chunk.column(place).to_numpy(zero_copy_only=False))


def trajectory_of(task: Task, version: Version) -> Trajectory:
    """The trajectory of a task.

    Raises:
        UsageError: the table has no step column.
        TypeMismatchError: its step column does not hold integers.
    """
    definition = version.definition
    column = "step" if "step" in definition.key or not definition.key else definition.key[0]
    if column not in definition.names:
        raise _at_insert(
            task,
            UsageError(
                f"`{task.table}` has no column that counts the generations",
                hint="Give it one: `step BIGINT`, in its PRIMARY KEY.",
            ),
        )
    place = definition.index(column, task.table)
    kind = definition.columns[place].type
    if not pa.types.is_integer(kind):
        raise _at_insert(
            task,
            TypeMismatchError(
                f"the generations of `{task.table}` are counted by `{column}`, which is {kind} and not an integer",
                hint="Put `step BIGINT` into the PRIMARY KEY.",
            ),
        )
    return Trajectory(task.table, column)


def begin_at(task: Task, trajectory: Trajectory, version: Version, *, restart: bool) -> int:
    """The generation from which a run steps: the newest, or with ``restart`` the first.

    Raises:
        UsageError: there is none.
    """
    generation = trajectory.first(version) if restart else trajectory.newest(version)
    if generation is None:
        raise _at_insert(
            task,
            UsageError(
                f"`{task.table}` is empty: there is no generation to step from",
                hint=f"Insert the first one: INSERT INTO {task.table} VALUES (0, ...)",
            ),
        )
    return generation


def _at_insert(task: Task, error: SqlError) -> SqlError:
    return task.insert.place(error, task.insert.span)
