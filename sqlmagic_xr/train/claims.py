"""Who runs on a table: a second run that would write the same generations is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from ..errors import UsageError
from ..storage.store import ScratchStore


@dataclass(eq=False)
class Claim:
    """The tables that one run changes while it goes on.

    Attributes:
        names: the tables.
        driven: whether someone is sure to bring the run to its end; one that is only iterated may have been dropped.
        thread: who runs it.
        lost: another run has taken over.
    """

    names: frozenset[str]
    driven: Callable[[], bool]
    thread: threading.Thread = field(default_factory=threading.current_thread)
    lost: bool = False

    @property
    def _goes_on(self) -> bool:
        return self.thread.is_alive() and (self.driven() or self.thread is not threading.current_thread())


_lock = threading.Lock()
_claims: WeakKeyDictionary[ScratchStore, list[Claim]] = WeakKeyDictionary()


def claim(store: ScratchStore, names: Iterable[str], driven: Callable[[], bool]) -> Claim:
    """Claim tables for a run.

    A stream of events that this thread itself has left half-way is over with it: nobody can know whether it is still
    going to be asked for more, and a table must not stay closed for that.

    Raises:
        UsageError: another run goes on that changes one of them.
    """
    mine = Claim(frozenset(names), driven)
    with _lock:
        others = [other for other in _claims.get(store, []) if other.names & mine.names]
        for other in others:
            if other._goes_on:
                raise UsageError(
                    f"a run on `{min(other.names & mine.names)}` is going on already",
                    hint="Two runs would write the same generations: stop it, or wait for its end.",
                )
        for other in others:
            other.lost = True
        _claims[store] = [*(other for other in _claims.get(store, []) if not other.lost), mine]
    return mine


def release(store: ScratchStore, mine: Claim) -> None:
    """Give the tables of a run free."""
    with _lock:
        _claims[store] = [other for other in _claims.get(store, []) if other is not mine]
