"""Queries outside of training as array code: their rows by arrays, in the engine's types and order."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..dense.node import Refused
from ..dense.program import LoweredQuery, Program
from ..engine.budget import default_budget
from ..errors import ClusterError, UnsupportedError
from ..grids.arrow import arrow
from ..grids.generations import Generations
from ..relation.columns import SortKey, UnboundError
from ..relation.nodes import Limit, Select, Sort
from ..sql.build import select, star, table
from ..sql.syntax import NOWHERE, Tree, to_sql
from ..storage.schema import provider
from .gridded.look import look as gridded
from .gridded.plan import CELLS, UNFORESEEN_ERRORS, GridQuery
from .gridded.standing import Standing
from .pays import look, weigh

if TYPE_CHECKING:
    from ..cluster.holding import Holding
    from ..engine.answers import Answer
    from ..engine.catalog import EngineCatalog
    from ..engine.context import Context
    from ..engine.frame import Frame
    from ..engine.laid import Laid
    from ..engine.prepared import Executor, Prepared
    from ..relation.names import Name
    from ..relation.nodes import Relation

_ARRAYS = {pa.string_view(): pa.string(), pa.large_string(): pa.string()}  # the types in which arrays give texts


def answer(context: Context, prepared: Prepared, tree: Tree, frame: Frame, executor: Executor) -> Answer | None:
    """What gives the rows of a query as array code: now if ``executor`` is "dense", else when they are asked for.

    Raises:
        UnsupportedError: ``executor`` is "dense", and there is no such code.
    """
    if executor == "dense":
        return _Ready(_now(context, prepared, tree, frame))
    # As it was prepared: bound once, whatever the values of its parameters are.
    found = gridded(context, prepared.statement.text, tree)
    if found is None:
        try:
            names = look(context, prepared.statement.text, tree if prepared.tree is None else prepared.tree)
        except Refused:
            return None
    else:
        names = found[1]
    standing = {name: context.tables.rows_identity(name) for name in names}
    return _Later(context, tree, frame, None if found is None else found[0], standing)


@dataclass(frozen=True)
class _Ready:
    """The rows of a query that has run (an :class:`..engine.answers.Answer`)."""

    rows: pa.Table

    def __call__(self) -> pa.Table | None:
        """See :class:`..engine.answers.Answer`."""
        return self.rows

    def laid(self) -> Laid | None:
        """See :class:`..engine.answers.Answer`."""
        return None


@dataclass(frozen=True)
class _Later:
    """Runs a query as array code when its rows are asked for (an :class:`..engine.answers.Answer`).

    Attributes:
        context, tree, frame: the query, and its rows by the engine.
        gridded: it, bound, where it reads a large dataset.
        standing: the tables that it reads, as they were when it was planned.
    """

    context: Context
    tree: Tree
    frame: Frame
    gridded: Relation | None
    standing: Mapping[Name, object]

    def __call__(self) -> pa.Table | None:
        """See :class:`..engine.answers.Answer`."""
        if not self._stands():
            return None
        try:
            if self.gridded is not None:
                return typed(GridQuery(self.context, self.gridded).rows(), self.frame.schema())
            query = ArrayQuery(self.context, self.tree, self.frame.schema())
            query.weigh()
            return query.rows()
        except Refused:
            return None

    def laid(self) -> Laid | None:
        """See :class:`..engine.answers.Answer`."""
        if self.gridded is None or not self._stands():
            return None
        try:
            found = GridQuery(self.context, self.gridded).laid()
        except Refused:
            return None
        kinds = [_ARRAYS.get(kind, kind) for kind in self.frame.schema().types]
        own = {} if found is None else {n: cells.type for n, cells in {**found.axes, **found.cells}.items()}
        given = [own.get(number) for number in range(len(kinds))]
        return found if [_ARRAYS.get(kind, kind) for kind in given] == kinds else None

    def _stands(self) -> bool:
        """Whether the tables are the same: a frame keeps those of its plan, arrays read those that are there now."""
        return all(self.context.tables.rows_identity(name) is found for name, found in self.standing.items())


def rows(context: Context, sql: str, tree: Tree, frame: Frame) -> pa.Table | None:
    """The rows of a query that are wanted now, by array code over chunks; None where that is not to be had."""
    found = gridded(context, sql, tree)
    if found is None:
        return None
    try:
        return typed(GridQuery(context, found[0]).rows(), frame.schema())
    except Refused:
        return None


def over_chunks(
    context: Context, tree: Tree, schema: pa.Schema, holding: Holding, beside: Mapping[str, Any]
) -> pa.Table:
    """The rows of a query whose aggregates over datasets are taken on a cluster; see :class:`.engine.answers.Answers`.

    Raises:
        Refused: they are not to be had so.
    """
    return typed(GridQuery(context, context.tables.bound(tree["Query"]), holding=holding, beside=beside).rows(), schema)


def standing(
    context: Context, tree: Tree, schema: pa.Schema, texts: Mapping[str, str], whole: Mapping[str, pa.DataType],
    holding: Holding,
) -> EachStep | None:  # fmt: skip
    """A query for all steps of a run; see :class:`.engine.answers.Answers`."""
    try:
        return EachStep(Standing(context, tree, texts, whole, holding), schema)
    except (Refused, UnboundError, NotImplementedError, *UNFORESEEN_ERRORS):
        return None


@dataclass(frozen=True)
class EachStep:
    """A query that stands (an :class:`..engine.answers.Standing`), with the types of its columns."""

    query: Standing
    schema: pa.Schema

    def rows(self, texts: Mapping[str, str]) -> pa.Table | None:
        """See :class:`..engine.answers.Standing`."""
        try:
            rows = self.query.rows(texts)
            return None if rows is None else typed(rows, self.schema)
        except ClusterError:
            raise
        except (Refused, UnboundError, NotImplementedError, *UNFORESEEN_ERRORS):
            return None  # as it is planned for this step alone it tells what is wrong


def _now(context: Context, prepared: Prepared, tree: Tree, frame: Frame) -> pa.Table:
    """The rows of a query as array code.

    Raises:
        UnsupportedError: there is no such code.
    """
    with suppress(Refused):
        return typed(GridQuery(context, context.tables.bound(tree["Query"]), least=1).rows(), frame.schema())
    try:
        return ArrayQuery(context, tree, frame.schema()).rows()
    except Refused as reason:
        error = UnsupportedError(f"this query cannot run as array code: {reason.reason}", hint="Use --executor auto.")
        raise prepared.statement.place(error, reason.span) from None


def typed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows under the names, and as the types, that the engine gives a query's columns.

    Raises:
        Refused: they are of other types.
    """
    kinds = [_ARRAYS.get(kind, kind) for kind in schema.types]
    if [_ARRAYS.get(kind, kind) for kind in rows.schema.types] != kinds:
        raise Refused("the types of its columns are open")
    found = rows.rename_columns(schema.names)
    return found.cast(pa.schema([field.with_nullable(True) for field in schema]))


def who_runs(context: Context, tree: Tree, frame: Frame, executor: Executor) -> str:
    """A line for EXPLAIN: who runs a query, and why; "" where it is worth no closer look and nobody has asked."""
    found = gridded(context, to_sql(tree), tree, 1 if executor == "dense" else CELLS)
    if found is not None:
        try:
            told = GridQuery(context, found[0], 1 if executor == "dense" else CELLS).description()
            return f"executor: dense ({told}); the engine's plan, which does not run:"
        except Refused as reason:
            if executor == "auto":
                return f"executor: relational ({reason.reason})"
    saved = ""
    try:
        if executor == "auto":
            look(context, to_sql(tree), tree)
    except Refused:
        return ""
    try:
        query = ArrayQuery(context, tree, frame.schema())
        if executor == "auto":
            saved = f" instead of {query.weigh()}"
        query.lower()
    except Refused as reason:
        return f"executor: relational ({reason.reason})"
    return f"executor: dense (array code{saved}); the engine's plan, which does not run:"


@dataclass(frozen=True)
class _OutermostOrder:
    """The outermost ORDER BY and LIMIT of a query, which the engine applies to the rows that arrays give.

    Attributes:
        by: the tree of ORDER BY, its keys being numbers of columns; None for no order.
        limit: the tree of LIMIT, or None.
    """

    by: Tree | None
    limit: Tree | None


class ArrayQuery:
    """One query as array code.

    Args:
        context: whose tables it reads, now.
        tree: the query, parameters bound.
        schema: the names and types that the engine gives its columns.

    Raises:
        Refused: it is sorted by what is no column of its SELECT.
    """

    def __init__(self, context: Context, tree: Tree, schema: pa.Schema) -> None:
        self._context, self._schema = context, schema
        self._tree, self._order = _ordered(tree["Query"], context.tables)
        self._grids = Generations(context, (), [self._tree], default_budget())

    def weigh(self) -> str:
        """What array code saves, for a person.

        Raises:
            Refused: nothing, or it is not sure.
        """
        return weigh(self._context, self._tree, self._grids)

    def lower(self) -> Program:
        """The code.

        Raises:
            Refused: there is none.
        """
        program = Program([LoweredQuery(self._tree, columns=tuple(self._schema.names))], self._grids, {})
        if program.refusals[0] is not None:
            raise program.refusals[0]
        return program

    def rows(self) -> pa.Table:
        """The rows.

        Raises:
            Refused: the data are none that arrays answer for.
        """
        program = self.lower()
        self._grids.begin()
        found = arrow(program.step(self._grids, {}).run(0))
        kinds = [_ARRAYS.get(f.type, f.type) for f in self._schema]
        if found.schema.types != kinds:
            raise Refused("the types of its columns are open")
        rows = found.cast(pa.schema([f.with_nullable(True) for f in self._schema]))
        return self._arranged(rows)

    def _arranged(self, rows: pa.Table) -> pa.Table:
        if self._order.by is None and self._order.limit is None:
            return rows
        name = "__rows__"
        whole = select([star()], [table(name)])["Query"]
        sorted_ = {**whole, "order_by": self._order.by, "limit_clause": self._order.limit}
        return self._context.query_over(to_sql({"Query": sorted_}), {name: provider(rows.to_batches(), rows.schema)})


def _ordered(query: Tree, tables: EngineCatalog) -> tuple[Tree, _OutermostOrder]:
    """A query without its outermost ORDER BY and LIMIT, and these.

    Args:
        query: the inside of its tree.
        tables: what tables there are.

    Raises:
        Refused: it is sorted by what is no column of its SELECT.
    """
    bare = {**query, "order_by": None, "limit_clause": None}
    if not query["order_by"]:
        return bare, _OutermostOrder(None, query["limit_clause"])
    bound = tables.bound(query)
    sort = bound.source if isinstance(bound, Limit) else bound
    if not isinstance(sort, Sort) or not isinstance(sort.source, Select):
        raise Refused("this ORDER BY is not array code")
    found = [{**key.tree, "expr": _place(key, sort.source)} for key in sort.keys]
    order = {**query["order_by"], "kind": {"Expressions": found}}
    return bare, _OutermostOrder(order, query["limit_clause"])


def _place(key: SortKey, select: Select) -> Tree:
    """The number of the column of a SELECT that a sort key is."""
    for place, output in enumerate(select.outputs, start=1):
        own = select[output.name] if output.name is not None and select.has(output.name) else None
        if key.expression in (own, output.expression):
            return {"Value": {"value": {"Number": (str(place), False)}, "span": NOWHERE}}
    raise Refused("ORDER BY what is no column of its SELECT", key.expression.span)
