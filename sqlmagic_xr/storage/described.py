"""The definition of a scratch table or view as a text, and back: what a file keeps of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa

from ..errors import StorageError
from ..sql.syntax import Tree, expression_sql, parse_one
from .definition import Check, ColumnDefinition, Definition, Unique
from .transaction import View


def described(definition: Definition) -> str:
    """A table's definition as JSON; expressions are SQL, the Arrow types a schema in Arrow's own format."""
    return json.dumps(
        {
            "columns": [
                {
                    "name": c.name,
                    "sql_type": c.sql_type,
                    "nullable": c.nullable,
                    "default": None if c.default is None else expression_sql(c.default),
                    "length": c.length,
                }
                for c in definition.columns
            ],
            "uniques": [{"name": u.name, "kind": u.kind, "columns": u.columns} for u in definition.uniques],
            "checks": [{"name": c.name, "text": c.text} for c in definition.checks],
            "arrow": base64.b64encode(definition.schema.serialize().to_pybytes()).decode("ascii"),
        }
    )


def definition_of(text: str, table: str) -> Definition:
    """What :func:`described` was given.

    Raises:
        StorageError: it is no such text.
    """
    try:
        found = json.loads(text)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["arrow"])))
        columns = [_column(column, schema.field(place)) for place, column in enumerate(found["columns"])]
        uniques = [Unique(u["name"], u["kind"], tuple(u["columns"])) for u in found["uniques"]]
        checks = [Check(c["name"], _expression(c["text"]), c["text"]) for c in found["checks"]]
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise StorageError(f"the file's note on `{table}` cannot be read: {error}") from error
    return Definition(tuple(columns), tuple(uniques), tuple(checks))


def _column(found: dict[str, Any], field: pa.Field) -> ColumnDefinition:
    default = None if found["default"] is None else _expression(found["default"])
    return ColumnDefinition(found["name"], field.type, found["sql_type"], found["nullable"], default, found["length"])


def _expression(text: str) -> Tree:
    (item,) = parse_one(f"SELECT {text}").tree["Query"]["body"]["Select"]["projection"]
    return item["UnnamedExpr"]


def view_described(view: View) -> str:
    """A view as JSON."""
    return json.dumps({"text": view.text, "reads": view.reads})


def view_of(text: str, name: str) -> View:
    """What :func:`view_described` was given.

    Raises:
        StorageError: it is no such text.
    """
    try:
        found = json.loads(text)
        tree = parse_one(found["text"]).tree
        return View(name, tree, found["text"], tuple(tuple(parts) for parts in found["reads"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"the file's note on the view `{name}` cannot be read: {error}") from error
