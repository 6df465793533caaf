"""INSERT: a query, brought to the table's shape, checked and appended."""

from __future__ import annotations

import pyarrow as pa

from ..errors import SqlError, UnsupportedError, UsageError
from ..sql.syntax import Statement, Tree, identifier, span_of
from . import query
from .effect import Effect, Engine, counted, target
from .rows import arrange, check
from .scratch import Version, single_batch


def insert(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """INSERT INTO name [(columns)] VALUES ... | query | DEFAULT VALUES."""
    body = tree["Insert"]
    if "TableName" not in body["table"]:
        raise UnsupportedError("INSERT INTO FUNCTION is not offered")
    with engine.store.writing(statement.text) as work:
        version = target(body["table"]["TableName"], work.entries, engine, "INSERT into")
        batch = _rows(body, version, engine, ctes)
        check(batch, version, engine.store)
        work.append(version.name, batch)
        return Effect(f"{version.name}: {counted(batch.num_rows, 'inserted')}", batch.num_rows)


def _rows(body: Tree, version: Version, engine: Engine, ctes: Tree | None) -> pa.RecordBatch:
    """The rows that the statement gives, arranged."""
    names = _columns(body, version)
    source = body["source"]
    if source is None:
        return arrange(_one_default_row(version, engine), version, engine.store)
    if "Values" in source["body"]:
        source = _with_defaults(source, names, version)
    source = {**source, "with": query.with_both(ctes, source["with"]), "body": _labelled(source["body"])}
    rows = engine.query({"Query": source})
    if rows.num_columns != len(names):
        raise _wrong_count(rows.num_columns, names, version, source)
    return arrange(single_batch(rows.rename_columns(names)), version, engine.store)


def _labelled(body: Tree) -> Tree:
    """A query's body whose unnamed columns have names, since DataFusion refuses two of one name (``SELECT 1, 1``)."""
    if "SetOperation" in body:
        sides = {side: _labelled(body["SetOperation"][side]) for side in ("left", "right")}
        return {"SetOperation": {**body["SetOperation"], **sides}}
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
        name = identifier(node) if "value" in node else identifier(node[-1]["Identifier"])
        try:
            version.definition.index(name, version.name)
            if name in names:
                raise UsageError(f"column `{name}` stands twice")
        except SqlError as error:
            error.span = span_of(node)
            raise
        names.append(name)
    return names


def _with_defaults(source: Tree, names: list[str], version: Version) -> Tree:
    """VALUES in which the word DEFAULT is the column's default expression."""
    values = source["body"]["Values"]
    rows = []
    for row in values["rows"]:
        if len(row) != len(names):
            raise _wrong_count(len(row), names, version, row)
        rows.append([_default(v, n, version) if is_default(v) else v for v, n in zip(row, names, strict=True)])
    return {**source, "body": {"Values": {**values, "rows": rows}}}


def is_default(expression: Tree) -> bool:
    """Whether an expression is the word DEFAULT."""
    name = expression.get("Identifier") if isinstance(expression, dict) else None
    return name is not None and not name["quote_style"] and name["value"].upper() == "DEFAULT"


def _default(node: Tree, name: str, version: Version) -> Tree:
    found = version.definition.columns[version.definition.names.index(name)].default
    return query.null() if found is None else found


def _one_default_row(version: Version, engine: Engine) -> pa.RecordBatch:
    items = [query.item(query.null() if c.default is None else c.default, c.name) for c in version.definition.columns]
    return single_batch(engine.query(query.select(items)))


def _wrong_count(given: int, names: list[str], version: Version, where: Tree) -> SqlError:
    error = UsageError(
        f"{given} value{'' if given == 1 else 's'} for {len(names)} column{'' if len(names) == 1 else 's'} "
        f"of `{version.name}`: {', '.join(names)}"
    )
    error.span = span_of(where)
    return error
