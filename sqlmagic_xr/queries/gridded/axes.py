"""The axes of a grid: their labels, which of them are read, and expressions that vary along one of them.

Such an expression is evaluated by the engine, for the labels of the axis: months, bins, LIKE and CASE mean what they
mean there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dense.node import Refused
from ...relation.catalog import Table
from ...relation.columns import Field, fields, subqueries
from ...relation.nodes import Scan
from ...relation.reads import parameters_in
from ...relation.rebuild import substituted
from ...relation.write import expression_tree
from ...sql.build import table
from ...sql.expression import Call, Expression, descend
from ...sql.syntax import expression_sql
from .cells import FLOATS, Array

if TYPE_CHECKING:
    from ...engine.context import Context

_NAME = "__axis__"
_FACTOR = table(_NAME)["relation"]


@dataclass(eq=False)
class GridAxis:
    """One axis.

    Attributes:
        dim: the dimension of the dataset.
        length: how many positions it has in all.
        kept: which of them are read.
        columns: the columns that vary along it and no other, for all positions.
    """

    dim: Any
    length: int
    kept: Array
    columns: dict[Field, pa.Array] = field(default_factory=dict)

    @classmethod
    def whole(cls, dim: Any, length: int) -> GridAxis:
        """An axis of which every position is read."""
        return cls(dim, length, np.arange(length))

    @property
    def is_whole(self) -> bool:
        """Whether every position is read."""
        return len(self.kept) == self.length

    def restrict(self, wanted: Array) -> None:
        """Read no more than the positions for which ``wanted``, one truth value for each that is read now, holds."""
        if not wanted.all():
            self.kept = self.kept[wanted]

    def column(self, name: Field) -> pa.Array:
        """The cells of a column at the positions that are read."""
        cells = self.columns[name]
        return cells if self.is_whole else cells.take(pa.array(self.kept))

    def along(self, context: Context, expression: Expression) -> pa.Array:
        """The value of an expression of its columns at each position that is read.

        Raises:
            Refused: the engine cannot say, or not for each of them.
        """
        if isinstance(expression, Field):
            return self.column(expression)
        return evaluated(
            context, expression, {column: self.column(column) for column in dict.fromkeys(fields(expression))}
        )


def evaluated(context: Context, expression: Expression, columns: dict[Field, pa.Array]) -> pa.Array:
    """The value of an expression for each row of some columns; of one without columns, its one value.

    Raises:
        Refused: the engine fails.
    """
    from ...relation.facts import function_varies

    if parameters_in(expression):
        raise Refused("a value that changes stands in an expression of coordinates", expression.span)
    if any(isinstance(part, Call) and function_varies(part) != "never" for part in descend(expression)):
        raise Refused("a function gives other values at each call", expression.span)
    arrays = {f"c{number}": cells for number, cells in enumerate(columns.values())} or {"c": pa.array([0])}
    scan = Scan((_NAME,), table=Table((_NAME,), {n: str(cells.type) for n, cells in arrays.items()}), tree=_FACTOR)
    names = {column: Field(scan, name) for column, name in zip(columns, arrays, strict=False)}
    asked = substituted(expression, lambda part: names.get(part) if isinstance(part, Field) else None)
    text = expression_sql(expression_tree(asked))
    try:
        return context.store.of_each(text, pa.record_batch(arrays), _NAME)
    except Exception as error:
        raise Refused(f"an expression of coordinates fails: {error}", expression.span) from error


def holds_anyway(context: Context, condition: Expression) -> bool:
    """Whether a condition has nothing to do with cells, and is true."""
    if any(True for _ in fields(condition)) or any(True for _ in subqueries(condition)) or parameters_in(condition):
        return False
    return bool(evaluated(context, condition, {})[0].as_py())


@dataclass(frozen=True, eq=False)
class Coding:
    """The groups along one axis.

    Attributes:
        codes: the group of each position that is read.
        keys: the values of the keys, for each group.
        count: how many groups there are.
        plain: whether each position is a group of its own, in their order.
        axes: where the groups are those of several axes together, these; then ``codes`` has as many.
    """

    codes: Array
    keys: tuple[pa.Array, ...]
    count: int
    plain: bool
    axes: tuple[int, ...] = ()

    def __reduce__(self) -> Any:
        """INSIDE is told by being itself, on a worker of a cluster too."""
        return "INSIDE" if self is INSIDE else super().__reduce__()


INSIDE = Coding(np.zeros(0, np.int64), (), 1, False)
"""What stands for an axis whose groups are given with those of another one."""


def coding_over(keys: list[pa.Array], axes: tuple[int, ...], shape: tuple[int, ...]) -> Coding:
    """The groups of the cells of several axes, by keys that are written out over them."""
    codes, count = np.zeros(len(keys[0]), np.int64), 1
    keys = [positive(key) for key in keys]
    for key in keys:
        one, values = _coded(key)
        found, codes = np.unique(codes * values + one, return_inverse=True)
        count = len(found)
    _, first = np.unique(codes, return_index=True)
    return Coding(codes.reshape(shape), tuple(key.take(pa.array(first)) for key in keys), count, False, axes)


def coding(keys: list[pa.Array]) -> Coding:
    """The groups of positions for which all of some keys are alike; NULL is like NULL, and -0.0 like 0.0."""
    codes, count = np.zeros(len(keys[0]), np.int64), 1
    keys = [positive(key) for key in keys]
    for key in keys:
        one, values = _coded(key)
        codes = codes * values + one
        count *= values
    found, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    plain = len(found) == len(codes) and bool((codes == np.arange(len(codes))).all())
    if not plain and len(found) == len(codes):
        # Labels that repeat nowhere are groups in their own order, however they are sorted.
        return Coding(np.arange(len(codes)), tuple(keys), len(codes), True)
    return Coding(codes, tuple(key.take(pa.array(first)) for key in keys), len(found), plain)


def _coded(key: pa.Array) -> tuple[Array, int]:
    encoded = pc.dictionary_encode(key, null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(encoded.indices).astype(np.int64), max(1, len(encoded.dictionary))


def positive(values: pa.Array) -> pa.Array:
    """Values with -0.0 as 0.0."""
    return pc.add(values, pa.scalar(0.0, values.type)) if str(values.type) in FLOATS else values
