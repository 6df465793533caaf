"""The scratch tables of one context: what a reader sees, how rows are added, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datafusion import SessionContext

from ..errors import UsageError
from ..sql.build import quoted, relations
from ..sql.syntax import Tree, name_of
from .chunk import Chunk
from .commits import Commits
from .constraints import check
from .draft import Draft
from .fetch import fetch_brief
from .order import ROW, in_order, numbered
from .pruning import Stretch, visible
from .rows import arrange
from .schema import ScratchSchema, as_table, part_of, with_key
from .scratch import Retention, ScratchTable, Version
from .transaction import Entries, View, no_table

_REMEMBERED = 256  # expressions of CHECK and DEFAULT


class ScratchStore(Commits):
    """The scratch tables and views of a DataFusion session.

    Args:
        session: where the tables shall be readable; its default schema is wrapped (see :class:`ScratchSchema`).
        retention: how much of the past is kept.
        lock_timeout: how many seconds a writer waits for another thread's transaction.
    """

    def __init__(
        self, session: SessionContext, *, retention: Retention | None = None, lock_timeout: float = 60.0
    ) -> None:
        super().__init__(retention or Retention(), lock_timeout)
        self.session = session
        self.schema = ScratchSchema(session, self.entries)
        self._expressions: dict[tuple[str, pa.Schema, str], str] = {}

    # Reading

    def table(self, name: str) -> Version:
        """The newest version of a table.

        Raises:
            UnknownNameError: there is no such scratch table.
        """
        entries = self.entries()
        found = entries.get(name)
        if not isinstance(found, Version):
            raise no_table(name, entries)
        return found

    def scratch(self, name: str) -> ScratchTable:
        """The table's handle.

        Raises:
            UnknownNameError: there is no such scratch table.
        """
        return ScratchTable(self, self.table(name).name)

    @contextmanager
    def reading(self, tree: Tree | None = None, *, keyed: bool = False, tables: bool = False) -> Iterator[None]:
        """Within this block every plan that this thread makes sees one state of all tables.

        Args:
            tree: the one statement that will be planned, its parameters bound: then a table may show only the rows
                that this statement can see (see :mod:`.pruning`). None where anything may be planned.
            keyed: DataFusion is told the tables' keys (see :mod:`.dependents`).
            tables: it is given tables, and no views (see :func:`.schema.as_table`).

        Raises:
            ExecutionError: this thread's transaction is aborted.
        """
        self.check_usable()
        entries = self.entries()
        views = [n for n, e in entries.items() if isinstance(e, View)]
        if views and tree is not None:
            views = [n for n in {name_of(t["name"])[-1] for t in relations(tree)} if n in views]
        if keyed or tables:  # they are made here, since DataFusion cannot run a statement while it plans one
            read = set(entries) if tree is None or views else {name_of(t["name"])[-1] for t in relations(tree)}
            seen = {n: e for n in read if isinstance(e := entries.get(n), Version)}
            parts = {n: as_table(e) if tables else with_key(e) for n, e in seen.items() if tables or e.definition.key}
        else:
            parts = {} if tree is None or views else _parts(tree, entries)
        planned = self.schema.planned(entries, views) if views else nullcontext()
        with self.schema.pinned(entries, parts, keyed=keyed), planned:
            yield

    @contextmanager
    def showing(self, relations: Mapping[str, Any]) -> Iterator[None]:
        """Within this block this thread's plans see these relations besides, name -> what DataFusion takes for one."""
        with self.schema.pinned(self.entries(), relations):
            yield

    def of_each(self, expression: str, rows: pa.RecordBatch, name: str) -> pa.Array:
        """The value of an expression for each of some rows, in their order.

        Args:
            expression: SQL text that reads nothing but the rows.
            rows: a batch; one without columns has no rows.
            name: what the expression calls them.
        """
        self.check_usable()
        with self.showing({name: numbered(rows)}):
            frame = SessionContext.sql(self.session, self._mended(expression, rows.schema, name))
        return in_order(fetch_brief(frame)).column(1)

    def _mended(self, expression: str, schema: pa.Schema, name: str) -> str:
        """The query for an expression of each row, as the engine answers it right; worked out once for a schema."""
        key = (expression, schema, name)
        known = self._expressions.get(key)
        if known is None:
            text = f"SELECT {ROW}, {expression} AS v FROM {quoted(name)}"
            if len(self._expressions) >= _REMEMBERED:
                self._expressions.clear()
            known = self._expressions[key] = self.schema.mended(None, text)
        return known

    # Writing

    def append(self, name: str, rows: Any, statement: str) -> int:
        """Add rows to a table, checked; returns how many. See :meth:`ScratchTable.append`."""
        with self.writing(statement) as work:
            before = work.table(name)
            # A copy, since an array of the caller's may share its memory with NumPy, where it can still change.
            chunk = Chunk(pa.concat_batches([arrange(rows, before, self)]))
            check(chunk, before, self)
            return work.append(name, chunk)

    def append_drafts(self, name: str, rows: Sequence[Draft], statement: str, *, apart: frozenset[str]) -> int:
        """Add rows that are not written out yet, checked as those of :meth:`append`; returns how many.

        Args:
            name: the table.
            rows: drafts of the table's own schema, whose arrays are nobody else's; at least one.
            statement: what the history shall say.
            apart: columns that together tell any two of the rows apart; empty where that is not known.
        """
        chunk = Chunk(tuple(rows))
        with self.writing(statement) as work:
            check(chunk, work.table(name), self, apart=apart)
            return work.append(name, chunk)

    def replace_drafts(self, name: str, rows: Sequence[Draft], statement: str) -> None:
        """Let a table consist of other rows of its shape, which are not written out yet; it has no constraints.

        Args:
            name: the table.
            rows: drafts of the table's own schema, whose arrays are nobody else's; at least one.
            statement: what the history shall say.
        """
        chunk = Chunk(tuple(rows))
        with self.writing(statement) as work:
            before = work.table(name)
            work.create(name, before.definition, replacing=before)
            work.append(name, chunk)

    def trim(self, name: str, column: str, least: int, statement: str, *, skipped: int = 0) -> None:
        """Delete the rows in which a column of whole numbers is below one.

        Args:
            name: the table.
            column: which.
            least: the least number that stays.
            statement: what the history shall say.
            skipped: rows that would have come and gone within the same commit, and count as both.
        """
        with self.writing(statement) as work:
            before = work.table(name)
            after = before.since(before.definition.index(column, name), least)
            if after is not before or skipped:
                work.put(name, after, skipped, before.rows - after.rows + skipped)

    def update_drafts(self, name: str, rows: Sequence[Draft], statement: str, *, columns: frozenset[str]) -> None:
        """Let a table consist of the same rows with other values in some columns, which are not written out yet.

        Within a transaction of the caller's, which no error of this ends.

        Args:
            name: the table.
            rows: drafts of the table's own schema, whose arrays are nobody else's: as many rows as the table has.
            statement: what the history shall say.
            columns: those that have other values; none of them is part of a key.
        """
        chunk, before = Chunk(tuple(rows)), self.table(name)
        # Outside of what is written: the transaction goes on by the statement as it stands where this fails.
        check(chunk, before, self, removed=np.arange(before.rows), columns=columns)
        with self.writing(statement) as work:
            work.put(name, before.replaced(before.definition, (chunk,)), chunk.rows, before.rows)

    # The file

    def open(self, path: str | Path) -> list[str]:
        """Keep the tables in a DuckDB file from now on, which is made where there is none.

        What is in the file is there afterwards; its rows are read when somebody reads them. Tables that are in memory
        only go into the file too. A statement is on disk when it returns; the generations of a training run follow
        in the background.

        Args:
            path: the file.

        Returns:
            The names of the tables and views that were in the file.

        Raises:
            ImportError: DuckDB is not installed.
            StorageError: the file cannot be opened or written, is none of ours, or open elsewhere.
            UsageError: another file is open, a transaction is, or a table of the file has the name of one in memory.

        Example:
            >>> import tempfile
            >>> from sqlmagic_xr import Context
            >>> path = tempfile.mkdtemp() + "/trajectory.duckdb"
            >>> ctx = Context(store=path)
            >>> _ = ctx.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 1.5)")
            >>> ctx.store.close()
            ['p']
            >>> Context(store=path).sql("SELECT a FROM p").to_arrow_table()["a"].to_pylist()
            [1.5]
        """
        with self._lock:
            self._refuse_transaction("A file is opened")
            found, entries = self.durable.open(path, self._moment.entries)
            self._end(entries)
            return found

    def save(self, path: str | Path) -> None:
        """Write all tables and views, as they were committed last, to a DuckDB file that is made for it.

        Raises:
            StorageError: it is there already, or cannot be written.
        """
        self.durable.save(path, self._moment.entries)

    def close(self, *, anyway: bool = False) -> list[str]:
        """Let go of the file; its tables go with it.

        Args:
            anyway: also where what was committed last cannot be written.

        Returns:
            The names of the tables and views that went.

        Raises:
            UsageError: no file is open, or a transaction is.
            StorageError: it cannot be written; nothing has changed.
        """
        with self._lock:
            self._refuse_transaction("A file is closed")
            names, others = self.durable.close(self._moment.entries, anyway=anyway)
            self._end(others)
            return names

    def settle(self) -> None:
        """Return when all that is committed is on disk, also while a run is going on; where no file is open, at once.

        Raises:
            StorageError: the file cannot be written.
        """
        if self.durable.used:
            self.durable.settle(self._moment.entries)

    def _refuse_transaction(self, what: str) -> None:
        self._await_turn()
        if self._moment.transaction is not None:
            raise UsageError(f"{what} outside of a transaction", hint="COMMIT or ROLLBACK it first.")


def _parts(tree: Tree, entries: Entries) -> dict[str, Any]:
    """The tables of which a statement can see a part only, as what DataFusion takes for a table."""
    versions = {n: e for n, e in entries.items() if isinstance(e, Version)}
    seen = visible(tree, versions)
    return {n: part_of(versions[n], stretches) for n, stretches in seen.items() if _pays(versions[n], stretches)}


_FEW = 8192
"""Rows that the engine goes through in some ten microseconds; a table of its own takes ten times as long to make."""


def _pays(version: Version, stretches: list[Stretch]) -> bool:
    """Whether to make a table of some of the rows costs less than to go through all of them, whose table is kept."""
    return not stretches or version.rows > _FEW or 2 * sum(stop - start for _, start, stop in stretches) < version.rows
