"""Nodes that are calculated together with what they are made of, which is then never formed as a whole.

A sum over cells that are a function of smaller arrays (``SUM((d.v - c.v) * (d.v - c.v))`` for each pair of a point and
a centre) goes through these cells block by block, so that they stay in a core's cache. ``ROW_NUMBER() = 1`` looks for
the first cell of each partition and ranks no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..node import Node, Refused, union
from . import operations
from .align import aligner
from .blocks import in_parts
from .cells import Rooms, calculated, gathered, product, write_loop
from .ranks import first
from .text import Text

_BLOCK = 65_536  # cells of a block: of float64 half a megabyte, which fits a core's own cache
_ALONE = 128 * _BLOCK  # cells below which a second thread gives little: BLAS's own threads go on for a while after it
_STORED = frozenset({"cells", "take", "same"})  # of a table's column: nothing is saved by not forming it


@dataclass(frozen=True)
class Fused:
    """A node and what it is calculated from instead of its arguments."""

    args: tuple[Node, ...]
    function: Callable[..., Any]


def fused(nodes: Iterable[Node], roots: Sequence[Node], still: Callable[[Node], bool]) -> dict[Node, Fused]:
    """What among some nodes is calculated together with what it is made of.

    Args:
        nodes: what a statement calculates, arguments first.
        roots: those that somebody else needs too.
        still: whether a node is calculated once for all steps.
    """
    every = list(nodes)
    uses = Counter(argument for node in every for argument in set(node.args))
    uses.update(dict.fromkeys(roots, 2))
    found = {}
    for node in every:
        made = None if still(node) else _first(node, uses) or _blocked(node, uses, still)
        if made is not None:
            found[node] = made
    return found | _reciprocals(every, uses, still)


def _reciprocals(
    nodes: Sequence[Node], uses: Mapping[Node, int], still: Callable[[Node], bool]
) -> dict[Node, Fused]:  # fmt: skip
    """``exp(z)`` of ``1 / (1 + exp(z))`` where there is ``exp(-z)``, as in the slope of a sigmoid: its reciprocal.

    That is a unit in the last place from it, but for what is lost beside 1 in any case: where ``exp(-z)`` is infinite.
    """
    mirrored = {
        node.args[0].args[0]: node for node in nodes if _is(node, "exp") and _is(node.args[0], "negative")
    }  # fmt: skip
    found: dict[Node, Fused] = {}
    for node in nodes:
        one, other = node.args if _is(node, "+") else (None, None)
        for constant, power in ((one, other), (other, one)):
            if constant is None or power is None or not _is_one(constant) or not _is(power, "exp") or uses[power] > 1:
                continue
            if power.args[0] in mirrored and mirrored[power.args[0]].dims == power.dims and not still(power):
                found[power] = Fused((mirrored[power.args[0]],), np.reciprocal)
    return found


def _is(node: Node, function: str) -> bool:
    return node.op == "map" and node.data == function and node.type == "float64"


def _is_one(node: Node) -> bool:
    return node.op == "constant" and node.data[1] == 1


def _first(node: Node, uses: Mapping[Node, int]) -> Fused | None:
    """``ROW_NUMBER() OVER (...) = 1``."""
    if node.op != "map" or node.data != "=":
        return None
    rank, one = node.args
    if one.op != "constant" or one.data[1] != 1 or rank.op != "map" or rank.data != "to int64" or uses[rank] > 1:
        return None
    (numbers,) = rank.args
    if numbers.op != "row number" or uses[numbers] > 1 or numbers.dims != node.dims:
        return None
    return Fused(numbers.args, first(numbers))


def _blocked(node: Node, uses: Mapping[Node, int], still: Callable[[Node], bool]) -> Fused | None:
    """A sum for each of many cells over functions of smaller arrays, and of those that are there as a whole anyway."""
    if node.op != "sum" or node.type != "float64" or not node.dims:
        return None
    arrays, masks = _taken_apart(node, uses)
    factors = len(arrays)
    arrays += masks
    every = set(union(arrays))

    def inside(part: Node) -> bool:
        return part.op == "map" and set(part.dims) == every and uses[part] <= 1 and not still(part)

    inner, leaves = gathered(arrays, inside)
    there = all(leaf.op in _STORED or set(leaf.dims) < every for leaf in leaves)
    if not inner or not there or any(set(array.dims) != every for array in arrays[:factors]):
        return None
    leaves = tuple(dict.fromkeys((*leaves, *node.args[sum(node.data[:2]) :])))
    return Fused(leaves, BlockedSum(node, (arrays[:factors], arrays[factors:]), inner, leaves))


def _taken_apart(node: Node, uses: Mapping[Node, int]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The factors and masks of a sum; a product or a square of cells as its two factors."""
    factors, masks, _ = node.data
    arrays, others = node.args[:factors], node.args[factors : factors + masks]
    product = arrays[0]
    if factors == 1 and not masks and product.op == "map" and uses[product] == 1:
        if product.data == "square":
            return product.args * 2, ()
        if product.data == "*" and all(set(a.dims) == set(product.dims) for a in product.args):
            return product.args, ()
    return arrays, others


class BlockedSum:
    """A sum whose cells are formed block by block along the first axis that is kept.

    Args:
        node: of operation ``sum``.
        arrays: its factors and its masks.
        inner: the functions of cells that it is a sum of, arguments first.
        leaves: the arrays and numbers that they are made of, and what the sum is multiplied by.
    """

    def __init__(
        self, node: Node, arrays: tuple[Sequence[Node], Sequence[Node]], inner: Sequence[Node], leaves: Sequence[Node]
    ) -> None:
        gone = tuple(axis for axis in union([*arrays[0], *arrays[1]]) if axis not in node.dims)
        self._want = (*node.dims, *gone)
        self._kept = len(node.dims)
        self._aligners = [aligner(leaf.dims, self._want) for leaf in leaves]
        self._along = [node.dims[0] in leaf.dims for leaf in leaves]
        self._sizes = [(place, leaf.dims) for place, leaf in enumerate(leaves) if leaf.dims]
        self._kernel = self._write(arrays, inner, leaves)
        rest = node.args[sum(node.data[:2]) :]
        self._rest = [list(leaves).index(argument) for argument in rest]
        self._finish = operations.multiplied(node)

    def __call__(self, *leaves: Any) -> Any:
        """The sum.

        Raises:
            Refused: there is nothing to be added, or a sum is not finite.
        """
        lengths = {axis: n for place, dims in self._sizes for axis, n in zip(dims, leaves[place].shape, strict=True)}
        shape = tuple(lengths[axis] for axis in self._want)
        if 0 in shape:
            raise Refused(operations.EMPTY)
        given = []
        for leaf, align, along in zip(leaves, self._aligners, self._along, strict=True):
            leaf = leaf if align is None else align(leaf)
            # What each block goes through again is small, and should lie in the order in which it is read.
            given.append(leaf if along or np.ndim(leaf) < 2 else np.ascontiguousarray(leaf))
        out = np.empty(shape[: self._kept])
        step = min(shape[0], max(1, _BLOCK // prod(shape[1:])))
        in_parts(
            lambda start, stop: self._kernel(start, stop, step, shape[1:], out, *given),
            shape[0], alone=prod(shape) < _ALONE,
        )  # fmt: skip
        return self._finish(out, [leaves[place] for place in self._rest], False)

    def _write(
        self, sources: tuple[Sequence[Node], Sequence[Node]], inner: Sequence[Node], leaves: Sequence[Node]
    ) -> Callable[..., None]:
        text = Text()
        arrays, factors = [*sources[0], *sources[1]], len(sources[0])
        rooms = Rooms([arrays], inner)
        names = {leaf: f"v{place}" if self._along[place] else f"l{place}" for place, leaf in enumerate(leaves)}
        cuts = {f"v{place}": f"l{place}" for place in range(len(leaves)) if self._along[place]}
        body = [line for _, line in calculated(inner, names, rooms, text)]
        body.append(self._added([names[array] for array in arrays], factors, text))
        write_loop(text, rooms, "(step, *shape)", cuts, body)
        return text.function(["start", "stop", "step", "shape", "out", *(f"l{place}" for place in range(len(leaves)))])

    def _added(self, given: Sequence[str], factors: int, text: Text) -> str:
        gone = tuple(range(self._kept, len(self._want)))
        if not gone:
            return f"out[low:high] = {product(given, factors, text)}"
        if factors == len(given) == 2 and len(gone) == 1:
            return f"{text.name(np.vecdot)}({', '.join(given)}, out[low:high])"
        return f"{text.name(np.add.reduce)}({product(given, factors, text)}, {gone}, None, out[low:high])"
