"""Sums over the rows of a long table, several at a time: block by block, so that what is between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from typing import Any

import numpy as np

from ..arrays import DTYPES
from ..node import Axis, Node, Refused
from .cells import Rooms, gathered, line_of, product, write_loop
from .columns import MOST, Matrices, matrices, weighted_lines
from .operations import EMPTY
from .text import Text

_BLOCK = 65_536  # cells; of float64 half a megabyte: a few of them fit a core's own cache, and calls are few
_ALONE = 2 * _BLOCK  # rows below which a second thread costs more than it gives
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

        def inside(node: Node) -> bool:
            spread = any(argument.dims not in ((), axes) for argument in node.args)
            return node.op == "map" and node.dims == axes and not spread and not still(node)

        self.inner, leaves = gathered([array for total in sums for array in _arrays(total)], inside)
        self.leaves = tuple(dict.fromkeys((*leaves, *(rest for total in sums for rest in _rest(total)))))
        self._first = next(place for place, leaf in enumerate(self.leaves) if leaf.dims)
        self._flat = [leaf.dims == axes for leaf in self.leaves] if len(axes) > 1 else None
        self._heavy = any(node.data in _HEAVY for node in self.inner)
        self._kernel = _kernel(sums, self.inner, self.leaves)
        self._finish = _finish(sums, self.leaves)
        self._small = _small(sums, self.inner, self.leaves, Matrices())
        self._matrices = matrices(sums, self.inner, self.leaves, still)
        if self._matrices is not None:
            self._wide = _small(sums, self.inner, self.leaves, self._matrices)

    def run(self, *leaves: Any) -> tuple[Any, ...]:
        """The sums.

        Args:
            leaves: the values of :attr:`leaves`.

        Raises:
            Refused: there is no row, or a sum is not finite.
        """
        given = leaves
        if self._flat is not None:
            leaves = tuple([np.reshape(a, -1) if flat else a for a, flat in zip(leaves, self._flat, strict=True)])
        rows = len(leaves[self._first])
        if rows == 0:
            raise Refused(EMPTY)
        if rows <= _BLOCK:
            if self._matrices is not None and rows * self._matrices.width <= MOST:
                return self._wide(rows, *self._matrices.of(given), *leaves)
            return self._small(rows, *leaves)
        alone = rows < _ALONE or not self._heavy
        parts = in_parts(lambda start, stop: self._kernel(start, stop, *leaves), rows, alone=alone)
        totals = parts[0] if alone else [sum(of_one[1:], start=of_one[0]) for of_one in zip(*parts, strict=True)]
        return self._finish(*totals, *leaves)


def _kernel(sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., Sequence[Any]]:
    """A function (start, stop, leaves...) -> the sums over those rows.

    The text of it, for ``SUM((y - a * x) * x)`` and with the names of its objects::

        step = min(stop - start, block)
        r0 = empty(step)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            if high - low < step: r0 = r0[:high - low]
            v0 = l0[low:high]; ...
            n0 = multiply(v0, l2, r0)
            n1 = subtract(v1, n0, r0)
            t0 = t0 + dot(n1, v0)
    """
    text = Text()
    names = {leaf: f"v{place}" if leaf.dims else f"l{place}" for place, leaf in enumerate(leaves)}
    cuts = {f"v{place}": f"l{place}" for place, leaf in enumerate(leaves) if leaf.dims}
    body, rooms = _body(sums, inner, leaves, names, text, Matrices())
    text.line(f"{' = '.join(_totals(sums))} = 0")
    text.line(f"step = min(stop - start, {_BLOCK})")
    write_loop(text, rooms, "step", cuts, body)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function(["start", "stop", *(f"l{place}" for place in range(len(leaves)))])


def _small(
    sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node], found: Matrices
) -> Callable[..., tuple[Any, ...]]:  # fmt: skip
    """A function (rows, matrices..., leaves...) -> the sums over all rows, which fit one block: nothing is cut."""
    text = Text()
    names = {leaf: f"l{place}" for place, leaf in enumerate(leaves)}
    together = {place for some in found.projected.values() for place in some.places}
    ends = _endings(sums, dict(names), text, [place for place in range(len(sums)) if place not in together])
    body, rooms = _body(sums, inner, leaves, names, text, found)
    text.line(f"{' = '.join(_totals(sums))} = 0")
    for line in (*rooms.lines("rows", text), *body, *ends):
        text.line(line)
    text.line(f"return ({', '.join(_totals(sums))},)")
    given = [*(f"m{place}" for place in range(found.count)), *(f"l{place}" for place in range(len(leaves)))]
    return text.function(["rows", *given])


def _totals(sums: Sequence[Node]) -> list[str]:
    return [f"t{place}" for place in range(len(sums))]


def _body(
    sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node], names: dict[Node, str], text: Text,
    found: Matrices,
) -> tuple[list[str], Rooms]:  # fmt: skip
    """The lines that calculate the cells of a block and add them, and the arrays that they write into."""
    numbers = dict(names)
    together = {place for some in found.projected.values() for place in some.places}
    alone = [place for place in range(len(sums)) if place not in together]
    inner = found.formed(inner)
    rooms = Rooms([_arrays(total) for total in sums], inner, found.arguments)

    def matrix(columns: tuple[Node, ...]) -> str:
        return f"m{found.place(columns, leaves)}"

    def added(new: Node | None) -> list[str]:
        lines = _added(sums, names, new, text, alone)
        for some in found.projected.values():
            if some.cells is new or (new is None and some.cells in names):
                lines.append(f"p = {text.name(np.dot)}({matrix(some.columns)}, {names[some.cells]})")
                lines += _ending("p", sums[some.places[0]], numbers, text)
                lines.append(f"if not {text.name(np.isfinite)}(p).all(): {text.name(_refuse_infinite)}()")
                lines.append(f"{', '.join(f't{place}' for place in some.places)}, = p")
        return lines

    body = added(None)
    for place, node in enumerate(inner):
        if node in found.weighted:
            some, room = found.weighted[node], rooms.take(place - 0.5, node)
            body += weighted_lines(some, matrix(some.columns), f"n{place}", names, room, text)
            names[node] = f"n{place}"
        else:
            body.append(line_of(place, node, names, rooms, text))
        body += added(node)
    return body, rooms


def _arrays(total: Node) -> tuple[Node, ...]:
    """The factors and masks of a sum."""
    return total.args[: sum(total.data[:2])]


def _rest(total: Node) -> tuple[Node, ...]:
    """What a sum is multiplied by."""
    return total.args[sum(total.data[:2]) :]


def _added(
    sums: Sequence[Node], names: Mapping[Node, str], new: Node | None, text: Text, places: Sequence[int]
) -> list[str]:  # fmt: skip
    """The lines that add to the sums whose last factor is ``new``; where it is none, to those of leaves only."""
    lines = []
    for place in places:
        total, arrays = sums[place], _arrays(sums[place])
        if not all(a in names for a in arrays) or (new is not None and new not in arrays):
            continue
        factors, masks, _ = total.data
        given = [names[a] for a in arrays]
        if factors == 2 and not masks and total.type == "float64":
            cells = f"{text.name(_dot)}({', '.join(given)})"
        else:
            cells = f"{text.name(np.add.reduce)}({product(given, factors, text)})"
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
    for line in _endings(sums, names, text, range(len(sums))):
        text.line(line)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function([*_totals(sums), *names.values()])


def _endings(sums: Sequence[Node], names: Mapping[Node, str], text: Text, places: Sequence[int]) -> list[str]:
    """The lines that multiply the sums by what was taken out of them, and look whether they are finite."""
    lines = []
    for place in places:
        lines += _ending(f"t{place}", sums[place], names, text)
        if sums[place].type == "float64":
            lines.append(f"if t{place} - t{place} != 0.0: {text.name(_refuse_infinite)}()")
    return lines


def _ending(name: str, total: Node, names: Mapping[Node, str], text: Text) -> list[str]:
    """The lines that multiply a sum, or several alike, by what was taken out of it."""
    lines, scalars = [], total.data[2]
    rest = [names[argument] for argument in _rest(total)]
    for operator, scalar in zip(scalars, rest, strict=False):
        lines.append(f"{name} = {name} {operator} {scalar}")
    for size in rest[len(scalars) :]:
        lines.append(f"if not {size}: {text.name(_refuse_empty)}()")
        lines.append(f"{name} = {name} * {text.name(DTYPES[total.type])}({size})")
    return [*lines, f"{name} = {name} + 0.0"] if total.type == "float64" else lines


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
