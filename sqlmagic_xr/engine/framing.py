"""Where frames begin and end, by the keys that a partition is ordered by: RANGE and GROUPS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Places = npt.NDArray[np.int64]

_LEAST, _GREATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class FrameShape(NamedTuple):
    """What a frame is like, as it is handed through SQL: ``DESC,LOW,HIGH``.

    Attributes:
        groups: whether bounds count groups of equal keys.
        descending: whether the partition is in descending order.
        low, high: whether there is such a bound; else the frame reaches to that end of the partition.
        keyed: whether a bound is told by the key that stands there; else by how far that is from the row's own key,
            or by how many groups, in the direction of the order.
    """

    groups: bool
    descending: bool
    keyed: bool
    low: bool
    high: bool

    @classmethod
    def read(cls, text: str) -> FrameShape:
        """What :meth:`written` gave."""
        return cls(*(word in text.split(",") for word in _WORDS))

    def written(self) -> str:
        """As a text.

        >>> FrameShape(groups=False, descending=True, keyed=False, low=True, high=False).written()
        'DESC,LOW'
        """
        return ",".join(word for word, there in zip(_WORDS, self, strict=True) if there)


_WORDS = ("GROUPS", "DESC", "KEYED", "LOW", "HIGH")


def places(frame: FrameShape, keys: pa.Array, low: pa.Array, high: pa.Array) -> tuple[Places, Places]:
    """The place where the frame of each row begins, and the one before which it ends.

    Args:
        frame: what it is like.
        keys: of the rows in their order; those that are NULL stand together at one end.
        low, high: the bounds of the rows; one that there is not means nothing.

    >>> keys = pa.array([1, 2, 2, 5])
    >>> frame = FrameShape(groups=False, descending=False, keyed=False, low=True, high=True)
    >>> places(frame, keys, pa.array([-1] * 4), pa.array([0] * 4))
    (array([0, 0, 0, 3]), array([1, 3, 3, 4]))
    """
    there = np.asarray(keys.is_valid())
    own = ordered(keys, frame.descending)
    first = int(there.argmax()) if there.any() else len(own)
    after = first + int(there.sum())
    if frame.groups:
        return _by_groups(frame, own, there, low, high)
    known = own[first:after]
    begin, end = np.zeros(len(own), np.int64), np.full(len(own), len(own), np.int64)
    nulls = (0, first) if first else (after, len(own))
    if frame.low:
        begin[~there] = nulls[0]
        begin[there] = first + np.searchsorted(known, _bound(frame, own, low)[there], "left")
    if frame.high:
        end[~there] = nulls[1]
        end[there] = first + np.searchsorted(known, _bound(frame, own, high)[there], "right")
    return begin, end


def _bound(frame: FrameShape, own: Places, bound: pa.Array) -> Places:
    """The key at a bound, as it is ordered."""
    if frame.keyed:
        return ordered(bound, frame.descending)
    by = bound[0].as_py()
    beyond = own > _GREATEST - by if by > 0 else own < _LEAST - by
    return np.where(beyond, _GREATEST if by > 0 else _LEAST, own + by)


def ordered(keys: pa.Array, descending: bool) -> Places:
    """Whole numbers that ascend where the keys do as the engine orders them: NaN is the greatest, both zeros are one.

    >>> ordered(pa.array([-1.5, -0.0, 0.0, 2.0, float("nan")]), False).argsort(kind="stable")
    array([0, 1, 2, 3, 4])
    """
    if pa.types.is_floating(keys.type):
        reals = keys.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
        bits = np.where(np.isnan(reals), np.nan, reals).view(np.int64)
        whole = np.where(bits < 0, bits ^ _GREATEST, bits)
        whole[np.isnan(reals)] = _GREATEST
    else:
        whole = keys.fill_null(0).to_numpy(zero_copy_only=False)
    return ~whole if descending else whole


def _by_groups(
    frame: FrameShape, own: Places, there: npt.NDArray[np.bool_], low: pa.Array, high: pa.Array
) -> tuple[Places, Places]:
    new = np.ones(len(own), np.bool_)
    new[1:] = (own[1:] != own[:-1]) | (there[1:] != there[:-1])
    group, starts = np.cumsum(new) - 1, np.append(np.flatnonzero(new), len(own))
    begin, end = np.zeros(len(own), np.int64), np.full(len(own), len(own), np.int64)
    if frame.low:
        begin = starts[np.clip(group + int(low[0].as_py()), 0, len(starts) - 1)]
    if frame.high:
        end = starts[np.clip(group + int(high[0].as_py()) + 1, 0, len(starts) - 1)]
    return begin, end
