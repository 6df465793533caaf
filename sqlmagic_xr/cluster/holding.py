"""The chunks that a run keeps in the memory of a cluster's workers: what no step changes is read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .client import check, told
from .folding import Held, held_again, hold, moved, placed
from .worker import Batch

_SHARE = 0.5  # of the workers' memory; what a step calculates, and what dask itself needs, is in the rest
_LOOK = 2.0  # seconds between two looks at which workers there are; a look takes as long as a tenth of a brief step


@dataclass(frozen=True)
class Wanted:
    """A variable whose chunks are to be in the workers' memory.

    Attributes:
        key: tells it from others.
        name: it, for a person.
        size: their bytes.
        program: reads them.
    """

    key: Any
    name: str
    size: int
    program: Callable[[], bytes]


@dataclass
class Holding:
    """Chunks in the workers' memory, within a part of it; they are let go with it.

    Attributes:
        notes: what is held and what is not, each with how much or why, for a person.
    """

    notes: dict[str, str] = field(default_factory=dict)
    _held: dict[Any, Held] = field(default_factory=dict, repr=False)
    _parts: dict[Any, Sequence[Batch]] = field(default_factory=dict, repr=False)
    _refused: set[Any] = field(default_factory=set, repr=False)
    _looked: dict[Any, float] = field(default_factory=dict, repr=False)
    _nbytes: int = 0

    def held(
        self, client: Any, layout: Any, wanted: Sequence[Wanted], parts: Callable[[], Sequence[Batch]],
        on_read: Callable[[], None],
    ) -> list[Held] | None:  # fmt: skip
        """Chunks in the workers' memory, of each variable, read now or before; None where they do not all fit.

        Args:
            client: whose cluster it is.
            layout: names the chunks, whichever variable's.
            wanted: the variables; each is held once, whoever asks for it.
            parts: gives the chunks of each task; those that the first variable was held with stay, and the scheduler
                is not asked again which workers there are.
            on_read: is called while that goes on.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
        """
        keys = [(client.id, layout, each.key) for each in wanted]
        if tuple(keys) in self._refused:
            return None
        new = {key: each for key, each in zip(keys, wanted, strict=True) if key not in self._held}
        size, left = sum(each.size for each in new.values()), _SHARE * _memory(client) - self._nbytes
        what = ", ".join(sorted({each.name for each in new.values()}))
        if size > left:
            self._refused.add(tuple(keys))
            self.notes[what] = f"read each step: {_shown(size)} exceed the {_shown(max(left, 0))} that workers keep"
            return None
        for key, each in new.items():
            cut = self._parts_of((client.id, layout), parts)
            beside = [held.places for (*of, _), held in self._held.items() if of == [client.id, layout]]
            places = beside[0] if beside else placed(len(cut), check(client))
            self._held[key] = hold(client, each.program(), cut, places, on_read)
            self._looked[key] = time.monotonic()
            self._nbytes += each.size
        if new:
            self.notes[what] = f"{_shown(size)} in the memory of {told(client)}"
        for key, each in zip(keys, wanted, strict=True):
            self._brought_back(client, key, each, on_read)
        return [self._held[key] for key in keys]

    def _brought_back(self, client: Any, key: Any, wanted: Wanted, on_read: Callable[[], None]) -> None:
        """Have a new worker keep what a dead one had: else who has made it again has it until the run ends."""
        if time.monotonic() - self._looked[key] < _LOOK:
            return
        self._looked[key] = time.monotonic()
        places = moved(self._held[key], check(client))
        if places:
            self._held[key] = held_again(client, wanted.program(), self._held[key], places, on_read)

    def _parts_of(self, layout: Any, parts: Callable[[], Sequence[Batch]]) -> Sequence[Batch]:
        if layout not in self._parts:
            self._parts[layout] = parts()
        return self._parts[layout]

    def release(self) -> None:
        """Let the workers forget all of it; what was said of it stays."""
        for held in self._held.values():
            held.release()
        for known in (self._held, self._parts, self._refused, self._looked):
            known.clear()
        self._nbytes = 0


@contextmanager
def held_by(context: Any, holding: Holding) -> Iterator[None]:
    """Within this block what queries of a context read on a cluster stays there."""
    before, context.holding = context.holding, holding
    try:
        yield
    finally:
        context.holding = before


def _memory(client: Any) -> float:
    """The bytes that the workers may use; what has no limit is taken for 1 GB."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return float(sum(worker["memory_limit"] or 10**9 for worker in workers))


def _shown(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
