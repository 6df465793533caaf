"""ON CONFLICT: which of the rows to insert meet a row that is there, and what becomes of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..errors import ConstraintError, UnknownNameError, UsageError, suggest
from ..sql import build as query
from ..sql.syntax import Tree, identifier, name_of
from ..storage.chunk import Chunk
from ..storage.constraints import conflicts
from ..storage.definition import Unique
from ..storage.keys import Rows, repeated
from ..storage.order import ROW, in_order, numbered
from ..storage.scratch import Version
from ..storage.values import show
from .change import Assignments, TableChange, ask
from .effect import Engine

EXCLUDED = "excluded"


@dataclass(frozen=True)
class OnConflict:
    """An ON CONFLICT clause.

    Attributes:
        uniques: the constraints that it is about.
        assignments: the SET of DO UPDATE; None for DO NOTHING.
        condition: its WHERE.
    """

    uniques: tuple[Unique, ...]
    assignments: Assignments | None = None
    condition: Tree | None = None

    @classmethod
    def read(cls, node: Tree, version: Version, label: str, engine: Engine) -> OnConflict:
        """Read the clause.

        Raises:
            UsageError: no PRIMARY KEY or UNIQUE is what it names.
        """
        clause = node["OnConflict"]
        uniques = _uniques(clause["conflict_target"], version)
        action = clause["action"]
        if action == "DoNothing":
            return cls(uniques)
        if clause["conflict_target"] is None:
            raise UsageError(
                "ON CONFLICT DO UPDATE needs a conflict target", hint=f"ON CONFLICT ({_example(version)}) ..."
            )
        body = action["DoUpdate"]
        return cls(uniques, Assignments.read(body["assignments"], version, label, engine), body["selection"])

    def resolve(
        self, batch: pa.RecordBatch, version: Version, label: str, engine: Engine, ctes: Tree | None
    ) -> TableChange:
        """What inserting ``batch`` does: rows without conflict are added, the others update or are left out.

        Raises:
            ConstraintError: DO UPDATE would change a row twice.
        """
        theirs, ours = self._met(batch, version)
        fresh = np.ones(batch.num_rows, np.bool_)
        fresh[theirs] = False
        again = self._again(batch.filter(pa.array(fresh)), np.flatnonzero(fresh))
        if self.assignments is not None:
            self._refuse_twice(batch, theirs, ours, again)
        fresh[again] = False
        added = batch.filter(pa.array(fresh))
        if self.assignments is None or not len(theirs):
            return TableChange(added=added)
        updated, values = self._update(batch, version, theirs, ours, label, engine, ctes)
        return TableChange(updated, values, added=added, columns=frozenset(self.assignments.columns))

    def _met(self, batch: pa.RecordBatch, version: Version) -> tuple[Rows, Rows]:
        """The pairs (row to insert, position in the table) that conflict, each row to insert once."""
        rows = Chunk(batch)
        pairs = [conflicts(rows, u, version) for u in self.uniques]
        theirs = np.concatenate([i for i, _ in pairs])
        ours = np.concatenate([j for _, j in pairs])
        theirs, first = np.unique(theirs, return_index=True)
        return theirs, ours[first]

    def _again(self, batch: pa.RecordBatch, rows: Rows) -> Rows:
        """The rows of those to insert that conflict with an earlier one that is itself inserted."""
        found = [repeated([batch.column(n) for n in u.columns]) for u in self.uniques]
        if len(found) == 1:
            return rows[found[0][0]]
        return rows[_left_out(found)]

    def _refuse_twice(self, batch: pa.RecordBatch, theirs: Rows, ours: Rows, again: Rows) -> None:
        twice = np.concatenate([theirs[repeated([pa.array(ours)])[0]], again])
        if len(twice):
            names = self.uniques[0].columns
            key = ", ".join(f"{n} = {show(batch.column(n)[int(twice[0])])}" for n in names)
            raise ConstraintError(
                f"ON CONFLICT DO UPDATE would change the row with {key} twice",
                hint="Make the rows to insert unique first (GROUP BY, or DISTINCT ON).",
            )

    def _update(
        self,
        batch: pa.RecordBatch,
        version: Version,
        theirs: Rows,
        ours: Rows,
        label: str,
        engine: Engine,
        ctes: Tree | None,
    ) -> tuple[Rows, pa.RecordBatch]:
        assert self.assignments is not None
        order = np.argsort(ours)
        theirs, ours = theirs[order], ours[order]
        names = {
            "__there__": numbered(version.take(ours)),
            "__excluded__": numbered(batch.take(pa.array(theirs))),
        }
        own = _Qualified(label, version)
        items = [query.item(query.column(label, ROW), ROW)]
        items += [query.item(own(e), f"__v{i}") for i, e in enumerate(self.assignments.expressions)]
        tables = [query.table("__there__", label), query.table("__excluded__", EXCLUDED)]
        where = query.all_equal([query.column(label, ROW), query.column(EXCLUDED, ROW)])
        if self.condition is not None:
            where = query.both(where, own(self.condition))
        found = in_order(ask(engine, query.select(items, tables, where, ctes), names))
        rows = ours[found.column(0).to_numpy()]
        return rows, self.assignments.onto(version.take(rows), found.columns[1:], version, engine)


def _left_out(found: Sequence[tuple[Rows, Rows]]) -> Rows:
    """The rows, one after the other, of which some key is taken; a row that is left out takes none.

    Args:
        found: for each key the pairs (row, first row of that key), which name every row that has it in common.
    """
    keys: dict[int, list[tuple[int, int]]] = {}
    for place, (again, first) in enumerate(found):
        for row, head in zip(again.tolist(), first.tolist(), strict=True):
            keys.setdefault(row, []).append((place, head))
        for head in np.unique(first).tolist():
            keys.setdefault(head, []).append((place, head))
    taken: set[tuple[int, int]] = set()
    out = []
    for row in sorted(keys):
        if taken.isdisjoint(keys[row]):
            taken.update(keys[row])
        else:
            out.append(row)
    return np.array(out, np.int64)


class _Qualified:
    """Expressions in which a bare column is the table's own, not EXCLUDED's."""

    def __init__(self, label: str, version: Version) -> None:
        self.label = label
        self.names = frozenset(version.definition.names)

    def __call__(self, expression: Tree) -> Tree:
        if isinstance(expression, list):
            return [self(part) for part in expression]
        if not isinstance(expression, dict) or "body" in expression:
            return expression  # a subquery has its own names
        if set(expression) == {"Identifier"} and identifier(expression["Identifier"]) in self.names:
            return query.column(self.label, identifier(expression["Identifier"]))
        return {key: self(value) for key, value in expression.items()}


def _uniques(node: Tree | None, version: Version) -> tuple[Unique, ...]:
    uniques = version.definition.uniques
    if node is None:
        if not uniques:
            raise UsageError(f"`{version.name}` has no PRIMARY KEY and no UNIQUE, so nothing conflicts")
        return uniques
    if "OnConstraint" in node:
        name = name_of(node["OnConstraint"])[-1]
        found = tuple(u for u in uniques if u.name == name)
        if not found:
            raise UnknownNameError(
                f"`{version.name}` has no unique constraint `{name}`", hint=suggest(name, (u.name for u in uniques))
            )
        return found
    columns = [identifier(c) for c in node["Columns"]]
    for column in columns:
        version.definition.index(column, version.name)
    found = tuple(u for u in uniques if set(u.columns) == set(columns))
    if not found:
        raise UsageError(
            f"ON CONFLICT ({', '.join(columns)}): `{version.name}` has no PRIMARY KEY or UNIQUE of these columns",
            hint=f"ON CONFLICT ({_example(version)})" if uniques else None,
        )
    return found


def _example(version: Version) -> str:
    return ", ".join(version.definition.uniques[0].columns) if version.definition.uniques else "key"
