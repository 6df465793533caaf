"""Sums of products over named axes: the cheapest order of pairs, each pair a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import opt_einsum

from ..grid import Array
from ..node import Refused
from .buffers import Buffers

Labels = tuple[int, ...]
"""The axes of an array, as numbers."""

_FEW, _SMALL = 4, 1 << 14
"""Of more factors the search for the best order takes 20 ms; over so few cells it saves less than a step of any."""

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
    if len(arrays) == 2:
        return _product_of(*labels, kept)(*arrays, buffers)
    work, names = list(arrays), list(labels)
    if len(work) > 2:
        _refuse_overflow(work)
    for pair in _path(tuple(names), tuple(a.shape for a in work), kept):
        chosen = [(work[i], names[i]) for i in pair]
        for i in sorted(pair, reverse=True):
            del work[i], names[i]
        needed = set(kept).union(*names)
        if len(chosen) == 1:
            ((result, have),) = chosen
        else:
            (left, a), (right, b) = chosen
            have = tuple(dict.fromkeys(x for x in (*a, *b) if x in needed))
            result = _product_of(a, b, have)(left, right, buffers)
        work.append(result)
        names.append(have)
    return _arranged(work[0], names[0], kept)


@lru_cache(maxsize=1024)
def _path(labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...], kept: Labels) -> list[tuple[int, ...]]:
    if len(labels) <= 2:
        return [tuple(range(len(labels)))]
    inputs, output = (",".join("".join(map(opt_einsum.get_symbol, n)) for n in some) for some in (labels, (kept,)))
    sizes = {
        name: size for some, shape in zip(labels, shapes, strict=True) for name, size in zip(some, shape, strict=True)
    }
    quick = len(labels) > _FEW and prod(sizes.values()) <= _SMALL
    path, _ = opt_einsum.contract_path(
        f"{inputs}->{output}", *shapes, shapes=True, optimize="greedy" if quick else "auto"
    )
    return [tuple(sorted(pair)) for pair in path]


def _refuse_overflow(arrays: Sequence[Array]) -> None:
    bound = 1.0
    for array in arrays:
        bound *= max(1.0, float(np.max(np.abs(array), initial=0.0)))
    if not bound < _SAFE:
        raise Refused("products that may overflow")


@lru_cache(maxsize=1024)
def _product_of(a: Labels, b: Labels, kept: Labels) -> Callable[..., Any]:
    """A function (left, right, buffers) -> the product of two arrays, summed over all axes but ``kept``.

    What it does is worked out once: which axes are summed beforehand, and how each side is turned into a matrix.
    """
    alone = [place for place, x in enumerate(a) if x not in kept and x not in b]
    apart = [place for place, x in enumerate(b) if x not in kept and x not in a]
    first, second = tuple(x for x in a if x in kept or x in b), tuple(x for x in b if x in kept or x in a)
    shared = set(first) & set(second)
    batch = [x for x in first if x in shared and x in kept]
    inner = [x for x in first if x in shared and x not in kept]
    rows, columns = [x for x in first if x not in shared], [x for x in second if x not in shared]
    have = (*batch, *rows, *columns)
    order = [have.index(x) for x in kept]
    turned = order != list(range(len(order)))
    if batch and (not rows or not columns):  # no matrix product in it
        operands = (list(first), list(second), list(kept))

        def multiply(left: Array, right: Array, buffers: Buffers | None) -> Any:
            left, right = _without(left, alone), _without(right, apart)
            return np.einsum(left, operands[0], right, operands[1], operands[2])

        return multiply
    one, other = _matrix_of(first, batch, rows, inner), _matrix_of(second, batch, inner, columns)
    flat = len(rows) == len(columns) == 1  # so that the product has its shape already

    def product(left: Array, right: Array, buffers: Buffers | None) -> Any:
        left, right = _without(left, alone), _without(right, apart)
        matrix, by = one(left), other(right)
        room = None if buffers is None or batch else buffers.take((matrix.shape[0], by.shape[1]), matrix.dtype)
        found = np.matmul(matrix, by) if room is None else np.matmul(matrix, by, out=room)
        if not flat:
            sizes = dict(zip((*first, *second), (*left.shape, *right.shape), strict=True))
            found = found.reshape([sizes[x] for x in have])
        return found.transpose(order) if turned else found

    return product


def _matrix_of(have: Labels, batch: list[int], first: list[int], second: list[int]) -> Callable[[Array], Array]:
    """What makes an array a matrix, or a stack of them: the axes ``first`` its rows, ``second`` its columns."""
    order = [have.index(x) for x in (*batch, *first, *second)]
    turned = order != list(range(len(order)))
    if len(first) == len(second) == 1:
        return (lambda array: array.transpose(order)) if turned else (lambda array: array)
    cut = len(batch) + len(first)

    def matrix(array: Array) -> Array:
        array = array.transpose(order) if turned else array
        sizes = array.shape
        return array.reshape((*sizes[: len(batch)], prod(sizes[len(batch) : cut]), prod(sizes[cut:])))

    return matrix


def _without(array: Array, places: list[int]) -> Array:
    """An array summed over some axes."""
    return np.add.reduce(array, axis=tuple(places)) if places else array


def _summed(array: Array, have: Labels, needed: set[int]) -> tuple[Array, Labels]:
    gone = tuple(place for place, x in enumerate(have) if x not in needed)
    if not gone:
        return array, have
    return np.add.reduce(array, axis=gone), tuple(x for x in have if x in needed)


def _arranged(array: Any, have: Labels, kept: Labels) -> Any:
    array, have = _summed(array, have, set(kept))
    order = [have.index(x) for x in kept]
    return array if order == list(range(len(order))) else array.transpose(order)
