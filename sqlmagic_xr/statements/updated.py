"""An UPDATE as a query: all rows of its table as they become, the columns that it sets being others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from ..errors import SqlError
from ..sql import build
from ..sql.syntax import Tree, local_name, name_of
from ..storage.definition import Definition
from ..storage.scratch import Version
from .change import Assignments, label_of, target_of
from .effect import Engine

_FOUND = "__found__"  # is true in the rows that WHERE finds


@dataclass(frozen=True)
class Updated:
    """What an UPDATE leaves.

    Attributes:
        table: the scratch table that it changes.
        query: all of its rows afterwards, the inside of a query; where FROM has several partners for a row, or none of
            its rows has a key, there are others.
        assigned: the columns that are set.
        alone: whether it reads no rows beside each of the table's own.
    """

    table: str
    query: Tree
    assigned: frozenset[str]
    alone: bool


def updated(tree: Tree | None, engine: Engine) -> Updated | str | None:
    """An UPDATE as the query of the rows that its table has afterwards, or why it is not read so.

    None for any other statement.

    Args:
        tree: the statement.
        engine: whose table it changes.
    """
    ctes = None
    if isinstance(tree, dict) and "Query" in tree and "Update" in tree["Query"]["body"]:
        ctes, tree = tree["Query"]["with"], tree["Query"]["body"]["Update"]
    if not isinstance(tree, dict) or "Update" not in tree:
        return None
    body = tree["Update"]
    extra = [k for k, v in body.items() if v and k not in ("update_token", "table", "assignments", "from", "selection")]
    if extra or body["table"]["joins"] or "Table" not in body["table"]["relation"]:
        return "an UPDATE with RETURNING and the like is not planned"
    try:
        parts, label = target_of(body["table"]["relation"], "UPDATE")
        name = local_name(name_of(parts))
        version = engine.store.entries().get(name[0])
        if len(name) != 1 or not isinstance(version, Version):
            return "it updates no scratch table"
        assignments = Assignments.read(body["assignments"], version, label, engine)
    except SqlError as error:  # it is told by the statement as it stands
        return error.what
    return _read(body, version, label, assignments, ctes)


def _read(body: Tree, version: Version, label: str, assignments: Assignments, ctes: Tree | None) -> Updated | str:
    definition, assigned = version.definition, frozenset(assignments.columns)
    if any(width > 1 for width in assignments.widths):
        return "an UPDATE that sets several columns to one subquery is not planned"
    if definition.grown or any(not assigned.isdisjoint(unique.columns) for unique in definition.uniques):
        return "an UPDATE of a key is not planned"
    assigned_to = zip(assignments.columns, assignments.expressions, strict=True)
    values = {name: _brought(value, definition, name) for name, value in assigned_to}
    sources = [] if body["from"] is None else list(next(iter(body["from"].values())))
    if sources:
        query = _joined(body, label, definition, values, sources, ctes)
    else:
        items = [_item(name, label, values, body["selection"]) for name in definition.names]
        query = build.select(items, [body["table"]], None, ctes)
    if query is None:
        return "an UPDATE from several tables is planned only where the table has a PRIMARY KEY"
    return Updated(version.name, query["Query"], assigned, not sources)


def _brought(value: Tree, definition: Definition, name: str) -> Tree:
    """A value as a real number of the column's type, as which it is kept."""
    kind = next(column.type for column in definition.columns if column.name == name)
    if kind not in (pa.float32(), pa.float64()) or value == build.null():
        return value
    return build.real(value, narrow=kind == pa.float32())


def _item(name: str, label: str, values: dict[str, Tree], condition: Tree | None) -> Tree:
    """What a column becomes."""
    old = build.column(label, name)
    if name not in values:
        return build.item(old, name)
    new = values[name] if condition is None else build.guarded(condition, values[name], old)
    return build.item(new, name)


def _joined(
    body: Tree, label: str, definition: Definition, values: dict[str, Tree], sources: Sequence[Tree], ctes: Tree | None
) -> Tree | None:  # fmt: skip
    """The rows with what FROM has for each of them; None where the rows cannot be found again."""
    other = label_of(sources[0]["relation"]) if len(sources) == 1 and not sources[0]["joins"] else None
    condition = body["selection"] or build.true()
    if other is not None:  # a row finds its one partner in it, or there is no array code
        found = build.select([build.wildcard(other), build.item(build.true(), _FOUND)], sources)
        on = condition
    elif definition.key:
        other = "__found_rows__"
        keys = [build.item(build.column(label, name), f"__key_{name}__") for name in definition.key]
        new = [build.item(value, f"__new_{name}__") for name, value in values.items()]
        values = {name: build.column(other, f"__new_{name}__") for name in values}
        tables = [body["table"], *sources]
        found = build.select([*keys, *new, build.item(build.true(), _FOUND)], tables, condition)
        pairs = [(build.column(label, name), build.column(other, f"__key_{name}__")) for name in definition.key]
        on = reduce(build.both, map(build.all_equal, pairs))
    else:
        return None
    tables = [build.left_joined(body["table"], build.derived(found["Query"], other), on)]
    items = [_item(name, label, values, build.column(other, _FOUND)) for name in definition.names]
    return build.select(items, tables, None, ctes)
