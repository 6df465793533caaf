"""The scratch tables of one context: who may write, what a reader sees, and the one way a change becomes true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from datafusion import SessionContext

from ..errors import ExecutionError, UnknownNameError, UsageError, suggest
from ..sql.build import quoted, relations
from ..sql.syntax import Tree, name_of
from .chunk import Chunk
from .constraints import check
from .draft import Draft
from .durable import Durability
from .fetch import fetch_brief
from .order import ROW, in_order, numbered
from .pruning import batches, visible
from .rows import arrange
from .schema import ScratchSchema, provider, with_key
from .scratch import Retention, ScratchTable, Version
from .transaction import Entries, Entry, Moment, Stated, Transaction, View, Work, no_table

ABORTED = "the transaction is aborted: a statement in it has failed"
_REMEMBERED = 256  # expressions of CHECK and DEFAULT
ABORTED_HINT = "ROLLBACK ends it; nothing of it was kept."


class ScratchStore:
    """The scratch tables and views of a DataFusion session.

    Readers never wait: they see the state that the last commit left (or their own open transaction's). Writers are
    serialised: a statement has its turn from its first read to its commit, a transaction from BEGIN to COMMIT.

    Args:
        session: where the tables shall be readable; its default schema is wrapped (see :class:`ScratchSchema`).
        retention: how much of the past is kept.
        lock_timeout: how many seconds a writer waits for another thread's transaction.

    Attributes:
        durable: what keeps the tables on disk.
    """

    def __init__(
        self, session: SessionContext, *, retention: Retention | None = None, lock_timeout: float = 60.0
    ) -> None:
        self.session = session
        self.retention = retention or Retention()
        self.lock_timeout = lock_timeout
        self._moment = Moment({})
        self._lock = threading.RLock()
        self.durable = Durability(lambda: self._moment.entries)
        self._turn = threading.Condition(self._lock)  # ``with`` goes by the lock itself, which is four times as quick
        self.schema = ScratchSchema(session, self.entries)
        self._expressions: dict[tuple[str, pa.Schema, str], str] = {}

    # Reading

    def entries(self) -> Entries:
        """Every table and view by name, as this thread sees them now."""
        transaction = self._mine()
        return transaction.work.entries if transaction is not None else self._moment.entries

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
    def reading(self, tree: Tree | None = None, *, keyed: bool = False) -> Iterator[None]:
        """Within this block every plan that this thread makes sees one state of all tables.

        Args:
            tree: the one statement that will be planned, its parameters bound: then a table may show only the rows
                that this statement can see (see :mod:`.pruning`). None where anything may be planned.
            keyed: DataFusion is told the tables' keys (see :mod:`.dependents`).

        Raises:
            ExecutionError: this thread's transaction is aborted.
        """
        self.check_usable()
        entries = self.entries()
        views = [n for n, e in entries.items() if isinstance(e, View)]
        if views and tree is not None:
            views = [n for n in {name_of(t["name"])[-1] for t in relations(tree)} if n in views]
        if keyed:  # they are made here, since DataFusion cannot run a statement while it plans one
            read = set(entries) if tree is None or views else {name_of(t["name"])[-1] for t in relations(tree)}
            parts = {n: with_key(e) for n in read if isinstance(e := entries.get(n), Version) and e.definition.key}
        else:
            parts = {} if tree is None or views else _parts(tree, entries)
        told, shown = self.schema.with_keys(told=keyed), self.schema.pinned(entries, parts)
        with told, shown, self.schema.planned(entries, views):
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

    def writing(self, statement: str) -> AbstractContextManager[Work]:
        """One statement: all of its changes are kept at the end of the block, or none.

        Inside a transaction they are kept for its COMMIT; outside they are committed at once.

        Args:
            statement: what the history shall say.
        """
        transaction = self._mine()
        return self._committing(statement) if transaction is None else Stated(transaction, statement, self.check_usable)

    @contextmanager
    def _committing(self, statement: str) -> Iterator[Work]:
        with self._lock:
            self._await_turn()
            work = Work(self._moment.entries, statement=statement)
            yield work
            self._commit(work)

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

    # Transactions

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has an open transaction."""
        return self._mine() is not None

    def begin(self) -> None:
        """Open a transaction for this thread.

        Raises:
            UsageError: one is open already.
            ExecutionError: another thread's transaction did not end in time.
        """
        self._begin(Transaction())

    def _begin(self, transaction: Transaction) -> None:
        with self._lock:
            self._await_turn()
            if self._moment.transaction is not None:
                raise UsageError("a transaction is open already", hint="COMMIT or ROLLBACK it first.")
            transaction.work = Work(self._moment.entries)
            self._moment = Moment(self._moment.entries, transaction)

    def commit(self) -> bool:
        """End this thread's transaction and keep what it did; an aborted one is rolled back, and False returned.

        Raises:
            UsageError: no transaction is open.
        """
        with self._lock:
            transaction = self._open("COMMIT")
            if transaction.failed:
                self._end(self._moment.entries)
                return False
            self._commit(transaction.work)
            return True

    def rollback(self) -> None:
        """End this thread's transaction and keep nothing of it.

        Raises:
            UsageError: no transaction is open.
        """
        with self._lock:
            self._open("ROLLBACK")
            self._end(self._moment.entries)

    def savepoint(self, name: str) -> None:
        """Remember this moment of the open transaction."""
        with self._lock:
            transaction = self._open("SAVEPOINT")
            self.check_usable()
            marks = {n: w for n, w in transaction.savepoints.items() if n != name}
            transaction.savepoints = {**marks, name: transaction.work}

    def rollback_to(self, name: str) -> None:
        """Go back to a savepoint; an aborted transaction is usable again."""
        with self._lock:
            transaction = self._open("ROLLBACK TO SAVEPOINT")
            marks = self._savepoints_until(transaction, name)
            transaction.savepoints, transaction.work, transaction.failed = marks, marks[name], False

    def release(self, name: str) -> None:
        """Forget a savepoint and those after it."""
        with self._lock:
            transaction = self._open("RELEASE SAVEPOINT")
            self.check_usable()
            marks = self._savepoints_until(transaction, name)
            marks.pop(name)
            transaction.savepoints = marks

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that this thread does in the block is committed at its end, or nothing of it if the block fails.

        Inside an open transaction the block is a part of it: if it fails, only what the block did is undone.
        """
        outer = self._mine()
        if outer is not None:
            self.check_usable()
            before = outer.work
            try:
                yield
            except BaseException:
                outer.work, outer.failed = before, False
                raise
            return
        mine = Transaction()
        try:
            self._begin(mine)
            yield
            if self._moment.transaction is mine:
                self.commit()
        finally:
            if self._moment.transaction is mine:
                self._abandon(mine)

    @contextmanager
    def script(self) -> Iterator[None]:
        """Around the statements of one cell: if one fails, a transaction that the cell began is rolled back.

        A transaction that was open before is left aborted, as a failing statement leaves it, until ROLLBACK.
        """
        before = self._mine()
        try:
            yield
        except BaseException:
            now = self._mine()
            if now is not None and now is before:
                now.failed = True
            else:
                self._abandon(now)
            raise

    def fail(self) -> None:
        """A statement of this thread has failed outside of :meth:`writing`: its transaction, if any, is aborted."""
        transaction = self._mine()
        if transaction is not None:
            transaction.failed = True

    def failure(self) -> Callable[[], None]:
        """What to call when that fails, later on, which is planned now: it aborts this thread's open transaction."""
        mine = self._mine()

        def fail() -> None:
            if mine is not None and self._moment.transaction is mine:
                mine.failed = True

        return fail

    def check_usable(self) -> None:
        """Refuse to go on in an aborted transaction.

        Raises:
            ExecutionError: this thread's transaction is aborted.
        """
        transaction = self._mine()
        if transaction is not None and transaction.failed:
            raise ExecutionError(ABORTED, hint=ABORTED_HINT)

    # The turn, and the one way to commit

    def _mine(self) -> Transaction | None:
        transaction = self._moment.transaction
        return transaction if transaction is not None and transaction.owner is threading.current_thread() else None

    def _open(self, statement: str) -> Transaction:
        transaction = self._mine()
        if transaction is None:
            raise UsageError(f"{statement}: no transaction is open", hint="BEGIN opens one.")
        return transaction

    def _await_turn(self) -> None:
        """Wait, with the turn's lock held, until no other thread has a transaction open."""
        waited = 0.0
        while (transaction := self._moment.transaction) is not None and self._mine() is None:
            if not transaction.owner.is_alive():
                # Nobody can end it any more.
                self._moment = Moment(self._moment.entries)
                return
            if waited >= self.lock_timeout:
                raise ExecutionError(
                    f"another thread ({transaction.owner.name}) has had a transaction open for {waited:.0f} s",
                    hint="Wait until it has committed; the store's `lock_timeout` says how long to wait.",
                )
            self._turn.wait(pause := min(0.5, self.lock_timeout - waited))
            waited += pause

    def _commit(self, work: Work) -> None:
        """Make ``work`` the state of all; the assignment in :meth:`_end` is the moment at which it becomes true."""
        shared = self._moment.entries
        entries = dict(work.entries)
        for name, change in work.changes.items():
            version = entries[name]
            assert isinstance(version, Version)
            before = _of_lineage(version, shared.get(name), shared if work.renamed else {})
            if before is not None:
                before.lineage.remember(before, before.not_shared(version), self.retention)
            entries[name] = version.committed(before, ";\n".join(change.statements), change.added, change.removed)
        if self.durable.used:
            self.durable.commit(shared, entries, work.changes)  # first: what cannot be kept does not become true
        self._end(entries)

    def _end(self, entries: Entries) -> None:
        self._moment = Moment(entries)
        self._turn.notify_all()

    def _abandon(self, transaction: Transaction | None) -> None:
        """Roll back that transaction if it is still open."""
        with self._lock:
            if transaction is not None and self._moment.transaction is transaction:
                self._end(self._moment.entries)

    def _savepoints_until(self, transaction: Transaction, name: str) -> dict[str, Work]:
        names = list(transaction.savepoints)
        if name not in names:
            raise UnknownNameError(f"there is no savepoint `{name}`", hint=suggest(name, names))
        return {n: transaction.savepoints[n] for n in names[: names.index(name) + 1]}


def _of_lineage(version: Version, likely: Entry | None, entries: Entries) -> Version | None:
    """The entry that a version follows; it has another name where the table was renamed."""
    for entry in (likely, *entries.values()):
        if isinstance(entry, Version) and entry.lineage is version.lineage:
            return entry
    return None


def _parts(tree: Tree, entries: Entries) -> dict[str, Any]:
    """The tables of which a statement can see a part only, as what DataFusion takes for a table."""
    versions = {n: e for n, e in entries.items() if isinstance(e, Version)}
    return {
        name: provider(batches(versions[name], stretches), versions[name].definition.schema)
        for name, stretches in visible(tree, versions).items()
    }
