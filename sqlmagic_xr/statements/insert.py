"""INSERT: a query, brought to the table's shape, checked and appended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datafusion import SessionContext

from ..errors import SqlError, UnsupportedError, UsageError
from ..sql import build as query
from ..sql.exact import exact, is_long
from ..sql.literals import values_of_literals
from ..sql.parsing import LITERALS, written_out
from ..sql.syntax import Statement, Tree, identifier, replace_branches, span_of, walk
from ..storage.rows import arrange
from ..storage.scratch import Version, single_batch
from ..storage.transaction import Entries
from .change import TableChange, column_of, refuse
from .conflict import OnConflict
from .effect import Effect, Engine, counted, target
from .expressions import SUBQUERIES
from .returning import returning


def insert(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """INSERT INTO name [(columns)] rows [ON CONFLICT ...] [RETURNING ...], or INSERT OVERWRITE name rows."""
    body = tree["Insert"]
    with engine.store.writing(statement.text) as work:
        version, label = _target(body, work.entries, engine)
        on_conflict = OnConflict.read(body["on"], version, label, engine) if body["on"] else None
        batch = _rows(body, version, engine, ctes)
        if body["overwrite"]:
            change = TableChange(removed=np.arange(version.rows, dtype=np.int64), added=batch)
        elif on_conflict is not None:
            change = on_conflict.resolve(batch, version, label, engine, ctes)
        else:
            change = TableChange(added=batch)
        change.apply(version, work, engine)
        new = [b for b in (change.added, change.values) if b is not None]
        affected = pa.concat_batches(new) if len(new) > 1 else new[0]
        answer = returning(body["returning"], [(label, affected)], engine, ctes)
        parts = [counted(len(change.updated), "updated")] if len(change.updated) else []
        if change.added is not None and (change.added.num_rows or not parts):
            parts.insert(0, counted(change.added.num_rows, "inserted"))
        if on_conflict is not None and affected.num_rows < batch.num_rows:
            parts.append(counted(batch.num_rows - affected.num_rows, "left out"))
        return Effect(f"{version.name}: {', '.join(parts)}", affected.num_rows, answer)


def insert_question(tree: Tree, entries: Entries, engine: Engine, ctes: Tree | None) -> tuple[Tree, dict[str, Any]]:
    """The query that an INSERT runs, and what it reads besides."""
    body = tree["Insert"]
    version, _ = _target(body, entries, engine)
    if body["source"] is None:
        return _one_default_row(version), {}
    question = _source(body, _columns(body, version), version, ctes)
    return query.union_all(_row_by_row(question)) if _has_subquery(question) else question, {}


def _target(body: Tree, entries: Entries, engine: Engine) -> tuple[Version, str]:
    if "TableName" not in body["table"]:
        raise UnsupportedError("INSERT INTO FUNCTION is not offered")
    options = (
        "or",
        "ignore",
        "replace_into",
        "partitioned",
        "after_columns",
        "assignments",
        "insert_alias",
        "priority",
    )
    refuse(body, options, "INSERT")
    version = target(body["table"]["TableName"], entries, engine, "INSERT into")
    return version, identifier(body["table_alias"]) if body["table_alias"] else version.name


def _rows(body: Tree, version: Version, engine: Engine, ctes: Tree | None) -> pa.RecordBatch:
    """The rows that the statement gives, arranged."""
    if body["source"] is None:
        return arrange(single_batch(engine.rows_of(_one_default_row(version))), version, engine.store)
    names = _columns(body, version)
    literal = _literals(body, names, version, engine)
    if literal is not None:
        return arrange(literal, version, engine.store)
    body = written_out({"Insert": body})["Insert"]
    question = _source(body, names, version, ctes)
    if _has_large_number(question) or _has_subquery(question):
        rows = [_arranged(engine.rows_of(one), names, body, version, engine) for one in _row_by_row(question)]
        return pa.concat_batches(rows)
    return _arranged(engine.rows_of(question), names, body, version, engine)


_ARROW = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_(), "null": pa.null()}
"""What the engine takes literals for."""


def _literals(body: Tree, names: list[str], version: Version, engine: Engine) -> dict[str, pa.Array] | None:
    """The rows of a VALUES of literals that was read off the text, column by column; None where the engine is asked."""
    rows = body["source"]["body"].get("Values", {}).get(LITERALS)
    columns = None if rows is None else rows.columns
    if columns is None or len(columns) != len(names):
        return None
    decimals = version.definition.decimals
    if decimals and any(n in decimals and any(map(is_long, c)) for n, c in zip(names, columns, strict=True)):
        return None  # a float has not all their digits
    found = [values_of_literals(column) for column in columns]
    if not all(found) or (any(f and f[0] == "float" for f in found) and not _reads_floats(engine)):
        return None
    return {name: pa.array(f[1], _ARROW[f[0]]) for name, f in zip(names, found, strict=True) if f is not None}


def _reads_floats(engine: Engine) -> bool:
    """Whether 0.5 is a float, which a setting can make a decimal."""
    return bool(SessionContext.sql(engine.session, "SELECT 0.5").schema().field(0).type == pa.float64())


def _arranged(rows: pa.Table, names: list[str], body: Tree, version: Version, engine: Engine) -> pa.RecordBatch:
    if rows.num_columns != len(names):
        raise _wrong_count(rows.num_columns, names, version, body["source"])
    return arrange(single_batch(rows.rename_columns(names)), version, engine.store)


def _source(body: Tree, names: list[str], version: Version, ctes: Tree | None) -> Tree:
    """The query that gives the rows."""
    source = body["source"]
    if "Values" in source["body"]:
        source = _with_defaults(source, names, version)
    body = _labelled(source["body"])
    if version.definition.decimals:
        decimal = [name in version.definition.decimals for name in names]
        body = replace_branches(body, lambda branch: _exact(branch, decimal))
    return {"Query": {**source, "with": query.with_both(ctes, source["with"]), "body": body}}


def _exact(body: Tree, decimal: list[bool]) -> Tree:
    """VALUES or a SELECT with the numbers for decimal columns as they are written; see :func:`..sql.exact.exact`."""
    if "Values" in body:
        values = body["Values"]
        columns = list(zip(*values["rows"], strict=True))
        new = [_exact_column(column) if d else column for column, d in zip(columns, decimal, strict=True)]
        return {"Values": {**values, "rows": [list(row) for row in zip(*new, strict=True)]}}
    if "Select" not in body:
        return body
    items = body["Select"]["projection"]
    if len(items) != len(decimal):  # a star, whose columns are nobody's literals, or a mistake
        return body
    items = [
        query.item(exact(item["ExprWithAlias"]["expr"]), identifier(item["ExprWithAlias"]["alias"]))
        if d and "ExprWithAlias" in item else item
        for item, d in zip(items, decimal, strict=True)
    ]  # fmt: skip
    return {"Select": {**body["Select"], "projection": items}}


def _exact_column(column: Sequence[Tree]) -> list[Tree]:
    """The values of a column, which the engine gives one type: a decimal beside a float would be one."""
    long = any(exact(value) is not value for value in column)
    return [exact(value, short=True) for value in column] if long else list(column)


def _labelled(body: Tree) -> Tree:
    """A query's body whose unnamed columns have names, since DataFusion refuses two of one name (``SELECT 1, 1``)."""
    return replace_branches(body, _labelled_select)


def _labelled_select(body: Tree) -> Tree:
    if "Select" not in body:
        return body
    items = [
        query.item(item["UnnamedExpr"], f"__{place}") if "UnnamedExpr" in item else item
        for place, item in enumerate(body["Select"]["projection"])
    ]
    return {"Select": {**body["Select"], "projection": items}}


def _columns(body: Tree, version: Version) -> list[str]:
    """The columns that the statement fills, in its order."""
    if not body["columns"]:
        return list(version.definition.names)
    names: list[str] = []
    for node in body["columns"]:
        name = column_of([node] if "value" in node else node, version, version.name)
        if name in names:
            error = UsageError(f"column `{name}` stands twice")
            error.span = span_of(node)
            raise error
        names.append(name)
    return names


def _has_large_number(question: Tree) -> bool:
    """Whether VALUES of several rows holds a whole number that a float has no place for.

    The engine gives each column of VALUES one type: (9007199254740993), (2.0) would become floats, and the first of
    them another number. Such rows are asked for one by one.
    """
    values = question["Query"]["body"].get("Values")
    if values is None or len(values["rows"]) < 2:
        return False
    numbers = (node["Number"][0] for row in values["rows"] for node in walk(row) if "Number" in node)
    return any(text.isdecimal() and int(text) > 2**53 for text in numbers)


def _has_subquery(question: Tree) -> bool:
    """Whether a row of VALUES holds a subquery, which the engine plans in a SELECT alone."""
    values = question["Query"]["body"].get("Values")
    return values is not None and any(SUBQUERIES & set(node) for row in values["rows"] for node in walk(row))


def _row_by_row(question: Tree) -> list[Tree]:
    """Each row of VALUES as a query of its own.

    Raises:
        UnsupportedError: ORDER BY or LIMIT takes some of them.
    """
    body = question["Query"]
    refuse(body, ("order_by", "limit_clause", "fetch"), "INSERT ... VALUES")
    rows = body["body"]["Values"]["rows"]
    return [
        query.select([query.item(value, f"__{i}") for i, value in enumerate(row)], ctes=body["with"]) for row in rows
    ]


def _with_defaults(source: Tree, names: list[str], version: Version) -> Tree:
    """VALUES in which the word DEFAULT is the column's default expression."""
    values = source["body"]["Values"]
    rows = []
    for row in values["rows"]:
        if len(row) != len(names):
            raise _wrong_count(len(row), names, version, None)
        pairs = zip(row, names, strict=True)
        rows.append([version.definition.default_of(n) if query.is_default(v) else v for v, n in pairs])
    return {**source, "body": {"Values": {**values, "rows": rows}}}


def _one_default_row(version: Version) -> Tree:
    definition = version.definition
    return query.select([query.item(v, n) for v, n in zip(definition.default_values, definition.names, strict=True)])


def _wrong_count(given: int, names: list[str], version: Version, where: Tree | None) -> SqlError:
    error = UsageError(
        f"{given} value{'' if given == 1 else 's'} for {len(names)} column{'' if len(names) == 1 else 's'} "
        f"of `{version.name}`: {', '.join(names)}"
    )
    if where is not None:  # rows of VALUES stand where they were read again, and not in the user's text
        error.span = span_of(where)
    return error
