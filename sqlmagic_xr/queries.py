"""Queries outside of training as array code: when that pays, and what they give.

A query is asked of arrays on its own account ("auto") only where they are sure to win: it sums or counts over a join,
its tables are in memory, and the pairs of rows that the engine would go through one by one are many more than the rows
that have to be laid out as grids first. The first two are seen from the tree; what does not have them costs no more
than that look. The figures are measured by ``make bench`` (tests/bench/queries.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .dense.lower import Lowering
from .dense.node import Axis, Node, Refused, ancestors, union
from .dense.program import Program, Query
from .dense.relation import Relation
from .engine.query import select, star, table
from .engine.schema import provider
from .errors import UnsupportedError
from .sql.expression import Column, Literal, from_tree
from .sql.syntax import NOWHERE, Tree, identifier, name_of, to_sql, walk
from .train.explain import nbytes_shown
from .train.generations import Generations
from .train.gridded import arrow
from .train.hoist import default_budget

if TYPE_CHECKING:
    from .engine.context import Context, Executor, Prepared
    from .engine.frame import Frame
    from .engine.result import Answer

ROWS = 2_000_000  # rows that are laid out as grids before it is known whether that pays: half a second at most
PAIRS = 2_000_000  # pairs of rows that the engine goes through in 40 ms or more; below nobody waits for it
RATIO = 20  # pairs for each row that is laid out, which costs as much as a few pairs do the engine
CELLS = 20_000_000  # cells of the largest array between: 160 MB
_ARRAYS = {pa.string_view(): pa.string(), pa.large_string(): pa.string()}  # the types in which arrays give texts
_SUMS = frozenset({"sum", "avg", "mean", "count", "min", "max"})


def answer(context: Context, prepared: Prepared, tree: Tree, frame: Frame, executor: Executor) -> Answer | None:
    """What gives the rows of a query as array code: now if ``executor`` is "dense", else when they are asked for.

    Raises:
        UnsupportedError: ``executor`` is "dense", and there is no such code.
    """
    if executor == "dense":
        try:
            rows = ArrayQuery(context, tree, frame.schema()).rows()
        except Refused as reason:
            error = UnsupportedError(f"this query is no array code: {reason.reason}", hint="Use --executor auto.")
            raise prepared.statement.place(error, reason.span) from None
        return lambda: rows
    if _may_pay(context, tree) is not None:
        return None
    names = _names(context, tree)
    standing = [context.tables.standing(name) for name in names]

    def later() -> pa.Table | None:
        # A frame keeps the tables that it was planned with; arrays read those that are there when they run.
        if any(context.tables.standing(n) is not s for n, s in zip(names, standing, strict=True)):
            return None
        try:
            query = ArrayQuery(context, tree, frame.schema())
            query.weigh()
            return query.rows()
        except Refused:
            return None

    return later


def told(context: Context, tree: Tree, frame: Frame, executor: Executor) -> str:
    """A line for EXPLAIN: who runs a query, and why."""
    if executor == "auto" and _may_pay(context, tree) is not None:
        return ""
    try:
        query = ArrayQuery(context, tree, frame.schema())
        weight = query.weigh() if executor == "auto" else ""
    except Refused as reason:
        return f"executor: relational (no array code: {reason.reason})"
    return f"executor: dense (array code{weight}); DataFusion's own plan would be:"


def _may_pay(context: Context, tree: Tree) -> str | None:
    """Why arrays are not worth a try, as far as the tree and the sizes of the tables tell; None if they are."""
    query = tree["Query"]
    if query["limit_clause"] and not query["order_by"]:
        return "a LIMIT without an ORDER BY reads no more than it has to"
    if not any(_sums_over_join(node["Select"]) for node in walk(tree) if isinstance(node.get("Select"), dict)):
        return "there is no sum over a join"
    held = [context.tables.held(name) for name in _names(context, tree)]
    if not held or any(rows is None for rows in held):
        return "a table is not in memory"
    rows = [count for count in held if count]
    if sum(rows) > ROWS:
        return "its tables are large"
    return None if prod(rows) * max(rows, default=0) >= PAIRS else "its tables are small"


def _sums_over_join(select: Tree) -> bool:
    if sum(1 + len(table["joins"]) for table in select["from"]) < 2:
        return False
    return any(
        name_of(node["Function"]["name"])[-1].lower() in _SUMS
        for node in walk(select["projection"])
        if isinstance(node, dict) and isinstance(node.get("Function"), dict)
    )


def _names(context: Context, tree: Tree) -> list[tuple[str, ...]]:
    """The tables that a query reads, also by way of views; names of CTEs among them are none."""
    ctes = {
        (identifier(cte["alias"]["name"]),)
        for node in walk(tree)
        for cte in ((node.get("with") or {}).get("cte_tables") or () if isinstance(node.get("with"), dict) else ())
    }
    names = dict.fromkeys(tuple(identifier(part) for part in parts) for parts in context.reads(tree))
    return [name for name in names if name not in ctes]


@dataclass(frozen=True)
class _Order:
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
        Refused: there is no array code for it.
    """

    def __init__(self, context: Context, tree: Tree, schema: pa.Schema) -> None:
        self._context, self._schema = context, schema
        self._tree, self._order = _ordered(tree["Query"], schema.names)
        self._grids = Generations(context, (), None, default_budget())
        self._program = Program([Query(self._tree, columns=tuple(schema.names))], self._grids, {})
        if self._program.refusals[0] is not None:
            raise self._program.refusals[0]

    def rows(self) -> pa.Table:
        """The rows.

        Raises:
            Refused: the data are none that arrays answer for.
        """
        self._grids.begin()
        found = arrow(self._program.step(self._grids, {}).run(0))
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

    def weigh(self) -> str:
        """That arrays pay, for a person.

        Raises:
            Refused: they do not, or it is not sure.
        """
        lowering = Lowering(self._grids, {})
        size = _Sizes(self._grids)
        nodes = list(ancestors(_roots(lowering.parts(self._tree, {}))))
        pairs = max(
            (size.cells(union((n, *n.args))) for n in nodes if n.op in ("sum", "count", "min", "max")), default=0
        )
        formed = [n.dims for n in nodes] + [union(n.args) for n in nodes if n.op in ("min", "max", "squares")]
        largest = max(map(size.cells, formed), default=0)
        rows = sum(size.rows(n) for n in nodes if n.op == "scan")
        if pairs < PAIRS or pairs < RATIO * rows:
            raise Refused(f"{pairs:,} pairs of {rows:,} rows are few")
        if largest > CELLS:
            raise Refused(f"an array of {nbytes_shown(8 * largest)} would be formed")
        return f": {rows:,} rows instead of {pairs:,} pairs"


class _Sizes:
    """How long axes are at most, from the tables that are read."""

    def __init__(self, grids: Generations) -> None:
        self._grids = grids
        self._lengths: dict[Node, int] = {}

    def cells(self, dims: Sequence[Axis]) -> int:
        """How many cells an array over some axes has at most."""
        return prod(self.length(axis.origin) for axis in dims)

    def length(self, origin: Node) -> int:
        """How long an axis is at most."""
        known = self._lengths.get(origin)
        if known is None:
            known = self._lengths[origin] = self._length(origin)
        return known

    def rows(self, scan: Node) -> int:
        """How many rows a table has of which some are read."""
        return 1 if scan.data.extreme else int(self._grids.rows(scan.data.table, {}).num_rows)

    def _length(self, origin: Node) -> int:
        if origin.op == "axis":
            read = origin.args[0].data
            if read.key is None:
                return self.rows(origin.args[0])
            column = self._grids.rows(read.table, {})[read.key[origin.data]]
            return len(column.unique())
        if origin.op == "match":
            return min(map(self.length, origin.args))
        return self.length(origin.args[0])


def _roots(parts: Sequence[Relation]) -> list[Node]:
    roots: list[Node] = []
    for part in parts:
        roots += [*part.scans, *(axis.origin for axis in part.axes)]
        roots += [node for c in part.columns for node in (c.value.cells, c.value.valid) if node is not None]
        roots += [part.present] if part.present is not None else []
    return roots


def _ordered(query: Tree, names: Sequence[str]) -> tuple[Tree, _Order]:
    """A query without its outermost ORDER BY and LIMIT, and these.

    Raises:
        Refused: it is sorted by what is no column of its SELECT.
    """
    if not query["order_by"]:
        return {**query, "limit_clause": None}, _Order(None, query["limit_clause"])
    select, kinds = query["body"].get("Select"), query["order_by"]["kind"]
    keys = kinds.get("Expressions") if isinstance(kinds, dict) else None
    if select is None or keys is None:
        raise Refused("this ORDER BY is not array code")
    found = [{**key, "expr": _place(key["expr"], select["projection"], names)} for key in keys]
    order = {**query["order_by"], "kind": {"Expressions": found}}
    return {**query, "order_by": None, "limit_clause": None}, _Order(order, query["limit_clause"])


def _place(tree: Tree, projection: Sequence[Any], names: Sequence[str]) -> Tree:
    """The number of the column of SELECT that a sort key is; the names of columns come before those of tables' own."""
    key = from_tree(tree)
    if isinstance(key, Literal):
        return tree
    if isinstance(key, Column) and not key.qualifier and names.count(key.name) == 1:
        places = [names.index(key.name)]
    else:
        items = [
            i.get("UnnamedExpr") or (i.get("ExprWithAlias") or {}).get("expr") for i in projection if i != "Wildcard"
        ]
        stars = len(items) < len(projection) or None in items
        places = [] if stars else [place for place, item in enumerate(items) if from_tree(item) == key]
    if not places:
        raise Refused("ORDER BY what is no column of its SELECT", key.span)
    return {"Value": {"value": {"Number": (str(places[0] + 1), False)}, "span": NOWHERE}}
