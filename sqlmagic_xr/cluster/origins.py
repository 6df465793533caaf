"""The Zarr arrays that a program reads, which go along with it so that workers see whether they have them.

A chunk that Zarr does not find is one of missing values. So a worker that does not see a store at all, such as one on
the disk or in the memory of the notebook's machine, would read nothing else, and say nothing.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

from .sent import pickled


def packed(program: Any, reads: Any = None) -> bytes:
    """A program as it is sent, and the Zarr arrays behind it.

    Args:
        program: it.
        reads: what others read for it, and give it; that is not sent.
    """
    arrays: list[Any] = []  # is written last, when all of them are known

    def note(value: Any) -> None:
        zarr = sys.modules.get("zarr")
        if zarr is not None and isinstance(value, zarr.Array):
            arrays.append(value)

    if reads is not None:
        pickled(reads, note)
    return pickled((program, arrays), note)


def unpacked(payload: bytes) -> tuple[Any, list[Any]]:
    """The program and the arrays."""
    program, arrays = pickle.loads(payload)
    return program, arrays


def unseen(array: Any) -> str | None:
    """Why a Zarr array is not to be seen from here; None for one that is."""
    import zarr

    try:
        found: Any = zarr.open_array(array.store, path=array.path, mode="r")
    except FileNotFoundError:
        return "it is not there"
    except Exception as error:  # whatever a store may say
        return f"{type(error).__name__}: {error}"
    for name in ("shape", "dtype", "chunks"):
        mine, there = getattr(array, name), getattr(found, name)
        if mine != there:
            return f"its {name} is {there} there, and {mine} for the notebook"
    return None
