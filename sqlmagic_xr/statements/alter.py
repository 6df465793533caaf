"""ALTER TABLE: columns and constraints come, go and change their names; each statement is one version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from datafusion import SessionContext

from ..errors import ConstraintError, UnknownNameError, UnsupportedError, UsageError, suggest
from ..sql import build as query
from ..sql.syntax import Statement, Tree, expression_sql, identifier, transform, walk
from ..storage.chunk import Chunk
from ..storage.constraints import check
from ..storage.definition import ColumnDefinition, Definition
from ..storage.rows import defaults
from ..storage.scratch import Version
from ..storage.transaction import View, Work
from .ddl import Constraints, check_default, declared_column
from .effect import Effect, Engine, free_name, target


def alter_table(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """ALTER TABLE [IF EXISTS] name operation, ..."""
    body = tree["AlterTable"]
    with engine.store.writing(statement.text) as work:
        if body["if_exists"] and query.name(body["name"]) not in work.entries:
            return Effect("nothing to alter")
        name = target(body["name"], work.entries, engine, "ALTER").name
        for operation in body["operations"]:
            kind, value = next(iter(operation.items()))
            run = _OPERATIONS.get(kind)
            if run is None:
                raise UnsupportedError(f"ALTER TABLE ... {_spaced(kind)} is not offered")
            name = run(name, value, work, engine)
        _refuse_broken_views(work, engine)
        return Effect(f"{name}: altered")


def _add_column(name: str, value: Tree, work: Work, engine: Engine) -> str:
    version = work.table(name)
    definition = version.definition
    node = value["column_def"]
    label = identifier(node["name"])
    if label in definition.names:
        if value["if_not_exists"]:
            return name
        raise UsageError(f"`{name}` has a column `{label}` already")
    found = Constraints(name, definition)
    column = declared_column(node, name, found, engine)
    new = found.complete([*definition.columns, column], engine)
    chunks = []
    for chunk in version.chunks:
        extra = defaults(column, chunk.rows, name, engine.store)
        chunks.append(_chunk([*chunk.batch.columns, extra], new, name))
    return _checked(name, version.replaced(new, chunks), work, engine)


def _drop_column(name: str, value: Tree, work: Work, engine: Engine) -> str:
    for node in value["column_names"]:
        version = work.table(name)
        definition = version.definition
        label = identifier(node)
        if label not in definition.names and value["if_exists"]:
            continue
        place = definition.index(label, name)
        if len(definition.columns) == 1:
            raise UsageError(f"`{label}` is the only column of `{name}`", hint=f"DROP TABLE {name}")
        new = Definition(
            tuple(c for c in definition.columns if c.name != label),
            tuple(u for u in definition.uniques if label not in u.columns),
            tuple(c for c in definition.checks if label not in _names(c.condition)),
        )
        chunks = [_chunk([a for i, a in enumerate(c.batch.columns) if i != place], new, name) for c in version.chunks]
        _put(name, version.replaced(new, chunks), work)
    return name


def _rename_column(name: str, value: Tree, work: Work, engine: Engine) -> str:
    version = work.table(name)
    definition = version.definition
    old, label = identifier(value["old_column_name"]), identifier(value["new_column_name"])
    place = definition.index(old, name)
    if label in definition.names:
        raise UsageError(f"`{name}` has a column `{label}` already")
    columns = list(definition.columns)
    columns[place] = replace(columns[place], name=label)
    conditions = [_renamed(c.condition, old, label) for c in definition.checks]
    new = Definition(
        tuple(columns),
        tuple(replace(u, columns=tuple(label if c == old else c for c in u.columns)) for u in definition.uniques),
        tuple(
            replace(c, condition=tree, text=expression_sql(tree))
            for c, tree in zip(definition.checks, conditions, strict=True)
        ),
    )
    _put(name, version.replaced(new, [_chunk(c.batch.columns, new, name) for c in version.chunks]), work)
    return name


def _rename_table(name: str, value: Tree, work: Work, engine: Engine) -> str:
    parts = next(iter(value["table_name"].values()))
    new = free_name(parts, work.entries, engine, Version)
    if new in work.entries:
        raise UsageError(f"`{new}` exists already")
    work.rename(name, new)
    return new


def _add_constraint(name: str, value: Tree, work: Work, engine: Engine) -> str:
    version = work.table(name)
    found = Constraints(name, version.definition)
    found.add_table_constraint(value["constraint"])
    new = found.complete(list(version.definition.columns), engine)
    chunks = [_chunk(c.batch.columns, new, name) for c in version.chunks]
    return _checked(name, version.replaced(new, chunks), work, engine)


def _drop_constraint(name: str, value: Tree, work: Work, engine: Engine) -> str:
    definition = work.table(name).definition
    label = identifier(value["name"])
    names = [u.name for u in definition.uniques] + [c.name for c in definition.checks]
    if label not in names:
        if value.get("if_exists"):
            return name
        raise UnknownNameError(f"`{name}` has no constraint `{label}`", hint=suggest(label, names))
    new = replace(
        definition,
        uniques=tuple(u for u in definition.uniques if u.name != label),
        checks=tuple(c for c in definition.checks if c.name != label),
    )
    version = work.table(name)
    _put(name, version.replaced(new, version.chunks), work)
    return name


def _alter_column(name: str, value: Tree, work: Work, engine: Engine) -> str:
    version = work.table(name)
    definition = version.definition
    place = definition.index(identifier(value["column_name"]), name)
    column = _altered(definition.columns[place], value["op"], name, definition)
    check_default(column, name, engine)
    columns = (*definition.columns[:place], column, *definition.columns[place + 1 :])
    new = replace(definition, columns=columns)
    chunks = [_chunk(c.batch.columns, new, name) for c in version.chunks]
    _put(name, version.replaced(new, chunks), work)
    return name


def _altered(column: ColumnDefinition, operation: Tree, table: str, definition: Definition) -> ColumnDefinition:
    kind = operation if isinstance(operation, str) else next(iter(operation))
    if kind == "SetNotNull":
        return replace(column, nullable=False)
    if kind == "DropNotNull":
        if column.name in definition.key:
            raise UsageError(f"`{column.name}` is in the primary key of `{table}` and cannot be NULL")
        return replace(column, nullable=True)
    if kind == "SetDefault":
        return replace(column, default=operation[kind]["value"])
    if kind == "DropDefault":
        return replace(column, default=None)
    raise UnsupportedError(
        f"ALTER COLUMN ... {_spaced(kind)} is not offered",
        hint=f"CREATE OR REPLACE TABLE {table} AS SELECT ... changes a type.",
    )


_OPERATIONS: dict[str, Callable[[str, Tree, Work, Engine], str]] = {
    "AddColumn": _add_column,
    "DropColumn": _drop_column,
    "RenameColumn": _rename_column,
    "RenameTable": _rename_table,
    "AddConstraint": _add_constraint,
    "DropConstraint": _drop_constraint,
    "AlterColumn": _alter_column,
}


def _chunk(arrays: Sequence[pa.Array], definition: Definition, table: str) -> Chunk:
    """A chunk of another shape.

    Raises:
        ConstraintError: a column that is NOT NULL now holds a NULL.
    """
    for column, values in zip(definition.columns, arrays, strict=True):
        if not column.nullable and values.null_count:
            raise ConstraintError(
                f"`{table}.{column.name}` holds NULL and cannot be NOT NULL",
                hint="Give it a DEFAULT, or UPDATE it first.",
            )
    return Chunk(pa.RecordBatch.from_arrays(list(arrays), schema=definition.schema))


def _checked(name: str, version: Version, work: Work, engine: Engine) -> str:
    """Put a version whose constraints are new after a check of all of its rows."""
    empty = version.replaced(version.definition, ())
    rows = version.take(np.arange(version.rows, dtype=np.int64))
    check(Chunk(rows), empty, engine.store)
    _put(name, version, work)
    return name


def _put(name: str, version: Version, work: Work) -> None:
    work.put(name, version, 0, 0)


def _names(expression: Tree) -> set[str]:
    """The column names in an expression, without their qualifiers."""
    found = set()
    for node in walk(expression):
        if "Identifier" in node and isinstance(node["Identifier"], dict):
            found.add(identifier(node["Identifier"]))
        if "CompoundIdentifier" in node:
            found.add(identifier(node["CompoundIdentifier"][-1]))
    return found


def _renamed(expression: Tree, old: str, new: str) -> Tree:
    def change(node: dict[str, Any]) -> Tree | None:
        if set(node) == {"Identifier"} and identifier(node["Identifier"]) == old:
            return query.column(new)
        if set(node) == {"CompoundIdentifier"} and identifier(node["CompoundIdentifier"][-1]) == old:
            qualifier = [identifier(n) for n in node["CompoundIdentifier"][:-1]]
            return query.column(*qualifier, new)
        return None

    return transform(expression, change)


def _refuse_broken_views(work: Work, engine: Engine) -> None:
    """Refuse to leave a view that can no longer be planned."""
    for view in work.entries.values():
        if isinstance(view, View):
            try:
                with engine.store.schema.planned(work.entries, [view.name]):
                    SessionContext.sql(engine.session, f"SELECT * FROM {query.quoted(view.name)}")
            except Exception as error:
                raise UsageError(
                    f"the view `{view.name}` would be left without what it reads",
                    hint=f"DROP VIEW {view.name} first, or CREATE OR REPLACE it after.",
                ) from error


def _spaced(kind: str) -> str:
    """``AddPartitions`` as ``ADD PARTITIONS``."""
    return "".join(f" {c}" if c.isupper() else c for c in kind).strip().upper()
