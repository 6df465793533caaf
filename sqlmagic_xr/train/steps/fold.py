"""State reads become values: a one-row read of a scratch table is looked up by its key, and its relation disappears.

What is folded is still the user's query, with more parameters in it: ``cur.a`` has become a parameter that is read
from the state's newest generation at each step. How many rows a read finds may change from step to step, so what was
found is noted beside the read (:class:`KeyedRead`); a step that finds otherwise folds the statement anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ...grids.lookup import Constant
from ...relation.change import exchanged, without_columns
from ...relation.columns import Field, Nested
from ...relation.conditions import conjuncts
from ...relation.inline import inlined
from ...relation.newest import Extreme, extremes, first_row
from ...relation.nodes import Filtering, Join, Leaf, Limit, Relation, Scan, Select, Shared, Sort, Values, relations
from ...relation.reads import parameters
from ...relation.removal import is_constant, without, without_constant_keys
from ...relation.scope import Unsure
from ...relation.write import renamed_table
from ...sql.expression import Call, Expression, Parameter, descend, to_sql
from ...sql.expression import Literal as Number
from ...storage.scratch import Version
from ..explain import Note
from .template import can_be_text

if TYPE_CHECKING:
    from ...storage.transaction import Entry

Found = Literal["none", "one", "many"]
"""How many rows a read has found."""


@dataclass(frozen=True)
class KeyedRead:
    """Rows of a scratch table that a step reads by key.

    Attributes:
        number: which read of the statement; its columns are the parameters ``number.column``.
        table: the scratch table.
        keys: columns that shall equal a constant; () for the whole table.
        extreme: ("max" or "min", column): only the rows where the column has its greatest or least value.
        alone: read the extreme itself and no rows: it is the parameter ``number.column``.
    """

    number: int
    table: str
    keys: tuple[tuple[str, Constant], ...] = ()
    extreme: tuple[Literal["max", "min"], str] | None = None
    alone: bool = False

    def parameter(self, column: str) -> Parameter:
        """What stands for one of its columns."""
        return Parameter(f"${self.number}.{column}")

    @property
    def relation(self) -> str:
        """The name under which the rows are given to the engine, where they stay a relation."""
        return f"__rows_{self.number}__"


Ask = Callable[[KeyedRead], "Found | None"]
"""Looks up a read now; None where its key is no value that can be looked up."""


@dataclass(frozen=True)
class FoldedQuery:
    """A query without the state reads that could be folded.

    Attributes:
        query: what is left of it.
        reads: what was looked up, in order, and what was found.
        notes: what was done and why not.
    """

    query: Relation
    reads: tuple[tuple[KeyedRead, Found], ...]
    notes: tuple[Note, ...]


def fold(query: Relation, entries: Mapping[str, Entry], ask: Ask, writes: Collection[str]) -> FoldedQuery:
    """Fold the state reads of a query.

    Args:
        query: bound; parameters that stay the same are literals.
        entries: the scratch tables and views.
        ask: looks a read up.
        writes: the scratch tables that the step changes.
    """
    try:
        query = inlined(query)
    except Unsure as reason:
        return FoldedQuery(query, (), (Note("not folded", "the query", str(reason)),))
    folding = _Folding(entries, ask, writes)
    query = without_constant_keys(folding.whole(query))
    return FoldedQuery(query, tuple(folding.reads), (*folding.notes, *folding.reasons(query)))


class _Folding:
    """Folds one read after the other, those of the inner queries first."""

    def __init__(self, entries: Mapping[str, Entry], ask: Ask, writes: Collection[str]) -> None:
        self._entries, self._ask, self._writes = entries, ask, writes
        self._refused: dict[Relation, Note | None] = {}
        self._rows: set[Relation] = set()  # the readings of what is given to the engine under a name of ours
        self.reads: list[tuple[KeyedRead, Found]] = []
        self.notes: list[Note] = []

    def whole(self, root: Relation) -> Relation:
        """A query in which nothing is left to fold."""
        while True:
            smaller = next((found for found in self._smaller(root) if found is not None), None)
            if smaller is None:
                return root
            root, self._refused = smaller, {}  # what has become a value may be another's key

    def reasons(self, root: Relation) -> Iterator[Note]:
        """Why what is left was not folded."""
        left = set(relations(root))
        yield from (note for leaf, note in self._refused.items() if note is not None and leaf in left)

    def _smaller(self, root: Relation) -> Iterator[Relation | None]:
        """Queries with one read less; the first is taken."""
        for node in _inner_first(root):
            if isinstance(node, Limit):  # before its table is looked at, which may have one row
                yield self._with_first_row(root, node)
        for node in _inner_first(root):
            yield _with_values(root, node)
            if isinstance(node, Select):
                yield self._with_extremes(root, node)
            if isinstance(node, Filtering) and isinstance(node.source, (Join, Leaf)):
                for leaf in node.source.visible:
                    if isinstance(leaf, Leaf) and leaf not in self._refused and leaf not in self._rows:
                        self._refused[leaf] = None
                        yield self._without(root, node, leaf)

    def _without(self, root: Relation, reader: Filtering, leaf: Leaf) -> Relation | None:
        """The query without a relation, or with fewer rows in it; None where neither is to be had."""
        try:
            if isinstance(leaf, Shared):
                return _without_constant_row(root, reader, leaf)
            version = self._version(leaf)
            return None if version is None or not isinstance(leaf, Scan) else self._read(root, reader, leaf, version)
        except Unsure as reason:
            self._refused[leaf] = Note("not folded", _shown(leaf), str(reason))
            return None

    # One row whose values are known

    def _read(self, root: Relation, reader: Filtering, scan: Scan, version: Version) -> Relation | None:
        outer, conditions = _conditions(reader, scan)
        keys, used = _keys(conditions, scan, version)
        if not keys and version.rows != 1:
            if version.name in self._writes:
                why = "its rows are not chosen by a key that is known before"
                self._refused[scan] = Note("read each step", version.name, why)
            return None
        read = KeyedRead(len(self.reads), version.name, tuple(keys.items()))
        found = self._ask(read)
        if found is None:
            return None
        # Where nothing matches in an outer join, its columns are NULL.
        if (found == "one" or (found == "none" and outer)) and can_be_text(version.definition.schema.types):
            try:
                if outer and len(used) < len(conditions):
                    raise Unsure("an outer join's condition says more than its key")
                smaller = without(root, reader, scan, _values(read, scan), used=used)
                self._keep(read, found, "its columns are literals")
                return smaller
            except Unsure as reason:
                self._refused[scan] = Note("not folded", _shown(scan), str(reason))
        return self._narrowed(root, scan, read, found) if keys else None

    def _narrowed(self, root: Relation, scan: Scan, read: KeyedRead, found: Found) -> Relation:
        """The query, reading only the rows of that key; every condition stays."""
        table = replace(scan.table, name=(read.relation,))
        rows = Scan(scan.path[-1:], scan.renamed, table=table, tree=renamed_table(read.relation, scan))
        self._keep(read, found, "only the rows of that key are given to the engine", kind="bound")
        self._rows.add(rows)
        return exchanged(root, lambda node: rows if node is scan else None)

    def _with_first_row(self, root: Relation, limit: Limit) -> Relation | None:
        """``ORDER BY column DESC LIMIT 1`` over a whole table."""
        found = first_row(limit)
        version = None if found is None else self._version(found[1].scan)
        if found is None or version is None or limit in self._refused:
            return None
        self._refused[limit] = None
        (select, newest) = found
        field = version.definition.schema.field(newest.column)
        if not pa.types.is_integer(field.type) or field.nullable:
            return None  # where NULL comes in the order is not for us to say
        read = KeyedRead(len(self.reads), version.name, (), (_which(newest), newest.column))
        rows = self._ask(read)
        if rows != "one" or not can_be_text(version.definition.schema.types):
            if rows == "many":
                why = f"several rows have the greatest or least {newest.column}; which is first is open"
                self._refused[limit] = Note("not folded", version.name, why)
            return None
        try:
            bare = exchanged(root, lambda node: select if node is limit else None)
            smaller = without(bare, select, newest.scan, _values(read, newest.scan))
        except Unsure as reason:
            self._refused[limit] = Note("not folded", version.name, str(reason))
            return None
        self._keep(read, rows, "its columns are literals")
        return smaller

    def _with_extremes(self, root: Relation, select: Select) -> Relation | None:
        """``SELECT MAX(step) FROM params``: values that the table's chunks know."""
        values = []
        for asked in extremes(select):
            version = self._version(asked.scan)
            if version is None or version.definition.schema.field(asked.column).type != pa.int64():
                return None
            values.append((KeyedRead(0, version.name, (), (_which(asked), asked.column), alone=True), asked))
        outputs = []
        for (read, asked), output in zip(values, select.outputs if values else (), strict=True):
            read = replace(read, number=len(self.reads))
            self.reads.append((read, self._ask(read) or "none"))
            self.notes.append(Note("folded", f"{_which(asked).upper()}({asked.column}) of {read.table}", ""))
            outputs.append(replace(output, expression=read.parameter(asked.column)))
        new = Select(Values(), None, tuple(outputs), tree=select.tree)
        return exchanged(root, lambda node: new if node is select else None) if outputs else None

    # What is known

    def _version(self, leaf: Relation) -> Version | None:
        name = leaf.table.name if isinstance(leaf, Scan) else ()
        entry = self._entries.get(name[0]) if len(name) == 1 else None
        return entry if isinstance(entry, Version) else None

    def _keep(self, read: KeyedRead, found: Found, why: str, kind: str = "folded") -> None:
        self.notes.append(Note(kind, self._said(read), why))
        self.reads.append((read, found))

    def _said(self, read: KeyedRead) -> str:
        """A read as a person would say it; an earlier read's column by its table."""
        tables = {str(earlier.number): earlier.table for earlier, _ in self.reads}
        parts = [
            f"{column} = " + re.sub(r"\$(\d+)\.", lambda m: f"{tables[m[1]]}.", to_sql(constant.expression))
            for column, constant in read.keys
        ]
        if read.extreme is not None:
            parts.append(f"{read.extreme[1]} is its {'greatest' if read.extreme[0] == 'max' else 'least'}")
        return f"{read.table} where {' and '.join(parts)}" if parts else f"{read.table}, one row"


def _inner_first(root: Relation) -> Iterator[Relation]:
    """The relations of a query, those that a relation is made of before it."""
    found = list(relations(root))
    yield from reversed(found)


def _which(asked: Extreme) -> Literal["max", "min"]:
    return "max" if asked.greatest else "min"


def _values(read: KeyedRead, scan: Scan) -> dict[str, Expression]:
    return {name: read.parameter(scan.column(name)) for name in scan.names if name is not None and scan.has(name)}


def _conditions(reader: Filtering, leaf: Leaf) -> tuple[bool, list[Expression]]:
    """Whether a relation is the right side of an outer join, and the conditions that choose its rows."""
    join = next((j for j in _joins(reader.source) if j.right is leaf), None)
    on = [] if join is None else list(conjuncts(join.on))
    if join is not None and join.kind == "left":
        return True, on
    return False, [*conjuncts(reader.condition), *(on if join is None or join.kind == "inner" else [])]


def _joins(source: Relation) -> Iterator[Join]:
    if isinstance(source, Join):
        yield source
        for side in source.inputs:
            yield from _joins(side)


def _keys(
    conditions: Collection[Expression], scan: Scan, version: Version
) -> tuple[dict[str, Constant], list[Expression]]:  # fmt: skip
    """The columns that conditions say are equal to a constant, and these conditions."""
    keys: dict[str, Constant] = {}
    used = []
    for condition in conditions:
        key = _key(condition, scan, version)
        if key is not None and key[0] not in keys:
            keys[key[0]] = key[1]
            used.append(condition)
    return keys, used


def _key(condition: Expression, scan: Scan, version: Version) -> tuple[str, Constant] | None:
    """``column = constant``, either way round, on a column of whole numbers or of text."""
    if not isinstance(condition, Call) or condition.name != "=":
        return None
    for mine, other in (condition.args, condition.args[::-1]):
        if not isinstance(mine, Field) or mine.relation is not scan:
            continue
        column, constant = scan.column(mine.name), Constant(other)
        kind, value = version.definition.schema.field(column).type, constant.value(_Assumed())
        if (pa.types.is_integer(kind) and isinstance(value, int)) or (
            pa.types.is_string(kind) and isinstance(value, str)
        ):
            return column, constant
    return None


def _without_constant_row(root: Relation, reader: Filtering, leaf: Shared) -> Relation | None:
    """The query without a subquery that gives one row of constants."""
    row, (outer, _) = _constant_row(leaf.query), _conditions(reader, leaf)
    if row is None or outer or leaf.names is None:
        return None
    values = {n: o.expression for n, o in zip(leaf.names, row.outputs, strict=True) if n is not None and leaf.has(n)}
    return without(root, reader, leaf, values, more=list(conjuncts(row.condition)))


def _with_values(root: Relation, node: Relation) -> Relation | None:
    """The query in which a scalar subquery of one constant is that constant."""
    for expression in node.expressions:
        for part in descend(expression):
            row = _constant_row(part.query) if isinstance(part, Nested) and part.kind == "scalar" else None
            if row is not None and row.condition is None and len(row.outputs) == 1 and parameters(row):
                return without_columns(root, {part: row.outputs[0].expression})
    return None


def _constant_row(query: Relation) -> Select | None:
    """A query that gives one row of constants, or none; order and LIMIT 1 are nothing to it."""
    while isinstance(query, Sort) or (isinstance(query, Limit) and query.skip is None and query.count == Number(1)):
        query = query.source
    plain = isinstance(query, Select) and isinstance(query.source, Values) and query.source.rows == ((),)
    if not isinstance(query, Select) or not plain or query.distinct:
        return None
    pure = all(is_constant(output.expression) for output in query.outputs)
    return query if pure and all(map(_is_pure, conjuncts(query.condition))) else None


def _is_pure(condition: Expression) -> bool:
    """Whether a condition is a comparison of constants."""
    if isinstance(condition, Call) and condition.name in ("=", "<>", "<", "<=", ">", ">=", "or", "not"):
        return all(map(_is_pure, condition.args))
    return is_constant(condition)


def _shown(leaf: Leaf) -> str:
    return ".".join(leaf.table.name) if isinstance(leaf, Scan) else ".".join(leaf.path[-1:])


class _Assumed(Mapping[str, Any]):
    """Every parameter is a whole number, as far as recognising a key goes; the lookup looks again."""

    def __getitem__(self, key: str) -> int:
        return 0

    def get(self, key: str, default: Any = None) -> int:
        """As ``[]``."""
        return 0

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0
