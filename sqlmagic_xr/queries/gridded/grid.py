"""A dataset with what is joined to it as one grid: its axes, the variables that are read, and what columns mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from ...dense.node import Refused
from ...engine.columns import arrow, values_of
from ...engine.gridtable import GridColumn, GridTable
from ...relation.columns import Field, Nested, fields, subqueries
from ...relation.nodes import Leaf, Relation, Scan, Union, relations
from ...sql.expression import Call, Expression
from .axes import GridAxis, evaluated, holds_anyway
from .cells import DTYPES, Array, Cells, is_instant, of_arrow, spread, stored
from .joining import EqualColumns, index_in, labels_of, rows_at
from .source import AggregateSource, equal_columns

if TYPE_CHECKING:
    from ...engine.context import Context


class Fetch(Protocol):
    """Gives the rows of a small relation or query, its columns in their order."""

    def __call__(self, relation: Relation, most: int = ...) -> pa.Table:
        """The rows; refused where there are more than so many."""


_KEYS = 4_000_000  # cells of a key that varies along several axes
_APART = 100_000  # rows that are joined with every cell


@dataclass(frozen=True, eq=False)
class Stored:
    """A variable that is read region by region.

    Attributes:
        column: it.
        axes: the grid's axis of each of its dimensions.
        places: for each of them, where its positions are along that dimension; None for the same.
        name: by which a person knows it.
        store: where its dataset was opened; "" where that is not known.
    """

    column: GridColumn
    axes: tuple[int, ...]
    places: tuple[Array | None, ...]
    name: str
    store: str = ""


class CellGrid:
    """The cells that an aggregate reads.

    Args:
        context: whose tables they are.
        source: what is read.
        fetch: gives the rows of what is joined and no dataset.

    Attributes:
        main: the largest dataset, whose axes are those of the grid.
        axes: them, behind one for the rows of each relation that is joined with every cell.
        stored: the variables that are read.
        conditions: what has to be asked of each cell.

    Raises:
        Refused: it is no grid.
    """

    def __init__(self, context: Context, source: AggregateSource, fetch: Fetch) -> None:
        self._context, self.source, self._fetch = context, source, fetch
        tables = {leaf: table for leaf in source.leaves if (table := grid_of(context, leaf)) is not None}
        wanted = [leaf for leaf in tables if leaf not in source.optional]
        if not wanted:
            united = any(isinstance(node, Union) for leaf in source.leaves for node in relations(leaf))
            raise Refused("an aggregate over a UNION" if united else "no dataset is read")
        self._leaf = max(wanted, key=lambda leaf: cells_of(tables[leaf]))
        self.main = tables.pop(self._leaf)
        if not self.main.dims:
            raise Refused("a dataset without dimensions")
        self._apart = source.unjoined(tables, self._leaf)
        self.axes = [self._rows_of(leaf) for leaf in self._apart]
        self._number = {dim: number for number, dim in enumerate(self.main.dims, len(self.axes))}
        self.axes += [GridAxis.whole(dim, self.main.dataset.sizes[dim]) for dim in self.main.dims]
        self._cells: dict[Field, Cells] = {}
        self._variables: dict[Field, tuple[GridColumn, tuple[int, ...], dict[int, Array | None]]] = {}
        self._spread: dict[Field, tuple[pa.Array, tuple[int, ...], Array]] = {}
        self._masks: list[tuple[tuple[int, ...], Array]] = []
        self.stored: list[Stored] = []
        self._describe(self._leaf, self.main, dict(self._number), {})
        self._join(tables)
        self._prune()

    @property
    def shape(self) -> tuple[int, ...]:
        """How many positions are read along each axis."""
        return tuple(len(axis.kept) for axis in self.axes)

    def _describe(self, leaf: Leaf, table: GridTable, axes: dict[Any, int], places: dict[int, Array | None]) -> None:
        """Take the columns of a dataset in; ``places`` are where the grid's positions are along its axes."""
        assert isinstance(leaf, Scan)
        for name in leaf.names:
            if name is None or not leaf.has(name):
                continue
            column = table.columns[leaf.column(name)]
            own = tuple(axes[dim] for dim in column.variable.dims)
            if column.cells is None and (len(own) != 1 or leaf.column(name) not in table.dataset.coords):
                self._variables[Field(leaf, name)] = (column, own, places)
                continue
            place, cells = places.get(own[0]), labels_of(column)
            found = cells if place is None else cells.take(pa.array(place, mask=place < 0))
            self.axes[own[0]].columns[Field(leaf, name)] = found

    def _rows_of(self, leaf: Leaf) -> GridAxis:
        """The rows of a relation that is joined with every cell, as an axis."""
        rows = self._fetch(leaf, _APART)
        if rows.num_rows > _APART:
            raise Refused(f"more than {_APART:,} rows are joined with every cell", leaf.span)
        axis = GridAxis.whole(f"rows of {'.'.join(leaf.path)}", rows.num_rows)
        for name in leaf.names or ():
            if name is not None and leaf.has(name):
                axis.columns[Field(leaf, name)] = rows.column(leaf.inner(name)).combine_chunks()
        return axis

    def _join(self, tables: dict[Leaf, GridTable]) -> None:
        source = self.source
        pairs = [pair for c in source.conditions if (pair := equal_columns(c)) is not None]
        alike = EqualColumns(pair for pair in pairs if not any(c.relation in source.optional for c in pair))
        used: set[Field] = set()
        for leaf in source.leaves:
            if leaf is self._leaf or leaf in source.optional or leaf in self._apart:
                continue
            keys = self._keys(leaf, alike)
            used |= {Field(leaf, name) for name in keys}
            if leaf in tables:
                self._align(leaf, tables[leaf], keys)
            else:
                self._look_up(leaf, keys, optional=False)
        mine = {column for axis in self.axes for column in axis.columns if column.relation is self._leaf}
        keyed = used | {column for column in mine if alike.others(column) & used}
        self.conditions = [
            c for c in source.conditions if (pair := equal_columns(c)) is None or not set(pair) <= keyed
        ]  # fmt: skip
        for leaf, conditions in source.optional.items():
            joined = [pair for condition in conditions if (pair := equal_columns(condition)) is not None]
            if len(joined) != len(conditions):
                raise Refused("this condition of a LEFT JOIN", leaf.span)
            self._look_up(leaf, self._keys(leaf, EqualColumns(joined)), optional=True)

    def _keys(self, leaf: Leaf, alike: EqualColumns) -> dict[str, Field]:
        """The columns of a relation that are equal to coordinates of the grid."""
        found: dict[str, Field] = {}
        axes: set[int] = set()
        for name in leaf.names or ():
            if name is None or not leaf.has(name):
                continue
            for other in alike.others(Field(leaf, name)):
                axis = self._axis_of(other)
                if other.relation is self._leaf and axis is not None:
                    if axis in axes:
                        raise Refused(f"two columns of {leaf.path[-1:]} are equal to one coordinate", leaf.span)
                    axes.add(axis)
                    found[name] = other
        if not found:
            raise Refused("a join that is not on coordinates", leaf.span)
        return found

    def _axis_of(self, column: Field) -> int | None:
        return next((number for number, axis in enumerate(self.axes) if column in axis.columns), None)

    def _align(self, leaf: Leaf, table: GridTable, keys: dict[str, Field]) -> None:
        """Join another dataset on its coordinates."""
        assert isinstance(leaf, Scan)
        axes: dict[Any, int] = {}
        places: dict[int, Array | None] = {}
        for name, coordinate in keys.items():
            column = table.columns[leaf.column(name)]
            axis = self._axis_of(coordinate)
            assert axis is not None
            if column.cells is None or column.variable.dims[0] in axes:
                raise Refused("a join that is not on coordinates", leaf.span)
            axes[column.variable.dims[0]] = axis
            places[axis] = self._places(coordinate, column.cells)
        if set(axes) != set(table.dims):
            raise Refused("a join that leaves a dimension open", leaf.span)
        self._describe(leaf, table, axes, places)

    def _places(self, coordinate: Field, labels: pa.Array) -> Array | None:
        """Where the labels of an axis are among others; positions without a partner are not read."""
        axis = self.axes[self._axis_of(coordinate) or 0]
        mine = axis.columns[coordinate]
        if mine.type != labels.type:
            raise Refused(f"{mine.type} is joined with {labels.type}")
        if len(labels.unique()) != len(labels) or labels.null_count:
            raise Refused("a coordinate that is joined repeats a label")
        if mine.equals(labels):
            return None
        places = index_in(mine, labels)
        axis.restrict(places[axis.kept] >= 0)
        return places

    def _look_up(self, leaf: Leaf, keys: dict[str, Field], *, optional: bool) -> None:
        """Join rows by their keys, which coordinates are equal to; each key names one row."""
        rows = self._fetch(leaf)
        columns = {str(name): rows.column(place).combine_chunks() for place, name in enumerate(leaf.names or ())}
        ordered = sorted((self._axis_of(coordinate), name) for name, coordinate in keys.items())
        axes = tuple(axis for axis, _ in ordered if axis is not None)
        cells = [self.axes[axis].columns[keys[name]] for axis, name in ordered if axis is not None]
        row = rows_at(cells, [columns[name] for _, name in ordered])
        if len(axes) == 1 and not optional:
            axis = self.axes[axes[0]]
            axis.restrict(row[axis.kept] >= 0)
        elif not optional and not (row >= 0).all():
            self._masks.append((axes, row >= 0))
        for name in leaf.names or ():
            if name is None or not leaf.has(name):
                continue
            if len(axes) == 1:
                self.axes[axes[0]].columns[Field(leaf, name)] = columns[name].take(pa.array(row, mask=row < 0))
            else:
                self._spread[Field(leaf, name)] = (columns[name], axes, row)

    # What is read

    def _prune(self) -> None:
        """Leave out the positions that conditions on their labels leave out."""
        left = []
        for condition in self.conditions:
            if (axis := self.axis(condition)) is None:
                left += [] if holds_anyway(self._context, condition) else [condition]
                continue
            holds = self.axes[axis].along(self._context, condition)
            if str(holds.type) != "bool":
                raise Refused("a condition is no truth value", condition.span)
            self.axes[axis].restrict(np.asarray(holds.fill_null(False)))
        self.conditions = left

    def axis(self, expression: Expression) -> int | None:
        """The one axis along which an expression varies; None where it is none, or not one."""
        found = {self._axis_of(column) for column in fields(expression)}
        if len(found) != 1 or any(True for _ in subqueries(expression)):
            return None
        return found.pop()

    def along(self, axis: int, expression: Expression) -> pa.Array:
        """The value of an expression at each position of an axis that is read."""
        return self.axes[axis].along(self._context, expression)

    def span(self, expression: Expression) -> tuple[int, ...]:
        """The axes along which an expression varies.

        Raises:
            Refused: it holds a column that is none of the grid's, or a subquery, or none at all.
        """
        found: set[int] = set()
        for column in fields(expression):
            axis = self._axis_of(column)
            if axis is not None:
                found.add(axis)
            elif column in self._variables:
                found |= set(self._variables[column][1])
            elif column in self._spread:
                found |= set(self._spread[column][1])
        if not found or any(True for _ in subqueries(expression)):
            raise Refused("a key that is no expression of columns", expression.span)
        return tuple(sorted(found))

    def over(self, axes: tuple[int, ...], expression: Expression) -> pa.Array:
        """The value of an expression at each combination of positions along some axes, the last one varying fastest.

        Raises:
            Refused: they are many, or the engine cannot say.
        """
        shape = tuple(len(self.axes[axis].kept) for axis in axes)
        if math.prod(shape) > _KEYS:
            raise Refused(f"a key of {math.prod(shape):,} cells", expression.span)
        columns = {column: self._flat(column, axes, shape) for column in dict.fromkeys(fields(expression))}
        return columns[expression] if isinstance(expression, Field) else evaluated(self._context, expression, columns)

    def _flat(self, column: Field, axes: tuple[int, ...], shape: tuple[int, ...]) -> pa.Array:
        """A column, written out over some axes."""
        places = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij", sparse=True)
        axis = self._axis_of(column)
        if axis is not None:
            at = np.broadcast_to(places[axes.index(axis)], shape)
            return self.axes[axis].column(column).take(pa.array(at.reshape(-1)))
        if column in self._spread:
            cells, own, row = self._spread[column]
            found = row[np.ix_(*(self.axes[a].kept for a in own))]
            at = found[tuple(places[axes.index(a)] for a in own)]
            at = np.broadcast_to(at, shape).reshape(-1)
            return cells.take(pa.array(at, mask=at < 0))
        described, own, moved = self._variables[column]
        where = {}
        for dim, number in zip(described.variable.dims, own, strict=True):
            place, kept = moved.get(number), self.axes[number].kept
            where[dim] = kept if place is None else place[kept]
        values = values_of(described.variable.isel(where))
        flat = arrow(values.reshape(-1), described.kind, described.calendar)
        numbers = np.arange(len(flat)).reshape(values.shape)[tuple(places[axes.index(a)] for a in own)]
        return flat.take(pa.array(np.broadcast_to(numbers, shape).reshape(-1)))

    def present(self, axis: int, known: Array) -> Cells:
        """Something along an axis of which it only matters where it is not NULL."""
        return spread(np.zeros(len(known), np.bool_), known, "bool", (axis,), len(self.axes))

    def masks(self) -> list[Cells]:
        """Where what is joined has a partner."""
        return [self._laid(present, None, "bool", axes) for axes, present in self._masks]

    # What columns are (scalars.Columns)

    def column(self, column: Field) -> Cells:
        """See :class:`.scalars.Columns`."""
        found = self._cells.get(column)
        if found is None:
            found = self._cells[column] = self._column(column)
        return found

    def _column(self, column: Field) -> Cells:
        axis = self._axis_of(column)
        if axis is not None:
            return self._cells_along(axis, self.axes[axis].column(column))
        if column in self._variables:
            return self._variable(column, *self._variables[column])
        if column in self._spread:
            cells, axes, row = self._spread[column]
            at = row[np.ix_(*(self.axes[axis].kept for axis in axes))]
            values, known = of_arrow(cells.take(pa.array(at.ravel(), mask=at.ravel() < 0)))
            mask = None if known is None else known.reshape(at.shape)
            return spread(values.reshape(at.shape), mask, str(cells.type), axes, len(self.axes))
        raise Refused(f"the column {column.name} is none of the grid", column.span)

    def _variable(
        self, name: Field, column: GridColumn, axes: tuple[int, ...], places: dict[int, Array | None]
    ) -> Cells:
        kind = str(column.kind)
        dtype = column.variable.dtype
        plain = isinstance(dtype, np.dtype) and dtype.kind in "biufmM"  # objects may be None, and pandas' types NA
        if not plain or (kind not in DTYPES and not is_instant(kind)):
            raise Refused(f"array code does not calculate with {kind}")
        table = grid_of(self._context, name.relation)
        source = "" if table is None else str(table.dataset.encoding.get("source", ""))
        self.stored.append(Stored(column, axes, tuple(places.get(axis) for axis in axes), name.name, source))
        return stored(len(self.stored) - 1, kind)

    def settled(self, expression: Expression) -> Cells | None:
        """See :class:`.scalars.Columns`."""
        if isinstance(expression, Nested) and expression.kind == "scalar":
            return self._constant(self._one_value(expression))
        axis = self.axis(expression)
        if axis is not None:
            return self._cells_along(axis, self.along(axis, expression))
        if any(True for _ in fields(expression)) or any(True for _ in subqueries(expression)):
            return None
        if isinstance(expression, Call) and expression.name == "-":  # a number with its sign
            return None
        return self._constant(evaluated(self._context, expression, {}))

    def _one_value(self, nested: Nested) -> pa.Array:
        rows = self._fetch(nested.query)
        if rows.num_rows > 1:
            raise Refused("a subquery gives several rows", nested.span)
        cells = rows.column(0).combine_chunks()
        return cells if len(cells) else pa.nulls(1, cells.type)

    def _constant(self, value: pa.Array) -> Cells:
        """One value that is the same everywhere."""
        values, known = of_arrow(value)
        mask = known if known is None else known.reshape(())
        return spread(values.reshape(()), mask, str(value.type), (), len(self.axes))

    def _cells_along(self, axis: int, cells: pa.Array) -> Cells:
        values, known = of_arrow(cells)
        return spread(values, known, str(cells.type), (axis,), len(self.axes))

    def _laid(self, values: Array, known: Array | None, kind: str, axes: tuple[int, ...]) -> Cells:
        kept = np.ix_(*(self.axes[axis].kept for axis in axes))
        return spread(values[kept], None if known is None else known[kept], kind, axes, len(self.axes))


def grid_of(context: Context, leaf: Relation) -> GridTable | None:
    """The dataset that a relation reads directly; None where it is no dataset's table."""
    if not isinstance(leaf, Scan):
        return None
    name = leaf.table.name
    if len(name) == 1 and name[0] in context.store.entries():
        return None
    return context.tables.grid(name)


def cells_of(table: GridTable) -> int:
    """How many cells a dataset's table has."""
    sizes = table.dataset.sizes
    return math.prod(sizes[dim] for dim in table.dims)
