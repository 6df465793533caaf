"""CREATE TABLE and CREATE VIEW."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pyarrow as pa
from datafusion import SessionContext

from ..errors import (
    TypeMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
    suggest,
)
from ..sql import build as query
from ..sql.reads import tables_read
from ..sql.syntax import (
    Statement,
    Tree,
    expression_sql,
    identifier,
    local_name,
    name_of,
    parse_one,
    span_of,
    to_sql,
    transform,
)
from ..storage.chunk import Chunk
from ..storage.constraints import check
from ..storage.definition import Check, ColumnDefinition, Definition, Unique, sql_name, stored
from ..storage.fetch import coerced
from ..storage.rows import arrange, fit
from ..storage.schema import provider
from ..storage.scratch import Version, single_batch
from ..storage.transaction import Entries, View
from .effect import Effect, Engine, counted, free_name
from .expressions import refuse_aggregates, refuse_subqueries


def create_table(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name (columns, constraints) [AS query]."""
    body = tree["CreateTable"]
    _refuse(body, ("external", "dynamic", "like", "clone", "partition_by", "inherits"), "CREATE TABLE")
    with engine.store.writing(statement.text) as work:
        name = free_name(body["name"], work.entries, engine, Version)
        existing = work.entries.get(name)
        if existing is not None and body["if_not_exists"]:
            return Effect(f"{name}: exists already, nothing was done")
        if existing is not None and not body["or_replace"]:
            raise UsageError(
                f"`{name}` exists already", hint="CREATE OR REPLACE TABLE replaces it; DROP TABLE removes it."
            )
        replacing = existing if isinstance(existing, Version) else None
        rows = _rows(body, engine) if body["query"] is not None else None
        definition = _definition(name, body, rows, engine)
        version = work.create(name, definition, replacing=replacing)
        if rows is None:
            return Effect(f"{name}: table {'replaced' if replacing else 'created'}")
        batch = Chunk(_arranged(rows, version, engine))
        check(batch, version, engine.store)
        return Effect(f"{name}: table created, {counted(work.append(name, batch), 'inserted')}", batch.rows)


def _rows(body: Tree, engine: Engine) -> pa.Table:
    """The rows of CREATE TABLE ... AS; values that have no type in common take the declared ones."""
    try:
        return engine.rows_of({"Query": body["query"]})
    except Exception as error:
        typed = _typed(body) if "Inconsistent data type across values list" in str(error) else None
        if typed is None:
            raise
    return engine.rows_of({"Query": typed})


def _typed(body: Tree) -> Tree | None:
    """``VALUES`` whose values are cast to the declared columns' types; None where there are other or no columns."""
    values = body["query"]["body"].get("Values")
    kinds = [column["data_type"] for column in body["columns"]]
    if values is None or any(len(row) != len(kinds) for row in values["rows"]):
        return None
    rows = [[query.cast(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in values["rows"]]
    return {**body["query"], "body": {"Values": {**values, "rows": rows}}}


def _arranged(rows: pa.Table, version: Version, engine: Engine) -> pa.RecordBatch:
    columns = version.definition.columns
    if rows.num_columns != len(columns):
        raise UsageError(f"the query gives {rows.num_columns} columns for the {len(columns)} of `{version.name}`")
    return arrange(single_batch(rows.rename_columns([c.name for c in columns])), version, engine.store)


def _definition(name: str, body: Tree, rows: pa.Table | None, engine: Engine) -> Definition:
    """The definition that a CREATE TABLE gives, or the query's own columns where it gives none."""
    found = Constraints(name)
    columns = [declared_column(c, name, found, engine) for c in body["columns"]]
    if not columns and rows is not None:
        columns = [ColumnDefinition(f.name, stored(f.type), sql_name(stored(f.type))) for f in rows.schema]
    if not columns:
        raise UsageError(f"`{name}` has no columns", hint="CREATE TABLE name (column TYPE, ...) or ... AS SELECT.")
    for constraint in body["constraints"]:
        found.add_table_constraint(constraint)
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise UsageError(f"`{name}` has two columns named `{column.name}`")
        seen.add(column.name)
    return found.complete(columns, engine)


def declared_column(node: Tree, table: str, found: Constraints, engine: Engine) -> ColumnDefinition:
    """A column as it is declared; its constraints go into ``found``."""
    name = identifier(node["name"])
    text = _type_text(node["data_type"])
    kind = _kind(text, table, name, engine)
    nullable, default = True, None
    for option in node["options"]:
        what = option["option"]
        label = identifier(option["name"]) if option["name"] else None
        word = what if isinstance(what, str) else str(next(iter(what)))
        value: Tree = None if isinstance(what, str) else what[word]
        if word == "NotNull":
            nullable = False
        elif word == "Default":
            default = value
        elif word in ("PrimaryKey", "Unique"):
            found.unique(word, [name], label)
        elif word == "Check":
            found.check(value["expr"], label, column=name)
        elif word not in ("Null", "Comment"):
            raise UnsupportedError(f"`{table}.{name}`: a column cannot have the option {word}")
    column = ColumnDefinition(name, stored(kind), text, nullable, default, _length(node["data_type"]))
    check_default(column, table, engine)
    return column


def check_default(column: ColumnDefinition, table: str, engine: Engine) -> None:
    """Evaluate a column's DEFAULT once, so that one that cannot be is refused where it is declared.

    Raises:
        TypeMismatchError, UsageError, UnsupportedError: it fails, does not fit, or needs other rows.
    """
    if column.default is None:
        return
    refuse_aggregates(column.default, engine, "DEFAULT")
    refuse_subqueries(column.default, "DEFAULT")
    try:
        # Without a FROM, so that it can name no column.
        asked = to_sql(query.select([query.item(column.default, "v")]))
        one = single_batch(SessionContext.sql(engine.session, asked).to_arrow_table())
    except Exception as error:
        raise TypeMismatchError(
            f"the DEFAULT of `{table}.{column.name}` cannot be evaluated: {expression_sql(column.default)}",
            hint=_first_line(error),
        ) from error
    fit(one.column(0), column, table)


def _kind(text: str, table: str, column: str, engine: Engine) -> pa.DataType:
    """The Arrow type that DataFusion gives a declared type."""
    try:
        # What TIMESTAMP WITH TIME ZONE is depends on a setting.
        return _planned_type(text, engine.session) if "TIME" in text.upper() else _known_type(text)
    except Exception as error:
        raise UnsupportedError(f"`{table}.{column}`: there is no type {text}", hint=_first_line(error)) from error


@cache
def _known_type(text: str) -> pa.DataType:
    return _planned_type(text, SessionContext())


def _planned_type(text: str, session: SessionContext) -> pa.DataType:
    return SessionContext.sql(session, f"SELECT CAST(NULL AS {text})").schema().field(0).type


def _type_text(data_type: Tree) -> str:
    text = expression_sql(query.cast(query.null(), data_type))
    return text.removeprefix("CAST(NULL AS ").removesuffix(")")


def _length(data_type: Tree) -> int | None:
    """The n of VARCHAR(n) and its like."""
    if isinstance(data_type, dict):
        word, value = next(iter(data_type.items()))
        if "char" in word.lower() and isinstance(value, dict) and "IntegerLength" in value:
            return int(value["IntegerLength"]["length"])
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


class Constraints:
    """The constraints of a table, gathered while its columns are read."""

    def __init__(self, table: str, definition: Definition | None = None) -> None:
        self.table = table
        self.uniques: list[Unique] = list(definition.uniques) if definition is not None else []
        self.checks: list[Check] = list(definition.checks) if definition is not None else []

    def unique(self, kind: str, columns: list[str], name: str | None) -> None:
        """PRIMARY KEY or UNIQUE over these columns."""
        primary = kind == "PrimaryKey"
        if primary and any(u.kind == "PRIMARY KEY" for u in self.uniques):
            raise UsageError(
                f"`{self.table}` has two primary keys", hint="PRIMARY KEY (a, b) makes one of two columns."
            )
        for column in columns:
            if columns.count(column) > 1:
                raise UsageError(f"`{column}` stands twice in a key of `{self.table}`")
        usual = f"{self.table}_pkey" if primary else "_".join([self.table, *columns, "key"])
        label = name or self._free(usual)
        self.uniques.append(Unique(label, "PRIMARY KEY" if primary else "UNIQUE", tuple(columns)))

    def check(self, condition: Tree, name: str | None, column: str | None = None) -> None:
        """CHECK (condition)."""
        usual = "_".join(n for n in (self.table, column, "check") if n)
        # Without the table's name in it the condition outlives a RENAME.
        condition = transform(condition, self._unqualified)
        self.checks.append(Check(name or self._free(usual), condition, expression_sql(condition)))

    def add_table_constraint(self, node: Tree) -> None:
        """A constraint that stands among the columns."""
        kind, value = next(iter(node.items()))
        name = identifier(value["name"]) if value.get("name") else None
        if kind in ("PrimaryKey", "Unique"):
            self.unique(kind, [self._key_column(c) for c in value["columns"]], name)
        elif kind == "Check":
            self.check(value["expr"], name)
        else:
            raise UnsupportedError(f"`{self.table}`: a table cannot have the constraint {kind}")

    def complete(self, columns: list[ColumnDefinition], engine: Engine) -> Definition:
        """The definition; the columns of a PRIMARY KEY become NOT NULL.

        Raises:
            UnknownNameError: a constraint names a column that is not there.
            UsageError: two constraints have one name.
            TypeMismatchError: a CHECK is no condition.
        """
        names = [c.name for c in columns]
        labels = self._labels()
        for label in labels:
            if labels.count(label) > 1:
                raise UsageError(f"`{self.table}` has two constraints named `{label}`")
        for unique in self.uniques:
            for column in unique.columns:
                if column not in names:
                    raise UnknownNameError(f"`{self.table}` has no column `{column}`", hint=suggest(column, names))
        key = next((u.columns for u in self.uniques if u.kind == "PRIMARY KEY"), ())
        columns = [
            ColumnDefinition(c.name, c.type, c.sql_type, c.nullable and c.name not in key, c.default, c.length)
            for c in columns
        ]
        definition = Definition(tuple(columns), tuple(self.uniques), tuple(self.checks))
        for constraint in self.checks:
            _check_condition(constraint, self.table, definition, engine)
        return definition

    def _unqualified(self, node: dict[str, Any]) -> Tree | None:
        parts = node.get("CompoundIdentifier")
        if parts is None or len(parts) != 2 or identifier(parts[0]) != self.table:
            return None
        return {"Identifier": parts[1]}

    def _labels(self) -> list[str]:
        return [u.name for u in self.uniques] + [c.name for c in self.checks]

    def _free(self, label: str) -> str:
        taken = self._labels()
        number, found = 0, label
        while found in taken:
            number += 1
            found = f"{label}{number}"
        return found

    def _key_column(self, node: Tree) -> str:
        expression = node["column"]["expr"]
        if "Identifier" not in expression:
            raise UnsupportedError(f"a key of `{self.table}` can only be made of columns")
        return identifier(expression["Identifier"])


def _check_condition(constraint: Check, table: str, definition: Definition, engine: Engine) -> None:
    refuse_aggregates(constraint.condition, engine, "CHECK")
    refuse_subqueries(constraint.condition, "CHECK")
    rows = {table: provider([], definition.schema)}
    try:
        tree = query.select([query.item(constraint.condition, "v")], [query.table(table)])
        with engine.store.showing(rows):
            text = to_sql(tree)
            kind = coerced(SessionContext.sql(engine.session, text)).field(0).type
    except Exception as error:
        raise UsageError(
            f"CHECK ({constraint.text}) of `{table}` cannot be evaluated on a row", hint=_first_line(error)
        ) from error
    if not (pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise TypeMismatchError(f"CHECK ({constraint.text}) of `{table}` is no condition: its type is {kind}")


def create_view(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(columns)] AS query."""
    body = tree["CreateView"]
    _refuse(body, ("materialized",), "CREATE VIEW")
    with engine.store.writing(statement.text) as work:
        name = free_name(body["name"], work.entries, engine, View)
        if name in work.entries and body.get("if_not_exists"):
            return Effect(f"{name}: exists already, nothing was done")
        if name in work.entries and not body["or_replace"]:
            raise UsageError(f"`{name}` exists already", hint="CREATE OR REPLACE VIEW replaces it.")
        view = _view(name, body)
        _refuse_cycle(view, work.entries)
        work.view(view)
        with engine.store.schema.planned(work.entries, [name]):
            frame = SessionContext.sql(engine.session, f"SELECT * FROM {query.quoted(name)}")
        names = frame.schema().names
        for column in names:
            if names.count(column) > 1:
                raise UsageError(f"the view `{name}` has two columns named `{column}`")
        return Effect(f"{name}: view created")


def _view(name: str, body: Tree) -> View:
    inner = {"Query": body["query"]}
    columns = [identifier(c["name"]) for c in body["columns"]]
    reads = {local_name(name_of(parts)) for parts in tables_read(inner)}
    if columns:
        listed = ", ".join(query.quoted(c) for c in columns)
        inner = parse_one(f"SELECT * FROM ({to_sql(inner)}) AS {query.quoted(name)} ({listed})").tree
    return View(name, inner, to_sql(inner), tuple(sorted(reads)))


def _refuse_cycle(view: View, entries: Entries) -> None:
    """Refuse a view that reads itself, or another view that reads it."""
    todo, seen = list(view.reads), {view.name}
    while todo:
        name = todo.pop()
        if name == (view.name,):
            own = [parts for parts in tables_read(view.query) if local_name(name_of(parts)) == name]
            raise UsageError(f"the view `{view.name}` would read itself", span=span_of(own[0]) if own else None)
        entry = entries.get(name[0]) if len(name) == 1 else None
        if isinstance(entry, View) and entry.name not in seen:
            seen.add(entry.name)
            todo += entry.reads


def _refuse(body: dict[str, Any], options: Iterable[str], statement: str) -> None:
    for option in options:
        if body.get(option):
            raise UnsupportedError(f"{statement} with {option.upper().replace('_', ' ')} is not offered")
