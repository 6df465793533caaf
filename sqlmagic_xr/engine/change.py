"""A change of a table's rows: which are updated, removed and added; checked and applied as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import SqlError, UnknownNameError, UnsupportedError, UsageError
from ..sql.syntax import Tree, identifier, local_name, name_of, span_of
from . import query
from .chunk import Chunk
from .constraints import check
from .definition import stored
from .effect import Engine
from .expressions import refuse_aggregates
from .keys import Rows
from .order import ROW
from .pruning import batches, visible
from .rows import arrange
from .schema import provider
from .scratch import Version, single_batch
from .transaction import Work

TARGET = "__target__"
"""The name under which a statement's own queries read the table that it changes, positions included."""

NOTHING: Rows = np.empty(0, np.int64)


@dataclass
class Change:
    """What a statement does to the rows of one table.

    Attributes:
        updated: positions of rows that get new values, each once, ascending.
        values: those rows as they become, in the order of ``updated``; None if there are none.
        removed: positions of rows that go.
        added: rows that come; None if there are none.
        columns: the columns whose values an update assigns.
    """

    updated: Rows = field(default_factory=lambda: NOTHING)
    values: pa.RecordBatch | None = None
    removed: Rows = field(default_factory=lambda: NOTHING)
    added: pa.RecordBatch | None = None
    columns: frozenset[str] = frozenset()

    def apply(self, version: Version, work: Work, engine: Engine) -> None:
        """Check the rows that come to be, and let the table be what it becomes.

        Raises:
            ConstraintError: a constraint forbids it; ``work`` is as it was.
        """
        new = [b for b in (self.added, self.values) if b is not None and b.num_rows]
        rows = None
        if new:
            # A key that no update touches and no row adds to cannot be violated.
            touched = None if self.added is not None and self.added.num_rows else self.columns
            rows = Chunk(new[0] if len(new) == 1 else pa.concat_batches(new))
            gone = np.concatenate([self.updated, self.removed])
            check(rows, version, engine.store, removed=gone, columns=touched)
        after = version
        if self.values is not None and len(self.updated):
            after = after.updated(self.updated, self.values)
        if len(self.removed):
            after = after.without(self.removed)
        if self.added is not None and self.added.num_rows:
            after = after.appended(rows if rows is not None and rows.batch is self.added else Chunk(self.added))
        updated = len(self.updated)
        if after is not version:
            added = 0 if self.added is None else self.added.num_rows
            work.put(version.name, after, added + updated, len(self.removed) + updated)


def positions(version: Version, question: Tree) -> Any:
    """The rows of a version that a question about ``__target__`` can see, with the column ``__row__`` in front."""
    schema = pa.schema([pa.field(ROW, pa.int64(), nullable=False), *version.definition.schema])
    every = [(n, 0, chunk.rows) for n, chunk in enumerate(version.chunks)]
    stretches = visible(question, {TARGET: version}).get(TARGET, every)
    starts = np.cumsum([0, *(c.rows for c in version.chunks)])
    numbered = []
    for (n, start, stop), batch in zip(stretches, batches(version, stretches), strict=True):
        place = pa.array(np.arange(starts[n] + start, starts[n] + stop, dtype=np.int64))
        numbered.append(pa.RecordBatch.from_arrays([place, *batch.columns], schema=schema))
    return provider(numbered, schema)


def ask(engine: Engine, tree: Tree, names: Mapping[str, Any]) -> pa.RecordBatch:
    """Run a query of ours that reads ``names`` besides the user's tables; its rows as one batch, of types for storing.

    They come in any order: a row that stands for one of a table's has that one's number in its first column.
    Arrow has no ``take`` for types that are not for storing, such as the views of text that some functions give.
    """
    with engine.store.showing(names):
        found = engine.query(tree)
    kinds = [field.with_type(stored(field.type)) for field in found.schema]
    return single_batch(found if kinds == list(found.schema) else found.cast(pa.schema(kinds)))


@dataclass(frozen=True)
class Assignments:
    """The SET of an UPDATE: ``columns[i] = expressions[i]``."""

    columns: tuple[str, ...]
    expressions: tuple[Tree, ...]

    @classmethod
    def read(cls, nodes: Sequence[Tree], version: Version, label: str, engine: Engine) -> Assignments:
        """Read the assignments of a SET clause of a statement that calls the table ``label``.

        Raises:
            UnknownNameError: a column that the table has not.
            UsageError: a column that is set twice, or an aggregate.
            UnsupportedError: ``SET (a, b) = (SELECT ...)``.
        """
        pairs: list[tuple[str, Tree]] = []
        for node in nodes:
            place, value = node["target"], node["value"]
            if "ColumnName" in place:
                pairs.append((column_of(place["ColumnName"], version, label), value))
                continue
            if not (isinstance(value, dict) and "Tuple" in value and len(value["Tuple"]) == len(place["Tuple"])):
                raise UnsupportedError(
                    "SET (a, b) = ... needs as many values on the right", hint="SET a = ..., b = ... says the same."
                )
            pairs += [(column_of(c, version, label), v) for c, v in zip(place["Tuple"], value["Tuple"], strict=True)]
        columns = [name for name, _ in pairs]
        for name, value in pairs:
            if columns.count(name) > 1:
                raise UsageError(f"SET gives `{name}` two values")
            refuse_aggregates(value, engine, "SET")
        values = [version.definition.default_of(n) if query.is_default(v) else v for n, v in pairs]
        return cls(tuple(columns), tuple(values))

    def items(self, prefix: str) -> list[Tree]:
        """The expressions as select items, named by their place."""
        return [query.item(e, f"{prefix}{i}") for i, e in enumerate(self.expressions)]

    def onto(self, old: pa.RecordBatch, values: Sequence[pa.Array], version: Version, engine: Engine) -> pa.RecordBatch:
        """The rows ``old`` with the assigned columns replaced by ``values``, cast and without forbidden NULLs."""
        new = dict(zip(self.columns, values, strict=True))
        arrays = [new.get(n, old.column(i)) for i, n in enumerate(version.definition.names)]
        loose = pa.RecordBatch.from_arrays(arrays, names=list(version.definition.names))
        return arrange(loose, version, engine.store)


def column_of(parts: list[Tree], version: Version, label: str) -> str:
    """The column of the table that a statement changes, by its name with or without what the statement calls the table.

    Raises:
        UnknownNameError: the table has no such column, or it is said to be another table's.
    """
    *qualifier, name = name_of(parts)
    try:
        if qualifier and local_name(tuple(qualifier)) != (label,):
            raise UnknownNameError(f"{'.'.join(qualifier)} is not the table that is changed", hint=f"That is {label}.")
        version.definition.index(name, version.name)
    except SqlError as error:
        error.span = span_of(parts)
        raise
    return name


def label_of(relation: Tree) -> str | None:
    """The name by which columns of an element of FROM are called: its alias, or the table's own name."""
    inner = next(iter(relation.values()))
    if not isinstance(inner, dict):
        return None
    if inner.get("alias"):
        return identifier(inner["alias"]["name"])
    return name_of(inner["name"])[-1] if isinstance(inner.get("name"), list) else None


def target_of(relation: Tree, statement: str) -> tuple[list[Tree], str]:
    """The name and the label of the table that a statement changes.

    Raises:
        UnsupportedError: it is no plain table.
    """
    if "Table" not in relation:
        raise UnsupportedError(f"{statement} changes a table, not a query")
    parts = relation["Table"]["name"]
    return parts, label_of(relation) or name_of(parts)[-1]


def refuse(body: Mapping[str, Any], options: Sequence[str], statement: str) -> None:
    """Refuse clauses that are parsed and not offered.

    Raises:
        UnsupportedError: one of ``options`` stands in ``body``.
    """
    for option in options:
        if body.get(option):
            raise UnsupportedError(f"{statement} ... {option.upper().replace('_', ' ')} is not offered")
