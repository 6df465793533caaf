"""Whether a query is worth being run as array code: from its tree, then from the sizes of its tables.

Arrays win where the engine would go through pairs of rows one by one that a matrix product goes through at once. So a
query is asked of arrays on its own account only where it sums over a join, its tables are in memory, and the pairs are
many, both in all and for each row that has to be laid out as a grid first. What has no sum over a join costs no more
than a look at its tree; what has one, the look at its tables' sizes and least and greatest keys besides. The limits are
those of ``make bench`` (tests/bench/queries.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ..dense.lowering.lower import Lowering
from ..dense.lowering.relation import LoweredRelation
from ..dense.node import Axis, Node, Refused, ancestors, union
from ..dense.tables import Name, TableShape
from ..engine.budget import nbytes_shown
from ..grids.arrow import array_type
from ..grids.generations import Generations
from ..relation.functions import SUMS
from ..relation.reads import may_join, sums_over_join, tables_read
from ..sql.syntax import Tree

if TYPE_CHECKING:
    from ..engine.context import Context

ROWS = 2_000_000  # of all tables: to fetch so many and to find the limits of their keys takes some 20 ms
PAIRS = 4_000_000  # that the engine goes through in a tenth of a second; nobody waits for fewer
RATIO = 20  # pairs for each row: to lay a row out costs as much as a few pairs do the engine
CELLS = 20_000_000  # of the largest array between: 160 MB


_SUMS = re.compile(rf"\b(?:{'|'.join(sorted(SUMS))}|grad|jvp|vjp)\s*\(", re.IGNORECASE)  # which are sums over joins
_JOINS = re.compile(r"\bJOIN\b|\bFROM\b.*,", re.IGNORECASE | re.DOTALL)


def look(context: Context, text: str, tree: Tree) -> list[Name]:
    """The tables that a query reads, also by way of views, if it is worth a closer look.

    Args:
        context: whose tables it reads.
        text: it, as it was written: what cannot have a sum over a join costs a glance at that.
        tree: it.

    Raises:
        Refused: it is not, with the reason.
    """
    if not _SUMS.search(text) or not _JOINS.search(text):
        raise Refused("there is no sum over a join in it")
    query = tree["Query"]
    if query["limit_clause"] and not query["order_by"]:
        raise Refused("a LIMIT without an ORDER BY reads no more than it has to")
    if not may_join(query) or not sums_over_join(relation := context.tables.bound(query)):
        raise Refused("there is no sum over a join in it")
    names = sorted(tables_read(relation))
    held = [context.tables.rows_in_memory(name) for name in names]
    if None in held:
        raise Refused("a table is not in memory")
    rows = sorted((count for count in held if count), reverse=True)
    if sum(rows) > ROWS:
        raise Refused(f"its tables have {sum(rows):,} rows")
    if not rows or prod(rows[:2] if len(rows) > 1 else rows * 2) < PAIRS:
        raise Refused("its tables are small")
    return names


def weigh(context: Context, tree: Tree, grids: Generations) -> str:
    """What is saved, for a person.

    Args:
        context: whose tables the query reads.
        tree: the inside of the query.
        grids: reads them.

    Raises:
        Refused: nothing is, or it is not sure.
    """
    sizes = _Sizes(context, grids)
    nodes = list(ancestors(_roots(Lowering(sizes, {}).parts(tree, {}))))
    pairs = max((sizes.cells(union(_gone_through(n))) for n in nodes if n.op in ("sum", "count")), default=0)
    formed = [n.dims for n in nodes] + [union(n.args) for n in nodes if n.op in ("min", "max", "squares")]
    largest = max(map(sizes.cells, formed), default=0)
    rows = sum(sizes.rows(name) for name in {n.data.table for n in nodes if n.op == "scan"})
    if pairs < PAIRS or pairs < RATIO * rows:
        raise Refused(f"it sums over {pairs:,} pairs of {rows:,} rows, which are few")
    if largest > CELLS:
        raise Refused(f"an array of {nbytes_shown(8 * largest)} would be formed")
    return f"{pairs:,} pairs of {rows:,} rows"


def _gone_through(node: Node) -> list[Node]:
    """What spans the rows that the engine sums, also where factors of a whole group stand outside of the sum."""
    found = [node, *node.args]
    todo = list(node.args) if set(node.dims) == set(union(node.args)) else []
    while todo:
        each = todo.pop()
        found.append(each)
        if each.op == "map":
            todo += each.args
        elif each.op == "sum":
            found += each.args
    return found


class _Sizes:
    """Tables by their sizes, taken for grids without proof (:class:`..dense.tables.Tables`), and the length of axes."""

    def __init__(self, context: Context, grids: Generations) -> None:
        self._context, self._grids, self.labels = context, grids, grids.labels
        self._tables: dict[Name, TableShape | None] = {}
        self._limits: dict[tuple[Name, str], int] = {}
        self._lengths: dict[Node, int] = {}

    def view(self, name: Name) -> Tree | None:
        """See :class:`..dense.tables.Tables`."""
        return self._grids.view(name)

    def table(self, name: Name) -> TableShape | None:
        """See :class:`..dense.tables.Tables`."""
        if name not in self._tables:
            self._tables[name] = self._table(name)
        return self._tables[name]

    def _table(self, name: Name) -> TableShape | None:
        schema = self._context.tables.schema(name)
        if schema is None:
            return None
        types = {field.name: array_type(field.type) for field in schema}
        if self.rows(name) == 1:
            return TableShape(types, ())
        relation = self._context.relation(name)
        if relation is not None and relation.key:
            return TableShape(types, tuple(relation.key))
        key: list[str] = []
        for column, kind in types.items():
            if kind is None or kind == "boolean" or kind.startswith("float"):
                break
            key.append(column)
            if prod(self._limit(name, k) for k in key) >= self.rows(name):
                return TableShape(types, tuple(key))
        return TableShape(types, None)

    def rows(self, name: Name) -> int:
        """How many rows a table has."""
        dataset = self._context.tables.dataset(name)
        return int(self._rows(name).num_rows) if dataset is None else int(prod(dataset.sizes.values()))

    def _rows(self, name: Name) -> pa.Table:
        found = self._context.tables.arrow(name)
        return self._grids.rows(name, {}) if found is None else found

    def _limit(self, name: Name, column: str) -> int:
        """How many values a column has at most."""
        known = self._limits.get((name, column))
        if known is None:
            dataset = self._context.tables.dataset(name)
            known = dataset.sizes.get(column) if dataset is not None else None
            known = self._limits[(name, column)] = _limit(self._rows(name)[column]) if known is None else int(known)
        return known

    def cells(self, dims: Sequence[Axis]) -> int:
        """How many cells an array over some axes has at most."""
        return prod(self._length(axis.origin) for axis in dims)

    def _length(self, origin: Node) -> int:
        known = self._lengths.get(origin)
        if known is None:
            known = self._lengths[origin] = self._longest(origin)
        return known

    def _longest(self, origin: Node) -> int:
        if origin.op == "axis":
            read = origin.args[0].data
            rows = self.rows(read.table)
            return rows if read.key is None else min(self._limit(read.table, read.key[origin.data]), rows)
        if origin.op == "match":
            return min(map(self._length, origin.args))
        return self._length(origin.args[0])


def _limit(column: pa.ChunkedArray) -> int:
    kind = column.type
    if pa.types.is_integer(kind) and len(column):
        limits = pc.min_max(column).as_py()
        if limits["min"] is not None:
            return min(len(column), int(limits["max"]) - int(limits["min"]) + 1)
    return int(pc.count_distinct(column).as_py() or 0) if len(column) <= 100_000 else len(column)


def _roots(parts: Sequence[LoweredRelation]) -> list[Node]:
    roots: list[Node] = []
    for part in parts:
        roots += [*part.scans, *(axis.origin for axis in part.axes)]
        roots += [node for c in part.columns for node in (c.value.cells, c.value.valid) if node is not None]
        roots += [part.present] if part.present is not None else []
    return roots
