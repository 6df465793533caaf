"""The chunks that a run keeps in the memory of a cluster's workers: what no step changes is read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .client import check, told
from .folding import hold
from .parts import Held, Place, moved, pieces, placed, shared_out
from .worker import ChunkBatch

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
class _Layout:
    """Chunks that are cut alike, whichever variable's.

    Attributes:
        parts: those of each worker.
        places: who has each part.
        programs: which read each variable.
        values: of each variable, for each part and place what stands for the chunks there.
        looked: when it was looked at last who has died.
    """

    parts: Sequence[ChunkBatch]
    places: list[Place]
    programs: dict[Any, Callable[[], bytes]] = field(default_factory=dict)
    values: dict[Any, list[list[Any]]] = field(default_factory=dict)
    looked: float = field(default_factory=time.monotonic)


@dataclass
class Holding:
    """Chunks in the workers' memory, within a part of it; they are let go with it.

    Attributes:
        notes: what is held and what is not, each with how much or why, for a person.
    """

    notes: dict[str, str] = field(default_factory=dict)
    _layouts: dict[Any, _Layout] = field(default_factory=dict, repr=False)
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
            layout = self._layouts[client.id, name] = layout or _laid_out(client, regions)
            for key, each in new.items():
                layout.values[key] = _read(client, each.program(), layout, range(len(layout.parts)), on_read)
                layout.programs[key] = each.program
                self._nbytes += each.size
            size = _shown(sum(each.size for each in new.values()))
            self.notes[_named(new.values())] = f"{size} in the memory of {told(client)}"
        assert layout is not None
        self._bring_back(client, layout, on_read)
        return Held(layout.parts, layout.places, [layout.values[each.key] for each in wanted])

    def _fits(self, client: Any, wanted: Sequence[Wanted]) -> bool:
        size, left = sum(each.size for each in wanted), _SHARE * _memory(client) - self._nbytes
        if size > left:
            kept = _shown(max(left, 0))
            self.notes[_named(wanted)] = f"read each step: {_shown(size)} exceed the {kept} that workers keep"
        return size <= left

    def _bring_back(self, client: Any, layout: _Layout, on_read: Callable[[], None]) -> None:
        """Have others keep what a dead worker had: else who has made it again has it until the run ends."""
        if time.monotonic() - layout.looked < _LOOK:
            return
        layout.looked = time.monotonic()
        places = moved(layout.parts, layout.places, check(client))
        if not places:
            return
        before = list(layout.places)
        for part, place in places.items():
            layout.places[part] = place
        try:
            new = {key: _read(client, layout.programs[key](), layout, places, on_read) for key in layout.values}
        except BaseException:
            layout.places[:] = before
            raise
        for key, values in new.items():
            for part, value in zip(places, values, strict=True):
                _release(layout.values[key][part])
                layout.values[key][part] = value

    def release(self) -> None:
        """Let the workers forget all of it; what was said of it stays."""
        for layout in self._layouts.values():
            for variable in layout.values.values():
                for part in variable:
                    _release(part)
        for known in (self._layouts, self._refused):
            known.clear()
        self._nbytes = 0


def _laid_out(client: Any, regions: Sequence[Any]) -> _Layout:
    parts = shared_out(regions, check(client))
    return _Layout(parts, placed(len(parts), check(client)))


def _read(
    client: Any, program: bytes, layout: _Layout, parts: Iterable[int], on_read: Callable[[], None]
) -> list[list[Any]]:
    """Have some parts of a variable read by those whose places they are; what stands for them, for each place."""
    numbers = list(parts)
    cut = [(piece, address) for n in numbers for piece, address in _at(layout.parts[n], layout.places[n])]
    found = iter(hold(client, program, [piece for piece, _ in cut], [address for _, address in cut], on_read))
    return [[next(found) for _ in layout.places[n]] for n in numbers]


def _at(part: ChunkBatch, place: Place) -> list[tuple[ChunkBatch, str]]:
    return list(zip(pieces(part, place), place, strict=True))


def _release(values: Sequence[Any]) -> None:
    """Let the workers forget it now, and not when nobody here knows of it any more."""
    for future in values:
        future.release()


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
