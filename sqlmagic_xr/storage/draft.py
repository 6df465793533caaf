"""Rows as arrays have calculated them, which are written out as an Arrow batch when somebody reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

MOST = 64
"""So many drafts are kept as they are, whatever their size."""

LIGHT = 128
"""Drafts of more rows than this are lighter than the rows written out; as many as there are of them are kept."""

HEAVY = 2**20
"""Bytes from which on a draft counts among those that older versions hold."""


class UnwrittenColumn(Protocol):
    """The values of a column that are not written out row by row."""

    @property
    def distinct(self) -> Any:
        """An array in which each of the values stands at least once, and no other."""

    def values(self) -> Any:
        """The value of each row, as an array that nobody else changes."""

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the greatest of values that never fall from row to row; None where that is not known."""


class Draft(NamedTuple):
    """Rows of which no value is NULL; at least one.

    Attributes:
        rows: how many.
        columns: for each column of the table a NumPy scalar, which is the value of all rows, or an
            :class:`UnwrittenColumn`; of the types that ``schema`` says.
        schema: the table's.
        nbytes: of the rows, once they are written out; about, where they hold text.
    """

    rows: int
    columns: tuple[Any, ...]
    schema: pa.Schema
    nbytes: int


def distinct(drafts: Sequence[Draft], column: int) -> Iterator[Any]:
    """Arrays, or scalars, in which each value of a column stands at least once, and no other."""
    for draft in drafts:
        cells = draft.columns[column]
        yield cells if isinstance(cells, np.generic) else cells.distinct


def written(drafts: Sequence[Draft]) -> pa.RecordBatch:
    """The rows of drafts as one batch, in memory of its own."""
    schema = drafts[0].schema
    short = all(draft.rows == 1 for draft in drafts)
    arrays = []
    for place, field in enumerate(schema):
        parts = [draft.columns[place] for draft in drafts]
        if short and all(isinstance(part, np.generic) for part in parts):
            values = np.array(parts, object if isinstance(parts[0], str) else None)
        else:
            spread = (np.full(draft.rows, part, object if isinstance(part, str) else None)
                      if isinstance(part, np.generic) else part.values()
                      for draft, part in zip(drafts, parts, strict=True))  # fmt: skip
            values = np.concatenate(list(spread))
        arrays.append(pa.array(values.tolist() if values.dtype.kind in "UO" else values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
