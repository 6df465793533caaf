"""Axes of which a step calculates which rows there are: a program of XLA keeps all rows, and a truth value for each.

NumPy takes the rows that a WHERE leaves, or that have a partner; how many they are is another number at each step,
which no program has room for. Here an axis stays as long as it is, and an aggregate leaves out what is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import Node, Refused
from ..running.align import Alignment


@dataclass(frozen=True, eq=False, slots=True)
class Masked(Alignment):
    """An axis with rows that are not there.

    Attributes:
        present: which are.
    """

    present: Any = None


class Padded(Masked):
    """The rows of a batch, the last one repeated: those of other sizes lie along one axis."""

    __slots__ = ()


def restricted(axis: Alignment, condition: Any) -> Masked:
    """The rows of which a condition is true; see :func:`..running.align.restrict`."""
    return Masked(axis.coordinates, present=_both(axis, condition))


def looked_up(rows: Alignment, axis: Alignment, cells: Any, known: Any = None) -> Masked:
    """The rows whose cell is a coordinate of ``axis``, and which one; see :func:`..running.align.lookup`."""
    codes, found = _places(axis, cells, known)
    return Masked(rows.coordinates, None, codes, present=_both(rows, found))


def partnered(rows: Alignment, axis: Alignment, cells: Any, known: Any = None) -> Alignment:
    """All rows, and which coordinate of ``axis`` each cell is; see :func:`..running.align.partner`."""
    codes, found = _places(axis, cells, known)
    present = rows.present if isinstance(rows, Masked) else None
    if present is None:
        return Alignment(rows.coordinates, None, codes, found)
    return Masked(rows.coordinates, None, codes, found, present)


def matched(one: Alignment, other: Alignment, *, same: bool) -> Masked:
    """The rows of one axis that the other has as well; see :func:`..running.align.match`.

    Args:
        one, other: the axes.
        same: whether both have all coordinates of one axis, some of which are not there.
    """
    if not same:
        return looked_up(one, other, one.coordinates)
    mask = one.present if isinstance(one, Masked) else jnp.ones(len(one.coordinates), bool)
    return Masked(one.coordinates, present=_both(other, mask))


def base(origin: Node, known: Mapping[Node, Any], *, of: Collection[str] | None = None) -> Node:
    """The axis whose coordinates another one has, however many of them are there.

    Args:
        origin: the other one.
        known: the axes.
        of: the operations that are looked behind; None for all.
    """
    while (of is None or origin.op in of) and _is_shortened(known.get(origin)):
        origin = origin.args[0]
    return origin


class Remainder:
    """What is asked for of the last step, without the rows that it does not have.

    Args:
        nodes: what is asked for.
        unmoved: the axes that are the same at each step.
    """

    def __init__(self, nodes: Sequence[Node], unmoved: Mapping[Node, Any]) -> None:
        self._nodes, self._unmoved = nodes, unmoved
        self._bases: dict[Node, Node] = {}

    def traced(self, values: Sequence[Any], known: Mapping[Node, Any]) -> list[Any]:
        """What leaves a program: all cells, and of an axis which are there.

        Raises:
            Refused: which rows there are is known at no step.
        """
        found = []
        for node, value in zip(self._nodes, values, strict=True):
            if isinstance(value, Alignment):
                self._bases[node] = base(node, known)
                if not isinstance(value, Masked) or self._bases[node] not in self._unmoved:
                    raise Refused("which rows a table has that is made anew is calculated anew at each step")
                value = value.present
            found.append(jnp.asarray(value))
        return found

    def left(self, values: Sequence[Any]) -> list[Any]:
        """What has left it, as NumPy would have it."""
        there = {n: np.asarray(v) for n, v in zip(self._nodes, values, strict=True) if n in self._bases}
        found: list[Any] = []
        for node, value in zip(self._nodes, values, strict=True):
            cells = np.asarray(value)
            if node in there:
                found.append(Alignment(self._unmoved[self._bases[node]].coordinates[cells]))
                continue
            for place, axis in enumerate(node.dims):
                cells = np.compress(there[axis.origin], cells, place) if axis.origin in there else cells
            found.append(cells)
        return found


def _is_shortened(axis: Any) -> bool:
    return isinstance(axis, Masked) and not isinstance(axis, Padded)


def _both(axis: Alignment, condition: Any) -> Any:
    return condition & axis.present if isinstance(axis, Masked) else condition


def _places(axis: Alignment, cells: Any, known: Any) -> tuple[Any, Any]:
    """Where each cell stands among the coordinates of an axis, and whether it does."""
    if not len(axis.coordinates):
        raise Refused("a relation that is joined has no row")
    coordinates = jnp.asarray(axis.coordinates)
    order = jnp.argsort(coordinates)
    places = jnp.minimum(jnp.searchsorted(coordinates[order], cells), len(coordinates) - 1)
    codes = order[places]
    found = coordinates[codes] == cells
    if isinstance(axis, Masked):
        found = found & axis.present[codes]
    return codes, found if known is None else found & known
