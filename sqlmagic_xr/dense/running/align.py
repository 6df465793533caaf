"""Arrays brought to common axes, and the positions in which two axes agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Array
from ..node import Axis, Refused

_FEW = 16  # cells that are copied sooner than looked at


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """What the origin of an axis is, once it is calculated.

    Attributes:
        coordinates: the coordinates, distinct.
        first: which cells along the first partner's axis are meant, as places or as a slice; None where all are, in
            their order.
        second: the same for the second partner.
        found: which cells have a second partner; None where all have.
    """

    coordinates: Array
    first: Array | slice | None = None
    second: Array | None = None
    found: Array | None = None


def aligner(have: Sequence[Axis], want: Sequence[Axis]) -> Callable[[Any], Any] | None:
    """What makes an array over ``have`` one that broadcasts along ``want``; None where nothing is to be done."""
    if tuple(have) == tuple(want) or not have:
        return None
    order = sorted(range(len(have)), key=lambda place: want.index(have[place]))
    turned = order != list(range(len(have)))
    present = set(have)
    first = next(place for place, axis in enumerate(want) if axis in present)
    index = tuple(slice(None) if axis in present else None for axis in want[first:])
    stretched = None in index
    if not turned and not stretched:
        return None

    def align(array: Any) -> Any:
        if turned:
            array = array.transpose(order)
        return array[index] if stretched else array

    return align


def match(left: Alignment, right: Alignment) -> Alignment:
    """The coordinates that both axes have."""
    a, b = left.coordinates, right.coordinates
    if a is b or (len(a) == len(b) and bool((a == b).all())):
        return Alignment(a)
    common, first, second = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    return Alignment(common, first, second)


def lookup(rows: Alignment, axis: Alignment, cells: Array, known: Array | None = None) -> Alignment:
    """The rows whose cell is a coordinate of ``axis``, and which one."""
    if not len(axis.coordinates):
        return Alignment(rows.coordinates[:0], np.zeros(0, np.intp), np.zeros(0, np.intp))
    codes, found = _places(axis.coordinates, cells, known)
    if found.all():
        return Alignment(rows.coordinates, None, codes)
    (kept,) = np.nonzero(found)
    return Alignment(rows.coordinates[kept], kept, codes[kept])


def partner(rows: Alignment, axis: Alignment, cells: Array, known: Array | None = None) -> Alignment:
    """All rows, and which coordinate of ``axis`` each cell is; any where it is none (``found`` says where)."""
    if not len(axis.coordinates):
        raise Refused("the right side of a LEFT JOIN has no row")
    codes, found = _places(axis.coordinates, cells, known)
    return Alignment(rows.coordinates, None, codes, None if found.all() else found)


def partnered(partners: Alignment) -> Array:
    """Which rows have a partner."""
    return np.ones(len(partners.coordinates), np.bool_) if partners.found is None else partners.found


def _places(coordinates: Array, cells: Array, known: Array | None) -> tuple[Array, Array]:
    """Where each cell stands among some coordinates, and whether it does."""
    if _count_up(coordinates) and cells.dtype == np.int64:
        codes = cells - coordinates[0]
        found = codes.view(np.uint64) < len(coordinates)  # a negative number is a very large one
        if not found.all():
            codes = np.where(found, codes, 0)
        return codes, found if known is None else found & known
    order = np.argsort(coordinates, kind="stable")
    places = np.minimum(np.searchsorted(coordinates, cells, sorter=order), len(coordinates) - 1)
    codes = order[places]
    found = np.asarray(coordinates[codes] == cells)
    return codes, found if known is None else found & known


def _count_up(coordinates: Array) -> bool:
    """Whether coordinates are whole numbers that follow one another, as numbers of images and of classes do."""
    if coordinates.dtype != np.int64:
        return False
    span = int(coordinates[-1]) - int(coordinates[0])
    return span == len(coordinates) - 1 and bool((coordinates[1:] > coordinates[:-1]).all())


def restrict(axis: Alignment, condition: Array) -> Alignment:
    """The coordinates of which a condition is true."""
    if condition.all():
        return Alignment(axis.coordinates)
    (kept,) = np.nonzero(condition)
    cells = _evenly(kept)
    return Alignment(axis.coordinates[cells], cells)


def _evenly(places: Array) -> Array | slice:
    """Some places as a slice where they lie evenly, as those of a mini-batch do: then no cell is copied."""
    if len(places) < _FEW:
        return places
    stride = int(places[1] - places[0])
    even = bool((places[1:] - places[:-1] == stride).all())
    return slice(int(places[0]), int(places[-1]) + 1, stride) if even else places


def distinct(rows: Alignment, cells: Array) -> Alignment:
    """The distinct values of a column; ``first`` says which one each row has."""
    if cells.dtype.kind == "f" and (np.isnan(cells).any() or ((cells == 0) & np.signbit(cells)).any()):
        raise Refused("GROUP BY a value that is NaN or a negative zero")
    values, codes = np.unique(cells, return_inverse=True)
    return Alignment(values, codes.reshape(-1))


def member(values: Alignment) -> Array:
    """Which of the distinct values each row has: rows by values."""
    codes = values.first
    assert isinstance(codes, np.ndarray)
    if codes.size * len(values.coordinates) > 50_000_000:
        raise Refused("too many groups for arrays")
    return np.asarray(codes[:, None] == np.arange(len(values.coordinates)))
