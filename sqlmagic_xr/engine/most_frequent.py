"""Where in a list of values the most frequent one is, for ``mode(x)`` (see :mod:`..sql.modes`)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datafusion import SessionContext, udf

from ..sql.modes import PLACE

_TEXTS = pa.list_(pa.field("item", pa.utf8(), nullable=True))
_NUMBER = re.compile(r"\w+\((?:[a-z-]+ )?(UInt|Int|Float|Decimal)\d")  # List(Int64), but not List(Interval(DayTime))
_ARROW = {"UInt": pa.uint64(), "Int": pa.int64(), "Float": pa.float64(), "Decimal": pa.float64()}


def register_mode(session: SessionContext) -> None:
    """Give a session the function of lists that ``mode`` is written with."""
    SessionContext.register_udf(session, udf(_places, [_TEXTS, pa.utf8()], pa.int64(), "immutable", PLACE))


def _places(lists: pa.ListArray, types: pa.Array) -> pa.Array:
    """The number, from 1, of the most frequent text of each list, of several the least; NULL of a list that has none.

    Args:
        lists: the values as texts.
        types: that of their lists; equal in all rows.
    """
    found = _NUMBER.match((types[0].as_py() if len(types) else None) or "")
    number = _ARROW[found[1]] if found else None
    texts = lists.flatten()
    if number == pa.float64():
        texts = pc.replace_with_mask(texts, pc.equal(texts, "-0.0"), pa.scalar("0.0", pa.utf8()))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), dtype=np.int64)
    places = _most_frequent(_ranks(texts, number), lengths)
    return pa.array(places + 1, pa.int64(), mask=lengths == 0)


def _ranks(texts: pa.Array, number: Any) -> npt.NDArray[np.int64]:
    """The place of each value in the order of all that differ."""
    coded = texts.dictionary_encode()
    values = coded.dictionary if number is None else coded.dictionary.cast(number)
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.asarray(pc.sort_indices(values))] = np.arange(len(values))
    found: npt.NDArray[np.int64] = ranks[np.asarray(coded.indices)]
    return found


def _most_frequent(ranks: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in each list the first value of the most frequent, and of those the lowest, rank is."""
    lists = np.repeat(np.arange(len(lengths)), lengths)
    width = int(ranks.max(initial=0)) + 1
    keys, first, counts = np.unique(lists * width + ranks, return_index=True, return_counts=True)
    best = np.lexsort((keys, -counts, keys // width))
    found = np.zeros(len(lengths), dtype=np.int64)
    of_list, leading = np.unique(keys[best] // width, return_index=True)
    found[of_list] = first[best[leading]] - (np.cumsum(lengths) - lengths)[of_list]
    return found
