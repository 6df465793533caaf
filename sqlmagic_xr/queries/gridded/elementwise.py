"""Cells made of other cells: types brought together, functions applied, one chosen of two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...dense.node import Refused
from .cells import DTYPES, FLOATS, NUMBERS, SIGNED, UNSIGNED, CellBlock, Cells, both, constant


def common(kinds: Sequence[str]) -> str:
    """The type to which the engine brings numbers of several types.

    Raises:
        Refused: they are no numbers, or it calculates with decimals then.
    """
    found = set(kinds) - {"null"}
    if len(found) == 1:
        return found.pop()
    if not found or not found <= NUMBERS:
        raise Refused(f"{' and '.join(sorted(found))} are brought together")
    for kind in ("double", "float"):
        if kind in found:
            return kind
    unsigned = [UNSIGNED.index(kind) for kind in found if kind in UNSIGNED]
    signed = [SIGNED.index(kind) for kind in found if kind in SIGNED]
    if not signed:
        return UNSIGNED[max(unsigned)]
    needed = max([*signed, *(place + 1 for place in unsigned)])
    if needed >= len(SIGNED):
        raise Refused("uint64 and signed numbers are decimals together")
    return SIGNED[needed]


def cast(value: Cells, kind: str) -> Cells:
    """The same numbers as another type that holds them."""
    if value.type == kind:
        return value
    if value.type == "null":
        nothing = DTYPES[kind].type(0)
        return Cells(kind, lambda block: nothing, value.valid)
    if value.constant is not None:
        return constant(value.constant, kind)
    dtype = DTYPES[kind]
    marked = value.marked and kind in FLOATS
    found = Cells(kind, lambda block: block.known[found], value.valid, marked, value.real)

    def make(block: CellBlock) -> Any:
        cells = value.of(block)
        if np.shape(cells) != block.shape:
            return np.asarray(cells).astype(dtype)
        room = block.room(found, block.shape, dtype)
        np.copyto(room, cells, casting="unsafe")
        return room

    found.make = make
    return found


def elementwise(function: Callable[..., Any], kind: str, *args: Cells, marked: bool = False) -> Cells:
    """A function of the cells of others, whatever is NULL among them."""
    found = Cells(kind, lambda block: None, marked=marked)
    reuse = isinstance(function, np.ufunc)
    dtype = DTYPES.get(kind)

    def make(block: CellBlock) -> Any:
        cells = [argument.of(block) for argument in args]
        if reuse and any(np.shape(c) == block.shape for c in cells):
            return function(*cells, out=block.room(found, block.shape, dtype))
        return function(*cells)

    found.make = make
    return found


def strict(function: Callable[..., Any], kind: str, *args: Cells, real: bool = True) -> Cells:
    """A function that is NULL where an argument is; of marked reals it is marked too.

    Args:
        function, kind, args: what is calculated.
        real: whether it makes no NaN of numbers.
    """
    found = elementwise(function, kind, *args)
    found.valid = both(*(argument.valid for argument in args))
    found.real = kind not in FLOATS or (real and all(argument.real for argument in args))
    found.marked = kind in FLOATS and all(a.valid is None or (a.marked and a.type in FLOATS) for a in args)
    if found.valid is None:
        found.marked = False
    return found


def choose(test: Cells, one: Cells, other: Cells) -> Cells:
    """One where a condition holds, else the other, which is of the same type."""
    valid = None
    if one.valid is not None or other.valid is not None:
        valid = Cells("bool", lambda block: np.where(test.of(block), _known(one, block), _known(other, block)))
    marked = valid is not None and one.type in FLOATS and all(v.valid is None or v.marked for v in (one, other))
    real = one.real and other.real
    return Cells(one.type, lambda block: np.where(test.of(block), one.of(block), other.of(block)), valid, marked, real)


def _known(value: Cells, block: CellBlock) -> Any:
    return np.bool_(True) if value.valid is None else value.valid.of(block)
