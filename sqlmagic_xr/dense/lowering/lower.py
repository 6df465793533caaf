"""Bound queries as relations over named arrays: SELECT, GROUP BY, windows, CTEs, subqueries, UNION ALL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...relation.columns import Field, Nested, SortKey
from ...relation.names import Name
from ...relation.newest import Extreme, extremes, first_row
from ...relation.nodes import Aggregate, Filtering, Limit, Opaque, Recursive, Select, Sort, Union, Window
from ...relation.nodes import Relation as Query
from ...sql.expression import Expression, Literal
from ...sql.syntax import Tree
from .. import tables
from ..node import Graph, Node, Refused, Type, Value
from ..tables import Tables
from .bound import Bindings, LoweringCatalog
from .failing import refuse_failing
from .grouping import Grouping
from .joins import divided, joined
from .refusing import refuse
from .relation import LoweredRelation, NamedColumn, restrict, with_own_axes
from .scalar import Scalars
from .scans import Scans, no_column
from .window import windowed


@dataclass
class Lowering:
    """Lowers the queries of a program into one graph.

    Attributes:
        tables: the tables outside.
        parameters: the type of each parameter, or what it stands for.
        changing: the tables that a step may change.
        kind: see :class:`..node.Graph`.
        graph: where the nodes are made.
        writes: what the statements so far have written into each table: for a statement that only adds rows, the
            columns of each part of them that are one scalar; None for any other.
        bindings: see :class:`.bound.LoweringCatalog`.
    """

    tables: Tables
    parameters: Mapping[str, Type | Node]
    changing: Collection[Name] = ()
    kind: Callable[[Node], Hashable] = lambda _: None
    graph: Graph = field(init=False)
    writes: dict[Name, list[Sequence[Mapping[str, Node]] | None]] = field(default_factory=dict)
    bindings: Bindings = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = Graph(self.tables.labels, self.kind)
        self.scans = Scans(self.graph, self.writes)
        self.known = LoweringCatalog(self.tables, {}, self.bindings)
        self._lowered: dict[Query, LoweredRelation] = {}

    def parts(self, query: Tree, made: Mapping[str, LoweredRelation]) -> list[LoweredRelation]:
        """The relations whose rows together are those of a query (the inside of a ``Query`` node).

        Args:
            query: the query.
            made: the tables that earlier statements have made anew.

        Raises:
            Refused: with the first reason.
        """
        self.known, self._lowered, self.graph.granted = LoweringCatalog(self.tables, made, self.bindings), {}, {}
        try:
            first, *others = self._parts(self.known.bound(query), apart=True)
        except RecursionError:
            raise Refused("it is nested too deeply for array code") from None
        return [replace(first, scans=(*self.graph.granted, *first.scans)), *others]

    def relation(self, query: Query) -> LoweredRelation:
        """The one relation that a query is; what is read several times is lowered once."""
        if query not in self._lowered:
            found = list(self._parts(query))
            if len(found) != 1:
                raise Refused("UNION ALL inside a query is no grid", query.span)
            self._lowered[query] = found[0]
        return self._lowered[query]

    def _parts(self, query: Query, *, apart: bool = False) -> Iterator[LoweredRelation]:
        """The relations that a query is; one SELECT may be several where they may stand apart."""
        match query:
            case Select():
                yield from self._selected(query, apart=apart)
            case Sort(source=Select() as select):
                # Rows have no order but that of the query that is asked; whoever asks sorts what it is given.
                yield from self._selected(select, query.keys, apart=apart)
            case Sort():
                raise Refused("ORDER BY of a UNION is not array code", query.keys[0].expression.span)
            case Limit():
                yield self._first_row(query)
            case Union(operator="union", all=True):
                for part in query.parts:
                    yield from self._parts(part, apart=apart)
            case Union():
                raise Refused("UNION, INTERSECT or EXCEPT (UNION ALL apart) is not array code", query.span)
            case Recursive():
                raise Refused("WITH RECURSIVE is not array code", query.span)
            case Opaque():
                raise self.known.refusal(query)
            case _:
                raise Refused(f"{type(query).__name__.upper()} is not array code", query.span)

    # SELECT

    def _selected(self, select: Select, order: Sequence[SortKey] = (), *, apart: bool) -> Iterator[LoweredRelation]:
        whole = not apart or isinstance(select.source, (Aggregate, Window))
        parts = [] if whole else divided(self, select)
        if not parts:
            yield self.select(select, order=order)
        for part in parts:
            yield self.select(select, [part], order)

    def select(
        self, select: Select, also: Sequence[Expression] = (), order: Sequence[SortKey] = ()
    ) -> LoweredRelation:  # fmt: skip
        """The rows of a SELECT.

        Args:
            select: bound.
            also: further conditions on the rows that it, or its GROUP BY, reads.
            order: the keys of its ORDER BY.

        Raises:
            Refused: with the first reason.
        """
        if select.distinct:
            raise Refused("DISTINCT is not array code", select.span)
        found = None if order or also else self._extremes(select)
        return self._outputs(select, self._rows(select, also), order) if found is None else found

    def _outputs(self, select: Select, rows: LoweredRelation, order: Sequence[SortKey] = ()) -> LoweredRelation:
        scalars = self.scalars(rows)
        columns = [NamedColumn(None, o.name or "", scalars.lower(o.expression)) for o in select.outputs]
        for key in order:
            _check_order(key.expression, select, scalars)
        return rows.of(columns)

    def _rows(self, reader: Filtering, also: Sequence[Expression] = ()) -> LoweredRelation:
        """The rows that a SELECT, a GROUP BY or a window reads."""
        match reader.source:
            case Aggregate() as aggregate:
                found = self._grouped(aggregate, also)
            case Window() as window:
                found = self._ranked(window, also)
            case _:
                return joined(self, reader, also)
        if reader.condition is None:
            return found
        return restrict(self.graph, found, self.scalars(found).condition(reader.condition))

    def _grouped(self, aggregate: Aggregate, also: Sequence[Expression]) -> LoweredRelation:
        if aggregate.sets:
            raise Refused("this GROUP BY is not array code", aggregate.span)
        rows = self._rows(aggregate, also)
        inner = self.scalars(rows)
        keys = [inner.lower(key.expression) for key in aggregate.keys]
        grouping = Grouping(self.graph, rows, inner, keys if aggregate.grouped else None)
        values = [grouping.column(key) for key in keys] + [grouping.aggregate(m.call) for m in aggregate.measures]
        columns = (
            NamedColumn(aggregate, name or "", value) for name, value in zip(aggregate.names, values, strict=True)
        )
        return grouping.grouped.of(columns)

    def _ranked(self, window: Window, also: Sequence[Expression]) -> LoweredRelation:
        rows = self._rows(window, also)
        scalars = self.scalars(rows)
        ranks = (NamedColumn(window, m.name, windowed(self.graph, rows, m, scalars)) for m in window.measures)
        return rows.of((*rows.columns, *ranks))

    # The newest generation

    def _extremes(self, select: Select) -> LoweredRelation | None:
        """``SELECT MAX(step), MIN(step) FROM params`` as the numbers that they are; None for any other SELECT."""
        asked = extremes(select)
        if not asked or not all(self._is_counted(each) for each in asked):
            return None
        values = [self._extreme(each) for each in asked]
        columns = tuple(NamedColumn(None, name or "", v) for name, (_, v) in zip(select.names, values, strict=True))
        return LoweredRelation((), columns, scans=tuple(dict.fromkeys(scan for scan, _ in values)))

    def _first_row(self, limit: Limit) -> LoweredRelation:
        """The row that ``FROM table ORDER BY column DESC LIMIT 1`` means, where the column is the table's key."""
        found = first_row(limit)
        name = () if found is None else found[1].scan.table.name
        table = None if found is None or self.known.made(name) is not None else self.known.grid(name)
        if found is None or table is None or table.key != (found[1].column,) or not self._is_counted(found[1]):
            what = "LIMIT is not array code, except LIMIT 1 of one table ordered by its only key"
            raise Refused(what, limit.span)
        select, newest = found
        scan, value = self._extreme(newest, complete=True)
        row = self.scans.scan(name, table, {newest.column: value.cells}).called(newest.scan)
        return self._outputs(select, replace(row, scans=(scan, *row.scans)))

    def _is_counted(self, asked: Extreme) -> bool:
        """Whether a table's owner knows the greatest and the least of a column: of one of whole numbers."""
        name = asked.scan.table.name
        if self.known.made(name) is not None:
            return False
        table = self.known.grid(name)
        return table.key != () and table.columns[asked.column] == "int64"

    def _extreme(self, asked: Extreme, *, complete: bool = False) -> tuple[Node, Value]:
        what = tables.ColumnExtreme(asked.column, "max" if asked.greatest else "min", complete)
        return self.scans.extreme(asked.scan.table.name, what)

    # Expressions

    def scalars(self, relation: LoweredRelation) -> Scalars:
        """Lowers the expressions over a relation."""
        return Scalars(self.graph, relation.resolve, self.parameters, self._subquery)

    def constant(self, expression: Expression) -> Value:
        """The value of an expression without columns."""
        return Scalars(self.graph, no_column, self.parameters, self._subquery).lower(expression)

    def _subquery(self, nested: Nested) -> Value:
        """A scalar subquery: NULL where it has no row."""
        if nested.kind != "scalar":
            raise refuse(nested)
        relation = self.relation(nested.query)
        if relation.axes or len(relation.columns) != 1:
            raise Refused("a subquery that may have several rows", nested.span)
        value = relation.columns[0].value
        return Value(value.cells, self.graph.both(value.valid, relation.present))

    def among(self, relation: LoweredRelation, nested: Nested) -> Node:
        """Where ``value IN (query)`` is true: of the query's rows, one has the value; or where NOT IN is."""
        assert nested.operand is not None
        value = self.scalars(relation).lower(nested.operand)
        rows = self.relation(nested.query)
        if len(rows.columns) != 1:
            raise Refused("IN (query) with several columns", nested.span)
        rows = with_own_axes(self.graph, relation, rows)
        one = rows.columns[0].value
        if nested.negated and one.valid is not None:
            raise Refused("NOT IN (query) whose rows may be NULL", nested.span)
        scalars = self.scalars(rows)
        equal = scalars.compare("=", replace(value, valid=None), one)
        pairs = replace(rows, axes=(*relation.axes, *rows.axes))
        found = Grouping(self.graph, pairs, scalars, []).some(relation.axes, equal.cells, one.valid, rows.present)
        found = self.graph.elementwise("not", (found,), "boolean") if nested.negated else found
        return scalars.holds(Value(found, value.valid))


def _check_order(key: Expression, select: Select, scalars: Scalars) -> None:
    """Refuse what the engine would refuse to sort by."""
    if isinstance(key, Field) and key.relation is select:
        return
    if isinstance(key, Literal):
        raise Refused("ORDER BY a constant", key.span)
    refuse_failing(scalars.lower(key).cells, key)
