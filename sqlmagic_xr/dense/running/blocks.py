"""Sums over the rows of a long table, several at a time: block by block, so that what is between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from typing import Any

import numpy as np

from ..arrays import DTYPES, MAPS
from ..node import Axis, Node, Refused, Type
from .operations import EMPTY, masked_product
from .text import Text

_BLOCK = 65_536  # cells; of float64 half a megabyte: a few of them fit a core's own cache, and calls are few
_ALONE = 2 * _BLOCK  # rows below which a second thread costs more than it gives
_HEAVY = frozenset(
    {"exp", "ln", "log", "log10", "log2", "sqrt", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh",
     "cosh", "tanh", "asinh", "acosh", "atanh", "power", "/", "%"}
)  # fmt: skip
"""Functions that cost more than fetching their argument from memory, which one core does as fast as two."""


def bundles(nodes: Sequence[Node], still: Callable[[Node], bool]) -> list[Bundle]:
    """The sums among some nodes that run along the same axes to a number each, together if there is anything to share.

    Args:
        nodes: what a statement calculates.
        still: whether a node is calculated once for all steps.
    """
    groups: dict[tuple[Axis, ...], list[Node]] = {}
    for node in nodes:
        axes = _axes_of(node)
        if axes and not still(node):
            groups.setdefault(axes, []).append(node)
    found = (Bundle(axes, tuple(group), still) for axes, group in groups.items())
    return [bundle for bundle in found if bundle.inner]


def _axes_of(node: Node) -> tuple[Axis, ...]:
    """The axes, in one order, of all arrays that a sum to a single number is made of; () where they differ."""
    if node.op != "sum" or node.dims:
        return ()
    found = {argument.dims for argument in _arrays(node)}
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
    """

    def __init__(self, axes: tuple[Axis, ...], sums: tuple[Node, ...], still: Callable[[Node], bool]) -> None:
        self.sums = sums
        inner: dict[Node, None] = {}
        leaves: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node in inner or node in leaves:
                return
            spread = any(argument.dims not in ((), axes) for argument in node.args)
            if node.op != "map" or node.dims != axes or spread or still(node):
                leaves[node] = None
                return
            for argument in node.args:
                visit(argument)
            inner[node] = None

        for total in sums:
            factors, masks, _ = total.data
            for argument in total.args[: factors + masks]:
                visit(argument)
            leaves.update(dict.fromkeys(total.args[factors + masks :]))
        self.inner, self.leaves = tuple(inner), tuple(leaves)
        self._first = next(place for place, leaf in enumerate(self.leaves) if leaf.dims)
        self._flat = [leaf.dims == axes for leaf in self.leaves] if len(axes) > 1 else None
        self._heavy = any(node.data in _HEAVY for node in inner)
        self._kernel = _kernel(sums, self.inner, self.leaves)
        self._finish = _finish(sums, self.leaves)
        self._small = _small(sums, self.inner, self.leaves)

    def run(self, *leaves: Any) -> tuple[Any, ...]:
        """The sums.

        Args:
            leaves: the values of :attr:`leaves`.

        Raises:
            Refused: there is no row, or a sum is not finite.
        """
        if self._flat is not None:
            leaves = tuple([np.reshape(a, -1) if flat else a for a, flat in zip(leaves, self._flat, strict=True)])
        rows = len(leaves[self._first])
        if rows == 0:
            raise Refused(EMPTY)
        if rows <= _BLOCK:
            return self._small(rows, *leaves)
        alone = rows < _ALONE or not self._heavy
        parts = in_parts(lambda start, stop: self._kernel(start, stop, *leaves), rows, alone=alone)
        totals = parts[0] if alone else [sum(of_one[1:], start=of_one[0]) for of_one in zip(*parts, strict=True)]
        return self._finish(*totals, *leaves)


def _kernel(sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., Sequence[Any]]:
    """A function (start, stop, leaves...) -> the sums over those rows.

    The text of it, for ``SUM((y - a * x) * x)`` and with the names of its objects::

        size = min(stop - start, block)
        r0 = empty(size)
        for low in range(start, stop, block):
            high = min(low + block, stop)
            if high - low < size: r0 = r0[:high - low]
            v0 = l0[low:high]; ...
            v3 = multiply(v0, l2, r0)
            v4 = subtract(v1, v3, r0)
            t0 += dot(v4, v0)
    """
    text = Text()
    cut = [place for place, leaf in enumerate(leaves) if leaf.dims]
    names = {leaf: f"v{place}" if leaf.dims else f"l{place}" for place, leaf in enumerate(leaves)}
    body, rooms = _body(sums, inner, names, text)
    text.line(f"{' = '.join(_totals(sums))} = 0")
    text.line(f"size = min(stop - start, {_BLOCK})")
    for name, kind in rooms.items():
        text.line(f"{name} = {text.name(np.empty)}(size, {text.name(DTYPES[kind])})")
    text.line(f"for low in range(start, stop, {_BLOCK}):")
    text.line(f"high = min(low + {_BLOCK}, stop)", 2)
    if rooms:
        text.line("if high - low < size:", 2)
        for name in rooms:
            text.line(f"{name} = {name}[: high - low]", 3)
    for line in (*(f"v{place} = l{place}[low:high]" for place in cut), *body):
        text.line(line, 2)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function(["start", "stop", *(f"l{place}" for place in range(len(leaves)))])


def _small(sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., tuple[Any, ...]]:
    """A function (rows, leaves...) -> the sums over all rows, which fit one block: nothing is cut."""
    text = Text()
    names = {leaf: f"l{place}" for place, leaf in enumerate(leaves)}
    ends = _endings(sums, dict(names), text)
    body, rooms = _body(sums, inner, names, text)
    text.line(f"{' = '.join(_totals(sums))} = 0")
    for name, kind in rooms.items():
        text.line(f"{name} = {text.name(np.empty)}(rows, {text.name(DTYPES[kind])})")
    for line in (*body, *ends):
        text.line(line)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function(["rows", *(f"l{place}" for place in range(len(leaves)))])


def _totals(sums: Sequence[Node]) -> list[str]:
    return [f"t{place}" for place in range(len(sums))]


def _body(
    sums: Sequence[Node], inner: Sequence[Node], names: dict[Node, str], text: Text
) -> tuple[list[str], Mapping[str, Type]]:
    """The lines that calculate the cells of a block and add them, and the arrays that they write into."""
    rooms = Rooms([_arrays(total) for total in sums], inner)
    body = _added(sums, names, inner[:0], text)
    for place, node in enumerate(inner):
        function = MAPS[node.data]
        given = [names[argument] for argument in node.args]
        names[node] = f"n{place}"
        given += [rooms.take(place, node)] if isinstance(function, np.ufunc) else []
        body.append(f"n{place} = {text.name(function)}({', '.join(given)})")
        body += _added(sums, names, inner[place : place + 1], text)
    return body, rooms.made


class Rooms:
    """Which array each function writes into: one whose cells nobody needs any more, also one of its own arguments.

    Args:
        sums: what each sum is a sum of.
        inner: the functions, in order.

    Attributes:
        made: the names of the arrays, and the types of their cells.
    """

    def __init__(self, sums: Sequence[Sequence[Node]], inner: Sequence[Node]) -> None:
        places = {node: place for place, node in enumerate(inner)}
        self._last: dict[Node, float] = dict.fromkeys(inner, 0.0)
        for place, node in enumerate(inner):
            self._last.update({a: place for a in node.args if a in places})
        for arrays in sums:  # which are added as soon as the last of them is there
            needed = [a for a in arrays if a in places]
            ready = max((places[a] for a in needed), default=0)
            # The sum stands behind the function at ``ready``, which must not write over the sum's other factors.
            self._last.update({a: max(self._last[a], ready + 0.5) for a in needed})
        self._holds: dict[str, Node] = {}
        self.made: dict[str, Type] = {}

    def take(self, place: int, node: Node) -> str:
        """The room of a node."""
        for name, kind in self.made.items():
            if kind == node.type and (name not in self._holds or self._last[self._holds[name]] <= place):
                break
        else:
            name = f"r{len(self.made)}"
            self.made[name] = node.type
        self._holds[name] = node
        return name


def _arrays(total: Node) -> tuple[Node, ...]:
    factors, masks, _ = total.data
    return total.args[: factors + masks]


def _added(sums: Sequence[Node], names: Mapping[Node, str], new: Sequence[Node], text: Text) -> list[str]:
    """The lines that add to the sums whose last factor is ``new``; where it is nothing, to those of leaves only."""
    lines = []
    for place, total in enumerate(sums):
        arrays = _arrays(total)
        if not all(a in names for a in arrays) or (new and new[0] not in arrays):
            continue
        factors, masks, _ = total.data
        given = [names[a] for a in arrays]
        if factors == 2 and not masks and total.type == "float64":
            cells = f"{text.name(_dot)}({', '.join(given)})"
        else:
            product = given[0] if len(given) == 1 else f"{text.name(masked_product)}(({', '.join(given)}), {factors})"
            cells = f"{text.name(np.add.reduce)}({product})"
        lines.append(f"t{place} = t{place} + {cells}")
    return lines


_ROW = 8192  # cells; BLAS divides a longer dot product among threads of its own, which costs more than it gives


def _dot(left: Any, right: Any) -> Any:
    """The dot product of two arrays of one axis, by one thread."""
    count = len(left)
    if count <= _ROW:
        return np.dot(left, right)
    whole = count - count % _ROW
    rows = np.vecdot(left[:whole].reshape(-1, _ROW), right[:whole].reshape(-1, _ROW))
    total = np.add.reduce(rows)
    return total if whole == count else total + np.dot(left[whole:], right[whole:])


def _finish(sums: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., tuple[Any, ...]]:
    """A function (totals..., leaves...) -> the sums, multiplied by what was taken out of them, and looked at."""
    text = Text()
    names = {leaf: f"l{place}" for place, leaf in enumerate(leaves)}
    for line in _endings(sums, names, text):
        text.line(line)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function([*_totals(sums), *names.values()])


def _endings(sums: Sequence[Node], names: Mapping[Node, str], text: Text) -> list[str]:
    """The lines that multiply the sums by what was taken out of them, and look whether they are finite."""
    lines = []
    for place, total in enumerate(sums):
        factors, masks, scalars = total.data
        rest = [names[argument] for argument in total.args[factors + masks :]]
        for operator, scalar in zip(scalars, rest, strict=False):
            lines.append(f"t{place} = t{place} {operator} {scalar}")
        for size in rest[len(scalars) :]:
            lines.append(f"if not {size}: {text.name(_refuse_empty)}()")
            lines.append(f"t{place} = t{place} * {text.name(DTYPES[total.type])}({size})")
        if total.type == "float64":
            lines.append(f"t{place} = t{place} + 0.0")
            lines.append(f"if t{place} - t{place} != 0.0: {text.name(_refuse_infinite)}()")
    return lines


def _refuse_empty() -> None:
    raise Refused(EMPTY)


def _refuse_infinite() -> None:
    raise Refused("a sum is not finite")


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


class Member:
    """One of the sums of a bundle: the first that is asked for calculates all."""

    def __init__(self, node: Node, bundle: Bundle) -> None:
        self._node, self.bundle = node, bundle

    def __call__(self) -> None:
        """Not what is asked of it: see :meth:`calculate`."""
        raise TypeError("a sum of a bundle is calculated together with the others")

    def calculate(self, known: dict[Node, Any]) -> None:
        """Put the sums of the bundle among what is known, unless another has done so."""
        if self._node not in known:
            found = self.bundle.run(*[known[leaf] for leaf in self.bundle.leaves])
            known.update(zip(self.bundle.sums, found, strict=True))
