"""An xarray table as DataFusion scans it: a partition a chunk, or a few that read one chunk after another.

DataFusion begins all partitions of a scan together, so that an aggregate over a table on disk holds nearly all of it.
For data that shall not be in memory all at once, the chunks are dealt out to a few partitions.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr
from datafusion.catalog import Table
from xarray_sql._native import LazyArrowStreamTable
from xarray_sql.df import _block_metadata, _block_slices_from_resolved, resolve_chunks

from .gridtable import Block, GridTable, bounds

_EMPTY = 2
_PARTITIONS = 4096
"""Of more chunks, neighbours are one partition: a partition costs some microseconds, and is begun with all others."""


def chunked(table: GridTable, chunks: Any, on_read: Callable[[], None]) -> LazyArrowStreamTable:
    """A table each of whose chunks is a partition, which a condition on coordinates may leave out.

    Where there are several, two more without a row can never be left out: DataFusion cannot plan a join, a sort or a
    window over no partition at all, and their number tells such a scan from that of a single chunk, always read.
    Of very many chunks, some neighbours are a partition, which reads them one after another.

    Args:
        table: what is read.
        chunks: dimension -> size; None for those that the dataset has, in memory or on disk.
        on_read: is called when a chunk begins to be read.
    """
    resolved = _resolved(table, chunks)
    ends = {dim: np.cumsum((0, *sizes)) for dim, sizes in resolved.items()}
    _group(table, ends)
    closed = {dim: _closed(found[:: table.together[dim]], found[-1]) for dim, found in ends.items()}
    known = {name: found for name, column in table.columns.items() if (found := bounds(column)) is not None}
    dims = {name: table.columns[name].variable.dims[0] for name in known}
    limits = {name: _limits(known[name], closed[dim]) for name, dim in dims.items()}
    alone = all(len(found) == 2 for found in ends.values())

    def pairs() -> Iterator[Any]:
        spans = [[slice(int(a), int(b)) for a, b in pairwise(found)] for found in closed.values()]
        for place in product(*(range(len(each)) for each in spans)):
            block = {dim: span[at] for dim, span, at in zip(closed, spans, place, strict=True)}
            at = dict(zip(closed, place, strict=True))
            own = {} if alone else {n: limit for n, dim in dims.items() if (limit := limits[n][at[dim]]) is not None}
            yield _reader(table, _Inside(block, ends), on_read), own, _cells(block)
        for _ in range(0 if alone else _EMPTY):
            yield _reader(table, [], None), {}, 0

    return LazyArrowStreamTable(pairs(), table.schema)


def _group(table: GridTable, ends: dict[Any, Any]) -> None:
    """Note how many neighbouring chunks along each dimension are one partition, so that there are not too many."""
    table.together.clear()
    table.together.update(dict.fromkeys(ends, 1))
    counts = {dim: len(found) - 1 for dim, found in ends.items()}
    while math.prod(counts.values()) > _PARTITIONS:
        dim = max(counts, key=counts.__getitem__)
        times = min(counts[dim], math.ceil(math.prod(counts.values()) / _PARTITIONS))
        table.together[dim] *= times
        counts[dim] = math.ceil((len(ends[dim]) - 1) / table.together[dim])


def _closed(starts: Any, end: int) -> Any:
    """Where partitions begin and end: behind the last chunk at the latest."""
    return starts if len(starts) > 1 and starts[-1] == end else np.append(starts, end)


def _limits(values: Any, ends: Any) -> list[Any]:
    """The least and the greatest label of each partition, as xarray-sql tells them; None where it leaves them out."""
    if values.dtype.kind not in "mMiuf" or (np.diff(ends) == 0).any():
        return [_block_metadata({"d": values}, {"d": slice(int(a), int(b))}).get("d") for a, b in pairwise(ends)]
    one = _block_metadata({"d": values}, {"d": slice(0, 1)}).get("d")
    if one is None or (values.dtype.kind in "mM" and np.isnat(values).any()):
        return [None] * (len(ends) - 1)
    raw = values.view(np.int64) if values.dtype.kind in "mM" else values
    low, high = (ufunc.reduceat(raw, ends[:-1]).tolist() for ufunc in (np.minimum, np.maximum))
    return [(a, b, one[2]) for a, b in zip(low, high, strict=True)]


class _Inside:
    """The chunks inside a part of a dataset, worked out when they are read."""

    def __init__(self, block: Block, ends: dict[Any, Any]) -> None:
        self._block, self._ends = block, ends

    def __iter__(self) -> Iterator[Block]:
        cuts = []
        for dim, part in self._block.items():
            inner = self._ends[dim][np.searchsorted(self._ends[dim], part.start) :]
            stops = inner[: np.searchsorted(inner, part.stop) + 1]
            cuts.append([slice(int(a), int(b)) for a, b in pairwise(stops)] or [part])
        for chunk in product(*cuts):
            yield dict(zip(self._block, chunk, strict=True))


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
    table: GridTable, blocks: Iterable[Block], on_read: Callable[[], None] | None
) -> Callable[[list[str] | None], pa.RecordBatchReader]:
    def read(columns: list[str] | None) -> pa.RecordBatchReader:
        names = table.schema.names if columns is None else columns
        schema = pa.schema([table.schema.field(name) for name in names])

        def batches() -> Iterator[pa.RecordBatch]:
            for block in blocks:
                if on_read is not None:
                    on_read()
                yield from table.batches(block, names)

        return pa.RecordBatchReader.from_batches(schema, batches())

    return read


def _cells(block: Block) -> int:
    return math.prod(part.stop - part.start for part in block.values())
