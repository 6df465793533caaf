"""What does not change from step to step is evaluated once and kept: the rows and columns that a query uses of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from ...engine.budget import nbytes_shown
from ...relation.catalog import Table
from ...relation.change import exchanged
from ...relation.columns import Field, Output, fields, subqueries
from ...relation.conditions import conjuncts, restricted
from ...relation.facts import using_pairs
from ...relation.nodes import (
    Aggregate,
    Filtering,
    Join,
    Leaf,
    Opaque,
    Recursive,
    Relation,
    Scan,
    Select,
    Shared,
    relations,
)
from ...relation.reads import differs, parameters, parameters_in, tables_read, volatile
from ...relation.removal import SOME_ROW
from ...relation.write import renamed_table, written
from ...sql.expression import OPERATORS, Call, Expression, descend
from ...sql.syntax import to_sql
from ...storage.reserved import is_reserved
from ..explain import Note
from .larder import KeptRelation, Larder
from .unsure import UnsureError


@dataclass(frozen=True)
class Hoisted:
    """A query that reads kept relations.

    Attributes:
        query: what it has become.
        kept: the relations, by the name under which it reads them.
        notes: what was done and why not.
    """

    query: Relation
    kept: Mapping[str, KeptRelation]
    notes: tuple[Note, ...]


def hoist(query: Relation, larder: Larder, writes: Collection[str], scratch: Collection[str]) -> Hoisted:
    """Let a query read kept relations where what it reads is the same at each step.

    Args:
        query: bound; the parameters that are still in it change from step to step.
        larder: keeps what is evaluated.
        writes: the tables that the step changes.
        scratch: the names of all scratch tables and views.
    """
    hoisting = _Hoisting(larder, frozenset(writes), frozenset(scratch))
    return Hoisted(hoisting.whole(query), hoisting.kept, tuple(hoisting.notes))


class _Hoisting:
    """Keeps one relation after the other, the outer ones first: the more is kept at once, the better."""

    def __init__(self, larder: Larder, writes: frozenset[str], scratch: frozenset[str]) -> None:
        self._larder, self._writes, self._scratch = larder, writes, scratch
        self._seen: set[Relation] = set()
        self.kept: dict[str, KeptRelation] = {}
        self.notes: list[Note] = []

    def whole(self, root: Relation) -> Relation:
        """A query in which nothing is left to keep."""
        while True:
            found = next(self._next(root), None)
            if found is None:
                return self._without_needless_counts(root)
            reader, leaf = found
            self._seen.add(leaf)
            try:
                root = self._with_kept(root, reader, leaf)
            except UnsureError as error:
                self.notes.append(Note("not kept", _shown(leaf), str(error)))
                root = self._with_streamed(root, reader, leaf)

    def _next(self, root: Relation) -> Iterator[tuple[Filtering, Leaf]]:
        """The relations that are the same at each step, with what reads them."""
        for node in relations(root):
            if isinstance(node, Filtering) and isinstance(node.source, (Join, Leaf)):
                for leaf in node.source.visible:
                    if isinstance(leaf, Leaf) and leaf not in self._seen and leaf.path and self._is_invariant(leaf):
                        yield node, leaf

    def _is_invariant(self, leaf: Leaf) -> bool:
        """Whether a relation is the same at each step: no changing parameter, no state, nothing random."""
        if not isinstance(leaf, (Scan, Shared)) or leaf.names is None or volatile(leaf) or parameters(leaf):
            return False
        if leaf.free or any(isinstance(node, (Opaque, Recursive)) for node in relations(leaf)):
            return False
        names = tables_read(leaf)
        return not any(name[-1] in self._writes or is_reserved(name[-1]) for name in names) and all(
            map(self._larder.is_followed, names)
        )

    def _with_kept(self, root: Relation, reader: Filtering, leaf: Leaf) -> Relation:
        own, used = _own_conditions(reader, leaf), _used(root, leaf)
        expected = self._larder.expected(leaf.table.name, used) if isinstance(leaf, Scan) and not own else 0
        names = {name[-1] for name in tables_read(leaf)}
        kept = self._larder.keep(to_sql({"Query": _ahead(leaf, own, used)}), names & self._scratch, expected)
        self.notes.append(Note("kept", _shown(leaf), f"{kept.rows:,} rows, {nbytes_shown(kept.nbytes)}"))
        smaller = replace(reader, condition=restricted(reader.condition, own))
        root = exchanged(root, lambda node: smaller if node is reader else None) if own else root
        return self._reading(root, leaf, kept)

    def _with_streamed(self, root: Relation, reader: Filtering, leaf: Leaf) -> Relation:
        """The query, reading an xarray table that cannot be kept a few chunks at a time.

        Where a condition may leave chunks out, the table stays as it is: it knows which.
        """
        found = self._larder.stream(leaf.table.name) if isinstance(leaf, Scan) else None
        return root if found is None or _own_conditions(reader, leaf) else self._reading(root, leaf, found)

    def _reading(self, root: Relation, leaf: Leaf, kept: KeptRelation) -> Relation:
        """The query, reading what is kept in the place of a relation."""
        self.kept[kept.name] = kept
        columns = {str(name): "" for name in leaf.names or ()}
        rows = Scan(leaf.path[-1:], table=Table((kept.name,), columns), tree=renamed_table(kept.name, leaf))
        self._seen.add(rows)
        return exchanged(root, lambda node: rows if node is leaf else None)

    def _without_needless_counts(self, root: Relation) -> Relation:
        """The query without the tests for an empty input that :mod:`.fold` has put in, where it cannot be empty."""
        for group in [node for node in relations(root) if isinstance(node, Aggregate) and SOME_ROW in node.names]:
            above = next(node for node in relations(root) if isinstance(node, Filtering) and node.source is group)
            tests = [c for c in conjuncts(above.condition) if any(f == group[SOME_ROW] for f in fields(c))]
            rest = replace(above, condition=restricted(above.condition, tests))
            if self._has_rows(group) and _aggregates(rest, group):
                root = exchanged(root, lambda node, old=above, new=rest: new if node is old else None)  # type: ignore[misc]
        return root

    def _has_rows(self, group: Aggregate) -> bool:
        """Whether what is grouped is all rows of kept relations that have some."""
        joins = [node for node in _parts(group.source) if isinstance(node, Join)]
        kept = [self.kept.get(leaf.table.name[-1]) if isinstance(leaf, Scan) else None for leaf in group.source.visible]
        all_rows = group.condition is None and all(join.kind == "cross" for join in joins)
        return all_rows and all(one is not None and one.rows for one in kept)


def _aggregates(reader: Filtering, group: Aggregate) -> bool:
    """Whether a SELECT still has an aggregate, so that it gives one row without GROUP BY."""
    own = {measure.name for measure in group.measures} - {SOME_ROW}
    return any(f.relation is group and f.name in own for e in reader.expressions for f in fields(e))


def _parts(source: Relation) -> Iterator[Relation]:
    yield source
    for side in source.inputs if isinstance(source, Join) else ():
        yield from _parts(side)


def _own_conditions(reader: Filtering, leaf: Leaf) -> list[Expression]:
    """The parts of WHERE that are about one relation alone, and the same at each step."""
    joins = [node for node in _parts(reader.source) if isinstance(node, Join)]
    if any(join.kind not in ("cross", "inner") or join.using for join in joins if leaf in join.visible):
        return []
    return [c for c in conjuncts(reader.condition) if _is_about(c, leaf)]


def _is_about(condition: Expression, leaf: Leaf) -> bool:
    if parameters_in(condition) or differs(condition) or any(True for _ in subqueries(condition)):
        return False
    if any(isinstance(part, Call) and part.name not in OPERATORS for part in descend(condition)):
        return False  # what a function makes of a value that no row of the join has is not ours to judge
    used = list(fields(condition))
    return bool(used) and all(field.relation is leaf for field in used)


def _used(root: Relation, leaf: Leaf) -> list[str]:
    """The columns that a query uses of a relation; one at least."""
    used = {field.name for node in relations(root) for field in _fields(node) if field.relation is leaf}
    names = [name for name in leaf.names or () if name is not None]
    return [name for name in names if name in used] or names[:1]


def _fields(node: Relation) -> Iterator[Field]:
    for expression in node.expressions:
        yield from fields(expression)
    for pair in using_pairs(node) if isinstance(node, Join) else ():
        yield from pair


def _ahead(leaf: Leaf, own: list[Expression], used: list[str]) -> object:
    """The query that is evaluated once."""
    outputs = tuple(Output(name, Field(leaf, name)) for name in used)
    return written(Select(leaf, restricted(None, (), own), outputs))


def _shown(leaf: Leaf) -> str:
    return ".".join(leaf.table.name) if isinstance(leaf, Scan) else f"the query {leaf.path[-1]}"
