"""Sums over the rows of a long table, several at a time: block by block, so that what is between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from typing import Any

import numpy as np

from ..node import Axis, Node, Refused
from .cells import gathered
from .columns import MOST, Matrices, matrices
from .kernels import BLOCK, arrays_of, finish, kernel, rest_of, small, wide
from .lanes import lane
from .operations import EMPTY

_ALONE = 2 * BLOCK  # rows below which a second thread costs more than it gives
_HEAVY = frozenset(
    {"exp", "ln", "log", "log10", "log2", "sqrt", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh",
     "cosh", "tanh", "asinh", "acosh", "atanh", "power",
     "power unless zero", "/", "%"}
)  # fmt: skip
"""Functions that cost more than fetching their argument from memory, which one core does as fast as two."""


def bundles(nodes: Sequence[Node], still: Callable[[Node], bool]) -> list[Bundle]:
    """The sums among some nodes that run along the same axes to a number each, together if there is anything to share.

    A sum that is made of another waits for it, and so for the bundle that it is in: those of one bundle have as many
    sums before them.

    Args:
        nodes: what a statement calculates, arguments first.
        still: whether a node is calculated once for all steps.
    """
    groups: dict[tuple[tuple[Axis, ...], int], list[Node]] = {}
    before: dict[Node, int] = {}
    for node in nodes:
        rank = max((before.get(argument, 0) for argument in node.args), default=0)
        axes = _axes_of(node)
        if axes and not still(node):
            groups.setdefault((axes, rank), []).append(node)
            rank += 1
        before[node] = rank
    found = (Bundle(axes, tuple(group), still) for (axes, _), group in groups.items())
    return [bundle for bundle in found if bundle.inner]


def _axes_of(node: Node) -> tuple[Axis, ...]:
    """The axes, in one order, of all arrays that a sum to a single number is made of; () where they differ."""
    if node.op != "sum" or node.dims or node.type != "float64":
        return ()
    found = {argument.dims for argument in arrays_of(node)}
    return next(iter(found)) if len(found) == 1 else ()


class Bundle:
    """Some sums along the same axes.

    Args:
        axes: the axes; cells are gone through in the order of memory, as if there were one.
        sums: nodes of operation ``sum``, without axes.
        still: see :func:`bundles`.

    Attributes:
        inner: the functions of cells that are calculated block by block, arguments first.
        leaves: the arrays and numbers that they are made of.
        matrices: what of the sums is a matrix product; None for nothing.
    """

    def __init__(self, axes: tuple[Axis, ...], sums: tuple[Node, ...], still: Callable[[Node], bool]) -> None:
        self.sums = sums

        def inside(node: Node) -> bool:
            spread = any(argument.dims not in ((), axes) for argument in node.args)
            return node.op == "map" and node.dims == axes and not spread and not still(node)

        self.inner, leaves = gathered([array for total in sums for array in arrays_of(total)], inside)
        self.leaves = tuple(dict.fromkeys((*leaves, *(rest for total in sums for rest in rest_of(total)))))
        self._first = next(place for place, leaf in enumerate(self.leaves) if leaf.dims)
        self._flat = [leaf.dims == axes for leaf in self.leaves] if len(axes) > 1 else None
        self._heavy = any(node.data in _HEAVY for node in self.inner)
        self._kernel = kernel(sums, self.inner, self.leaves)
        self._finish = finish(sums, self.leaves)
        self._small = small(sums, self.inner, self.leaves, Matrices())
        self.matrices = matrices(sums, self.inner, self.leaves, still)
        if self.matrices is not None:
            self._wide = small(sums, self.inner, self.leaves, self.matrices)

    def run(self, *leaves: Any) -> tuple[Any, ...]:
        """The sums.

        Args:
            leaves: the values of :attr:`leaves`.

        Raises:
            Refused: there is no row, or a sum is not finite.
        """
        given = leaves
        if self._flat is not None:
            if leaves[self._first].size > BLOCK:
                leaves = _as_they_lie(leaves, self._flat)
            leaves = tuple([a.reshape(-1) if flat else a for a, flat in zip(leaves, self._flat, strict=True)])
        rows = len(leaves[self._first])
        if rows == 0:
            raise Refused(EMPTY)
        if rows <= BLOCK:
            if self.matrices is not None and rows * self.matrices.width <= MOST:
                return self._wide(rows, *self.matrices.of(given), *leaves)
            return self._small(rows, *leaves)
        alone = rows < _ALONE or not self._heavy
        parts = in_parts(lambda start, stop: self._kernel(start, stop, *leaves), rows, alone=alone)
        totals = parts[0] if alone else [sum(of_one[1:], start=of_one[0]) for of_one in zip(*parts, strict=True)]
        return self._finish(*totals, *leaves)

    def wide(self, kept: Mapping[Node, Any], vector: Callable[[Sequence[Node]], Node]) -> Wide | None:
        """The bundle with a vector for the numbers of each matrix product, and one for its sums.

        Args:
            kept: what is the same whenever it runs.
            vector: gives the node of a vector that is made of some numbers.

        Returns:
            None where nothing is a matrix product, or its columns may be others.
        """
        found = self.matrices
        if found is None or self._flat is not None or not found.columns <= kept.keys():
            return None
        rows = len(kept[next(iter(found.columns))])
        if not 0 < rows <= BLOCK or rows * found.width > MOST:
            return None
        return Wide(self, found, rows, kept, vector)


def _as_they_lie(leaves: tuple[Any, ...], flat: Sequence[bool]) -> tuple[Any, ...]:
    """Arrays over the same axes, each turned so that it is one piece of memory, where that is one way for all.

    Of a dataset whose latitudes descend, a step would copy all cells to put them in order, which sums do not ask for.
    """
    arrays = [leaf for leaf, one in zip(leaves, flat, strict=True) if one]
    if all(array.flags.c_contiguous for array in arrays):
        return leaves
    down = [all(array.strides[axis] < 0 for array in arrays) for axis in range(arrays[0].ndim)]
    turn = tuple(slice(None, None, -1 if back else 1) for back in down)
    orders = {tuple(np.argsort([-abs(stride) for stride in array.strides], kind="stable")) for array in arrays}
    order = orders.pop() if len(orders) == 1 else tuple(range(len(down)))
    return tuple([leaf[turn].transpose(order) if one else leaf for leaf, one in zip(leaves, flat, strict=True)])


class Wide:
    """A bundle whose matrix products are of vectors of numbers, and give vectors of sums.

    Args:
        bundle: which.
        found: its matrix products.
        rows: how many there are.
        kept, vector: see :meth:`Bundle.wide`.

    Attributes:
        lanes: the sums that are together, by the node of their vector.
        sums: these nodes, and the other sums.
        leaves: what they are calculated from.
        inner, matrices: nothing: what there was is calculated with the sums.
        run: calculates them.
    """

    inner, matrices = (), None

    def __init__(
        self, bundle: Bundle, found: Matrices, rows: int, kept: Mapping[Node, Any],
        vector: Callable[[Sequence[Node]], Node],
    ) -> None:  # fmt: skip
        self.lanes = {
            Node("sum", (), (lane(len(some.places)),)): tuple(bundle.sums[place] for place in some.places)
            for some in found.projected.values()
        }
        together = {total for some in self.lanes.values() for total in some}
        self.sums = (*self.lanes, *(total for total in bundle.sums if total not in together))
        numbers = {root: vector([number for number, _ in some.weights]) for root, some in found.weighted.items()}
        used = [leaf for leaf in _used(bundle, found, self.sums[len(self.lanes) :]) if leaf not in kept]
        self.leaves = tuple(dict.fromkeys((*numbers.values(), *used)))
        self.run = wide(bundle.sums, bundle.inner, bundle.leaves, found, rows, kept, self.leaves, numbers)


def _used(bundle: Bundle, found: Matrices, others: Sequence[Node]) -> list[Node]:
    """The leaves of a bundle that are used beside its matrices; ``others`` are the sums that are no part of these."""
    used = {argument for node in found.formed(bundle.inner) for argument in found.arguments(node)}
    used |= {array for total in others for array in arrays_of(total)} | found.projected.keys()
    used |= {rest for total in bundle.sums for rest in rest_of(total)}
    return [leaf for leaf in bundle.leaves if leaf in used]


def in_parts(work: Callable[[int, int], Any], count: int, *, alone: bool) -> list[Any]:
    """``work(0, count)``, divided among the cores unless ``alone``; what each part gives, in order."""
    workers = 1 if alone else cpu_count() or 1
    if workers == 1:
        return [work(0, count)]
    step = -(-count // workers)

    def part(start: int) -> Any:
        with np.errstate(all="ignore"):  # which each thread has for itself
            return work(start, min(start + step, count))

    return list(_workers().map(part, range(0, count, step)))


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_count() or 1, thread_name_prefix="arrays")


class BundleMember:
    """One of the sums of a bundle: the first that is asked for calculates all."""

    def __init__(self, node: Node, bundle: Bundle | Wide) -> None:
        self._node, self.bundle = node, bundle

    def __call__(self) -> None:
        """Not what is asked of it: see :meth:`calculate`."""
        raise TypeError("a sum of a bundle is calculated together with the others")

    def calculate(self, known: dict[Node, Any]) -> None:
        """Put the sums of the bundle among what is known, unless another has done so."""
        if self._node not in known:
            found = self.bundle.run(*[known[leaf] for leaf in self.bundle.leaves])
            known.update(zip(self.bundle.sums, found, strict=True))
