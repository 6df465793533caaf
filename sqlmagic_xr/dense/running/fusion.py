"""Nodes that are calculated together with what they are made of, which is then never formed as a whole.

A sum over cells that are a function of smaller arrays (``SUM((d.v - c.v) * (d.v - c.v))`` for each pair of a point and
a centre) goes through these cells block by block, so that they stay in a core's cache. ``ROW_NUMBER() = 1`` looks for
the first cell of each partition and ranks no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..node import Node, union
from .blocked import BlockedMap, BlockedSum
from .buffers import Buffers
from .cells import gathered
from .ranks import first

__all__ = ["BlockedMap", "BlockedSum", "Fused", "fused"]

_STORED = frozenset({"cells", "take", "same"})  # of a table's column: nothing is saved by not forming it


@dataclass(frozen=True)
class Fused:
    """A node and what it is calculated from instead of its arguments."""

    args: tuple[Node, ...]
    function: Callable[..., Any]


def fused(
    nodes: Iterable[Node], roots: Sequence[Node], still: Callable[[Node], bool], buffers: Buffers
) -> dict[Node, Fused]:  # fmt: skip
    """What among some nodes is calculated together with what it is made of.

    Args:
        nodes: what a statement calculates, arguments first; what else these are made of is there already.
        roots: those that somebody else needs too.
        still: whether a node is calculated once for all steps.
        buffers: room for arrays.
    """
    every = dict.fromkeys(nodes)
    uses = Counter(argument for node in every for argument in set(node.args))
    uses.update(dict.fromkeys(roots, 2))

    def once(node: Node) -> bool:
        return node in every and uses[node] <= 1 and not still(node)

    found, within = {}, set[Node]()
    for node in every:
        made = None if still(node) else _first(node, uses) or _blocked(node, every, once)
        if made is not None:
            found[node] = made
            within |= set(made.function.inner) if isinstance(made.function, BlockedSum) else set()
    for node in reversed(every):
        formed = None if still(node) or node in within else _formed(node, once)
        if formed is not None:
            inner, leaves = formed
            found[node] = Fused(leaves, BlockedMap(node, inner, leaves, buffers))
            within |= set(inner)
    return found | _reciprocals(list(every), uses, still)


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


def _blocked(node: Node, own: Collection[Node], once: Callable[[Node], bool]) -> Fused | None:
    """A sum for each of many cells over functions of smaller arrays, and of those that are there as a whole anyway."""
    if node.op != "sum" or node.type != "float64" or not node.dims:
        return None
    arrays, masks = _taken_apart(node, once)
    factors = len(arrays)
    arrays += masks
    every = set(union(arrays))
    inner, leaves = gathered(arrays, lambda part: part.op == "map" and set(part.dims) == every and once(part))
    there = all(leaf.op in _STORED or leaf not in own or set(leaf.dims) < every for leaf in leaves)
    if not inner or not there or any(set(array.dims) != every for array in arrays[:factors]):
        return None
    leaves = tuple(dict.fromkeys((*leaves, *node.args[sum(node.data[:2]) :])))
    return Fused(leaves, BlockedSum(node, (arrays[:factors], arrays[factors:]), inner, leaves))


def _taken_apart(node: Node, once: Callable[[Node], bool]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The factors and masks of a sum; a product or a square of cells as its two factors."""
    factors, masks, _ = node.data
    arrays, others = node.args[:factors], node.args[factors : factors + masks]
    product = arrays[0]
    if factors == 1 and not masks and product.op == "map" and once(product):
        if product.data == "square":
            return product.args * 2, ()
        if product.data == "*" and all(set(a.dims) == set(product.dims) for a in product.args):
            return product.args, ()
    return arrays, others


def _formed(
    node: Node, once: Callable[[Node], bool]
) -> tuple[tuple[Node, ...], tuple[Node, ...]] | None:  # fmt: skip
    """The functions and the leaves of one that is formed as a whole, where others of its size would be formed first."""
    every = set(node.dims)
    if node.op != "map" or len(every) < 2:
        return None
    inner, leaves = gathered(node.args, lambda part: part.op == "map" and set(part.dims) == every and once(part))
    spanned = any(all(set(argument.dims) < every for argument in part.args) for part in inner)
    return (inner, leaves) if spanned else None
