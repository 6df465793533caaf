"""What each operation of a node does with arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..arrays import DTYPES, MAPS, total_order
from ..node import Axis, Node, Refused, union
from .align import aligner
from .buffers import Buffers
from .contract import Labels, contract

_LARGEST = 100_000_000  # cells of a product that is formed: 0.8 GB of float64
_FAR = 1e6  # the square of how many deviations the mean may lie from zero
Function = Callable[..., Any]

EMPTY = "the input of an aggregate is empty"


def mapped(node: Node, buffers: Buffers) -> Function:
    """A function of cells, its arguments broadcast along the node's axes."""
    function = MAPS[node.data]
    aligners = [aligner(argument.dims, node.dims) for argument in node.args]
    if isinstance(function, np.ufunc) and node.dims:
        function = _reusing(function, buffers)
    if all(len(argument.dims) < len(node.dims) for argument in node.args) and node.dims:
        function = _bounded(function)
    if not any(aligners):
        return function
    if len(aligners) == 2:
        first, second = aligners
        if first is None:
            return lambda a, b: function(a, second(b))  # type: ignore[misc]
        if second is None:
            return lambda a, b: function(first(a), b)

    def apply(*args: Any) -> Any:
        return function(*(a if align is None else align(a) for a, align in zip(args, aligners, strict=True)))

    return apply


def _bounded(function: Any) -> Function:
    """A function whose result is larger than each of its arguments, and refused where it is too large."""

    def apply(*args: Any) -> Any:
        refuse_large(args)
        return function(*args)

    return apply


def refuse_large(arrays: Sequence[Any]) -> None:
    """Refuse arrays whose product would not fit: the engine goes through it row by row."""
    most = 1
    for array in arrays:
        most *= array.size
    if most <= _LARGEST:  # NumPy takes ten times as long to find out the very shape
        return
    refuse_many(np.broadcast_shapes(*(array.shape for array in arrays)))


def refuse_many(shape: Sequence[int]) -> None:
    """Refuse an array of so many cells along each axis."""
    size = 1
    for length in shape:
        size *= length
    if size > _LARGEST:
        raise Refused(f"a product of {size:,} cells")


def _reusing(function: Any, buffers: Buffers) -> Function:
    """A ufunc that writes into a free buffer where it meets the same shapes as at the last step."""
    shapes: Any = ()
    result: Any = None

    def apply(*args: Any) -> Any:
        nonlocal shapes, result
        met = [a.shape for a in args]  # the types are the node's
        if met == shapes:
            room = buffers.take(*result)
            return function(*args) if room is None else function(*args, out=room)
        found = function(*args)
        shapes, result = met, (found.shape, found.dtype)
        return found

    return apply


def counted(node: Node, buffers: Buffers) -> Function:
    """How many cells of a mask are true, along the axes that the node does not keep."""
    number = node.data
    labels, kept = _labels(node.args[:number], node.dims)
    gone = tuple(place for place, label in enumerate(labels[0]) if label not in kept) if number else ()
    turn = aligner([a for a in node.args[0].dims if a in node.dims], node.dims) if number else None

    def count(*args: Any) -> Any:
        rest = lengths(args[number:])
        if number == 0:
            return np.int64(rest)
        _refuse_empty(args[:number], labels, kept)
        if number == 1:
            cells = args[0].astype(np.int64) if not gone else _true(args[0], gone)
            return (cells if turn is None else turn(cells)) * rest
        found = contract([np.asarray(a, np.float64) for a in args[:number]], labels, kept)
        return np.asarray(found).astype(np.int64)[()] * rest

    return count


def _true(mask: Any, gone: tuple[int, ...]) -> Any:
    """How many cells are true along some axes; along one that NumPy would go through in short pieces by BLAS."""
    if len(gone) == 1 and mask.ndim > 1 and mask.shape[gone[0]] <= _NARROW:
        return added(mask.astype(np.float64), gone).astype(np.int64)
    return np.add.reduce(mask, axis=gone, dtype=np.int64)


def summed(node: Node, buffers: Buffers) -> Function:
    """A sum of products, cells where a mask is false left out.

    Factors along the same axes are multiplied cell by cell, others contracted. What is not finite is refused, since
    it may depend on the order of calculation.
    """
    factors, masks, _ = node.data
    arrays = node.args[: factors + masks]
    labels, kept = _labels(arrays, node.dims)
    alike = all(set(names) == set(labels[0]) for names in labels)
    everything = union(arrays)
    aligners = [aligner(a.dims, everything) for a in arrays]
    gone = tuple(place for place, axis in enumerate(everything) if axis not in node.dims)
    turn = aligner([a for a in everything if a in node.dims], node.dims)
    integers = node.type != "float64"
    finish = multiplied(node)

    def cellwise(values: Sequence[Any]) -> Any:
        whole = [v if align is None else align(v) for v, align in zip(values, aligners, strict=True)]
        refuse_large(whole)
        cells = whole[0]
        if factors == 2 and not masks and not node.dims and cells.ndim == 1:
            return np.dot(cells, whole[1])
        cells = masked_product(whole, factors)
        total = (_added_whole if integers else added)(cells, gone) if gone else cells
        return total if turn is None else turn(total)

    def total(*args: Any) -> Any:
        values = args[: factors + masks]
        _refuse_empty(values, labels, kept)
        if alike or integers:
            result = cellwise(values)
        else:
            result = contract([np.asarray(v, np.float64) for v in values], labels, kept, buffers)
            if masks and not finite(result):  # what a mask hides may be anything
                result = cellwise(values)
        return finish(result, args[factors + masks :], any(result is v for v in values))

    return total


_EXACT = 4096  # cells that are added one after the other; more of them are added in pairs, which loses less


def added(cells: Any, gone: tuple[int, ...]) -> Any:
    """The sum along some axes; a short one along the first or the last axis is BLAS's product with ones."""
    if cells.dtype == np.float64 and len(gone) == 1 and cells.ndim > 1 and cells.shape[gone[0]] <= _EXACT:
        shape = cells.shape
        if gone[0] == cells.ndim - 1:
            return (cells.reshape(-1, shape[-1]) @ _ones(shape[-1])).reshape(shape[:-1])
        if gone[0] == 0:
            return (_ones(shape[0]) @ cells.reshape(shape[0], -1)).reshape(shape[1:])
    return np.add.reduce(cells, axis=gone)


def _added_whole(cells: Any, gone: tuple[int, ...]) -> Any:
    """A sum of whole numbers; the sum of their upper halves does not wrap around, and tells whether it has."""
    total = np.add.reduce(cells, axis=gone)
    away = (total >> 32) - np.add.reduce(cells >> 32, axis=gone)
    if np.any(np.abs(away) >= 2**31):
        raise Refused("a sum of integers overflows")
    return total


@lru_cache(maxsize=64)
def _ones(count: int) -> Any:
    return np.ones(count)


def multiplied(node: Node) -> Callable[[Any, Sequence[Any], bool], Any]:
    """A function (sum, what it is multiplied by, whether the sum's array is somebody else's) -> the value of a sum."""
    scalars, integers = node.data[2], node.type != "float64"

    def finish(result: Any, rest: Sequence[Any], borrowed: bool) -> Any:
        for name, scalar in zip(scalars, rest, strict=False):
            result = result * scalar if name == "*" else result / scalar
        size = lengths(rest[len(scalars) :])
        if integers:
            return result if size == 1 else MAPS["integer *"](result, np.int64(size))
        result = _unsigned(result if size == 1 else result * float(size), borrowed and not scalars and size == 1)
        if not finite(result):
            raise Refused("a sum is not finite")
        return result

    return finish


def _unsigned(result: Any, borrowed: bool) -> Any:
    """A sum as DataFusion's, which begins with 0.0: never -0.0; in place where the array is no one else's."""
    if np.ndim(result) == 0 or borrowed or not result.flags.owndata:
        return result + 0.0
    return np.add(result, 0.0, out=result)


def finite(result: Any) -> bool:
    """Whether all numbers are finite: their sum tells at once, except where it overflows itself."""
    total = np.add.reduce(result, axis=None)
    return bool(total - total == 0.0 or np.isfinite(result).all())


def extreme(node: Node, buffers: Buffers) -> Function:
    """The least or the greatest of the cells, -0.0 being less than 0.0."""
    number = node.data
    largest = node.op == "max"
    gather = _gather(node)
    dtype = DTYPES[node.type]
    reduce = np.maximum.reduce if largest else np.minimum.reduce
    limits = (-np.inf, np.inf) if node.type == "float64" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    fill = dtype(limits[0] if largest else limits[1])

    def pick(*args: Any) -> Any:
        cells, gone = gather(args[:number], fill)
        lengths(args[number:])
        result = _reduced(reduce, cells, gone)
        if node.type != "float64":
            return result
        if np.isnan(result).any():
            raise Refused("a NaN among what is compared")
        if (result == 0).any() and gone:
            best = reduce(total_order(cells), axis=gone)
            result = np.where(result == 0, np.where(best == -1, -0.0, 0.0), result)
        return result

    return pick


_NARROW = 64  # cells; along so few NumPy reduces slower than across


def _reduced(reduce: Callable[..., Any], cells: Any, gone: tuple[int, ...]) -> Any:
    """A reduction along the last axes."""
    if len(gone) == 1 and cells.ndim > 1 and cells.shape[-1] <= _NARROW:
        shape = cells.shape
        return reduce(np.ascontiguousarray(cells.reshape(-1, shape[-1]).T), axis=0).reshape(shape[:-1])
    return reduce(cells, axis=gone) if gone else cells


def squared(node: Node, buffers: Buffers) -> Function:
    """The sum of the squared distances from the mean."""
    number = node.data
    gather = _gather(node)

    def spread(*args: Any) -> Any:
        cells, gone = gather(args[:number], np.float64(0))
        known = gather((np.ones_like(args[0], np.bool_), *args[1:number]), np.False_)[0]
        rest = lengths(args[number:])
        if not np.isfinite(cells).all():
            raise Refused("a variance of what is not finite")
        count = np.maximum(np.sum(known, axis=gone, keepdims=True), 1)
        mean = np.sum(cells, axis=gone, keepdims=True) / count
        total = np.sum(np.where(known, np.square(cells - mean), 0.0), axis=gone) * rest
        # DataFusion goes through the rows once: of numbers far from zero it knows the spread less well than two passes.
        far = np.square(mean) * count > _FAR * np.expand_dims(total, gone)
        if (far & (count > 1)).any():
            raise Refused("a variance of numbers that lie far from zero")
        if not np.isfinite(total).all():
            raise Refused("a variance is not finite")
        return total

    return spread


def _gather(node: Node) -> Callable[[Sequence[Any], Any], tuple[Any, tuple[int, ...]]]:
    """Cells over all axes, those kept first, ``fill`` where a mask is false; and the axes to reduce."""
    arrays = node.args[: node.data]
    others = tuple(axis for axis in union(arrays) if axis not in node.dims)
    want: tuple[Axis, ...] = (*node.dims, *others)
    aligners = [aligner(a.dims, want) for a in arrays]
    labels, kept = _labels(arrays, node.dims)
    gone = tuple(range(len(node.dims), len(want)))

    def gather(values: Sequence[Any], fill: Any) -> tuple[Any, tuple[int, ...]]:
        _refuse_empty(values, labels, kept)
        cells, *masks = (v if align is None else align(v) for v, align in zip(values, aligners, strict=True))
        if masks:
            refuse_large((cells, masks[0]))
            cells = np.where(masks[0], cells, fill)
        return cells, gone

    return gather


def _labels(arrays: Sequence[Node], kept: tuple[Axis, ...]) -> tuple[list[Labels], Labels]:
    numbers: dict[Axis, int] = {}
    for axis in (*kept, *union(arrays)):
        numbers.setdefault(axis, len(numbers))
    return [tuple(numbers[axis] for axis in a.dims) for a in arrays], tuple(numbers[axis] for axis in kept)


def lengths(sizes: Sequence[Any], empty: bool = False) -> int:
    """How many cells axes of these lengths have."""
    total = 1
    for size in sizes:
        total *= int(size)
    if total == 0 and not empty:
        raise Refused(EMPTY)
    return total


def _refuse_empty(values: Sequence[Any], labels: Sequence[Labels], kept: Labels) -> None:
    for value, names in zip(values, labels, strict=True):
        if not value.size and any(
            size == 0 and name not in kept for size, name in zip(value.shape, names, strict=True)
        ):
            raise Refused(EMPTY)


def masked_product(values: Sequence[Any], factors: int, where: Callable[..., Any] = np.where) -> Any:
    """The product of the first ``factors`` arrays, and 0 where any of the masks behind them is false.

    Args:
        values: factors, then masks, all of one shape or of shapes that numpy spreads to one.
        factors: how many are factors; at least one.
        where: chooses cells of arrays like these.
    """
    product = values[0]
    for factor in values[1:factors]:
        product = product * factor
    if len(values) == factors:
        return product
    mask = values[factors]
    for other in values[factors + 1 :]:
        mask = mask & other
    return where(mask, product, product.dtype.type(0))
