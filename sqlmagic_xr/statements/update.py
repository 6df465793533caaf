"""UPDATE, DELETE and TRUNCATE: a query that finds positions and new values, then one change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import UnsupportedError, UsageError
from ..sql import build as query
from ..sql.syntax import Statement, Tree, local_name, name_of
from ..storage.keys import Rows, equal, repeated
from ..storage.order import ROW, in_order
from ..storage.scratch import Version
from ..storage.transaction import Entries
from ..storage.values import show
from .change import (
    TARGET,
    Assignments,
    TableChange,
    ask,
    label_of,
    positions,
    refuse,
    target_of,
)
from .effect import Effect, Engine, counted, target
from .returning import Part, returning


def update(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """UPDATE name [AS label] SET ... [FROM ...] [WHERE ...] [RETURNING ...]."""
    body = tree["Update"]
    with engine.store.writing(statement.text) as work:
        version, label, assignments, question = _question(body, work.entries, engine, ctes)
        found = ask(engine, question, {TARGET: positions(version, question)})
        found = _each_once(found, version)
        rows = found.column(0).to_numpy()
        values = found.columns[1 : 1 + len(assignments.expressions)]
        new = assignments.onto(version.take(rows), values, version, engine)
        TableChange(rows, new, columns=frozenset(assignments.columns)).apply(version, work, engine)
        others = _others(found, 1 + len(assignments.expressions), _from(body), engine, ctes)
        answer = returning(body["returning"], [(label, new), *others], engine, ctes)
        return Effect(f"{version.name}: {counted(len(rows), 'updated')}", len(rows), answer)


def update_question(tree: Tree, entries: Entries, engine: Engine, ctes: Tree | None) -> tuple[Tree, dict[str, Any]]:
    """The query that an UPDATE runs, and what it reads besides."""
    version, _, _, question = _question(tree["Update"], entries, engine, ctes)
    return question, {TARGET: positions(version, question)}


def _question(
    body: Tree, entries: Entries, engine: Engine, ctes: Tree | None
) -> tuple[Version, str, Assignments, Tree]:
    refuse(body, ("or", "limit"), "UPDATE")
    if body["table"]["joins"]:
        raise UnsupportedError("UPDATE of a join is not offered", hint="UPDATE t SET ... FROM s WHERE t.a = s.a")
    parts, label = target_of(body["table"]["relation"], "UPDATE")
    version = target(parts, entries, engine, "UPDATE")
    assignments = Assignments.read(body["assignments"], version, label, engine)
    items = [query.item(query.column(label, ROW), ROW), *assignments.items("__v")]
    sources = _from(body)
    if body["returning"]:
        items += [query.wildcard(name) for name in _labels(sources)]
    tables = [query.table(TARGET, label), *sources]
    return version, label, assignments, query.select(items, tables, body["selection"], ctes)


def delete(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """DELETE FROM name [AS label] [USING ...] [WHERE ...] [RETURNING ...]."""
    body = tree["Delete"]
    with engine.store.writing(statement.text) as work:
        version, label, question = _delete_question(body, work.entries, engine, ctes)
        if body["selection"] is None and not body["using"]:
            rows, others = np.arange(version.rows, dtype=np.int64), []
        else:
            found = _first_of_each(ask(engine, question, {TARGET: positions(version, question)}))
            rows, others = found.column(0).to_numpy(), _others(found, 1, body["using"] or [], engine, ctes)
        old = version.take(rows) if body["returning"] else None
        TableChange(removed=rows).apply(version, work, engine)
        answer = returning(body["returning"], [(label, old), *others], engine, ctes) if old is not None else None
        return Effect(f"{version.name}: {counted(len(rows), 'deleted')}", len(rows), answer)


def delete_question(tree: Tree, entries: Entries, engine: Engine, ctes: Tree | None) -> tuple[Tree, dict[str, Any]]:
    """The query that a DELETE runs, and what it reads besides."""
    version, _, question = _delete_question(tree["Delete"], entries, engine, ctes)
    return question, {TARGET: positions(version, question)}


def _delete_question(body: Tree, entries: Entries, engine: Engine, ctes: Tree | None) -> tuple[Version, str, Tree]:
    refuse(body, ("tables", "order_by", "limit"), "DELETE")
    (tables,) = body["from"].values()
    if len(tables) != 1 or tables[0]["joins"]:
        raise UnsupportedError("DELETE from a join is not offered", hint="DELETE FROM t USING s WHERE t.a = s.a")
    parts, label = target_of(tables[0]["relation"], "DELETE")
    version = target(parts, entries, engine, "DELETE from")
    sources = body["using"] or []
    items = [query.item(query.column(label, ROW), ROW)]
    if body["returning"]:
        items += [query.wildcard(name) for name in _labels(sources)]
    return version, label, query.select(items, [query.table(TARGET, label), *sources], body["selection"], ctes)


def truncate(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """TRUNCATE [TABLE] [IF EXISTS] names."""
    body = tree["Truncate"]
    refuse(body, ("partitions", "on_cluster"), "TRUNCATE")
    with engine.store.writing(statement.text) as work:
        total, names = 0, []
        for node in body["table_names"]:
            if body["if_exists"] and engine.relation((query.name(node["name"]),)) is None:
                continue
            version = target(node["name"], work.entries, engine, "TRUNCATE")
            total += version.rows
            names.append(version.name)
            work.put(version.name, version.replaced(version.definition, ()), 0, version.rows)
        return Effect(f"{', '.join(names)}: {counted(total, 'deleted')}" if names else "nothing to truncate", total)


def emptied(tree: Tree | None) -> str | None:
    """The table of which a statement deletes every row; None for any other statement."""
    if isinstance(tree, dict) and "Truncate" in tree:
        body = tree["Truncate"]
        names = [node["name"] for node in body["table_names"]]
        return _local(names[0]) if len(names) == 1 and not body["if_exists"] else None
    if not isinstance(tree, dict) or "Delete" not in tree:
        return None
    body = tree["Delete"]
    (tables,) = body["from"].values()
    said = [key for key in ("selection", "using", "returning", "tables", "order_by", "limit") if body.get(key)]
    if said or len(tables) != 1 or tables[0]["joins"] or "Table" not in tables[0]["relation"]:
        return None
    return _local(tables[0]["relation"]["Table"]["name"])


def _local(name: list[Tree]) -> str | None:
    parts = local_name(name_of(name))
    return parts[0] if len(parts) == 1 else None


def _from(body: Tree) -> list[Tree]:
    clause = body["from"]
    return [] if clause is None else list(next(iter(clause.values())))


def _labels(sources: list[Tree]) -> list[str]:
    """The labels of all relations in a FROM, those of its joins too."""
    relations = [r for s in sources for r in (s["relation"], *(j["relation"] for j in s["joins"]))]
    return [label for r in relations if (label := label_of(r)) is not None]


def _first_of_each(found: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of an answer, each position once, in the table's order."""
    again, _ = repeated([found.column(0)])
    if len(again):
        keep = np.ones(found.num_rows, np.bool_)
        keep[again] = False
        found = found.filter(pa.array(keep))
    return in_order(found)


def _each_once(found: pa.RecordBatch, version: Version) -> pa.RecordBatch:
    """The rows of an answer, each position once.

    Raises:
        UsageError: a row of the table would get two different values. (PostgreSQL takes any one of them.)
    """
    again, first = repeated([found.column(0)])
    if len(again):
        values = [c for c, f in zip(found.columns, found.schema, strict=True) if f.name.startswith("__v")]
        same = _same(values, again, first)
        if not same.all():
            row = version.take(found.column(0).take(pa.array(again[~same][:1])).to_numpy())
            names = version.definition.key or version.definition.names[:4]
            key = ", ".join(f"{n} = {show(row.column(n)[0])}" for n in names)
            raise UsageError(
                f"UPDATE ... FROM gives the row with {key} of `{version.name}` two different values",
                hint="Join so that each row is matched once, or aggregate in a subquery.",
            )
    return _first_of_each(found)


def _same(columns: list[pa.Array], i: Rows, j: Rows) -> Any:
    """Whether rows ``i`` and ``j`` hold the same values; NULL is the same as NULL."""
    same = np.ones(len(i), np.bool_)
    for column in columns:
        null = column.is_null().to_numpy(zero_copy_only=False)
        same &= equal([column], i, [column], j) | (null[i] & null[j])
    return same


def _others(found: pa.RecordBatch, start: int, sources: list[Tree], engine: Engine, ctes: Tree | None) -> list[Part]:
    """The columns behind ``start``, which are ``label.*`` of each source, taken apart."""
    labels = _labels(sources) if found.num_columns > start else []
    out: list[Part] = []
    for label in labels:
        empty = engine.rows_of(query.select([query.wildcard(label)], sources, query.false(), ctes))
        columns = found.columns[start : start + empty.num_columns]
        out.append((label, pa.RecordBatch.from_arrays(columns, names=empty.schema.names)))
        start += empty.num_columns
    return out
