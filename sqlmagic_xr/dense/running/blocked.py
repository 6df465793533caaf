"""Functions of cells along several axes, and sums of them, block by block: what is between stays in a core's cache.

Cells are gone through in the order in which the largest of the arrays lies, so that it is read as it stands in memory;
a sum along its first axis grows from block to block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..arrays import DTYPES, MAPS
from ..node import Axis, Node, Refused, union
from . import operations
from .align import aligner
from .blocks import in_parts
from .buffers import Buffers
from .cells import Rooms, calculated, product, write_loop
from .text import Text

_BLOCK = 65_536  # cells of a block: of float64 half a megabyte, which fits a core's own cache
_ALONE = 128 * _BLOCK  # cells below which a second thread gives little: BLAS's own threads go on for a while after it


class _BlockLeaves:
    """The arrays and numbers that cells are made of.

    Args:
        leaves: their nodes.
        want: the axes of the cells, in the order in which they are gone through; blocks are cut along the first.
    """

    def __init__(self, leaves: Sequence[Node], want: tuple[Axis, ...]) -> None:
        self._want = want
        self._aligners = [aligner(leaf.dims, want) for leaf in leaves]
        self._along = [want[0] in leaf.dims for leaf in leaves]
        self._sizes = [(place, leaf.dims) for place, leaf in enumerate(leaves) if leaf.dims]
        self.names = {leaf: f"v{place}" if self._along[place] else f"l{place}" for place, leaf in enumerate(leaves)}
        self.cuts = {f"v{place}": f"l{place}" for place in range(len(leaves)) if self._along[place]}
        self.parameters = [f"l{place}" for place in range(len(leaves))]

    def shape(self, leaves: Sequence[Any]) -> tuple[int, ...]:
        """How many cells there are along each axis."""
        lengths = {axis: n for place, dims in self._sizes for axis, n in zip(dims, leaves[place].shape, strict=True)}
        return tuple(lengths[axis] for axis in self._want)

    def aligned(self, leaves: Sequence[Any]) -> list[Any]:
        """The arrays along the axes."""
        given = []
        for leaf, align, along in zip(leaves, self._aligners, self._along, strict=True):
            leaf = leaf if align is None else align(leaf)
            # What each block goes through again is small, and should lie in the order in which it is read.
            given.append(leaf if along or np.ndim(leaf) < 2 else np.ascontiguousarray(leaf))
        return given


class BlockedSum:
    """A sum whose cells are formed block by block.

    Args:
        node: of operation ``sum``.
        arrays: its factors and its masks.
        inner: the functions of cells that it is a sum of, arguments first.
        leaves: the arrays and numbers that they are made of, and what the sum is multiplied by.
    """

    def __init__(
        self, node: Node, arrays: tuple[Sequence[Node], Sequence[Node]], inner: Sequence[Node], leaves: Sequence[Node]
    ) -> None:
        self.inner = inner
        gone = tuple(axis for axis in union([*arrays[0], *arrays[1]]) if axis not in node.dims)
        lying = next((leaf.dims for leaf in leaves if len(leaf.dims) == len(node.dims) + len(gone)), ())
        self._grows = bool(lying) and lying[0] in gone
        self._want = lying if self._grows else (*node.dims, *gone)
        self._gone = tuple(place for place, axis in enumerate(self._want) if axis in gone)
        self._kept = [place for place, axis in enumerate(self._want) if axis not in gone]
        self._leaves = _BlockLeaves(leaves, self._want)
        self._kernel = self._write(arrays, inner)
        self._turn = aligner([self._want[place] for place in self._kept], node.dims)
        rest = node.args[sum(node.data[:2]) :]
        self._rest = [list(leaves).index(argument) for argument in rest]
        self._finish = operations.multiplied(node)

    def __call__(self, *leaves: Any) -> Any:
        """The sum.

        Raises:
            Refused: there is nothing to be added, or a sum is not finite.
        """
        shape = self._leaves.shape(leaves)
        if 0 in shape:
            raise Refused(operations.EMPTY)
        given, sizes = self._leaves.aligned(leaves), [shape[place] for place in self._kept]
        alone = prod(shape) < _ALONE
        if self._grows:
            out = np.zeros(sizes)
            self._grow(shape, out, given, alone=alone)
        else:
            out = np.empty(sizes)
            step = min(shape[0], max(1, _BLOCK // prod(shape[1:])))
            in_parts(
                lambda start, stop: self._kernel(start, stop, step, shape[1:], out, *given), shape[0], alone=alone
            )  # fmt: skip
        found = out if self._turn is None else self._turn(out)
        return self._finish(found, [leaves[place] for place in self._rest], False)

    def _grow(self, shape: tuple[int, ...], out: Any, given: Sequence[Any], *, alone: bool) -> None:
        """Add the blocks along the first axis, a piece of the sums at a time, each small enough for the cache."""
        place = self._kept[0]
        rest = prod(shape[1:]) // shape[place]
        width = min(shape[place], max(1, _BLOCK // rest))

        def add(start: int, stop: int) -> None:
            for low in range(start, stop, width):
                piece = (..., slice(low, min(low + width, stop)), *(slice(None),) * (len(shape) - place - 1))
                cut = [
                    leaf[piece] if np.ndim(leaf) >= len(shape) - place and np.shape(leaf)[place - len(shape)] > 1
                    else leaf for leaf in given
                ]  # fmt: skip
                sizes = (*shape[1:place], min(low + width, stop) - low, *shape[place + 1 :])
                step = min(shape[0], max(1, _BLOCK // prod(sizes)))
                self._kernel(0, shape[0], step, sizes, out[low : low + width], *cut)

        in_parts(add, shape[place], alone=alone)

    def _write(self, sources: tuple[Sequence[Node], Sequence[Node]], inner: Sequence[Node]) -> Callable[..., None]:
        text = Text()
        arrays, factors = [*sources[0], *sources[1]], len(sources[0])
        rooms, names = Rooms([arrays], inner), self._leaves.names
        body = [line for _, line in calculated(inner, names, rooms, text)]
        body.append(self._added([names[array] for array in arrays], factors, text))
        write_loop(text, rooms, "(step, *shape)", self._leaves.cuts, body)
        return text.function(["start", "stop", "step", "shape", "out", *self._leaves.parameters])

    def _added(self, given: Sequence[str], factors: int, text: Text) -> str:
        two = factors == len(given) == 2
        if self._grows and two:
            axes = list(range(len(self._want)))
            return f"out += {text.name(np.einsum)}({given[0]}, {axes}, {given[1]}, {axes}, {self._kept})"
        if self._grows:
            return f"out += {text.name(np.add.reduce)}({product(given, factors, text)}, {self._gone})"
        if not self._gone:
            return f"out[low:high] = {product(given, factors, text)}"
        if two and len(self._gone) == 1:
            return f"{text.name(np.vecdot)}({', '.join(given)}, out[low:high])"
        return f"{text.name(np.add.reduce)}({product(given, factors, text)}, {self._gone}, None, out[low:high])"


class BlockedMap:
    """A function of cells that is formed as a whole, block by block: what it is made of is smaller, or there anyway.

    Args:
        node: of operation ``map``.
        inner: the functions of cells that it is made of, arguments first.
        leaves: the arrays and numbers that these are made of.
        buffers: room for it.
    """

    def __init__(self, node: Node, inner: Sequence[Node], leaves: Sequence[Node], buffers: Buffers) -> None:
        self.inner = inner
        self._leaves, self._buffers, self._type = _BlockLeaves(leaves, node.dims), buffers, DTYPES[node.type]
        self._kernel = self._write(node, inner)

    def __call__(self, *leaves: Any) -> Any:
        """The cells.

        Raises:
            Refused: they are too many.
        """
        shape = self._leaves.shape(leaves)
        operations.refuse_many(shape)
        given, size = self._leaves.aligned(leaves), prod(shape)
        room = self._buffers.take(shape, self._type)
        out = np.empty(shape, self._type) if room is None else room
        if not size:
            return out
        step = min(shape[0], max(1, _BLOCK // prod(shape[1:])))
        in_parts(
            lambda start, stop: self._kernel(start, stop, step, shape[1:], out, *given), shape[0], alone=size < _ALONE
        )  # fmt: skip
        return out

    def _write(self, node: Node, inner: Sequence[Node]) -> Callable[..., None]:
        text = Text()
        rooms, names, function = Rooms([node.args], inner), self._leaves.names, MAPS[node.data]
        body = [line for _, line in calculated(inner, names, rooms, text)]
        given = ", ".join(names[argument] for argument in node.args)
        into = isinstance(function, np.ufunc)
        body.append(
            f"{text.name(function)}({given}, out=out[low:high])" if into
            else f"out[low:high] = {text.name(function)}({given})"
        )  # fmt: skip
        write_loop(text, rooms, "(step, *shape)", self._leaves.cuts, body)
        return text.function(["start", "stop", "step", "shape", "out", *self._leaves.parameters])
