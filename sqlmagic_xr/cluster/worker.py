"""What runs on a worker of a cluster: chunks gone through by a program, and what came of them put together.

A program comes as bytes, is read once by each worker, and holds functions of this package and plain data: arrays, and
variables as their store's address or their dask graph.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .lanes import in_lanes
from .origins import unpacked, unseen

if TYPE_CHECKING:
    from .shelf import Shelf, ShelvedChunks

PACKAGES = ("numpy", "xarray", "pyarrow", "dask", "distributed", "cloudpickle")
"""What a program needs where it runs, beside this package."""


class ChunkProgram(Protocol):
    """What is done to chunks."""

    @property
    def variables(self) -> int:
        """How many are read of each chunk."""

    def anew(self, numbers: Sequence[float]) -> ChunkProgram:
        """The same for one thread, with the numbers of a step; what it learns on the way is nobody else's."""

    def fresh(self) -> Any:
        """What stands before the first chunk."""

    def read(self, number: int, region: Any) -> Any:
        """A chunk of a variable."""

    def laid(self, number: int, values: Any) -> Any:
        """A chunk of a variable that somebody else has read."""

    def placed(self, values: Any) -> Any:
        """A chunk that was read for another program, as this one has it."""

    def title(self, number: int, region: Any) -> str:
        """That chunk as a person knows it: the variable, the positions, the store."""

    def add(self, state: Any, region: Any, values: Sequence[Any], rooms: dict[Any, Any]) -> None:
        """Go through a chunk of all variables; ``rooms`` are arrays that are written into for each chunk again."""

    def merge(self, state: Any, other: Any) -> None:
        """Add what other chunks have come to."""


@dataclass(frozen=True)
class ChunkBatch:
    """Chunks of one task, in their order; dask does not look into it, which of a list of thousands takes time.

    Attributes:
        regions: the chunks.
        lanes: among how many threads they are shared out, neighbours together.
    """

    regions: tuple[Any, ...]
    lanes: int = 1

    def __len__(self) -> int:
        return len(self.regions)


class UnreadError(Exception):
    """A chunk that could not be read on a worker.

    Args:
        title: the chunk.
        why: what its store said.
    """

    def __init__(self, title: str, why: str) -> None:
        super().__init__(title, why)
        self.title, self.why = title, why


class CancelledTaskError(Exception):
    """Nobody waits any more for what a task comes to."""


@lru_cache(maxsize=4)
def _unpacked(program: bytes) -> tuple[ChunkProgram, list[Any]]:
    return unpacked(program)


def _loaded(program: bytes) -> ChunkProgram:
    return _unpacked(program)[0]


@lru_cache(maxsize=4)
def _reading(program: bytes) -> ChunkProgram:
    """A program that reads, or is given what others have read, where all that it reads is to be seen."""
    code, arrays = _unpacked(program)
    for array in arrays:
        why = unseen(array)
        if why is not None:
            raise UnreadError(f"the Zarr array {array.store_path}", why)
    return code


def same(value: Any) -> Any:
    """A value as a task of its own, so that it reaches each worker once and is there again when one has died."""
    return value


def read(program: bytes, batch: ChunkBatch) -> ShelvedChunks:
    """Some chunks and their variables, kept where they are."""
    from .shelf import keep

    return keep(batch, partial(_read_by, program), _going())


def _read_by(program: bytes, region: Any) -> list[Any]:
    return _read(_reading(program), region)


def fold(program: bytes, numbers: Sequence[float], batch: ChunkBatch) -> Any:
    """What a program comes to over some chunks, which are read here.

    Args:
        program: what is done.
        numbers: those of the step.
        batch: the chunks.

    Raises:
        UnreadError: a chunk cannot be read.
    """
    code = _reading(program)

    def chunks(share: slice) -> Iterable[list[Any]]:
        return (_read(code, region) for region in batch.regions[share])

    return _folded(code, numbers, batch, chunks, _going())


def fold_held(program: bytes, numbers: Sequence[float], batch: ChunkBatch | None, *held: ShelvedChunks) -> Any:
    """As :func:`fold`, of what :func:`read` keeps of one variable and of others.

    Args:
        program, numbers: as for :func:`fold`.
        batch: the chunks; None for those that were read.
        held: the variables.
    """
    from .shelf import shelf_here

    return _folded_held(program, numbers, batch, held, shelf_here(), _going())


def _folded_held(
    program: bytes, numbers: Sequence[float], batch: ChunkBatch | None, held: Sequence[ShelvedChunks],
    shelf: Shelf | None, go_on: Callable[[], None],
) -> Any:  # fmt: skip
    code = _loaded(program)

    def chunks(share: slice) -> Iterable[list[Any]]:
        each = zip(*(variable.chunks(share, shelf) for variable in held), strict=True)
        return ([code.placed(cells) for variable in chunk for cells in variable] for chunk in each)

    return _folded(code, numbers, batch or held[0].batch, chunks, go_on)


def _folded(
    code: ChunkProgram, numbers: Sequence[float], batch: Any, chunks: Callable[[slice], Iterable[Sequence[Any]]],
    go_on: Callable[[], None],
) -> Any:  # fmt: skip
    def lane(share: slice) -> Any:
        mine = code.anew(numbers)
        state, rooms = mine.fresh(), dict[Any, Any]()
        for region, values in zip(batch.regions[share], chunks(share), strict=True):
            go_on()
            mine.add(state, region, values, rooms)
        return state

    states = in_lanes(lane, batch)
    return states[0] if len(states) == 1 else merged(code, states)


def fold_made(program: bytes, numbers: Sequence[float], batch: ChunkBatch, values: Sequence[Sequence[Any]]) -> Any:
    """As :func:`fold`, of variables that are as dask has made them."""
    code = _reading(program)
    laid = [[code.laid(number, np.asarray(cells)) for number, cells in enumerate(each)] for each in values]
    return _folded(code, numbers, batch, laid.__getitem__, _going())


@dataclass(frozen=True)
class Done:
    """What a worker that was called has come to."""

    state: Any


async def fold_here(token: str, order: bytes, dask_worker: Any) -> list[Done | None]:
    """As :func:`fold_held`, of what this worker holds; it is called, and no task of the scheduler's.

    Args:
        token: names the call, for :func:`stop`.
        order: the program, the numbers of the step, and by the address of each worker its parts: of each its chunks,
            None for those that were read, and for each variable the key of the task that has read them.
        dask_worker: this one.

    Returns:
        For each part what it comes to; None where this worker does not hold it, or fails, which a task will tell of.
    """
    from .shelf import shelf_of

    program, numbers, work = pickle.loads(order)
    call, shelf, loop = (token, dask_worker.address), shelf_of(dask_worker), asyncio.get_running_loop()

    def go_on() -> None:
        if call not in _called:
            raise CancelledTaskError

    async def part(batch: ChunkBatch | None, keys: Sequence[Any]) -> Done | None:
        held = [dask_worker.data[key] for key in keys if key in dask_worker.data]
        if not held or len(held) < len(keys):
            return None
        ready = partial(_folded_held, program, numbers, batch, held, shelf, go_on)
        try:
            return Done(await loop.run_in_executor(dask_worker.executors["default"], ready))
        except Exception:
            return None

    _called.add(call)
    try:
        mine = work.get(dask_worker.contact_address) or work.get(dask_worker.address) or ()
        return list(await asyncio.gather(*(part(batch, keys) for batch, keys in mine)))
    finally:
        _called.discard(call)


async def stop(token: str, dask_worker: Any) -> None:
    """End a call before its next chunk."""
    _called.discard((token, dask_worker.address))


_called: set[tuple[str, str]] = set()
"""The calls that go on, each with who was called: several workers may be one process."""


def merge(program: bytes, states: Sequence[Any]) -> Any:
    """What several tasks have come to, put together in their order."""
    return merged(_loaded(program), states)


def merged(code: ChunkProgram, states: Sequence[Any]) -> Any:
    """As :func:`merge`, of a program that has been read."""
    state = code.fresh()  # what a task has come to stands for others, should one be made again
    for other in states:
        code.merge(state, other)
    return state


def versions() -> dict[str, str | None]:
    """The versions of what a program needs, as they are here; None for what is missing."""
    from sqlmagic_xr import __version__

    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python, "sqlmagic-xr": __version__, **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(code: ChunkProgram, region: Any) -> list[Any]:
    values = []
    for number in range(code.variables):
        try:
            values.append(code.read(number, region))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            break
    else:
        return values
    raise UnreadError(code.title(number, region), why)  # without its cause, which may be nothing that can be sent


def _going() -> Callable[[], None]:
    """What ends this task where it has been cancelled, which dask itself lets run to its end."""
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except (ValueError, AttributeError, KeyError):  # no worker, as in a test
        task = None

    def go_on() -> None:
        if task is not None and task.state == "cancelled":
            raise CancelledTaskError

    return go_on
