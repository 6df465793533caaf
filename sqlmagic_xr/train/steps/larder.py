"""The relations that a run keeps because no step changes them: as Arrow in memory, within a budget."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...engine.budget import nbytes_shown
from ...engine.streaming import streamed
from ...errors import SqlError
from ...sql.syntax import parse_one
from ...storage.schema import provider
from .unsure import UnsureError

if TYPE_CHECKING:
    from ...engine.context import Context

_ROWS_TO_SHARE = 32_768  # below, a second core costs more than it brings
_BATCH = 65_536  # rows; batches much smaller than the engine's own are joined
_SMALL = 2_048


@dataclass
class KeptRelation:
    """A relation that was evaluated once.

    Attributes:
        name: the name under which it is given to the engine.
        table: what DataFusion takes for a table.
        rows, nbytes: its size.
        reads: the scratch tables that it was made of, as they were.
    """

    name: str
    table: Any
    rows: int
    nbytes: int
    reads: Mapping[str, Any] = field(default_factory=dict)


class Larder:
    """The relations that a run keeps, within a budget of bytes that all of them share.

    Args:
        context: where they are evaluated.
        budget: how many bytes they may have in all.
    """

    def __init__(self, context: Context, budget: int) -> None:
        self._context = context
        self.budget = budget
        self._kept: dict[str, KeptRelation | str] = {}
        self._names = count()  # a plan of an earlier step may still read what had a name, so none is given twice
        self._streams: dict[tuple[str, ...], KeptRelation] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of everything kept."""
        return sum(k.nbytes for k in self._kept.values() if isinstance(k, KeptRelation))

    def keep(self, sql: str, reads: Collection[str], expected: int = 0) -> KeptRelation:
        """The rows of a query, evaluated now or before.

        Args:
            sql: the query.
            reads: the scratch tables that it reads.
            expected: how many bytes it will have, as far as that is known before.

        Raises:
            UnsureError: they do not fit the budget, or cannot be evaluated ahead of the step.
        """
        entries = self._context.store.entries()
        known = self._kept.get(sql)
        if isinstance(known, KeptRelation) and any(
            entries.get(name) is not entry for name, entry in known.reads.items()
        ):
            known = None
        if known is None:
            self._kept.pop(sql, None)
            if expected > self.budget - self.nbytes:
                known = self._too_large(expected)
            else:
                known = self._evaluated(sql, {name: entries.get(name) for name in reads})
            self._kept[sql] = known
        if isinstance(known, str):
            raise UnsureError(known)
        return known

    def expected(self, table: tuple[str, ...], columns: Collection[str]) -> int:
        """How many bytes these columns of an xarray table have; 0 for another table, of which that is not known."""
        dataset = self._context.tables.dataset(table)
        relation = self._context.relation(table)
        if dataset is None or relation is None:
            return 0
        rows = math.prod(dataset.sizes.values())
        return int(rows * sum(dataset[name].dtype.itemsize for name in columns if name in dataset.variables))

    def is_followed(self, table: tuple[str, ...]) -> bool:
        """Whether it would be known that a table has been exchanged."""
        return self._context.tables.is_followed(table)

    def stream(self, table: tuple[str, ...]) -> KeptRelation | None:
        """An xarray table that is read a few chunks at a time; None for a table of another kind."""
        grid = self._context.tables.grid(table)
        if grid is None or not grid.dataset.data_vars:
            return None
        if table not in self._streams:
            name = f"__read_{next(self._names)}__"
            self._streams[table] = KeptRelation(name, streamed(grid), math.prod(grid.dataset.sizes.values()), 0)
        return self._streams[table]

    def _too_large(self, size: int) -> str:
        return (
            f"its {nbytes_shown(size)} or more exceed the {nbytes_shown(self.budget)} that may be kept in memory: "
            "it is read each step"
        )

    def _stream(self, sql: str) -> pa.RecordBatchReader:
        """The rows of a query: by array code, if it aggregates a large dataset."""
        frame, answers = self._context.plan(sql), self._context.answers
        rows = None
        if self._context.grids and answers is not None:
            rows = answers.rows(self._context, sql, parse_one(sql).tree, frame)
        return pa.RecordBatchReader.from_stream(frame) if rows is None else rows.to_reader()

    def _evaluated(self, sql: str, reads: Mapping[str, Any]) -> KeptRelation | str:
        left = self.budget - self.nbytes
        try:
            stream = self._stream(sql)
            if len(set(stream.schema.names)) < len(stream.schema.names):
                return "two of its columns have one name"
            batches, size = _read(stream, left)
        except SqlError as error:
            return error.what
        except Exception as error:  # the engine's own errors; the statement itself will tell, if it meets them too
            return f"it cannot be evaluated ahead: {str(error).splitlines()[0]}"
        if batches is None:
            return self._too_large(size)
        rows = sum(b.num_rows for b in batches)
        cores = os.cpu_count() or 1
        partitions = 1 if rows < _ROWS_TO_SHARE else cores
        table = provider(batches, stream.schema, partitions=partitions)
        return KeptRelation(f"__kept_{next(self._names)}__", table, rows, size, reads)


def _read(stream: pa.RecordBatchReader, limit: int) -> tuple[list[pa.RecordBatch] | None, int]:
    """The batches of a stream, small ones joined, and their bytes; None where they exceed ``limit``."""
    out: list[pa.RecordBatch] = []
    small: list[pa.RecordBatch] = []
    size = 0
    for batch in stream:
        size += batch.get_total_buffer_size() if batch.num_rows < _SMALL else batch.nbytes
        if size > limit:
            return None, size
        if batch.num_rows < _SMALL:
            small.append(batch)
            if sum(b.num_rows for b in small) >= _BATCH:
                out.append(pa.concat_batches(small))
                small = []
        elif batch.num_rows:
            out += [batch.slice(start, _BATCH) for start in range(0, batch.num_rows, _BATCH)]
    return out + ([pa.concat_batches(small)] if small else []), size
