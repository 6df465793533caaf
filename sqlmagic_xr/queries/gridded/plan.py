"""A query whose aggregates and windows over datasets are taken by array code, the rest of it being the engine's.

Each such aggregate is replaced by the relation of its groups, which is small, and each SELECT over windows by that of
its rows. What stands above it (HAVING, ORDER BY, calculations, joins, further groups) is then a query like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa

from ...cluster.aside import tell_aside
from ...dense.node import Refused, Unforeseen
from ...engine.interrupt import interruptible
from ...engine.laid import Laid
from ...relation.catalog import Table
from ...relation.change import exchanged
from ...relation.columns import Field, Output, UnboundError
from ...relation.nodes import Aggregate, Leaf, Opaque, Relation, Scan, Select, Shared, relations
from ...relation.reads import tables_read, volatile
from ...relation.write import written
from ...sql.build import table
from ...sql.expression import Expression
from ...sql.syntax import Tree, to_sql
from ...storage.schema import provider
from .cellwise import Cellwise, over_windows
from .grid import Fetch, cells_of, grid_of
from .groupwise import Groupwise
from .holes import Holes

if TYPE_CHECKING:
    from ...cluster.holding import Holding
    from ...engine.context import Context

CELLS = 1_000_000
"""Cells of a dataset from which on array code pays: the engine goes through them in 5 to 10 ms."""

_SMALL = 4_000_000  # rows that are joined to a grid
UNFORESEEN = "array code over chunks fails"
UNFORESEEN_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_numbers = count()
NOTHING: Mapping[str, Any] = {}
T = TypeVar("T")


class _Unread(Exception):  # noqa: N818 - no error: what is only planned fetches nothing
    """Rows that are joined to a grid are not there yet."""


class Planned(Protocol):
    """What is taken of arrays, planned."""

    def description(self) -> str:
        """What is read for it, for a person."""

    def rows(self) -> pa.Table:
        """Its rows."""


@dataclass(frozen=True)
class PlannedRows:
    """The rows of an aggregate, or of a SELECT over windows, which stand in its place.

    Attributes:
        node: it.
        scan: the reading of the relation of its rows.
        rows: that relation.
    """

    node: Relation
    scan: Scan
    rows: pa.Table

    @property
    def instead(self) -> Relation:
        """What stands in its place."""
        if not isinstance(self.node, Select):
            return self.scan
        outputs = (Output(str(name), Field(self.scan, str(name))) for name in self.scan.names)
        return Select(self.scan, None, tuple(outputs))


class GridQuery:
    """A query, some of whose aggregates and windows are taken of datasets.

    Args:
        context: whose tables it reads.
        query: it, bound.
        least: cells from which on one is taken here.
        holding: keeps chunks on a cluster; then what is not taken there is refused.
        beside: small relations that it reads under names that no table has.
        holes: parameters whose values are not known when it is planned; then its rows cannot be asked for.

    Attributes:
        refusals: why those over datasets were not.
    """

    def __init__(
        self, context: Context, query: Relation, least: int = CELLS, holding: Holding | None = None,
        beside: Mapping[str, Any] = NOTHING, holes: Holes | None = None,
    ) -> None:  # fmt: skip
        self._beside, self._holes = beside, holes
        self._context, self._query, self._least, self._holding = context, query, least, holding
        self.refusals: list[Refused] = []

    def rows(self, names: list[str] | None = None) -> pa.Table:
        """The rows.

        Args:
            names: those of its columns; None for the ones that they have.

        Raises:
            Refused: nothing of it is taken here.
        """
        try:
            rows = self._rest(self._each(self._take))
        except Refused as reason:
            if self._holding is None and not isinstance(reason, Unforeseen):
                self._tell(self._query, reason.reason)
            raise
        return rows if names is None else rows.rename_columns(names)

    def _tell(self, node: Relation, reason: str, *, fault: bool = False) -> None:
        """Tell that chunks of a cluster come here."""
        if any(_is_in_chunks(self._context, below, self._least) for below in relations(node)):
            tell_aside(self._context.client, reason, fault=fault)

    def laid(self) -> Laid | None:
        """The rows as arrays; None where they are none, or the engine makes them of what is taken.

        Raises:
            Refused: they are not to be had by array code.
        """
        try:
            return self._laid()
        except (UnboundError, NotImplementedError, *UNFORESEEN_ERRORS) as error:
            raise Unforeseen(f"{UNFORESEEN}: {type(error).__name__}: {error}") from error

    def _laid(self) -> Laid | None:
        query = self._query
        if over_windows(query):
            assert isinstance(query, Select)
            return interruptible(lambda: Cellwise(self._context, query, self._fetch).laid())
        places = None if not isinstance(query, Select) else _places(query, query.source)
        if places is None or not isinstance(query, Select) or not self._is_large(query.source):
            return None
        aggregate = query.source
        assert isinstance(aggregate, Aggregate)
        return interruptible(lambda: _laid(Groupwise(self._context, aggregate, self._fetch), places))

    def description(self) -> str:
        """What is read for it, for a person; no cell is read to say so.

        Raises:
            Refused: nothing of it is taken here.
        """

        def unread(relation: Relation, most: int = _SMALL) -> pa.Table:
            raise _Unread

        def planned(node: Relation) -> str:
            try:
                return self._planned(node, unread).description()
            except _Unread:
                return "array code over chunks, joined with what is evaluated before"

        return "; ".join(self._each(planned))

    def _planned(self, node: Relation, fetch: Fetch) -> Planned:
        if isinstance(node, Aggregate):
            return Groupwise(self._context, node, fetch, self._holding, self._holes)
        assert isinstance(node, Select)
        if self._holding is not None:
            raise Refused("a window over cells", node.span)
        return Cellwise(self._context, node, fetch)

    def _fetch(self, relation: Relation, most: int = _SMALL) -> pa.Table:
        return fetched(self._context, relation, self._least, self._beside, most)

    def planned(self) -> list[tuple[Relation, Planned]]:
        """What is taken of datasets, and how, where no rows have to be fetched for that.

        Raises:
            Refused: nothing is, or it depends on rows.
        """
        return self._each(lambda node: (node, self._planned(node, _nothing_fetched)))

    def _take(self, node: Relation) -> PlannedRows:
        return taken_as(node, interruptible(lambda: self._planned(node, self._fetch).rows()))

    def _each(self, made: Callable[[Relation], T]) -> list[T]:
        """What is made of each node that is taken here, those inside of one not among them."""
        found: list[T] = []
        inside: set[int] = set()
        for node in relations(self._query):
            if id(node) in inside or not (isinstance(node, Aggregate) or over_windows(node)):
                continue
            if not self._is_large(node):
                continue
            try:
                found.append(made(node))
                inside |= {id(below) for below in relations(node)}
            except (Refused, UnboundError, NotImplementedError) as error:
                self.refusals.append(error if isinstance(error, Refused) else Refused(str(error)))
            except UNFORESEEN_ERRORS as error:
                # What is not foreseen here is the engine's, which has the last word on data that cannot be read, too.
                self.refusals.append(Unforeseen(f"{UNFORESEEN}: {type(error).__name__}: {error}"))
                self._tell(node, self.refusals[-1].reason, fault=True)
        beside = self._holding is not None and any(
            is_large(self._context, node, self._least) and id(node) not in inside for node in relations(self._query)
        )
        if not found or beside:
            raise self.refusals[0] if self.refusals else Refused("it has no aggregate over a large dataset")
        return found

    def _is_large(self, node: Relation) -> bool:
        return any(is_large(self._context, below, self._least) for below in relations(node))

    def _rest(self, found: list[PlannedRows]) -> pa.Table:
        plain = self.plain(found)
        return run(self._context, self.rest(found), named(found)) if plain is None else plain

    def plain(self, found: list[PlannedRows]) -> pa.Table | None:
        """The rows of a query that is what was taken, or only names its columns; None for any other."""
        return _plain(self._query, found[0])

    def rest(self, found: list[PlannedRows]) -> Tree:
        """The tree of what the engine makes of the rows that were taken.

        Raises:
            Refused: it cannot be written.
        """
        instead = {taken.node: taken.instead for taken in found}
        columns: dict[Field, Expression] = {
            Field(t.node, str(name)): Field(instead[t.node], str(name))
            for t in found for name in t.node.names or () if name is not None and t.node.has(name)
        }  # fmt: skip
        try:
            rest = exchanged(self._query, lambda relation: instead.get(relation), columns)
            tree = {"Query": written(rest)}
        except (UnboundError, NotImplementedError) as error:
            raise Refused(f"what stands above the groups cannot be written: {error}") from error
        self._refuse_unseen(rest)
        return tree

    def _refuse_unseen(self, rest: Relation) -> None:
        before = {id(node) for node in relations(self._query)}
        for node in relations(rest):
            view = isinstance(node, Shared) and node.kind == "view" and id(node) in before  # written by its name
            if view or isinstance(node, Opaque):
                raise Refused("a view is read beside the groups")


def _plain(query: Relation, taken: PlannedRows) -> pa.Table | None:
    """The rows of a query that is what was taken, or only names its columns; None for any other."""
    if query is taken.node:
        return taken.rows
    places = _places(query, taken.node)
    if places is None or not isinstance(query, Select):
        return None
    names = [str(output.name) for output in query.outputs]
    return pa.Table.from_arrays([taken.rows.column(place) for place in places], names=names)


def _places(query: Relation, source: Relation) -> list[int] | None:
    """Which columns of an aggregate a SELECT puts out, if that is all it does."""
    if not isinstance(query, Select) or query.condition is not None or query.distinct or query.source is not source:
        return None
    if not isinstance(source, Aggregate):
        return None
    columns = [output.expression for output in query.outputs]
    if not all(isinstance(column, Field) and column.relation is source for column in columns):
        return None
    return [source.names.index(column.name) for column in columns if isinstance(column, Field)]


def _laid(planned: Groupwise, places: list[int]) -> Laid | None:
    rows = planned.rows()
    axes = planned.laid(rows)
    if axes is None or not set(axes) <= set(places):
        return None
    own = {place: number for number, place in enumerate(places)}
    labels = {own[place]: cells for place, cells in axes.items()}
    others = {n: rows.column(place).combine_chunks() for n, place in enumerate(places) if n not in labels}
    return Laid(labels, others)


def taken_as(node: Relation, rows: pa.Table) -> PlannedRows:
    """The rows of what was taken, as a relation with a name of its own."""
    name = f"__groups_{next(_numbers)}__"
    types = {field.name: str(field.type) for field in rows.schema}
    return PlannedRows(node, Scan((name,), table=Table((name,), types), tree=table(name)["relation"]), rows)


def named(found: Sequence[PlannedRows]) -> dict[str, Any]:
    """The relations that the engine reads for what was taken."""
    return {t.scan.table.name[0]: provider(t.rows.to_batches(), t.rows.schema) for t in found}


def _nothing_fetched(relation: Relation, most: int = _SMALL) -> pa.Table:
    raise Refused("its code depends on rows", relation.span)


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


def _is_in_chunks(context: Context, relation: Relation, least: int) -> bool:
    """Whether a relation is the table of a large dataset that is not in memory."""
    table = grid_of(context, relation)
    if table is None or cells_of(table) < least:
        return False
    return any(not variable._in_memory for variable in table.dataset.data_vars.variables.values())


def fetched(
    context: Context, relation: Relation, least: int, beside: Mapping[str, Any] = NOTHING, most: int = _SMALL
) -> pa.Table:
    """The rows of a small relation that is joined to a grid, or of a query whose one value is used.

    Args:
        context: whose tables it reads.
        relation: it.
        least: cells from which on an aggregate inside of it is array code's.
        beside: relations that it reads under names that no table has.
        most: how many rows may be fetched.

    Raises:
        Refused: they are not to be had by themselves, or are many.
    """
    query = relation.query if isinstance(relation, Shared) and relation.kind != "working" else relation
    if isinstance(query, Scan):
        if query.table.name[-1] in beside:
            return context.query_over(f"SELECT * FROM {_quoted(query.table.name[-1])}", beside)
        held = context.tables.rows_in_memory(query.table.name)
        if held is None or held > most:
            raise Refused(f"{query.table.name[-1]} is large or not in memory")
        return context.query(f"SELECT * FROM {'.'.join(_quoted(part) for part in query.table.name)}")
    if isinstance(query, Leaf) or query.free or volatile(query):
        raise Refused("what is joined is no table, or a subquery that depends on the row", relation.span)
    try:
        return GridQuery(context, query, least, beside=beside).rows()
    except Refused:
        tree = {"Query": written(query)}
        named = any(name[-1] in beside for name in tables_read(query))
        return context.query_over(to_sql(tree), beside) if named else context.query(tree)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
