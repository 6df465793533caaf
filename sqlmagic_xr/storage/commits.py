"""Who may write, what this thread sees of it meanwhile, and the one way a change becomes true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ..errors import WRITABLE, ExecutionError, ImmutableError, UnknownNameError, UsageError, suggest
from .durable import Durability
from .scratch import Retention, Version
from .transaction import Entries, Entry, Stated, StoreState, Transaction, Work

ABORTED = "the transaction is aborted: a statement in it has failed"
ABORTED_HINT = "ROLLBACK ends it; nothing of it was kept."


class Commits:
    """The state of all tables and views, and how a statement or a transaction makes the next one.

    Readers never wait: they see the state that the last commit left (or their own open transaction's). Writers are
    serialised: a statement has its turn from its first read to its commit, a transaction from BEGIN to COMMIT.

    Args:
        retention: how much of the past is kept.
        lock_timeout: how many seconds a writer waits for another thread's transaction.

    Attributes:
        durable: what keeps the tables on disk.
    """

    def __init__(self, retention: Retention, lock_timeout: float) -> None:
        self.read_only = False
        self.retention = retention
        self.lock_timeout = lock_timeout
        self._moment = StoreState({})
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)  # ``with`` goes by the lock itself, which is four times as quick
        self.durable = Durability(lambda: self._moment.entries)

    def entries(self) -> Entries:
        """Every table and view by name, as this thread sees them now."""
        moment = self._moment
        transaction = moment.transaction
        if transaction is None or transaction.owner is not threading.current_thread():
            return moment.entries
        return transaction.work.entries

    def writing(self, statement: str) -> AbstractContextManager[Work]:
        """One statement: all of its changes are kept at the end of the block, or none.

        Inside a transaction they are kept for its COMMIT; outside they are committed at once.

        Args:
            statement: what the history shall say.

        Raises:
            ImmutableError: nothing may change.
        """
        if self.read_only:
            raise ImmutableError("nothing is changed: this context is read-only", hint=WRITABLE)
        transaction = self._mine()
        return self._committing(statement) if transaction is None else Stated(transaction, statement, self.check_usable)

    @contextmanager
    def _committing(self, statement: str) -> Iterator[Work]:
        with self._lock:
            self._await_turn()
            work = Work(self._moment.entries, statement=statement)
            yield work
            self._commit(work)

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
            self._moment = StoreState(self._moment.entries, transaction)

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
                self._moment = StoreState(self._moment.entries)
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
        self._moment = StoreState(entries)
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
