"""What is joined to a grid by its coordinates: which columns are equal, and where one's labels are among another's."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...dense.node import Refused
from ...engine.columns import arrow, values_of
from ...engine.gridtable import GridColumn
from ...relation.columns import Field
from .axes import positive
from .cells import Array

_CELLS = 50_000_000  # of an array that says which row of a small relation is joined where


class EqualColumns:
    """Which columns conditions say are equal."""

    def __init__(self, pairs: Iterable[tuple[Field, Field]]) -> None:
        self._groups: dict[Field, set[Field]] = {}
        for one, other in pairs:
            group = self._groups.get(one, {one}) | self._groups.get(other, {other})
            for column in group:
                self._groups[column] = group

    def others(self, column: Field) -> set[Field]:
        """The columns that are equal to one, itself apart."""
        return self._groups.get(column, {column}) - {column}


def labels_of(column: GridColumn) -> pa.Array:
    """The values of a column that varies along one dimension."""
    return arrow(values_of(column.variable), column.kind, column.calendar) if column.cells is None else column.cells


def index_in(values: pa.Array, among: pa.Array) -> Array:
    """Where values first stand among others; -1 where they do not, and for NULL."""
    found = pc.index_in(positive(values), value_set=positive(among), skip_nulls=True)
    return np.asarray(found.fill_null(-1)).astype(np.int64)


def rows_at(labels: list[pa.Array], keys: list[pa.Array]) -> Array:
    """For each combination of labels the number of the row that has it as its keys; -1 for none.

    Raises:
        Refused: several rows have the same keys, or the array is too large.
    """
    if math.prod(map(len, labels)) > _CELLS:
        raise Refused("a join over too many cells")
    places, codes, sizes = [], [], []
    for label, key in zip(labels, keys, strict=True):
        if label.type != key.type:
            raise Refused(f"{label.type} is joined with {key.type}")
        values = positive(key).unique().drop_null()
        places.append(index_in(label, values))
        codes.append(index_in(key, values))
        sizes.append(len(values) + 1)  # the last place is that of no row, which -1 names
    if math.prod(sizes) > _CELLS:
        raise Refused("a join over too many cells")
    known = np.logical_and.reduce([code >= 0 for code in codes])
    flat = np.ravel_multi_index(tuple(code[known] for code in codes), sizes)
    if len(np.unique(flat)) != len(flat):
        raise Refused("several rows are joined to one cell")
    row = np.full(sizes, -1, np.int64)
    row.ravel()[flat] = np.flatnonzero(known)
    return row[np.ix_(*places)]
