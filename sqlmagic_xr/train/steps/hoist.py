"""What does not change from step to step is evaluated once and kept: the columns that are used, as Arrow in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...engine.budget import nbytes_shown
from ...engine.streaming import streamed
from ...errors import SqlError
from ...relation.functions import is_aggregate, varies
from ...sql import build
from ...sql.syntax import Tree, identifier, make_identifier, name_of, parse_one, to_sql, walk
from ...storage.reserved import is_reserved
from ...storage.schema import provider
from ..explain import Note
from .block import (
    SOME_ROW,
    Naming,
    Source,
    UnsureError,
    conjunction,
    conjuncts,
    exchanged,
    is_query,
    parameters_in,
    sources_of,
)

if TYPE_CHECKING:
    from ...engine.context import Context

_ROWS_TO_SHARE = 32_768  # below, a second core costs more than it brings
_BATCH = 65_536  # rows; batches much smaller than the engine's own are joined
_SMALL = 2_048


@dataclass
class Kept:
    """A relation that was evaluated once.

    Attributes:
        name: the name under which it is given to the engine.
        table: what DataFusion takes for a table.
        rows, nbytes: its size.
        reads: the scratch tables that it was made of, as they were.
    """

    name: str
    table: Any
    rows: int
    nbytes: int
    reads: Mapping[str, Any] = field(default_factory=dict)


class Larder:
    """The relations that a run keeps, within a budget of bytes that all of them share.

    Args:
        context: where they are evaluated.
        budget: how many bytes they may have in all.
    """

    def __init__(self, context: Context, budget: int) -> None:
        self._context = context
        self.budget = budget
        self._kept: dict[str, Kept | str] = {}
        self._names = count()  # a plan of an earlier step may still read what had a name, so none is given twice
        self._streams: dict[tuple[str, ...], Kept] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of everything kept."""
        return sum(k.nbytes for k in self._kept.values() if isinstance(k, Kept))

    def keep(self, sql: str, reads: Collection[str], expected: int = 0) -> Kept:
        """The rows of a query, evaluated now or before.

        Args:
            sql: the query.
            reads: the scratch tables that it reads.
            expected: how many bytes it will have, as far as that is known before.

        Raises:
            UnsureError: they do not fit the budget, or cannot be evaluated ahead of the step.
        """
        entries = self._context.store.entries()
        known = self._kept.get(sql)
        if isinstance(known, Kept) and any(entries.get(name) is not entry for name, entry in known.reads.items()):
            known = None
        if known is None:
            self._kept.pop(sql, None)
            if expected > self.budget - self.nbytes:
                known = self._too_large(expected)
            else:
                known = self._evaluated(sql, {name: entries.get(name) for name in reads})
            self._kept[sql] = known
        if isinstance(known, str):
            raise UnsureError(known)
        return known

    def expected(self, table: tuple[str, ...], columns: Collection[str]) -> int:
        """How many bytes these columns of an xarray table have; 0 for another table, of which that is not known."""
        dataset = self._context.tables.dataset(table)
        relation = self._context.relation(table)
        if dataset is None or relation is None:
            return 0
        rows = math.prod(dataset.sizes.values())
        return int(rows * sum(dataset[name].dtype.itemsize for name in columns if name in dataset.variables))

    def can_be_told(self, table: tuple[str, ...]) -> bool:
        """Whether it would be known that a table has been exchanged."""
        return self._context.tables.can_be_told(table)

    def stream(self, table: tuple[str, ...]) -> Kept | None:
        """An xarray table that is read a few chunks at a time; None for a table of another kind."""
        grid = self._context.tables.grid(table)
        if grid is None or not grid.dataset.data_vars:
            return None
        if table not in self._streams:
            name = f"__read_{next(self._names)}__"
            self._streams[table] = Kept(name, streamed(grid), math.prod(grid.dataset.sizes.values()), 0)
        return self._streams[table]

    def _too_large(self, size: int) -> str:
        return (
            f"its {nbytes_shown(size)} or more exceed the {nbytes_shown(self.budget)} that may be kept in memory: "
            "it is read each step"
        )

    def _evaluated(self, sql: str, reads: Mapping[str, Any]) -> Kept | str:
        left = self.budget - self.nbytes
        try:
            stream = pa.RecordBatchReader.from_stream(self._context.plan(sql))
            if len(set(stream.schema.names)) < len(stream.schema.names):
                return "two of its columns have one name"
            batches, size = _read(stream, left)
        except SqlError as error:
            return error.what
        except Exception as error:  # the engine's own errors; the statement itself will tell, if it meets them too
            return f"it cannot be evaluated ahead: {str(error).splitlines()[0]}"
        if batches is None:
            return self._too_large(size)
        rows = sum(b.num_rows for b in batches)
        cores = os.cpu_count() or 1
        partitions = 1 if rows < _ROWS_TO_SHARE else cores
        table = provider(batches, stream.schema, partitions=partitions)
        return Kept(f"__kept_{next(self._names)}__", table, rows, size, reads)


def _read(stream: pa.RecordBatchReader, limit: int) -> tuple[list[pa.RecordBatch] | None, int]:
    """The batches of a stream, small ones joined, and their bytes; None where they exceed ``limit``."""
    out: list[pa.RecordBatch] = []
    small: list[pa.RecordBatch] = []
    size = 0
    for batch in stream:
        size += batch.get_total_buffer_size() if batch.num_rows < _SMALL else batch.nbytes
        if size > limit:
            return None, size
        if batch.num_rows < _SMALL:
            small.append(batch)
            if sum(b.num_rows for b in small) >= _BATCH:
                out.append(pa.concat_batches(small))
                small = []
        elif batch.num_rows:
            out += [batch.slice(start, _BATCH) for start in range(0, batch.num_rows, _BATCH)]
    return out + ([pa.concat_batches(small)] if small else []), size


@dataclass(frozen=True)
class Hoisted:
    """A statement that reads kept relations.

    Attributes:
        tree: the statement.
        kept: the relations, by the name under which it reads them.
        notes: what was done and why not.
    """

    tree: Tree
    kept: Mapping[str, Kept]
    notes: tuple[Note, ...]


def hoist(
    tree: Tree,
    larder: Larder,
    writes: Collection[str],
    columns_of: Callable[[tuple[str, ...]], tuple[str, ...] | None],
    scratch: Collection[str],
) -> Hoisted:
    """Let a query read kept relations where what it reads is the same at each step.

    Args:
        tree: the query; the parameters that are still in it change from step to step.
        larder: keeps what is evaluated.
        writes: the tables that the step changes.
        columns_of: the columns of a table; None where they are not known.
        scratch: the names of all scratch tables and views.
    """
    pass_ = _Pass(larder, frozenset(writes), columns_of, frozenset(scratch))
    return Hoisted(pass_.visit(tree), pass_.kept, tuple(pass_.notes))


class _Pass:
    """One pass over a query, the outer relations first: the more is kept at once, the better."""

    def __init__(
        self,
        larder: Larder,
        writes: frozenset[str],
        columns_of: Callable[[tuple[str, ...]], tuple[str, ...] | None],
        scratch: frozenset[str],
    ) -> None:
        self._larder, self._writes, self._columns_of, self._scratch = larder, writes, columns_of, scratch
        self.kept: dict[str, Kept] = {}
        self.notes: list[Note] = []

    def visit(self, node: Any) -> Any:
        """A tree whose relations are kept where they can be."""
        if isinstance(node, (list, tuple)):
            items = [self.visit(value) for value in node]
            return node if all(a is b for a, b in zip(items, node, strict=True)) else type(node)(items)
        if not isinstance(node, dict):
            return node
        if is_query(node):
            if node["with"]:
                return node  # recursive; its names may hide a table's
            node = self._query(node)
        new = {key: self.visit(value) for key, value in node.items()}
        return node if all(new[key] is node[key] for key in node) else new

    def _query(self, query: Tree) -> Tree:
        if "Select" not in query["body"]:
            return query
        for place in range(len(self._sources(query["body"]["Select"]))):
            source = self._sources(query["body"]["Select"])[place]
            if not source.alias or not self._is_invariant(source.factor):
                continue
            try:
                query = self._with_kept(query, source)
            except UnsureError as error:
                self.notes.append(Note("not kept", _shown(source), str(error)))
                query = self._with_streamed(query, source)
        return self._without_needless_count(query)

    def _without_needless_count(self, query: Tree) -> Tree:
        """The query without the test for an empty input that :mod:`.fold` has put in, where it cannot be empty."""
        select = query["body"]["Select"]
        tables = [source.table for source in self._sources(select)]
        all_rows = select["selection"] is None and all(
            "CrossJoin" in join["join_operator"] for item in select["from"] for join in item["joins"]
        )
        kept = [self.kept.get(table[-1]) if table is not None else None for table in tables]
        if not all_rows or not all(k is not None and k.rows for k in kept) or not _aggregates(select["projection"]):
            return query
        having = [c for c in conjuncts(select["having"]) if c is not SOME_ROW]
        return {**query, "body": {"Select": {**select, "having": conjunction(having)}}}

    def _is_invariant(self, tree: Tree) -> bool:
        """Whether a relation is the same at each step: no changing parameter, no state, nothing random."""
        ((kind, body),) = tree.items()
        if kind not in ("Table", "Derived") or (kind == "Derived" and body["lateral"]) or parameters_in(tree):
            return False
        for node in walk(tree):
            if _differs(node) or "UNNEST" in node or "TableFunction" in node:
                return False
            if isinstance(node.get("Table"), dict):
                table = name_of(node["Table"]["name"])
                if table[-1] in self._writes or is_reserved(table[-1]) or node["Table"]["args"]:
                    return False
                if self._columns_of(table) is None or not self._larder.can_be_told(table):
                    return False
            if is_query(node) and (node["with"] or (node["limit_clause"] and not node["order_by"])):
                return False
        return True

    def _with_kept(self, query: Tree, source: Source) -> Tree:
        select = query["body"]["Select"]
        naming = Naming(self._sources(select), self._columns_of)
        own = self._own_conditions(select, source, naming)
        label = source.factor[next(iter(source.factor))]["alias"] or _label(source.alias)
        used = self._used(query, source)
        measured = source.table is not None and not own
        expected = self._larder.expected(source.table or (), used or source.columns or ()) if measured else 0
        kept = self._larder.keep(
            to_sql(_ahead(source, label, used, own)),
            {name_of(n["Table"]["name"])[-1] for n in walk(source.factor) if isinstance(n.get("Table"), dict)}
            & self._scratch,
            expected,
        )
        self.kept[kept.name] = kept
        self.notes.append(Note("kept", _shown(source), f"{kept.rows:,} rows, {nbytes_shown(kept.nbytes)}"))
        factor = build.table(kept.name, source.alias)["relation"]
        factor = {"Table": {**factor["Table"], "alias": {**label, "columns": []}}}
        rest = [c for c in conjuncts(select["selection"]) if not any(c is o for o in own)]
        selection = conjunction(rest) if own else select["selection"]
        tables = exchanged(select["from"], source, factor)
        return {**query, "body": {"Select": {**select, "from": tables, "selection": selection}}}

    def _with_streamed(self, query: Tree, source: Source) -> Tree:
        """The query, reading an xarray table that cannot be kept a few chunks at a time.

        Where a condition may leave chunks out, the table stays as it is: it knows which.
        """
        streamed = self._larder.stream(source.table) if source.table is not None else None
        select = query["body"]["Select"]
        if streamed is None or self._own_conditions(select, source, Naming(self._sources(select), self._columns_of)):
            return query
        self.kept[streamed.name] = streamed
        label = source.factor["Table"]["alias"] or _label(source.alias)
        factor = build.table(streamed.name, source.alias)["relation"]
        factor = {"Table": {**factor["Table"], "alias": label}}
        return {**query, "body": {"Select": {**select, "from": exchanged(select["from"], source, factor)}}}

    def _sources(self, select: Tree) -> list[Source]:
        return sources_of(select, self._columns_of)

    def _own_conditions(self, select: Tree, source: Source, naming: Naming) -> list[Tree]:
        """The parts of WHERE that are about this relation alone, and the same at each step."""
        item = select["from"][source.item]
        sources = [s for s in naming.sources if s.item == source.item]
        if any(s.operator in ("left", "other") for s in sources) or len(item["joins"]) != len(sources) - 1:
            return []
        return [c for c in conjuncts(select["selection"]) if self._is_about(c, source, naming)]

    def _is_about(self, condition: Tree, source: Source, naming: Naming) -> bool:
        if parameters_in(condition):
            return False
        found = False
        for node in walk(condition):
            if is_query(node) or _differs(node):
                return False
            if _function_name(node) is not None:
                return False  # names of functions look like columns to a walk; and some are not ours to judge
            if isinstance(node.get("Identifier"), dict) or "CompoundIdentifier" in node:
                try:
                    if naming.column(node, source) is None:
                        return False
                except UnsureError:
                    return False
                found = True
        return found

    def _used(self, query: Tree, source: Source) -> list[str] | None:
        """The columns that a query may use of a relation, by their names; None for all of them."""
        if source.columns is None or "" in source.columns or len(set(source.columns)) < len(source.columns):
            return None
        names: set[str] = set()
        for node in walk([query["body"], query["order_by"]]):
            if "Wildcard" in node or "QualifiedWildcard" in node:
                return None
            if "Using" in node:
                names |= {name_of(column)[-1] for column in node["Using"]}
            if isinstance(node.get("Identifier"), dict):
                names.add(identifier(node["Identifier"]))
            elif "CompoundIdentifier" in node:
                names |= {identifier(part) for part in node["CompoundIdentifier"]}
            if node.get("join_operator") in _NATURAL:
                return None
        return [c for c in source.columns if c in names] or [source.columns[0]]


_NATURAL = [{kind: "Natural"} for kind in ("Join", "Inner", "Left", "LeftOuter", "Right", "RightOuter", "FullOuter")]


def _ahead(source: Source, label: Tree, used: list[str] | None, conditions: Sequence[Tree]) -> Tree:
    """The query that is evaluated once."""
    ((kind, body),) = source.factor.items()
    factor = {kind: {**body, "alias": label}}
    if used is None:
        items: list[Tree] = [{"Wildcard": _star()}]
    else:
        items = [{"UnnamedExpr": {"CompoundIdentifier": [label["name"], make_identifier(name)]}} for name in used]
    return build.select(items, [{"relation": factor, "joins": []}], conjunction(list(conditions)))


def _label(alias: str) -> Tree:
    return build.table("t", alias)["relation"]["Table"]["alias"]


def _star() -> Tree:
    return parse_one("SELECT * FROM t").tree["Query"]["body"]["Select"]["projection"][0]["Wildcard"]


def _differs(node: Tree) -> bool:
    """Whether a node calls a function that gives another value at another time."""
    name = _function_name(node)
    return name is not None and varies(name) != "never"


def _function_name(node: Tree) -> str | None:
    return name_of(node["Function"]["name"])[-1].lower() if isinstance(node.get("Function"), dict) else None


def _aggregates(projection: Any) -> bool:
    """Whether a SELECT list surely has an aggregate in it, so that the SELECT gives one row without GROUP BY."""
    if isinstance(projection, (list, tuple)):
        return any(_aggregates(value) for value in projection)
    if not isinstance(projection, dict) or is_query(projection):
        return False
    if is_aggregate(_function_name(projection) or "") and not projection["Function"]["over"]:
        return True
    return any(_aggregates(value) for value in projection.values())


def _shown(source: Source) -> str:
    return ".".join(source.table) if source.table else f"the query {source.alias}"
