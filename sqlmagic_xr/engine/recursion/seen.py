"""The rows that a UNION has given so far, equal as the engine's groups are: NULL equals NULL, NaN NaN, and -0.0 0.0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

_NAN = object()


class RowSet:
    """A set of rows.

    Example:
        >>> seen = RowSet()
        >>> table = pa.table({"x": [0.0, -0.0, None, None, math.nan, math.nan]})
        >>> seen.new(table)["x"].to_pylist()
        [0.0, None, nan]
        >>> seen.new(table).num_rows
        0
    """

    def __init__(self) -> None:
        self._rows: set[Any] = set()

    def new(self, table: pa.Table) -> pa.Table:
        """The rows that were not there before, each once and in their order; from now on they are there."""
        known = self._rows
        kept = []
        for place, row in enumerate(zip(*map(_keys, table.columns), strict=True)):
            if row not in known:
                known.add(row)
                kept.append(place)
        return table if len(kept) == table.num_rows else table.take(pa.array(kept, pa.int64()))


def _keys(column: pa.ChunkedArray) -> Iterable[Any]:
    """What stands for the values of a column: equal where they are."""
    kind = column.type
    if pt.is_date32(kind) or pt.is_time32(kind):
        column = column.cast(pa.int32())
    elif pt.is_temporal(kind) and not pt.is_interval(kind):  # Python's own times know no nanoseconds
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return map(_nested, values) if pt.is_floating(kind) or pt.is_nested(kind) else values


def _nested(value: Any) -> Any:
    """A number, list, struct or map as something that can be looked up, and is found though it is NaN."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_nested, value))
    if isinstance(value, dict):
        return tuple((key, _nested(inner)) for key, inner in value.items())
    return _NAN if isinstance(value, float) and math.isnan(value) else value
