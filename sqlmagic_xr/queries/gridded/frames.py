"""What the frames of window functions hold along an axis; nothing is left over from rows that have gone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dense.node import Refused
from ...relation.columns import Measure
from ...relation.frames import Frame, bounds
from .cells import Array


def frame_of(measure: Measure) -> Frame:
    """The frame of a window whose rows no two share a place in its order.

    Raises:
        Refused: it is told by the distance of values, or there is no order to count rows in.
    """
    if measure.frame is None:
        return (None, 0 if measure.order else None)
    found = bounds(measure.frame)
    if found is None:
        raise Refused("the bound of a frame is no number of rows", measure.call.span)
    units, frame = found
    if units == "Range" and any(bound not in (None, 0) for bound in frame):
        raise Refused("a RANGE is told by the distance of values", measure.call.span)
    if not measure.order and frame != (None, None):
        raise Refused("a frame without an ORDER BY", measure.call.span)
    return frame


def limits(frame: Frame, length: int) -> tuple[Array, Array]:
    """Where the frame of each row begins, and the place behind its end; an empty one ends where it begins."""
    here = np.arange(length)
    begin, end = frame
    low = np.zeros_like(here) if begin is None else np.clip(here + begin, 0, length)
    high = np.full_like(here, length) if end is None else np.clip(here + end + 1, 0, length)
    return low, np.maximum(low, high)


def folded(ufunc: Any, values: Array, frame: Frame, nothing: Any, dtype: Any = None) -> Array:
    """The rows of each frame folded into one: a frame of ROWS takes as many steps as its length has digits.

    Args:
        ufunc: what folds two.
        values: the rows along the first axis.
        frame: which of them.
        nothing: what an empty frame comes to, which changes nothing.
        dtype: in which it is calculated; by default that of the rows.

    Example:
        >>> import numpy as np
        >>> folded(np.add, np.array([1, 2, 4, 8]), (-1, 0), 0)
        array([ 1,  3,  6, 12])
    """
    begin, end = frame
    dtype = values.dtype if dtype is None else dtype
    if begin is None and end is None:
        return np.broadcast_to(ufunc.reduce(values, axis=0, dtype=dtype, keepdims=True), values.shape)
    if end is None:
        return folded(ufunc, values[::-1], (None, -begin), nothing, dtype)[::-1]  # type: ignore[operator]
    if begin is None:
        return _shifted(ufunc.accumulate(values, axis=0, dtype=dtype), end, nothing)
    length = len(values)
    begin, end = max(begin, -length), min(end, length)
    return _moving(ufunc, values, begin, end, nothing, dtype)


def _shifted(running: Array, by: int, nothing: Any) -> Array:
    """What has been folded up to some rows behind each, or before it."""
    length = len(running)
    places = np.arange(length) + by
    found = running[np.clip(places, 0, length - 1)] if by else running
    if by < 0:
        found[: min(-by, length)] = nothing
    return np.asarray(found)


def _moving(ufunc: Any, values: Array, begin: int, end: int, nothing: Any, dtype: Any) -> Array:
    """Blocks of 1, 2, 4, ... rows are folded from two halves, and a frame from those that its length is the sum of."""
    length, width = len(values), end - begin + 1
    before, after = max(0, -begin), max(0, end)
    block = np.empty((before + length + after, *values.shape[1:]), dtype)
    block[:before], block[before + length :] = nothing, nothing
    block[before : before + length] = values
    start, found, size = before + begin, None, 1
    while size <= width:
        if width & size:
            piece = block[start : start + length]
            found = piece.copy() if found is None else ufunc(found, piece, out=found)
            start += size
        if 2 * size <= width:
            block = ufunc(block[:-size], block[size:])
        size *= 2
    return np.full(values.shape, nothing, dtype) if found is None else found


def moved(values: Array, by: int, nothing: Any) -> Array:
    """The value so many rows behind each, or before it; beyond the partition there is none."""
    length = len(values)
    found = np.full(values.shape, nothing, values.dtype)
    if by >= 0:
        found[: max(0, length - by)] = values[by:]
    elif -by < length:
        found[-by:] = values[:by]
    return found
