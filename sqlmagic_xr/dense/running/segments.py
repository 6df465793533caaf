"""Sums by the values of a column: each row is added where its value stands, so no array of rows by values is formed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..node import Node, Refused
from .align import Alignment
from .buffers import Buffers
from .operations import EMPTY, lengths, masked_product, multiplied


def summed(node: Node, buffers: Buffers) -> Callable[..., Any]:
    """The sum of a product of arrays along the rows, for each distinct value of a column.

    Args:
        node: factors, masks, the distinct values, and then as :func:`.operations.multiplied` takes them.
        buffers: not used.
    """
    factors, masks, _ = node.data
    number, finish = factors + masks, multiplied(node)

    def total(*args: Any) -> Any:
        codes, count = _codes(args[number])
        result = np.bincount(codes, masked_product(args[:number], factors), count)
        return finish(result, args[number + 1 :], False)

    return total


def counted(node: Node, buffers: Buffers) -> Callable[..., Any]:
    """How many rows have each distinct value of a column, those left out of which a mask is false.

    Args:
        node: masks, the distinct values, and the lengths of other axes.
        buffers: not used.
    """
    number = node.data

    def count(*args: Any) -> Any:
        codes, values = _codes(args[number])
        found = np.bincount(codes if not number else codes[_all(args[:number])], minlength=values)
        return found.astype(np.int64, copy=False) * lengths(args[number + 1 :])

    return count


def _codes(values: Alignment) -> tuple[Any, int]:
    """Which of the distinct values each row has, and how many there are."""
    codes = values.first
    assert isinstance(codes, np.ndarray)
    if not codes.size:
        raise Refused(EMPTY)
    return codes, len(values.coordinates)


def _all(masks: Sequence[Any]) -> Any:
    found = masks[0]
    for mask in masks[1:]:
        found = found & mask
    return found
