"""The rows of a frame as Arrow, whole or in part, of the types that the engine computes.

Asked for its schema, a frame of DataFusion tells the types that it planned before it brought those of branches
together: 1 UNION ALL 1.5 is planned as BIGINT and computed as DOUBLE. What was computed is what counts; where there
are no rows, the optimized plan tells it, which costs 0.3 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from datafusion import SessionContext

KEPT_ROWS = 1_000_000
"""A result that had to be computed whole for its first rows is kept if it has no more rows than this."""

_planner = SessionContext()
"""A session of no tables, which looks at plans and executes them where a frame would begin with all partitions."""


def coerced(frame: Any) -> pa.Schema:
    """The names and types of a frame's rows; nothing runs for it."""
    return _planner.create_dataframe_from_logical_plan(frame.optimized_logical_plan()).schema()


def planned(frame: Any) -> pa.Schema:
    """The names of a frame's columns, with types that may be others than those of its rows; costs next to nothing."""
    return getattr(frame, "_inner", frame).schema()


def fetch(frame: Any) -> pa.Table:
    """All rows of a frame, its partitions in their order: a grid comes as it lies (``collect()`` mixes them)."""
    return _table([batch for partition in frame.collect_partitioned() for batch in partition], frame)


def fetch_brief(frame: Any) -> pa.Table:
    """All rows of a frame, in any order and at the least cost."""
    found = [batch for batch in frame.collect() if batch.num_rows]
    return _table(found, frame)


def batches(frame: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a frame, one partition after another, as far as they are asked for."""
    for stream in frame.execute_stream_partitioned():
        for batch in stream:
            yield batch.to_pyarrow()


def _in_turn(frame: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a frame, of which no partition begins before the one ahead of it has ended."""
    plan = getattr(frame, "_inner", frame).execution_plan()
    for partition in range(plan.partition_count):
        for batch in _planner.execute(plan, partition):
            yield batch.to_pyarrow()


def head(frame: Any, limit: int) -> pa.Table:
    """The first rows of a frame that streams; the rest is not read."""
    found: list[pa.RecordBatch] = []
    room = limit
    for batch in _in_turn(frame) if limit else ():
        found.append(batch.slice(0, room))
        room -= found[-1].num_rows
        if room == 0:
            break
    return _table(found, frame)


def stream(frame: Any, limit: int) -> tuple[pa.Table, int]:
    """A frame's rows and their number; of more than ``KEPT_ROWS`` only the first ``limit`` are kept."""
    found: list[pa.RecordBatch] = []
    total = 0
    for batch in batches(frame):
        total += batch.num_rows
        if total <= KEPT_ROWS or sum(b.num_rows for b in found) < limit:
            found.append(batch)
    table = _table(found, frame)
    return (table if total <= KEPT_ROWS else table.slice(0, limit)), total


def reader(frame: Any) -> pa.RecordBatchReader:
    """The batches of a frame as a stream; any of its columns may be NULL."""
    schema = nullable(coerced(frame))
    return pa.RecordBatchReader.from_batches(schema, (_as(batch, schema) for batch in batches(frame)))


def _table(found: list[pa.RecordBatch], frame: Any) -> pa.Table:
    """Batches as one table.

    The engine plans a folded constant as nullable and computes it as not, or the other way round; then any may be NULL.
    """
    if not found:
        return coerced(frame).empty_table()
    schema = planned(frame)
    if any(batch.schema != schema for batch in found):
        kinds = found[0].schema.types
        if any(batch.schema.types != kinds for batch in found):
            kinds = coerced(frame).types
        fields = [field.with_type(kind) for field, kind in zip(schema, kinds, strict=True)]
        schema = nullable(pa.schema(fields, schema.metadata))
        found = [_as(batch, schema) for batch in found]
    return pa.Table.from_batches(found, schema=schema)


def nullable(schema: pa.Schema) -> pa.Schema:
    """The same, any of whose columns may be NULL: what the engine plans without may come with."""
    return pa.schema([field.with_nullable(True) for field in schema], schema.metadata)


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
