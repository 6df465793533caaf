"""Expressions as arrays over one block of a grid, and where they are NULL.

An array has an axis for each of the grid's, of length one where it does not vary along it. A variable's NaN is NULL, so
that most of what is NULL can be told by its cells: such cells are *marked*. Where a truth value is marked, it is false
where it is NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from ...dense.node import Refused

Array = Any
Part = tuple[slice, ...]

FLOATS = frozenset({"float", "double"})
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = frozenset({*SIGNED, *UNSIGNED})
NUMBERS = FLOATS | INTEGERS

DTYPES: dict[str, Any] = {
    "float": np.dtype(np.float32), "double": np.dtype(np.float64), "halffloat": np.dtype(np.float16),
    "bool": np.dtype(np.bool_), **{name: np.dtype(name) for name in INTEGERS},
}  # fmt: skip
"""NumPy's types of what is calculated with."""


def is_instant(kind: str) -> bool:
    """Whether values are points or spans of time, which are whole numbers of their unit here."""
    return kind.startswith(("timestamp", "date", "duration"))


@dataclass(eq=False)
class CellBlock:
    """A part of the grid that is evaluated at once, by one thread.

    Attributes:
        part: where it lies among the cells that are read.
        inside: where it lies in the region whose variables are in memory.
        shape: its lengths.
        stored: those variables, by their number.
        rooms: arrays that the thread writes into again and again.
        known: what has been calculated of this block.
        numbers: those of the step, see :mod:`.holes`.
    """

    part: Part
    inside: Part
    shape: tuple[int, ...]
    stored: Sequence[Array]
    rooms: dict[Any, Array]
    known: dict[Any, Any] = field(default_factory=dict)
    numbers: Sequence[Any] = ()

    def room(self, owner: Any, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array that is nobody else's in this block."""
        found, size = self.rooms.get(owner), prod(shape)
        if found is None or len(found) < size:
            found = self.rooms[owner] = np.empty(size, dtype)
        return found[:size].reshape(shape)


@dataclass(eq=False)
class Cells:
    """An expression over the cells of a block.

    Attributes:
        type: the Arrow name of its type.
        make: calculates it; read it by :meth:`of`, which does so once for a block.
        valid: where it is not NULL; None where it never is.
        marked: whether its cells show where it is NULL: NaN among reals, false among truth values.
        real: whether it is never NaN where it is not NULL.
        constant: the number that it is everywhere, or None.
        ready: whether its cells are in memory, so that nothing has to be calculated.
        factors: two that are, whose product in float64 it is; None for anything else.
    """

    type: str
    make: Callable[[CellBlock], Array]
    valid: Cells | None = None
    marked: bool = False
    real: bool = True
    constant: Any = None
    ready: bool = False
    factors: tuple[Cells, Cells] | None = None

    def of(self, block: CellBlock) -> Array:
        """Its cells in a block."""
        found = block.known.get(self)
        if found is None:
            found = block.known[self] = self.make(block)
        return found


def stored(number: int, kind: str) -> Cells:
    """A variable of which a region is in memory; NaN and NaT are NULL."""

    def make(block: CellBlock) -> Array:
        values = block.stored[number]
        return values[tuple(p if n > 1 else slice(None) for p, n in zip(block.inside, values.shape, strict=True))]

    found = Cells(kind, make, ready=True)
    if kind in FLOATS or kind == "halffloat":
        found.valid, found.marked = Cells("bool", lambda block: np.equal(found.of(block), found.of(block))), True
    elif is_instant(kind):
        found.valid = Cells("bool", lambda block: found.of(block) != NAT)
    return found


NAT = np.iinfo(np.int64).min


def constant(value: Any, kind: str) -> Cells:
    """A number or a truth value that is the same everywhere."""
    scalar = DTYPES[kind].type(value)
    return Cells(kind, lambda block: scalar, real=bool(scalar == scalar), constant=scalar)


def null() -> Cells:
    """NULL everywhere, of a type that is still open."""
    return Cells("null", lambda block: np.int64(0), Cells("bool", lambda block: np.bool_(False)))


def spread(values: Array, known: Array | None, kind: str, axes: Sequence[int], count: int) -> Cells:
    """An array that is in memory, over some axes of the grid.

    Args:
        values: its cells, in the order of ``axes``.
        known: where they are not NULL; None for everywhere.
        kind: the Arrow name of their type.
        axes: the grid's axes that it has, in their order.
        count: how many axes the grid has.
    """
    shape = [1] * count
    for axis, length in zip(axes, values.shape, strict=True):
        shape[axis] = length
    laid = values.reshape(shape)
    mask = None if known is None or known.all() else known.reshape(shape)

    def at(block: CellBlock) -> tuple[slice, ...]:
        return tuple(p if a in axes else slice(None) for a, p in enumerate(block.part))

    found = Cells(kind, lambda block: laid[at(block)], ready=True)
    if mask is not None:
        marks = mask
        found.valid = Cells("bool", lambda block: marks[at(block)])
        if kind in FLOATS:
            laid = np.where(mask, laid, np.nan).astype(laid.dtype)
            found.marked = True
    if kind in FLOATS:
        nans = np.isnan(laid) if mask is None else np.isnan(laid) & mask
        found.real = not nans.any()
    if kind == "bool" and mask is not None:
        laid, found.marked = laid & mask, True
    return found


def of_arrow(values: pa.Array) -> tuple[Array, Array | None]:
    """An Arrow array as NumPy has it, and where it is not NULL; times are whole numbers.

    Raises:
        Refused: array code does not calculate with its type.
    """
    kind = str(values.type)
    if kind not in DTYPES and not is_instant(kind):
        raise Refused(f"array code does not calculate with {kind}")
    known = np.asarray(values.is_valid()) if values.null_count else None
    if is_instant(kind):
        values = values.view(pa.int32() if kind == "date32[day]" else pa.int64())
    if values.null_count:
        values = values.fill_null(False if kind == "bool" else 0)
    return np.asarray(values), known


def only(cells: Array, known: Array, fill: Any, block: CellBlock, owner: Any) -> Array:
    """The cells where they count, and ``fill`` elsewhere; by their bits: to choose between two costs ten times that.

    Args:
        cells, known: the cells, and where they count.
        fill: a number of their type.
        block: what they are cells of.
        owner: whose the array is that is made.
    """
    if not np.ndim(cells) or not np.ndim(known) or cells.dtype.kind not in "fiu":
        return np.where(known, cells, cells.dtype.type(fill))
    bits = np.dtype(f"i{cells.dtype.itemsize}")
    found = block.room((owner, "only"), np.broadcast_shapes(cells.shape, known.shape), bits)
    if fill != fill:  # all bits set are NaN, whatever else they were
        np.subtract(known.view(np.int8), np.int8(1), out=found)
        np.bitwise_or(cells.view(bits), found, out=found)
        return found.view(cells.dtype)
    mask = block.room((owner, "mask"), known.shape, bits)
    np.negative(known.view(np.int8), out=mask)
    if fill == 0:
        np.bitwise_and(cells.view(bits), mask, out=found)
    else:
        other = cells.dtype.type(fill).view(bits)
        np.bitwise_xor(cells.view(bits), other, out=found)
        np.bitwise_and(found, mask, out=found)
        np.bitwise_xor(found, other, out=found)
    return found.view(cells.dtype)


def both(*masks: Cells | None) -> Cells | None:
    """Where all of some masks hold; None for everywhere."""
    found = list(dict.fromkeys(m for m in masks if m is not None))
    if not found:
        return None
    made = found[0]
    for other in found[1:]:
        made = _and(made, other)
    return made


def _and(one: Cells, other: Cells) -> Cells:
    return Cells("bool", lambda block: np.logical_and(one.of(block), other.of(block)), marked=True)
