"""Sums as lines of a function, products of matrices or of one with ones: small ones cost less than their dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..node import Node, Refused
from .align import aligner
from .operations import EMPTY, added
from .text import Text


class Turned(NamedTuple):
    """How a sum of products is a product of two matrices, or of one and a vector.

    Attributes:
        left: whether the first factor is turned.
        right: whether the second is.
        result: whether what comes out is.
        inner: the axis of the first factor that is summed.
    """

    left: bool
    right: bool
    result: bool
    inner: int


def turned(node: Node) -> Turned | None:
    """How a node is a product of matrices, its factors in their order (:mod:`.contract`); None where it is none."""
    if node.op != "sum" or node.type != "float64" or node.data[:2] != (2, 0) or len(node.args) != 2:
        return None
    one, other = node.args
    if one.type != "float64" or other.type != "float64" or max(len(one.dims), len(other.dims)) > 2:
        return None
    inner = [axis for axis in one.dims if axis in other.dims]
    rows = [axis for axis in one.dims if axis not in inner]
    columns = [axis for axis in other.dims if axis not in inner]
    if len(inner) != 1 or not (rows or columns) or set(node.dims) != {*rows, *columns}:
        return None
    return Turned(one.dims != (*rows, *inner), other.dims != (*inner, *columns), node.dims != (*rows, *columns),
                  one.dims.index(inner[0]))  # fmt: skip


def product(node: Node, given: Sequence[str], text: Text, *, shown: bool) -> str | None:
    """A sum of products as the value of a line, behind the lines that calculate it; None where it is no such product.

    The bits are those of :func:`.operations.summed`.

    Args:
        node: the sum.
        given: what its factors are called.
        text: takes the lines.
        shown: whether a number that is not finite would be found by somebody else.
    """
    how = turned(node)
    if how is None:
        return None
    left, right = (f"{name}.T" if turn else name for name, turn in zip(given, how[:2], strict=True))
    text.line(f"if not {given[0]}.shape[{how.inner}]: {text.name(_refuse_empty)}()")
    text.line(f"product = {text.name(np.matmul)}({left}, {right})")
    return _looked_at(text, shown) + (".T" if how.result else "")


def total(node: Node, given: Sequence[str], text: Text, *, shown: bool) -> str | None:
    """A sum of the cells of one array along some of its axes; see :func:`product`."""
    if node.op != "sum" or node.data != (1, 0, ()) or len(node.args) != 1 or node.type != "float64" or not node.dims:
        return None
    (cells,), (name,) = node.args, given
    gone = tuple(place for place, axis in enumerate(cells.dims) if axis not in node.dims)
    if cells.type != "float64" or not gone:
        return None
    text.line(f"if not {name}.size and 0 in [{name}.shape[place] for place in {gone}]: {text.name(_refuse_empty)}()")
    text.line(f"product = {text.name(added)}({name}, {gone})")
    turn = aligner([axis for axis in cells.dims if axis in node.dims], node.dims)
    value = _looked_at(text, shown)
    return value if turn is None else f"{text.name(turn)}({value})"


def _looked_at(text: Text, shown: bool) -> str:
    """The value of a sum, behind the lines that look whether it is finite."""
    if not shown:
        text.line(f"total = {text.name(np.add.reduce)}(product, None)")
        finite = f"{text.name(np.isfinite)}(product).all()"
        text.line(f"if total - total != 0.0 and not {finite}: {text.name(_refuse_infinite)}()")
    # DataFusion's sum begins with 0.0, so it is never -0.0.
    return f"{text.name(np.add)}(product, 0.0, product)"


def _refuse_empty() -> None:
    raise Refused(EMPTY)


def _refuse_infinite() -> None:
    raise Refused("a sum is not finite")
