"""Moments over frames that move, each from the rows of its frame alone: nothing is left of rows that have gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datafusion import SessionContext, WindowUDF, udf, udwf
from datafusion.user_defined import WindowEvaluator

from .framing import FrameShape, places

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Merge = Callable[[Floats, Floats], Floats]

OURS = "sqlmagic_"
"""What the names of functions begin with that the rewrites of :mod:`.faults` call."""

ROWS, LISTS, KEYS = OURS + "rows_", OURS + "list_", OURS + "keys_"
"""What the names of ours begin with: over the rows of a partition, over lists of what each frame holds, over the rows
and their keys (which are ``int`` or ``real``)."""

_DOWN = 2.0**-600  # so that the square of a difference of the largest numbers is a number


def is_ours(name: str) -> bool:
    """Whether a function is one of these, which nobody else need know."""
    return name.startswith(OURS)


def framed(columns: list[Floats], low: Places, high: Places, merge: Merge) -> Floats:
    """What frames have together: the frame of place i is the rows from ``low[i]`` to before ``high[i]``.

    Blocks of 1, 2, 4, ... rows are merged from two halves, and a frame from the blocks that its length is the sum of.
    So a frame takes as many merges as its length has digits, and nothing is ever subtracted.

    Args:
        columns: what each row has, one array for each of its parts.
        merge: the parts of two pieces that follow one another -> those of both.

    Example:
        >>> import numpy as np
        >>> low, high = np.array([0, 0, 1]), np.array([1, 2, 3])
        >>> framed([np.array([1.0, 2.0, 4.0])], low, high, np.add)
        array([[1., 3., 6.]])
    """
    blocks = np.array(columns, np.float64)
    found = np.zeros((len(blocks), len(low)))
    lengths, places, size = np.maximum(high - low, 0), low.copy(), 1
    longest = int(lengths.max(initial=0))
    while size <= longest:
        taken = np.flatnonzero(lengths & size)
        found[:, taken] = merge(found[:, taken], blocks[:, places[taken]])
        places[taken] += size
        if 2 * size <= longest:
            blocks = merge(blocks[:, :-size], blocks[:, size:])
        size *= 2
    return found


def _merged(one: Floats, other: Floats) -> Floats:
    """Counts, means and products of differences from the means, of two pieces together (Chan, Golub and LeVeque)."""
    width = 1 if len(one) == 3 else 2
    count = one[0] + other[0]
    share = other[0] / np.maximum(count, 1)
    apart = np.where((one[0] > 0) & (other[0] > 0), other[1 : 1 + width] - one[1 : 1 + width], 0.0)
    means = np.where(one[0] > 0, one[1 : 1 + width], other[1 : 1 + width]) + apart * share
    pairs = [apart[i] * apart[j] for i in range(width) for j in range(i, width)]
    return np.vstack([count[None], means, one[1 + width :] + other[1 + width :] + np.array(pairs) * share * one[0]])


def _moments(columns: list[Floats], there: npt.NDArray[np.bool_], low: Places, high: Places) -> Floats:
    """The count, the mean of each column, and the products of each two, for each frame."""
    values = [np.where(there, column, 0.0) for column in columns]
    nothing = [(a - a) + (b - b) for i, a in enumerate(values) for b in values[i:]]  # which is NaN of what is no number
    return framed([there.astype(np.float64), *values, *nothing], low, high, _merged)


def _total(name: str, columns: list[Floats], there: npt.NDArray[np.bool_], low: Places, high: Places) -> pa.Array:
    count, total = framed([there.astype(np.float64), np.where(there, columns[0], 0.0)], low, high, np.add)
    return pa.array(total if name == "sum" else total / count, mask=count < 1)


def _spread(name: str, columns: list[Floats], there: npt.NDArray[np.bool_], low: Places, high: Places) -> pa.Array:
    count, _, squares = _moments(columns, there, low, high)
    number = count if name.endswith("_pop") else count - 1
    found = np.where(count == 1, 0.0, squares) / number  # of one value, be it no number, as the engine has it
    again = np.flatnonzero(~np.isfinite(found) & (number > 0))
    root = np.sqrt(found) if name.startswith("stddev") else found
    if len(again):
        smaller = _moments([columns[0] * _DOWN], there, low[again], high[again])[2] / number[again]
        root[again] = np.sqrt(smaller) / _DOWN if name.startswith("stddev") else smaller / _DOWN / _DOWN
    return pa.array(root, mask=number < 1)


def _regression(name: str, columns: list[Floats], there: npt.NDArray[np.bool_], low: Places, high: Places) -> pa.Array:
    moments = _moments(columns, there, low, high)
    found = _ratio(name, moments)
    beyond = np.flatnonzero(~np.isfinite(np.square(moments[3:])).all(axis=0))
    if not len(beyond):
        return found
    smaller = _moments([column * _DOWN for column in columns], there, low[beyond], high[beyond])
    numbers = beyond[np.isfinite(smaller).all(axis=0)]  # else there is one among the rows that is none
    each = [_scaled(name, columns, there, low[place], high[place]) for place in numbers]
    return pc.replace_with_mask(found, pa.array(np.isin(np.arange(len(low)), numbers)), pa.array(each, pa.float64()))


def _scaled(name: str, columns: list[Floats], there: npt.NDArray[np.bool_], low: int, high: int) -> float | None:
    """A regression of a frame whose squares are beyond DOUBLE: of numbers of about 1, and then as large as they are."""
    within = there[low:high]
    both = [np.where(within, column[low:high], 0.0) for column in columns]
    y, x = (2.0 ** int(np.frexp(np.abs(column).max())[1] - 1) for column in both)
    frame = np.array([0]), np.array([high - low])
    found = _ratio(name, _moments([both[0] / y, both[1] / x], within, *frame))[0].as_py()
    back = {"regr_r2": (), "regr_intercept": (y,), "regr_avgy": (y,), "regr_avgx": (x,), "regr_syy": (y, y),
            "regr_sxy": (y, x), "regr_sxx": (x, x), "regr_slope": (y, 1 / x)}  # fmt: skip
    return None if found is None else float(np.prod([found, *back[name]]))


def _ratio(name: str, moments: Floats) -> pa.Array:
    count, y, x, yy, xy, xx = moments
    flat = (count < 2) | (xx == 0)
    if name in ("regr_slope", "regr_intercept"):
        return pa.array(xy / xx if name == "regr_slope" else y - xy / xx * x, mask=flat)
    if name == "regr_r2":
        return pa.array(xy * xy / (xx * yy), mask=flat | (yy == 0))
    values = {"regr_avgy": y, "regr_avgx": x, "regr_syy": yy, "regr_sxy": xy, "regr_sxx": xx}
    return pa.array(values[name], mask=count < 1)


FUNCTIONS: Mapping[str, tuple[int, Callable[..., pa.Array]]] = {
    **dict.fromkeys(("sum", "avg"), (1, _total)),
    **dict.fromkeys(("var_samp", "var_pop", "stddev_samp", "stddev_pop"), (1, _spread)),
    **dict.fromkeys(
        ("regr_slope", "regr_intercept", "regr_r2", "regr_avgx", "regr_avgy", "regr_sxx", "regr_syy", "regr_sxy"),
        (2, _regression),
    ),
}
"""Name -> how many arguments it has, and what calculates it."""


def _calculated(name: str, arrays: list[pa.Array], low: Places, high: Places) -> pa.Array:
    there = np.logical_and.reduce([np.asarray(array.is_valid()) for array in arrays])
    columns = [array.fill_null(0.0).to_numpy(zero_copy_only=False) for array in arrays]
    with np.errstate(all="ignore"):
        return FUNCTIONS[name][1](name, columns, there, low, high)


def _evaluator(name: str, width: int) -> type[WindowEvaluator]:
    class Moving(WindowEvaluator):
        """The partition's rows, and where a frame begins and ends, counted from its row; NULL for without end."""

        def evaluate_all(self, values: list[pa.Array], num_rows: int) -> pa.Array:
            here = np.arange(num_rows)
            begin, end = (values[width + i][0].as_py() if num_rows else None for i in range(2))
            low = np.zeros_like(here) if begin is None else np.clip(here + begin, 0, num_rows)
            high = np.full_like(here, num_rows) if end is None else np.clip(here + end + 1, 0, num_rows)
            return _calculated(name, values[:width], low, high)

    return Moving


class _ByKeys(WindowEvaluator):
    """The partition's rows: which moment, of what, what the frame is like, the key, and the frame's bounds."""

    def evaluate_all(self, values: list[pa.Array], num_rows: int) -> pa.Array:
        if not num_rows:
            return pa.array([], pa.float64())
        name, *columns, frame, keys, low, high = values
        begin, end = places(FrameShape.read(frame[0].as_py()), keys, low, high)
        width = FUNCTIONS[name[0].as_py()][0]
        return _calculated(name[0].as_py(), columns[:width], begin, end)


def _over_lists(name: str) -> Callable[..., pa.Array]:
    def calculate(*lists: pa.ListArray) -> pa.Array:
        offsets = np.asarray(lists[0].offsets, np.int64)
        offsets = offsets - offsets[0]
        return _calculated(name, [each.flatten() for each in lists], offsets[:-1], offsets[1:])

    return calculate


def register(session: SessionContext) -> None:
    """Give a session these functions; they are asked for by :mod:`.faults.moving` alone."""
    for name, (width, _) in FUNCTIONS.items():
        SessionContext.register_udwf(session, _window(name, width))
        lists = [pa.list_(pa.float64())] * width
        SessionContext.register_udf(session, udf(_over_lists(name), lists, pa.float64(), "immutable", LISTS + name))
    for name, kind in {"int": pa.int64(), "real": pa.float64()}.items():
        inputs: Any = [pa.string(), *[pa.float64()] * 2, pa.string(), *[kind] * 3]
        SessionContext.register_udwf(session, udwf(_ByKeys, inputs, pa.float64(), "immutable", KEYS + name))


def _window(name: str, width: int) -> WindowUDF:
    inputs: Any = [*[pa.float64()] * width, pa.int64(), pa.int64()]
    return udwf(_evaluator(name, width), inputs, pa.float64(), "immutable", ROWS + name)
