"""Aggregates of a step in JAX: sums and counts, as products of matrices where they are such, extremes and squares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import Axis, Node, union
from ..running.align import aligner
from ..running.operations import masked_product
from .functions import Kit, functions, refuse_empty
from .reads import TracedReads

_FAR = 1e6  # the square of how many deviations the mean may lie from zero


class TracedAggregates(TracedReads):
    """The values of aggregates.

    Args:
        kit, known: see :class:`.reads.TracedReads`.
        unseen: the sums that need no look.
    """

    def __init__(self, kit: Kit, known: Mapping[Node, Any], unseen: Collection[Node] = ()) -> None:
        super().__init__(kit, known)
        self._functions, self._unseen = functions(kit), unseen

    def _sum(self, node: Node) -> Any:
        factors, masks, _ = node.data
        arrays, rest = node.args[: factors + masks], node.args[factors + masks :]
        integers = node.type != "float64"
        alike = all(set(array.dims) == set(arrays[0].dims) for array in arrays)
        result = self._added(node, factors, masks) if alike or integers else self._contracted(arrays, node, masks)
        return self._finished(node, result, rest)

    def _finished(self, node: Node, result: Any, rest: Sequence[Node], lanes: Sequence[Node] = ()) -> Any:
        """A sum times what has been taken out of it; see :func:`..running.operations.multiplied`."""
        kit, scalars, integers = self._kit, node.data[2], node.type != "float64"
        for name, scalar in zip(scalars, rest, strict=False):
            value = self._known[scalar]
            result = result * value if name == "*" else result / value
        size = self._lengths(rest[len(scalars) :])
        alone = isinstance(size, int) and size == 1
        if integers:
            return result if alone else self._functions["integer *"](result, jnp.asarray(size, np.int64))
        result = kit.unsigned(result if alone else result * jnp.asarray(size, kit.real))
        if not all(one in self._unseen for one in lanes or (node,)):
            there = self._there(node.dims)
            kit.flag(~jnp.all(jnp.isfinite(result) if there is None else jnp.isfinite(result) | ~there))
        return result

    def _added(self, node: Node, factors: int, masks: int) -> Any:
        """Factors along the same axes: multiplied cell by cell, and added."""
        arrays = node.args[: factors + masks]
        everything = union(arrays)
        gone = tuple(place for place, axis in enumerate(everything) if axis not in node.dims)
        left = tuple(axis for axis in everything if axis in node.dims)
        cells = self._cells(arrays, factors, left)
        if factors == 2 and not masks and not node.dims and cells.ndim == 1 and self._there(everything) is None:
            return jnp.dot(*(self._known[array] for array in arrays), precision="highest")
        result = jnp.sum(cells, axis=gone) if gone else cells
        if gone and node.type != "float64":  # the sum of the upper halves tells whether it has wrapped
            away = (result >> 32) - jnp.sum(cells >> 32, axis=gone)
            self._kit.flag(jnp.any(jnp.abs(away) >= 2**31))
        align = aligner(left, node.dims)
        return result if align is None else align(result)

    def _cells(self, arrays: Sequence[Node], factors: int, left: Sequence[Axis]) -> Any:
        """What is added: the products of factors where all masks are true, and zero where a row is not there."""
        everything = union(arrays)
        cells = masked_product([self._along(array, everything) for array in arrays], factors, jnp.where)
        gone = tuple(place for place, axis in enumerate(everything) if axis not in left)
        refuse_empty(cells, gone)
        there = self._left(everything, gone)
        return cells if there is None else jnp.where(there, cells, cells.dtype.type(0))

    def _contracted(self, arrays: Sequence[Node], node: Node, masks: int) -> Any:
        """Factors along different axes: products of matrices."""
        kit = self._kit
        values = []
        for array in arrays:
            value = jnp.asarray(self._known[array], kit.real)
            there = self._left(array.dims, [place for place, axis in enumerate(array.dims) if axis not in node.dims])
            values.append(value if there is None else jnp.where(there, value, kit.real(0)))
        if len(values) > 2:
            bound: Any = kit.real(1)
            for value in values:
                bound = bound * jnp.maximum(kit.real(1), jnp.max(jnp.abs(value)))
            kit.flag(~(bound < (1e300 if kit.real is np.float64 else 1e36)))
        if masks:  # what a mask hides may be anything, and is not to be multiplied by its zero
            for value in values:
                kit.flag(~jnp.all(jnp.isfinite(value)))
        numbers: dict[Axis, int] = {}
        for axis in (*node.dims, *union(arrays)):
            numbers.setdefault(axis, len(numbers))
        operands: list[Any] = []
        for array, value in zip(arrays, values, strict=True):
            refuse_empty(value, range(value.ndim))
            operands += [value, [numbers[axis] for axis in array.dims]]
        return jnp.einsum(*operands, [numbers[axis] for axis in node.dims], optimize="optimal", precision="highest")

    def _count(self, node: Node) -> Any:
        number = node.data
        rest = jnp.asarray(self._lengths(node.args[number:]), np.int64)
        arrays = node.args[:number]
        if not number:
            return rest
        if number == 1:
            have = arrays[0].dims
            gone = tuple(place for place, axis in enumerate(have) if axis not in node.dims)
            mask, there = self._known[arrays[0]], self._left(have, gone)
            mask = mask if there is None else mask & there
            cells = jnp.sum(mask, axis=gone, dtype=np.int64) if gone else mask.astype(np.int64)
            align = aligner(tuple(axis for axis in have if axis in node.dims), node.dims)
            return (cells if align is None else align(cells)) * rest
        return self._contracted(arrays, node, 0).astype(np.int64) * rest

    def _sum_by_value(self, node: Node) -> Any:
        number = node.data[0] + node.data[1]
        cells = masked_product([self._known[array] for array in node.args[:number]], node.data[0])
        return self._finished(node, self._by_value(node.args[number], cells), node.args[number + 1 :])

    def _count_by_value(self, node: Node) -> Any:
        ones = np.ones(len(self._alignment(node.args[node.data]).first), np.int64)  # type: ignore[arg-type]
        cells = masked_product([ones, *(self._known[mask] for mask in node.args[: node.data])], 1)
        sizes = node.args[node.data + 1 :]
        return self._by_value(node.args[node.data], cells) * jnp.asarray(self._lengths(sizes), np.int64)

    def _by_value(self, values: Node, cells: Any) -> Any:
        """Each row's cell added where its value stands."""
        alignment = self._alignment(values)
        refuse_empty(cells, [0])
        return jnp.zeros(len(alignment.coordinates), cells.dtype).at[alignment.first].add(cells)

    def _gathered(self, node: Node, fill: Any) -> tuple[Any, tuple[int, ...], tuple[Axis, ...]]:
        """Cells over all axes, those kept first, ``fill`` where a mask is false; the axes to reduce; all axes."""
        arrays = node.args[: node.data]
        others = tuple(axis for axis in union(arrays) if axis not in node.dims)
        want = (*node.dims, *others)
        cells, *masks = (self._along(array, want) for array in arrays)
        gone = tuple(range(len(node.dims), len(want)))
        masks += [there for there in (self._left(want, gone),) if there is not None]
        for mask in masks:
            cells = jnp.where(mask, cells, fill)
        refuse_empty(cells, gone)
        return cells, gone, want

    def _extreme(self, node: Node) -> Any:
        kit, largest = self._kit, node.op == "max"
        reduce = jnp.max if largest else jnp.min
        self._lengths(node.args[node.data :])
        if node.type != "float64":
            kind = kit.dtype(node.type)
            limits = np.iinfo(kind)
            cells, gone, _ = self._gathered(node, kind(limits.min if largest else limits.max))
            return reduce(cells, axis=gone) if gone else cells
        cells, gone, _ = self._gathered(node, kit.real(-np.inf if largest else np.inf))
        result = reduce(cells, axis=gone) if gone else cells
        there = self._there(node.dims)
        kit.flag(jnp.any(jnp.isnan(result) if there is None else jnp.isnan(result) & there))
        if not gone:
            return result
        # Among equal zeros the greatest is 0.0 and the least -0.0: looked for beside the reduction of floats, which is
        # quicker than one of their bits.
        positive = jnp.any((cells == 0) & (jnp.signbit(cells) != largest), axis=gone)
        zero, other = (0.0, -0.0) if largest else (-0.0, 0.0)
        return jnp.where(result == 0, jnp.where(positive, kit.real(zero), kit.real(other)), result)

    def _squares(self, node: Node) -> Any:
        kit = self._kit
        cells, gone, want = self._gathered(node, kit.real(0))
        there = self._there(want)
        known = jnp.broadcast_to(True if there is None else there, cells.shape)
        for argument in node.args[1 : node.data]:
            known = known & self._along(argument, want)
        rest = jnp.asarray(self._lengths(node.args[node.data :]), kit.real)
        kit.flag(~jnp.all(jnp.isfinite(cells)))
        count = jnp.maximum(jnp.sum(known, axis=gone, keepdims=True), 1)
        mean = jnp.sum(cells, axis=gone, keepdims=True) / count
        total = jnp.sum(jnp.where(known, jnp.square(cells - mean), kit.real(0)), axis=gone) * rest
        far = jnp.square(mean) * count > _FAR * jnp.expand_dims(total, gone)
        kit.flag(jnp.any(far & (count > 1)) | ~jnp.all(jnp.isfinite(total)))
        return total
