"""Rows that come back from a query in the order in which they went in: each carries its number.

The engine deals the rows of a relation out to several threads and hands them over as they are ready, so the n-th row
of an answer is not that of the n-th row that went in. Whatever belongs to a row is asked for in one query with the
row's number, and put back into place by it; nothing is ever paired by its position in two answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from .keys import Rows
from .schema import provider
from .scratch import single_batch

ROW = "__row__"
"""The hidden column that says which row of a table, or of a batch, a row is."""


def numbered(batch: pa.RecordBatch, numbers: Rows | None = None) -> Any:
    """A batch as a table of DataFusion's, with the column ``__row__``: its rows' numbers, from 0 unless given."""
    place = pa.array(np.arange(batch.num_rows, dtype=np.int64) if numbers is None else numbers)
    fields = [pa.field(ROW, pa.int64(), nullable=False), *batch.schema]
    whole = pa.RecordBatch.from_arrays([place, *batch.columns], schema=pa.schema(fields))
    return provider([whole], whole.schema)


def in_order(found: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """The rows of an answer by the numbers in its first column; rows of one number stay as they are to each other.

    >>> in_order(pa.record_batch({"row": [2, 0, 1], "v": ["c", "a", "b"]})).column("v").to_pylist()
    ['a', 'b', 'c']
    """
    batch = single_batch(found) if isinstance(found, pa.Table) else found
    numbers = batch.column(0).to_numpy()
    if (numbers[1:] >= numbers[:-1]).all():
        return batch
    return batch.take(pa.array(np.argsort(numbers, kind="stable")))
