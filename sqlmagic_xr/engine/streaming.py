"""An xarray table that is read a chunk at a time, for data that shall not be in memory all at once.

xarray-sql makes each chunk a partition, and DataFusion begins all partitions of a scan together, so that an aggregate
over a table on disk holds nearly all of it. Here the chunks are dealt out to a few partitions, each of which reads one
after the other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import xarray as xr
from datafusion.catalog import Table
from xarray_sql._native import LazyArrowStreamTable
from xarray_sql.df import block_slices, iter_record_batches

Block = Mapping[Any, slice]


def streamed(dataset: xr.Dataset, schema: pa.Schema) -> Any:
    """What DataFusion takes for a table: the cells of a dataset, read by as many threads as there are cores.

    Args:
        dataset: variables of the same dims. Its chunks, or those it has on disk, are what is read at a time.
        schema: the table's, as xarray-sql gives it.
    """
    blocks = list(block_slices(dataset))
    size = math.ceil(len(blocks) / min(os.cpu_count() or 1, len(blocks)))
    parts = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    pairs: Iterator[Any] = ((_reader(dataset, part, schema), {}, sum(map(_cells, part))) for part in parts)
    return Table(LazyArrowStreamTable(pairs, schema))._inner


def _reader(
    dataset: xr.Dataset, blocks: Sequence[Block], schema: pa.Schema
) -> Callable[[list[str] | None], pa.RecordBatchReader]:
    def read(columns: list[str] | None) -> pa.RecordBatchReader:
        chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        # One variable at least, so that the cells can be counted where no column is asked for.
        names = [name for name in chosen.names if name in dataset.data_vars] or [next(iter(dataset.data_vars))]

        def batches() -> Iterator[pa.RecordBatch]:
            for block in blocks:
                yield from iter_record_batches(dataset[names].isel(block), chosen)

        return pa.RecordBatchReader.from_batches(chosen, batches())

    return read


def _cells(block: Block) -> int:
    return math.prod(part.stop - part.start for part in block.values())
