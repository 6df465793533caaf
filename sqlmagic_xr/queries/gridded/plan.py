"""A query whose aggregates over datasets are taken by array code, the rest of it being the engine's.

Each such aggregate is replaced by the relation of its groups, which is small. What stands above it (HAVING, ORDER BY,
calculations, joins, further groups) is then a query like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from ...dense.node import Refused
from ...engine.interrupt import interruptible
from ...relation.catalog import Table
from ...relation.change import exchanged
from ...relation.columns import Field, Measure, UnboundError
from ...relation.nodes import Aggregate, Leaf, Opaque, Relation, Scan, Select, Shared, relations
from ...relation.reads import volatile
from ...relation.write import written
from ...sql.build import table
from ...sql.expression import Call, Expression
from ...sql.syntax import Tree, to_sql
from ...storage.schema import provider
from .codings import codings_of
from .grid import Fetch, Grid, cells_of, grid_of
from .groups import Groups
from .measures import Measures
from .regions import taken
from .scalars import Scalars
from .source import source_of

if TYPE_CHECKING:
    from ...engine.context import Context

CELLS = 1_000_000
"""Cells of a dataset from which on array code pays: the engine goes through them in 5 to 10 ms."""

_GROUPS = 5_000_000  # each thread has its own, some numbers for each
_SMALL = 4_000_000  # rows that are joined to a grid
UNFORESEEN = "array code over chunks fails"
_numbers = count()
T = TypeVar("T")


class _Unread(Exception):  # noqa: N818 - no error: what is only planned fetches nothing
    """Rows that are joined to a grid are not there yet."""


@dataclass(frozen=True)
class Taken:
    """The groups of an aggregate, which stand in its place.

    Attributes:
        aggregate: it.
        scan: the reading of the relation of its groups.
        rows: that relation.
    """

    aggregate: Aggregate
    scan: Scan
    rows: pa.Table


class GridQuery:
    """A query, some of whose aggregates are taken of datasets.

    Args:
        context: whose tables it reads.
        query: it, bound.
        least: cells from which on an aggregate is taken here.

    Attributes:
        refusals: why aggregates over datasets were not.
    """

    def __init__(self, context: Context, query: Relation, least: int = CELLS) -> None:
        self._context, self._query, self._least = context, query, least
        self.refusals: list[Refused] = []

    def rows(self, names: list[str] | None = None) -> pa.Table:
        """The rows.

        Args:
            names: those of its columns; None for the ones that they have.

        Raises:
            Refused: no aggregate of it is taken here.
        """
        rows = self._rest(self._taken())
        return rows if names is None else rows.rename_columns(names)

    def told(self) -> str:
        """What is read for it, for a person; no cell is read to say so.

        Raises:
            Refused: no aggregate of it is taken here.
        """

        def unread(relation: Relation) -> pa.Table:
            raise _Unread

        def planned(node: Aggregate) -> str:
            try:
                return Groupwise(self._context, node, unread).told()
            except _Unread:
                return "array code over chunks, joined with what is evaluated before"

        return "; ".join(self._each(planned))

    def _taken(self) -> list[Taken]:
        return self._each(lambda node: take(self._context, node, self._least))

    def _each(self, made: Callable[[Aggregate], T]) -> list[T]:
        """What is made of each aggregate that is taken here, those inside of one not among them."""
        found: list[T] = []
        inside: set[int] = set()
        for node in relations(self._query):
            if id(node) in inside or not isinstance(node, Aggregate) or not self._is_large(node):
                continue
            try:
                found.append(made(node))
                inside |= {id(below) for below in relations(node)}
            except (Refused, UnboundError, NotImplementedError) as error:
                self.refusals.append(error if isinstance(error, Refused) else Refused(str(error)))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                # What is not foreseen here is the engine's, which has the last word on data that cannot be read, too.
                self.refusals.append(Refused(f"{UNFORESEEN}: {type(error).__name__}: {error}"))
        if not found:
            raise self.refusals[0] if self.refusals else Refused("it has no aggregate over a large dataset")
        return found

    def _is_large(self, aggregate: Aggregate) -> bool:
        return any(is_large(self._context, node, self._least) for node in relations(aggregate))

    def _rest(self, found: list[Taken]) -> pa.Table:
        plain = _plain(self._query, found[0])
        if plain is not None:
            return plain
        scans = {taken.aggregate: taken.scan for taken in found}
        columns: dict[Field, Expression] = {
            Field(t.aggregate, str(name)): Field(t.scan, str(name)) for t in found for name in t.aggregate.names
        }
        try:
            rest = exchanged(self._query, lambda relation: scans.get(relation), columns)  # type: ignore[call-overload]
            tree = {"Query": written(rest)}
        except (UnboundError, NotImplementedError) as error:
            raise Refused(f"what stands above the groups cannot be written: {error}") from error
        self._refuse_unseen(rest)
        named = {t.scan.table.name[0]: provider(t.rows.to_batches(), t.rows.schema) for t in found}
        return run(self._context, tree, named)

    def _refuse_unseen(self, rest: Relation) -> None:
        before = {id(node) for node in relations(self._query)}
        for node in relations(rest):
            view = isinstance(node, Shared) and node.kind == "view" and id(node) in before  # written by its name
            if view or isinstance(node, Opaque):
                raise Refused("a view is read beside the groups")


def _plain(query: Relation, taken: Taken) -> pa.Table | None:
    """The rows of a query that only names the columns of its groups; None for any other."""
    if not isinstance(query, Select) or query.condition is not None or query.distinct:
        return None
    if query.source is not taken.aggregate:
        return None
    places = []
    for output in query.outputs:
        column = output.expression
        if not isinstance(column, Field) or column.relation is not taken.aggregate:
            return None
        places.append(taken.aggregate.names.index(column.name))
    names = [str(output.name) for output in query.outputs]
    return pa.Table.from_arrays([taken.rows.column(place) for place in places], names=names)


def run(context: Context, tree: Tree, named: Mapping[str, object]) -> pa.Table:
    """The rows of a query of ours, as the engine answers it right."""
    sql = to_sql(tree)
    with context.store.showing(named):
        mended = context.mended(tree, sql)
    return context.query_over(sql if mended is tree else to_sql(mended), named)


def is_large(context: Context, relation: Relation, least: int) -> bool:
    """Whether a relation is the table of a dataset of so many cells."""
    table = grid_of(context, relation)
    return table is not None and cells_of(table) >= least


def take(context: Context, aggregate: Aggregate, least: int) -> Taken:
    """The groups of an aggregate.

    Raises:
        Refused: they are not to be had by array code.
    """
    rows = interruptible(
        lambda: Groupwise(context, aggregate, lambda relation: fetched(context, relation, least)).rows()
    )
    name = f"__groups_{next(_numbers)}__"
    factor = table(name)["relation"]
    types = {field.name: str(field.type) for field in rows.schema}
    return Taken(aggregate, Scan((name,), table=Table((name,), types), tree=factor), rows)


class Groupwise:
    """An aggregate over a grid, planned.

    Raises:
        Refused: there is no array code for it.
    """

    def __init__(self, context: Context, aggregate: Aggregate, fetch: Fetch) -> None:
        if aggregate.sets or aggregate.free or any(map(volatile, aggregate.inputs)):
            raise Refused("this GROUP BY is not array code", aggregate.span)
        self._context, self._aggregate = context, aggregate
        self.grid = grid = Grid(context, source_of(aggregate), fetch)
        if 0 in grid.shape:
            raise Refused("no cell is left")
        resolved, scalars = grid.source.resolved, Scalars(grid)
        keys = [resolved(key.expression) for key in aggregate.keys]
        self._keys, codings = codings_of(grid, keys)
        self._groups = Groups(codings)
        if self._groups.size > _GROUPS:
            raise Refused(f"{self._groups.size:,} groups")
        where = scalars.all([*grid.masks(), *map(scalars.holds, grid.conditions)])
        self._measures = measures = Measures(grid, scalars, self._groups, where)
        self._columns = [measures.column(_resolved(m, resolved)) for m in aggregate.measures]
        self._counts = measures.rows(where)

    def told(self) -> str:
        """What is read for it, for a person."""
        read, whole = math.prod(self.grid.shape), cells_of(self.grid.main)
        of = "" if read == whole else f" of {whole:,}"
        return f"array code over {read:,}{of} cells, {len(self.grid.stored)} variables of each"

    def rows(self) -> pa.Table:
        """The groups: their keys, then the aggregates."""
        states = taken(self.grid, list(self._measures.tallies.values()), lambda: _note(self._context))
        shape = self._groups.shape
        present = np.broadcast_to(self._counts(states.__getitem__), shape)
        places = np.flatnonzero(present) if self._aggregate.grouped else np.zeros(1, np.int64)
        at = np.unravel_index(places, shape)
        columns = []
        for axis, number in self._keys:
            coding = self._groups.codings[axis]
            assert coding is not None
            columns.append(coding.keys[number].take(pa.array(at[axis])))
        columns += [column(states.__getitem__).rows(places, shape) for column in self._columns]
        return pa.Table.from_arrays(columns, names=[str(name) for name in self._aggregate.names])


def _resolved(measure: Measure, resolved: Callable[[Expression], Expression]) -> Measure:
    call = resolved(measure.call)
    assert isinstance(call, Call)
    return replace(measure, call=call)


def _note(context: Context) -> None:
    context.chunks_read += 1


def fetched(context: Context, relation: Relation, least: int) -> pa.Table:
    """The rows of a small relation that is joined to a grid, or of a query whose one value is used.

    Raises:
        Refused: they are not to be had by themselves, or are many.
    """
    query = relation.query if isinstance(relation, Shared) and relation.kind != "working" else relation
    if isinstance(query, Scan):
        held = context.tables.rows_in_memory(query.table.name)
        if held is None or held > _SMALL:
            raise Refused(f"{query.table.name[-1]} is large or not in memory")
        return context.query(f"SELECT * FROM {'.'.join(_quoted(part) for part in query.table.name)}")
    if isinstance(query, Leaf) or query.free or volatile(query):
        raise Refused("what is joined is no table, or a subquery that depends on the row", relation.span)
    try:
        return GridQuery(context, query, least).rows()
    except Refused:
        return context.query({"Query": written(query)})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
