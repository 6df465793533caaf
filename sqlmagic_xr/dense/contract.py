"""Sums of products over named axes: the cheapest order of pairs, each pair a matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import opt_einsum

from .buffers import Buffers
from .grid import Array
from .node import Refused

Labels = tuple[int, ...]
"""The axes of an array, as numbers."""

_SAFE = 1e300  # products up to here stay finite in whatever order they are formed


def contract(arrays: Sequence[Array], labels: Sequence[Labels], kept: Labels, buffers: Buffers | None = None) -> Any:
    """The sum over all axes but ``kept`` of the product of float64 arrays.

    Args:
        arrays: the factors.
        labels: the axes of each.
        kept: the axes of the result, in its order.
        buffers: room for the result.

    Raises:
        Refused: three or more factors are so large that the order of multiplication matters.
    """
    work, names = list(arrays), list(labels)
    if len(work) > 2:
        _refuse_overflow(work)
    for pair in _path(tuple(names), tuple(a.shape for a in work), kept):
        chosen = [(work[i], names[i]) for i in pair]
        for i in sorted(pair, reverse=True):
            del work[i], names[i]
        needed = set(kept).union(*names)
        result, have = _pair(*chosen[0], *chosen[1], needed, buffers) if len(chosen) == 2 else chosen[0]
        work.append(result)
        names.append(have)
    return _arranged(work[0], names[0], kept)


@lru_cache(maxsize=1024)
def _path(labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...], kept: Labels) -> list[tuple[int, ...]]:
    if len(labels) <= 2:
        return [tuple(range(len(labels)))]
    inputs, output = (",".join("".join(map(opt_einsum.get_symbol, n)) for n in some) for some in (labels, (kept,)))
    path, _ = opt_einsum.contract_path(f"{inputs}->{output}", *shapes, shapes=True, optimize="auto")
    return [tuple(sorted(pair)) for pair in path]


def _refuse_overflow(arrays: Sequence[Array]) -> None:
    bound = 1.0
    for array in arrays:
        bound *= max(1.0, float(np.max(np.abs(array), initial=0.0)))
    if not bound < _SAFE:
        raise Refused("products that may overflow")


def _pair(
    left: Array, a: Labels, right: Array, b: Labels, needed: set[int], buffers: Buffers | None
) -> tuple[Array, Labels]:
    """The product of two arrays, summed over what is not ``needed`` any more."""
    left, a = _summed(left, a, needed.union(b))
    right, b = _summed(right, b, needed.union(a))
    shared = set(a) & set(b)
    batch = [x for x in a if x in shared and x in needed]
    inner = [x for x in a if x in shared and x not in needed]
    rows, columns = [x for x in a if x not in shared], [x for x in b if x not in shared]
    if batch and (not rows or not columns):  # no matrix product in it
        result = (*batch, *rows, *columns)
        return np.einsum(left, list(a), right, list(b), list(result)), result
    one = _as_matrix(left, a, batch, rows, inner)
    other = _as_matrix(right, b, batch, inner, columns)
    sizes = dict(zip((*a, *b), (*left.shape, *right.shape), strict=True))
    result = (*batch, *rows, *columns)
    room = None
    if buffers is not None and not batch:
        room = buffers.take((one.shape[0], other.shape[1]), one.dtype)
    product = np.matmul(one, other) if room is None else np.matmul(one, other, out=room)
    shape = tuple(sizes[x] for x in result)
    return product if product.shape == shape else product.reshape(shape), result


def _as_matrix(array: Array, have: Labels, batch: list[int], first: list[int], second: list[int]) -> Array:
    order = [have.index(x) for x in (*batch, *first, *second)]
    if order != list(range(len(order))):
        array = array.transpose(order)
    if len(first) == len(second) == 1:
        return array
    sizes, cut = array.shape, len(batch) + len(first)
    rows, columns = _product(sizes[len(batch) : cut]), _product(sizes[cut:])
    return array.reshape((*sizes[: len(batch)], rows, columns))


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _summed(array: Array, have: Labels, needed: set[int]) -> tuple[Array, Labels]:
    gone = tuple(place for place, x in enumerate(have) if x not in needed)
    if not gone:
        return array, have
    return np.add.reduce(array, axis=gone), tuple(x for x in have if x in needed)


def _arranged(array: Any, have: Labels, kept: Labels) -> Any:
    array, have = _summed(array, have, set(kept))
    order = [have.index(x) for x in kept]
    return array if order == list(range(len(order))) else array.transpose(order)
