"""What runs on a worker of a cluster: chunks gone through by a program, and what came of them put together.

A program comes as bytes, is read once by each worker, and holds functions of this package and plain data: arrays, and
variables as their store's address or their dask graph.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from .shelf import Kept

PACKAGES = ("numpy", "xarray", "pyarrow", "dask", "distributed", "cloudpickle")
"""What a program needs where it runs, beside this package."""


class Program(Protocol):
    """What is done to chunks."""

    @property
    def variables(self) -> int:
        """How many are read of each chunk."""

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
class Batch:
    """Chunks of one task, in their order; dask does not look into it, which of a list of thousands takes time."""

    regions: tuple[Any, ...]

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
def _loaded(program: bytes) -> Program:
    found: Program = pickle.loads(program)
    return found


def same(value: Any) -> Any:
    """A value as a task of its own, so that it reaches each worker once and is there again when one has died."""
    return value


def read(program: bytes, batch: Batch) -> Kept:
    """Some chunks and their variables, kept where they are."""
    from .shelf import keep

    return keep(batch, partial(_read_by, program))


def _read_by(program: bytes, region: Any) -> list[Any]:
    _go_on()
    return _read(_loaded(program), region)


def fold(program: bytes, batch: Batch) -> Any:
    """What a program comes to over some chunks, which are read here.

    Raises:
        UnreadError: a chunk cannot be read.
    """
    code = _loaded(program)
    return _folded(code, ((region, _read(code, region)) for region in batch.regions))


def fold_held(program: bytes, batch: Batch | None, *held: Kept) -> Any:
    """As :func:`fold`, of what :func:`read` keeps of one variable and of others.

    Args:
        program: what is done.
        batch: the chunks; None for those that were read.
        held: the variables.
    """
    code, regions = _loaded(program), (batch or held[0].batch).regions
    each = zip(*(variable.chunks() for variable in held), strict=True)
    values = ([code.placed(cells) for variable in chunks for cells in variable] for chunks in each)
    return _folded(code, zip(regions, values, strict=True))


def _folded(code: Program, chunks: Iterable[tuple[Any, Sequence[Any]]]) -> Any:
    state, rooms = code.fresh(), dict[Any, Any]()
    for region, values in chunks:
        _go_on()
        code.add(state, region, values, rooms)
    return state


def fold_made(program: bytes, batch: Batch, values: Sequence[Sequence[Any]]) -> Any:
    """As :func:`fold`, of variables that are as dask has made them."""
    code = _loaded(program)
    laid = [[code.laid(number, np.asarray(cells)) for number, cells in enumerate(each)] for each in values]
    return _folded(code, zip(batch.regions, laid, strict=True))


def merge(program: bytes, states: Sequence[Any]) -> Any:
    """What several tasks have come to, put together in their order."""
    return merged(_loaded(program), states)


def merged(code: Program, states: Sequence[Any]) -> Any:
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


def _read(code: Program, region: Any) -> list[Any]:
    values = []
    for number in range(code.variables):
        try:
            values.append(code.read(number, region))
        except Exception as error:
            raise UnreadError(code.title(number, region), f"{type(error).__name__}: {error}") from error
    return values


def _go_on() -> None:
    """End a task that has been cancelled, which dask itself lets run to its end."""
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except (ValueError, AttributeError):  # no worker, as in a test
        return
    if task is not None and task.state == "cancelled":
        raise CancelledTaskError
