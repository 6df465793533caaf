"""A change of a table's rows: which are updated, removed and added; checked and applied as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import SqlError, UnknownNameError, UnsupportedError, UsageError
from ..sql import build as query
from ..sql.syntax import Tree, identifier, local_name, name_of, span_of
from ..storage.chunk import Chunk
from ..storage.constraints import check
from ..storage.definition import stored
from ..storage.keys import Rows
from ..storage.order import ROW
from ..storage.pruning import batches, visible
from ..storage.rows import arrange
from ..storage.schema import provider
from ..storage.scratch import Version, single_batch
from ..storage.transaction import Work
from .effect import Engine
from .expressions import aggregated, refuse_aggregates

TARGET = "__target__"
"""The name under which a statement's own queries read the table that it changes, positions included."""

NOTHING: Rows = np.empty(0, np.int64)


@dataclass
class TableChange:
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
        found = engine.rows_of(tree)
    kinds = [field.with_type(stored(field.type)) for field in found.schema]
    return single_batch(found if kinds == list(found.schema) else found.cast(pa.schema(kinds)))


@dataclass(frozen=True)
class Assignments:
    """The SET of an UPDATE.

    Attributes:
        columns: those that get a value, in the order of the expressions.
        expressions: what they get; ``(SELECT ...)`` for several columns is one, a struct.
        widths: how many columns each of the expressions is for.
    """

    columns: tuple[str, ...]
    expressions: tuple[Tree, ...]
    widths: tuple[int, ...]

    @classmethod
    def read(cls, nodes: Sequence[Tree], version: Version, label: str, engine: Engine) -> Assignments:
        """Read the assignments of a SET clause of a statement that calls the table ``label``.

        Raises:
            UnknownNameError: a column that the table has not.
            UsageError: a column that is set twice, or an aggregate.
            UnsupportedError: ``SET (a, b) = ...`` without as many values.
        """
        pairs: list[tuple[list[str], Tree]] = []
        for node in nodes:
            place, value = node["target"], node["value"]
            if "ColumnName" in place:
                pairs.append(([column_of(place["ColumnName"], version, label)], value))
                continue
            names = [column_of(c, version, label) for c in place["Tuple"]]
            if len(names) == 1:
                pairs.append((names, _only(value)))
            elif isinstance(value, dict) and "Tuple" in value and len(value["Tuple"]) == len(names):
                pairs += [([n], v) for n, v in zip(names, value["Tuple"], strict=True)]
            else:
                pairs.append((names, _several(value, len(names), engine)))
        columns = [name for names, _ in pairs for name in names]
        for name in columns:
            if columns.count(name) > 1:
                raise UsageError(f"SET gives `{name}` two values")
        for _, value in pairs:
            refuse_aggregates(value, engine, "SET")
        values = [version.definition.value_of(names[0], value) for names, value in pairs]
        return cls(tuple(columns), tuple(values), tuple(len(names) for names, _ in pairs))

    def items(self, prefix: str) -> list[Tree]:
        """The expressions as select items, named by their place."""
        return [query.item(e, f"{prefix}{i}") for i, e in enumerate(self.expressions)]

    def onto(self, old: pa.RecordBatch, values: Sequence[pa.Array], version: Version, engine: Engine) -> pa.RecordBatch:
        """The rows ``old`` with the assigned columns replaced by what ``expressions`` gave, cast, NULLs refused."""
        pairs = zip(values, self.widths, strict=True)
        arrays = [array for value, width in pairs for array in (_fields(value) if width > 1 else [value])]
        new = dict(zip(self.columns, arrays, strict=True))
        arrays = [new.get(n, old.column(i)) for i, n in enumerate(version.definition.names)]
        loose = pa.RecordBatch.from_arrays(arrays, names=list(version.definition.names))
        return arrange(loose, version, engine.store)


def _only(value: Tree) -> Tree:
    """The value of ``SET (a) = ...``: a row of one value is that value."""
    if isinstance(value, dict) and len(value.get("Tuple") or ()) == 1:
        return value["Tuple"][0]
    call = value.get("Function") if isinstance(value, dict) else None
    args: list[Tree] = call["args"]["List"]["args"] if call is not None and name_of(call["name"]) == ("row",) else []
    return args[0]["Unnamed"]["Expr"] if len(args) == 1 else value


def _several(value: Tree, width: int, engine: Engine) -> Tree:
    """``(SELECT a, b ...)`` as ``(SELECT struct(a, b) ...)``, so that all values are of one row of it.

    The engine plans a subquery about a row of the table only where it gives one row for sure: where nothing says so,
    it gives a list of its rows, which are counted when they are there.

    Raises:
        UnsupportedError: it is something else, or does not name as many columns.
    """
    inner = value.get("Subquery") if isinstance(value, dict) else None
    select = inner["body"].get("Select") if inner else None
    items = select["projection"] if select else []
    expressions = [i.get("UnnamedExpr") or i.get("ExprWithAlias", {}).get("expr") for i in items]
    if inner is None or select is None or width < 2 or len(expressions) != width or None in expressions:
        raise UnsupportedError(
            f"SET of {width} columns needs as many values on the right: (1, 2), or (SELECT a, b FROM ...)",
            hint="SET a = ..., b = ... says the same.",
        )
    row = query.struct(expressions)
    plain = not (inner["limit_clause"] or inner["fetch"] or select["distinct"] or select["having"])
    if plain and not any(select["group_by"].get("Expressions", [True])) and not aggregated(items, engine):
        row, inner = query.array_agg(row), {**inner, "order_by": None}
    body = {"Select": {**select, "projection": [query.item(row, "__values__")]}}
    return {"Subquery": {**inner, "body": body}}


def _fields(values: pa.Array) -> list[pa.Array]:
    """The columns of what a subquery of :func:`_several` gave.

    Raises:
        UsageError: it gave more than one row for a row of the table.
    """
    if pa.types.is_struct(values.type):
        return list(values.flatten())
    if (pc.max(pc.list_value_length(values)).as_py() or 0) > 1:
        raise UsageError("a subquery used as a value returned more than one row", hint="Add LIMIT 1, or aggregate.")
    filled = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False) == 1
    places = np.cumsum(filled) - 1
    return list(pc.list_flatten(values).take(pa.array(places, mask=~filled)).flatten())


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
