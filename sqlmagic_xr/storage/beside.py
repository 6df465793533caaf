"""A file or folder that is written whole or not at all: beside its place, and put there when it is complete."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError, UsageError

_STORES = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
"""A folder with one of these in it is a Zarr store."""


def place_of(path: str | os.PathLike[str]) -> Path:
    """Where a path that somebody wrote leads.

    Raises:
        UsageError: to another machine, or nowhere.
    """
    text = os.fspath(path)
    if "://" in text:
        raise UsageError(f"{text} is no path on this machine", hint="Write it here and upload it.")
    if not text or "\0" in text:
        raise UsageError("the path to write to is empty" if not text else "a path cannot hold U+0000")
    return Path(text).expanduser().resolve()


@contextmanager
def beside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives the path to write to; what is there at the end of the block takes its place, and nothing after a failure.

    Args:
        path: where it is to be in the end.
        overwrite: whether it may replace a file or a Zarr store; any other folder never is.

    Raises:
        StorageError: something is there already, or the place cannot be written to.
    """
    _refuse_taken(path, overwrite=overwrite)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with _explained(path):
            _put(part, path)
    finally:
        remove(part)  # what is left of it: all after a failure, what was replaced after an exchange


def remove(path: Path) -> None:
    """Remove a file or a folder, or nothing where nothing is."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _refuse_taken(path: Path, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise StorageError(f"{path.name} cannot be written: there is no folder {path.parent}")
    if not path.exists():
        return
    if not overwrite:
        raise StorageError(
            f"{path.name} is there already",
            hint="Take another name, or replace it: OPTIONS ('overwrite' 'true'), or overwrite=True.",
        )
    if path.is_dir() and not any((path / name).exists() for name in _STORES):
        raise StorageError(f"{path.name} is a folder that is no Zarr store", hint="It is not replaced. Take another.")


def _put(part: Path, path: Path) -> None:
    if not path.exists() or (part.is_file() and path.is_file()):
        os.replace(part, path)
    elif not _exchange(part, path):
        # Nothing is there for a moment: where two names cannot be exchanged at once, a folder cannot be replaced.
        old = part.with_suffix(".old")
        os.rename(path, old)
        os.rename(part, path)
        remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path.name} cannot be written: {error.strerror or error}") from error
