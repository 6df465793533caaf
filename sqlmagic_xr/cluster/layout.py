"""Chunks that the workers of a cluster hold, who has which of them, and what becomes of those of a worker that dies.

What a dead worker had is read by those that are left at once: the step that misses it waits for that. Where a worker
comes who has nothing, it reads that in the background, and has it from then on: it has to import what it needs first,
which may take longer than many steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .client import accept, ask, check, check_those
from .folding import hold
from .parts import Place, pieces, placed, returned, shared_out, taken_over
from .worker import ChunkBatch

_LOOK = 2.0  # seconds between two looks at which workers there are; a look takes as long as a tenth of a brief step

Values = list[list[Any]]
"""For parts, and each of their places, what stands for the chunks of a variable there."""


@dataclass
class _Move:
    """Parts that workers who have come are to have.

    Attributes:
        places: who is to have each part.
        versions: of these workers, as long as they are not known.
        values: of each variable those parts, which are read.
    """

    places: Mapping[int, Place]
    versions: dict[str, Any]
    values: dict[Any, Values] = field(default_factory=dict)

    @property
    def _futures(self) -> Iterator[Any]:
        yield from self.versions.values()
        yield from (future for variable in self.values.values() for part in variable for future in part)

    def has_ended(self) -> bool:
        """Whether nobody is at work for it."""
        return all(future.done() for future in self._futures)

    def has_failed(self) -> bool:
        """Whether somebody could not do what he was asked to; that he lacks a package is another matter."""
        failed = [future for future in self._futures if future.status != "finished"]
        return any(f.status != "error" or not isinstance(f.exception(), ImportError) for f in failed)

    def give_up(self) -> None:
        """Have nobody at work for it any more."""
        _release(self._futures)


@dataclass
class ChunkLayout:
    """Chunks that are cut alike, whichever variable's.

    Attributes:
        parts: those of each worker.
        places: who has each part.
        values: of each variable, for each part and place what stands for the chunks there.
    """

    client: Any
    parts: Sequence[ChunkBatch]
    places: list[Place]
    values: dict[Any, Values] = field(default_factory=dict)
    _programs: dict[Any, Callable[[], bytes]] = field(default_factory=dict)
    _looked: float = field(default_factory=time.monotonic)
    _move: _Move | None = None
    _unfit: set[Place] = field(default_factory=set)

    @classmethod
    def of(cls, client: Any, regions: Sequence[Any]) -> ChunkLayout:
        """Chunks as the workers of a cluster share them out."""
        threads = check(client)
        parts = shared_out(regions, threads)
        return cls(client, parts, placed(len(parts), threads))

    def read(self, key: Any, program: Callable[[], bytes], on_read: Callable[[], None]) -> None:
        """Have a variable read.

        Args:
            key: tells it from others.
            program: reads it.
            on_read: is called while that goes on.
        """
        self.values[key] = self._read(program(), dict(enumerate(self.places)), on_read)
        self._programs[key] = program

    def _read(self, program: bytes, places: Mapping[int, Place], on_read: Callable[[], None] | None) -> Values:
        """Have some parts of a variable read by those whose places they are."""
        cut = [each for n, place in places.items() for each in zip(pieces(self.parts[n], place), place, strict=True)]
        found = iter(hold(self.client, program, [piece for piece, _ in cut], [address for _, address in cut], on_read))
        return [[next(found) for _ in place] for place in places.values()]

    def look(self, on_read: Callable[[], None]) -> None:
        """Now and then, see who has died and who has come.

        Args:
            on_read: is called while others read what somebody had who has died.

        Raises:
            ClusterError: a chunk cannot be read, or who has come has not what he needs.
        """
        if self._move is not None and self._move.has_ended():
            self._go_on(self._move)
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        self.mend(on_read)
        threads = self._threads()
        if self._move is not None and not _within(self._move.places, threads):
            self._end(self._move)
        if self._move is None:
            places = {n: place for n, place in returned(self.places, threads).items() if place not in self._unfit}
            addresses = {address for place in places.values() for address in place}
            versions = {address: ask(self.client, address) for address in addresses}
            self._move = _Move(places, versions) if places else None

    def _threads(self) -> Mapping[str, int]:
        """Of each worker that there is now; none where the cluster cannot be reached, which whoever asks it tells."""
        return dict(sorted(self.client.nthreads().items())) if self.client.status == "running" else {}

    def mend(self, on_read: Callable[[], None]) -> bool:
        """Have others read what workers had that are gone; whether there was any.

        Args:
            on_read: is called while that goes on.

        Raises:
            ClusterError: a chunk cannot be read, or the cluster is gone.
        """
        threads = self._threads()
        places = taken_over(self.parts, self.places, threads) if threads else {}
        if places:
            check_those(self.client, {address for place in places.values() for address in place})
            self._take(places, {key: self._read(each(), places, on_read) for key, each in self._programs.items()})
        return bool(places)

    def _go_on(self, move: _Move) -> None:
        """What comes next of it: versions, then variables, then it has arrived."""
        if move.has_failed():
            self._unfit |= set(move.places.values())
            self._end(move)
            return
        if move.versions:
            accept(self.client, {address: _answer(future) for address, future in move.versions.items()})
            _release(move.versions.values())
            move.versions = {}
        missing = [key for key in self._programs if key not in move.values]
        if missing:
            move.values |= {key: self._read(self._programs[key](), move.places, None) for key in missing}
        else:
            self._take(move.places, move.values)
            self._move = None

    def _end(self, move: _Move) -> None:
        move.give_up()
        self._move = None

    def _take(self, places: Mapping[int, Place], values: Mapping[Any, Values]) -> None:
        for number, (part, place) in enumerate(places.items()):
            self.places[part] = place
            for key, variable in values.items():
                _release(self.values[key][part])
                self.values[key][part] = variable[number]

    def release(self) -> None:
        """Let the workers forget all of it."""
        if self._move is not None:
            self._move.give_up()
        for variable in self.values.values():
            for part in variable:
                _release(part)


def _within(places: Mapping[int, Place], threads: Mapping[str, int]) -> bool:
    return all(address in threads for place in places.values() for address in place)


def _answer(future: Any) -> Any:
    return future.result() if future.status == "finished" else future.exception()


def _release(futures: Iterable[Any]) -> None:
    """Let the workers forget it now, and not when nobody here knows of it any more."""
    for future in futures:
        future.release()
