"""An xarray table as DataFusion scans it: a partition a chunk, or a few that read one chunk after another.

DataFusion begins all partitions of a scan together, so that an aggregate over a table on disk holds nearly all of it.
For data that shall not be in memory all at once, the chunks are dealt out to a few partitions.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import xarray as xr
from datafusion.catalog import Table
from xarray_sql._native import LazyArrowStreamTable
from xarray_sql.df import _block_metadata, _block_slices_from_resolved, resolve_chunks

from .gridtable import Block, GridTable, bounds

_EMPTY = 2


def chunked(table: GridTable, chunks: Any, on_read: Callable[[], None]) -> LazyArrowStreamTable:
    """A table each of whose chunks is a partition, which a condition on coordinates may leave out.

    Where there are several, two more without a row can never be left out: DataFusion cannot plan a join, a sort or a
    window over no partition at all, and their number tells such a scan from that of a single chunk, always read.

    Args:
        table: what is read.
        chunks: dimension -> size; None for those that the dataset has, in memory or on disk.
        on_read: is called when a chunk begins to be read.
    """
    resolved = _resolved(table, chunks)
    known = {name: found for name, column in table.columns.items() if (found := bounds(column)) is not None}
    dims = {name: table.columns[name].variable.dims[0] for name in known}
    varying = [name for name in known if len(resolved[dims[name]]) > 1]
    same = _block_metadata(known, {name: slice(None) for name in known if name not in varying})

    def pairs() -> Iterator[Any]:
        alone = math.prod(map(len, resolved.values())) == 1
        for block in _blocks(table, resolved):
            limits = {} if alone else {**same, **_block_metadata(known, {n: block[dims[n]] for n in varying})}
            yield _reader(table, [block], on_read), limits, _cells(block)
        for _ in range(0 if alone else _EMPTY):
            yield _reader(table, [], None), {}, 0

    return LazyArrowStreamTable(pairs(), table.schema)


def chunks_of(partitions: int) -> int:
    """How many chunks so many partitions of a scan read; see :func:`chunked`."""
    return 1 if partitions == 1 else max(0, partitions - _EMPTY)


def streamed(table: GridTable) -> Any:
    """What DataFusion takes for a table: the cells of a dataset, read by as many threads as there are cores.

    Args:
        table: its chunks, or those it has on disk, are what is read at a time.
    """
    blocks = list(_blocks(table, _resolved(table, None)))
    size = math.ceil(len(blocks) / min(os.cpu_count() or 1, len(blocks)))
    parts = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    pairs: Iterator[Any] = ((_reader(table, part, None), {}, sum(map(_cells, part))) for part in parts)
    return Table(LazyArrowStreamTable(pairs, table.schema))._inner


def kept_chunks(dataset: xr.Dataset) -> dict[Any, int]:
    """The size of a chunk along each dimension, as a dataset has them in memory or on disk."""
    return {dim: sizes[0] for dim, sizes in _sizes(dataset, None).items() if sizes}


def chunk_sizes(table: GridTable) -> dict[Any, tuple[int, ...]]:
    """The sizes of the chunks along each dimension, as a dataset has them in memory or on disk."""
    return _sizes(table.dataset, None)


def _resolved(table: GridTable, chunks: Any) -> dict[Any, tuple[int, ...]]:
    """The sizes of the chunks along each dimension."""
    return _sizes(table.dataset, chunks)


def _sizes(dataset: xr.Dataset, chunks: Any) -> dict[Any, tuple[int, ...]]:
    try:
        return dict(resolve_chunks(dataset, chunks))
    except ValueError:  # variables with chunks of their own
        return dict(resolve_chunks(dataset.unify_chunks(), chunks))


def _blocks(table: GridTable, resolved: Any) -> Iterator[Any]:
    yield from _block_slices_from_resolved(table.dataset, resolved)


def _reader(
    table: GridTable, blocks: Sequence[Block], on_read: Callable[[], None] | None
) -> Callable[[list[str] | None], pa.RecordBatchReader]:
    def read(columns: list[str] | None) -> pa.RecordBatchReader:
        names = table.schema.names if columns is None else columns
        schema = pa.schema([table.schema.field(name) for name in names])
        if on_read is not None:
            on_read()
        batches = (batch for block in blocks for batch in table.batches(block, names))
        return pa.RecordBatchReader.from_batches(schema, batches)

    return read


def _cells(block: Block) -> int:
    return math.prod(part.stop - part.start for part in block.values())
