"""The chunks that a run keeps in the memory of a cluster's workers: what no step changes is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .client import described
from .layout import ChunkLayout
from .parts import Held

_SHARE = 0.5  # of the workers' memory; what a step calculates, and what dask itself needs, is in the rest


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
    _layouts: dict[Any, ChunkLayout] = field(default_factory=dict, repr=False)
    _refused: set[Any] = field(default_factory=set, repr=False)
    _nbytes: int = 0

    def held(
        self, client: Any, name: Any, wanted: Sequence[Wanted], regions: Sequence[Any], on_read: Callable[[], None]
    ) -> Held | None:
        """Chunks in the workers' memory, of each variable, read now or before; None where they do not all fit.

        Args:
            client: whose cluster it is.
            name: of the layout of the chunks, whichever variable's.
            wanted: the variables; each is held once, whoever asks for it.
            regions: the chunks. How they are shared out when the first variable is held stays so, and the scheduler is
                not asked again which workers there are.
            on_read: is called while that goes on.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
        """
        layout = self._layouts.get((client.id, name))
        new = {each.key: each for each in wanted if layout is None or each.key not in layout.values}
        if new:
            asked = (client.id, name, *(each.key for each in wanted))
            if asked in self._refused or not self._fits(client, list(new.values())):
                self._refused.add(asked)
                return None
            layout = self._layouts[client.id, name] = layout or ChunkLayout.of(client, regions)
            for key, each in new.items():
                layout.read(key, each.program, on_read)
                self._nbytes += each.size
            size = _shown(sum(each.size for each in new.values()))
            self.notes[_named(new.values())] = f"{size} in the memory of {described(client)}"
        assert layout is not None
        layout.look(on_read)
        values = [layout.values[each.key] for each in wanted]
        return Held(layout.parts, layout.places, values, lambda: layout.mend(on_read))

    def _fits(self, client: Any, wanted: Sequence[Wanted]) -> bool:
        size, left = sum(each.size for each in wanted), _SHARE * _memory(client) - self._nbytes
        if size > left:
            kept = _shown(max(left, 0))
            self.notes[_named(wanted)] = f"read each step: {_shown(size)} exceed the {kept} that workers keep"
        return size <= left

    def release(self) -> None:
        """Let the workers forget all of it; what was said of it stays."""
        for layout in self._layouts.values():
            layout.release()
        for known in (self._layouts, self._refused):
            known.clear()
        self._nbytes = 0


def _named(wanted: Iterable[Wanted]) -> str:
    return ", ".join(sorted({each.name for each in wanted}))


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
