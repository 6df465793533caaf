"""What of a step in JAX is read and brought to other axes: constants, which rows there are, cells along other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import FIRST, Axis, Node, Refused
from ..running.align import Alignment, aligner
from .functions import Kit
from .rows import Masked, base, looked_up, matched, partnered, restricted

_NOWHERE = Node("nowhere")  # an axis that has all its rows


class TracedReads:
    """The values of nodes that read others as they are.

    Args:
        kit: the functions' own.
        known: what is known beforehand: the same at each step, carried, or a parameter.
    """

    def __init__(self, kit: Kit, known: Mapping[Node, Any]) -> None:
        self._kit = kit
        self._known: dict[Node, Any] = dict(known)

    def _constant(self, node: Node) -> Any:
        value = node.data[1]
        return np.int64(value.code) if node.type == "label" else self._kit.dtype(node.type)(value)

    def _alignment(self, origin: Node) -> Alignment:
        found = self._known[origin]
        if not isinstance(found, Alignment):
            raise Refused("which rows there are is calculated anew at each step")
        return found

    def _coordinate(self, node: Node) -> Any:
        return self._alignment(node.args[0]).coordinates

    def _size(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        if isinstance(alignment, Masked):
            return jnp.sum(alignment.present, dtype=np.int64)
        return len(alignment.coordinates)

    def _restricted(self, node: Node) -> Masked:
        return restricted(self._alignment(node.args[0]), self._known[node.args[1]])

    def _looked_up(self, node: Node) -> Masked:
        return looked_up(*map(self._alignment, node.args[:2]), *(self._known[a] for a in node.args[2:]))

    def _partnered(self, node: Node) -> Alignment:
        return partnered(*map(self._alignment, node.args[:2]), *(self._known[a] for a in node.args[2:]))

    def _matched(self, node: Node) -> Masked:
        one, other = map(self._alignment, node.args)
        bases = {base(origin, self._known, of=("restrict",)) for origin in node.args}
        return matched(one, other, same=len(bases) == 1)

    def _there(self, axes: Sequence[Axis]) -> Any:
        """Which cells along some axes there are; None for all."""
        found: Any = None
        for place, axis in enumerate(axes):
            origin = self._known.get(axis.origin)
            if isinstance(origin, Masked):
                mask = origin.present.reshape([-1 if n == place else 1 for n in range(len(axes))])
                found = mask if found is None else found & mask
        return found

    def _lengths(self, sizes: Sequence[Node]) -> Any:
        """The product of some sizes: a number where all are known beforehand."""
        total: Any = 1
        for size in sizes:
            total = total * self._known[size]
        if isinstance(total, int) and not total:
            raise Refused("the input of an aggregate is empty")
        if not isinstance(total, int):
            self._kit.flag(total == 0)
        return total

    def _found(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        return np.ones(len(alignment.coordinates), np.bool_) if alignment.found is None else alignment.found

    def _member(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        codes: Any = alignment.first
        return codes[:, None] == np.arange(len(alignment.coordinates))

    def _take(self, node: Node) -> Any:
        place, side = node.data
        alignment = self._alignment(node.args[1])
        index = alignment.first if side == FIRST else alignment.second
        array = self._known[node.args[0]]
        if index is None:
            return array
        if isinstance(index, slice):
            return array[(*(slice(None),) * place, index)]
        return jnp.take(array, index, axis=place, mode="clip")

    def _same(self, node: Node) -> Any:
        return self._known[node.args[0]]

    def _diagonal(self, node: Node) -> Any:
        one, other = sorted(node.data)
        return jnp.moveaxis(jnp.diagonal(self._known[node.args[0]], axis1=one, axis2=other), -1, one)

    def _along(self, node: Node, want: tuple[Axis, ...]) -> Any:
        align = aligner(node.dims, want)
        value = self._known[node]
        return value if align is None else align(value)

    def _left(self, axes: Sequence[Axis], gone: Sequence[int]) -> Any:
        """Which cells an aggregate over some of the axes has, a step without any being NumPy's; None for all."""
        for place in gone:
            one = self._there((axes[place],))
            if one is not None:
                self._kit.flag(~jnp.any(one))
        return self._there([axis if place in gone else Axis(_NOWHERE) for place, axis in enumerate(axes)])
