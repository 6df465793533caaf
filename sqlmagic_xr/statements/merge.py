"""MERGE: one join finds who meets whom; each row of either side takes the first clause that accepts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import UnsupportedError, UsageError
from ..sql import build as query
from ..sql.mending import DEFAULTS, MENDED, NOTHING
from ..sql.syntax import Statement, Tree
from ..storage.keys import Rows, repeated
from ..storage.order import ROW, in_order, numbered
from ..storage.rows import arrange
from ..storage.scratch import Version
from ..storage.transaction import Entries
from ..storage.values import show
from .change import TARGET, Assignments, TableChange, ask, column_of, label_of, positions, refuse, target_of
from .effect import Effect, Engine, counted, target

SOURCE = "__source__"


@dataclass(frozen=True)
class _Clause:
    """WHEN ...: what it does ("Update", "Delete", "Insert", "Nothing"), to whom, and on what condition."""

    action: str
    predicate: Tree | None
    columns: tuple[str, ...] = ()
    expressions: tuple[Tree, ...] = ()
    assignments: Assignments | None = None


@dataclass(frozen=True)
class _Merge:
    """A MERGE that is read."""

    version: Version
    label: str
    source_label: str
    source: Tree
    on: Tree
    clauses: dict[str, list[_Clause]]


def merge(statement: Statement, tree: Tree, engine: Engine, ctes: Tree | None = None) -> Effect:
    """MERGE INTO name USING source ON condition WHEN [NOT] MATCHED [BY SOURCE] [AND condition] THEN ..."""
    with engine.store.writing(statement.text) as work:
        read = _read(tree["Merge"], work.entries, engine)
        version = read.version
        source = ask(engine, query.select([query.star()], [read.source], ctes=ctes), {})
        pairs = [
            query.item(query.column(read.label, ROW), "__t"),
            query.item(query.column(read.source_label, ROW), "__s"),
        ]
        tables = [query.table(TARGET, read.label), query.table(SOURCE, read.source_label)]
        sides = {SOURCE: numbered(source)}
        met = _answer(read, "Matched", pairs, tables, sides, engine, ctes)
        change = _Gathered(version, engine)
        change.take(read.clauses["Matched"], met, 2)
        if read.clauses["NotMatched"]:
            alone = np.setdiff1d(np.arange(source.num_rows), met.column(1).to_numpy())
            sides = {SOURCE: numbered(source.take(pa.array(alone)), alone)}
            new = _answer(read, "NotMatched", pairs[1:], tables[1:], sides, engine, ctes)
            change.take(read.clauses["NotMatched"], new, 1)
        if read.clauses["NotMatchedBySource"]:
            alone = np.setdiff1d(np.arange(version.rows), met.column(0).to_numpy())
            sides = {TARGET: numbered(version.take(alone), alone)}
            left = _answer(read, "NotMatchedBySource", pairs[:1], tables[:1], sides, engine, ctes)
            change.take(read.clauses["NotMatchedBySource"], left, 1)
        whole = change.whole()
        whole.apply(version, work, engine)
        added = 0 if whole.added is None else whole.added.num_rows
        counts = ((added, "inserted"), (len(whole.updated), "updated"), (len(whole.removed), "deleted"))
        total = sum(n for n, _ in counts)
        return Effect(f"{version.name}: {', '.join(counted(n, verb) for n, verb in counts if n or not total)}", total)


def merge_question(tree: Tree, entries: Entries, engine: Engine, ctes: Tree | None) -> tuple[Tree, dict[str, Any]]:
    """The join that a MERGE runs, and what it reads besides."""
    read = _read(tree["Merge"], entries, engine)
    items = [query.item(query.column(read.label, ROW), ROW)]
    tables = [query.table(TARGET, read.label), read.source]
    question = query.select(items, tables, read.on, ctes)
    return question, {TARGET: positions(read.version, question)}


def _read(body: Tree, entries: Entries, engine: Engine) -> _Merge:
    refuse(body, ("output",), "MERGE")
    parts, label = target_of(body["table"], "MERGE")
    version = target(parts, entries, engine, "MERGE into")
    source_label = label_of(body["source"])
    if source_label is None:
        raise UnsupportedError("MERGE: the source needs a name", hint="USING (SELECT ...) AS s")
    clauses: dict[str, list[_Clause]] = {"Matched": [], "NotMatched": [], "NotMatchedBySource": []}
    for node in body["clauses"]:
        kind = "NotMatched" if node["clause_kind"] == "NotMatchedByTarget" else node["clause_kind"]
        clauses[kind].append(_clause(node, version, label, engine))
    return _Merge(version, label, source_label, {"relation": body["source"], "joins": []}, body["on"], clauses)


def _clause(node: Tree, version: Version, label: str, engine: Engine) -> _Clause:
    action, value = next(iter(node["action"].items()))
    if node.get(MENDED) == NOTHING:
        return _Clause("Nothing", node["predicate"])
    if node.get(MENDED) == DEFAULTS:
        names = version.definition.names
        return _Clause(action, node["predicate"], names, version.definition.default_values)
    if action == "Delete":
        return _Clause(action, node["predicate"])
    if action == "Update":
        refuse(value, ("update_predicate", "delete_predicate"), "MERGE ... UPDATE")
        found = Assignments.read(value["assignments"], version, label, engine)
        return _Clause(action, node["predicate"], found.columns, found.expressions, found)
    refuse(value, ("insert_predicate",), "MERGE ... INSERT")
    columns = [column_of(c, version, label) for c in value["columns"]] or list(version.definition.names)
    for name in columns:
        if columns.count(name) > 1:
            raise UsageError(f"MERGE ... INSERT names `{name}` twice")
    rows = value["kind"]["Values"]["rows"] if isinstance(value["kind"], dict) else None
    if rows is None or len(rows) != 1:
        raise UnsupportedError("MERGE ... INSERT needs VALUES of one row")
    if len(rows[0]) != len(columns):
        raise UsageError(
            f"MERGE ... INSERT gives {len(rows[0])} values for {len(columns)} columns: {', '.join(columns)}"
        )
    values = (version.definition.value_of(n, v) for v, n in zip(rows[0], columns, strict=True))
    return _Clause(action, node["predicate"], tuple(columns), tuple(values))


def _answer(
    read: _Merge,
    kind: str,
    keys: list[Tree],
    tables: list[Tree],
    sides: dict[str, Any],
    engine: Engine,
    ctes: Tree | None,
) -> pa.RecordBatch:
    """For each row that clauses of a kind are about, in order: its keys, then what each clause says of it."""
    items = list(keys)
    for i, clause in enumerate(read.clauses[kind]):
        accepts = query.true() if clause.predicate is None else clause.predicate
        items.append(query.item(accepts, f"__c{i}"))
        # Guarded, so that a value is only worked out where its clause accepts (1 / s.n WHEN ... AND s.n > 0).
        items += [query.item(query.guarded(accepts, e), f"__v{i}_{j}") for j, e in enumerate(clause.expressions)]
    tree = query.select(items, tables, read.on if kind == "Matched" else None, ctes)
    if kind == "Matched":
        sides = {TARGET: positions(read.version, tree), **sides}
    return in_order(ask(engine, tree, sides))


class _Gathered:
    """What the clauses do, gathered to one change."""

    def __init__(self, version: Version, engine: Engine) -> None:
        self.version = version
        self.engine = engine
        self.updated: list[Rows] = []
        self.values: list[pa.RecordBatch] = []
        self.removed: list[Rows] = []
        self.added: list[pa.RecordBatch] = []
        self.columns: set[str] = set()

    def take(self, clauses: list[_Clause], answer: pa.RecordBatch, place: int) -> None:
        """Let each row of an answer take its first clause; ``place`` is where the clauses' columns begin."""
        open_: npt.NDArray[np.bool_] = np.ones(answer.num_rows, np.bool_)
        rows = answer.column(0).to_numpy()
        for clause in clauses:
            accepts = answer.column(place).fill_null(False).to_numpy(zero_copy_only=False).astype(bool) & open_
            open_ &= ~accepts
            picks = pa.array(np.flatnonzero(accepts))
            values = [answer.column(place + 1 + i).take(picks) for i in range(len(clause.expressions))]
            self._do(clause, rows[accepts], values)
            place += 1 + len(clause.expressions)

    def _do(self, clause: _Clause, rows: Rows, values: list[pa.Array]) -> None:
        if not len(rows) or clause.action == "Nothing":
            return
        if clause.action == "Delete":
            self.removed.append(rows)
        elif clause.assignments is not None:
            self.updated.append(rows)
            self.values.append(clause.assignments.onto(self.version.take(rows), values, self.version, self.engine))
            self.columns |= set(clause.columns)
        else:
            batch = pa.RecordBatch.from_arrays(values, names=list(clause.columns))
            self.added.append(arrange(batch, self.version, self.engine.store))

    def whole(self) -> TableChange:
        """The change.

        Raises:
            UsageError: a row of the table is changed twice.
        """
        none = [np.empty(0, np.int64)]
        updated, removed = np.concatenate(none + self.updated), np.concatenate(none + self.removed)
        again, _ = repeated([pa.array(np.concatenate([updated, removed]))])
        if len(again):
            row = self.version.take(np.concatenate([updated, removed])[again[:1]])
            names = self.version.definition.key or self.version.definition.names[:4]
            key = ", ".join(f"{n} = {show(row.column(n)[0])}" for n in names)
            raise UsageError(
                f"MERGE changes the row with {key} of `{self.version.name}` more than once",
                hint="Several rows of the source match it: aggregate the source, or make ON more selective.",
            )
        order = np.argsort(updated)
        values = pa.concat_batches(self.values).take(pa.array(order)) if self.values else None
        added = pa.concat_batches(self.added) if self.added else None
        return TableChange(updated[order], values, removed, added, frozenset(self.columns))
