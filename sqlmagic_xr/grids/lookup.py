"""Reading a few rows of a scratch table by key, without the engine: what a step reads of its state."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import Literal as Word

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..sql.expression import Call, Expression, Literal, Parameter

if TYPE_CHECKING:
    from ..storage.chunk import Chunk
    from ..storage.scratch import Version

Key = tuple[str, int | str]
"""A column and the value that it shall equal."""


def rows_where(version: Version, keys: Sequence[Key]) -> list[pa.RecordBatch]:
    """The rows whose columns equal all ``keys``, in the table's order; without keys the whole table.

    A chunk whose bounds show that it has none is not looked at, and one that ascends is searched, not scanned.
    """
    places = [(version.definition.names.index(name), value) for name, value in keys]
    found = []
    for chunk in version.chunks:
        batch = _of_chunk(chunk, places)
        if batch is not None and batch.num_rows:
            found.append(batch)
    return found


def _of_chunk(chunk: Chunk, places: Sequence[tuple[int, int | str]]) -> pa.RecordBatch | None:
    for place, value in places:
        # The generations of drafts are known without writing the rows out; and what only a file has is not read for the
        # sake of rows that it has not.
        known = chunk.bounds(place) if chunk.bounded(place) or not chunk.resident else None
        if known is not None and not known.low <= value <= known.high:
            return None
    batch, scan = chunk.batch, []
    for place, value in places:
        bounds = chunk.bounds(place)
        if bounds is not None and not bounds.low <= value <= bounds.high:
            return None
        if bounds is not None and bounds.ascending and batch is chunk.batch:
            column = batch.column(place).to_numpy(zero_copy_only=False)
            first, last = np.searchsorted(column, value, "left"), np.searchsorted(column, value, "right")
            batch = batch.slice(int(first), int(last - first))
        else:
            scan.append((place, value))
    for place, value in scan:
        batch = batch.filter(pc.fill_null(pc.equal(batch.column(place), value), False))
    return batch


def extreme(version: Version, column: str, which: Word["max", "min"]) -> int | None:
    """The greatest or least value of an integer column, NULLs apart; None where there is none."""
    place = version.definition.names.index(column)
    whole = version.span(place)  # None also where a chunk has no value
    parts = (chunk.bounds(place) for chunk in version.chunks) if whole is None else (whole,)
    bounds = [part for part in parts if part is not None]
    if not bounds:
        return None
    return int(max(b.high for b in bounds) if which == "max" else min(b.low for b in bounds))


def has_nulls(version: Version, column: str) -> bool:
    """Whether some row has NULL there."""
    place = version.definition.names.index(column)
    return any(not chunk.drafts and chunk.column(place).null_count for chunk in version.chunks)


Environment = Mapping[str, Any]
"""Parameter name -> value; the names of folded values among them."""


@dataclass(frozen=True)
class Constant:
    """An integer or a text that is known before the step's query runs: a parameter, a literal, or +, -, * of these."""

    expression: Expression

    def value(self, environment: Environment) -> int | str | None:
        """The value, or None where it is not a whole number or a text (a NULL among them)."""
        found = _evaluate(self.expression, environment)
        if isinstance(found, str):
            return found
        return found if found is not None and -(2**63) <= found < 2**63 else None


def _evaluate(expression: Expression, environment: Environment) -> int | str | None:
    match expression:
        case Literal(value=value):
            return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None
        case Parameter(name=name):
            return _given(environment.get(name.lstrip(":$@")))
        case Call(name="-", args=(inner,)):
            value = _evaluate(inner, environment)
            return -value if isinstance(value, int) else None
        case Call(name=name, args=(left, right)) if name in _ARITHMETIC:
            one, other = _evaluate(left, environment), _evaluate(right, environment)
            return _ARITHMETIC[name](one, other) if isinstance(one, int) and isinstance(other, int) else None
    return None


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def _given(value: Any) -> int | str | None:
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, (int, np.int64)) and not isinstance(value, bool) else None
