"""The lines that calculate sums over the rows of a block, and the functions that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import DTYPES
from ..node import Node, Refused
from .cells import Rooms, line_of, product, write_loop
from .columns import Matrices, numbers_of, signed, weighted_lines
from .operations import EMPTY
from .text import Text

BLOCK = 65_536  # cells; of float64 half a megabyte: a few of them fit a core's own cache, and calls are few


def kernel(sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., Sequence[Any]]:
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
    body, rooms = _Body(sums, inner, names, text, Matrices(), lambda _: "").lines()
    text.line(f"{' = '.join(_totals(sums))} = 0")
    text.line(f"step = min(stop - start, {BLOCK})")
    write_loop(text, rooms, "step", cuts, body)
    text.line(f"return ({', '.join(_totals(sums))},)")
    return text.function(["start", "stop", *(f"l{place}" for place in range(len(leaves)))])


def small(
    sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node], found: Matrices
) -> Callable[..., tuple[Any, ...]]:  # fmt: skip
    """A function (rows, matrices..., leaves...) -> the sums over all rows, which fit one block: nothing is cut."""
    text = Text()
    names = {leaf: f"l{place}" for place, leaf in enumerate(leaves)}
    body = _Body(sums, inner, names, text, found, lambda columns: f"m{found.place(columns, leaves)}")
    _whole(body, "rows")
    text.line(f"return ({', '.join(_totals(sums))},)")
    given = [*(f"m{place}" for place in range(found.count)), *(f"l{place}" for place in range(len(leaves)))]
    return text.function(["rows", *given])


def wide(
    sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node], found: Matrices, rows: int,
    kept: Mapping[Node, Any], given: Sequence[Node], numbers: Mapping[Node, Node],
) -> Callable[..., tuple[Any, ...]]:  # fmt: skip
    """A function -> the vectors of the sums that are together, and the other sums.

    Args:
        sums, inner, leaves, found: see :func:`small`.
        rows: how many there are.
        kept: the leaves that are the same whenever it runs.
        given: what the function is given.
        numbers: for each sum of numbers times columns the vector of the numbers, which is given.
    """
    text = Text()
    made = list(found.of([kept.get(leaf) for leaf in leaves]))
    own = {node: f"l{place}" for place, node in enumerate(given)}
    names = {leaf: text.name(np.asarray(kept[leaf])) for leaf in leaves if leaf in kept} | own
    body = _Body(sums, inner, names, text, found, lambda columns: text.name(made[found.place(columns, leaves)]),
                 {root: own[vector] for root, vector in numbers.items()})  # fmt: skip
    _whole(body, str(rows))
    text.line(f"return ({''.join(f'{name}, ' for name in (*body.products, *(f't{n}' for n in body.alone)))})")
    return text.function(list(own.values()))


def _whole(body: _Body, rows: str) -> None:
    """The lines that calculate sums over all rows at once."""
    text, sums = body.text, body.sums
    ends = _endings(sums, dict(body.names), text, body.alone)
    lines, rooms = body.lines()
    begin = [f"{' = '.join(f't{place}' for place in body.alone)} = 0"] if body.alone else []
    for line in (*begin, *rooms.lines(rows, text), *lines, *ends):
        text.line(line)


def _totals(sums: Sequence[Node]) -> list[str]:
    return [f"t{place}" for place in range(len(sums))]


@dataclass
class _Body:
    """What is calculated of a block.

    Attributes:
        sums, inner: see :func:`kernel`.
        names: what is known is called.
        text: names objects.
        found: the matrix products.
        matrix: what the matrix of some columns is called.
        vectors: for each sum of numbers times columns the name of the numbers' vector, where the sums of the matrix
            products are to stay vectors as well.
    """

    sums: Sequence[Node]
    inner: Sequence[Node]
    names: dict[Node, str]
    text: Text
    found: Matrices
    matrix: Callable[[tuple[Node, ...]], str]
    vectors: Mapping[Node, str] | None = None

    @property
    def alone(self) -> list[int]:
        """The places of the sums that are no part of a matrix product."""
        together = {place for some in self.found.projected.values() for place in some.places}
        return [place for place in range(len(self.sums)) if place not in together]

    @property
    def products(self) -> list[str]:
        """The names of the vectors that matrix products give."""
        return [f"p{number}" for number in range(len(self.found.projected))]

    def lines(self) -> tuple[list[str], Rooms]:
        """The lines that calculate the cells and add them, and the arrays that they write into."""
        numbers, found, names, text = dict(self.names), self.found, self.names, self.text
        inner = found.formed(self.inner)
        rooms = Rooms([arrays_of(total) for total in self.sums], inner, found.arguments)
        lines = self._added(None, numbers)
        for place, node in enumerate(inner):
            if node in found.weighted:
                some, room = found.weighted[node], rooms.take(place - 0.5, node)
                given = self.vectors
                vector = numbers_of(some, names, text) if given is None else signed(some, given[node], text)
                lines += weighted_lines(some, self.matrix(some.columns), f"n{place}", vector, names, room, text)
                names[node] = f"n{place}"
            else:
                lines.append(line_of(place, node, names, rooms, text))
            lines += self._added(node, numbers)
        return lines, rooms

    def _added(self, new: Node | None, numbers: Mapping[Node, str]) -> list[str]:
        text, names = self.text, self.names
        lines = _added(self.sums, names, new, text, self.alone)
        for name, some in zip(self.products, self.found.projected.values(), strict=True):
            if some.cells is new or (new is None and some.cells in names):
                nothing = text.name(np.zeros(len(some.columns)))  # times what is not finite it is NaN
                lines.append(f"{name} = {self.matrix(some.columns)}.dot({names[some.cells]})")
                lines += _ending(name, self.sums[some.places[0]], numbers, text, nothing)
                lines.append(f"if {name}.dot({nothing}) != 0.0: {text.name(_refuse_infinite)}()")
                if self.vectors is None:
                    lines.append(f"{', '.join(f't{place}' for place in some.places)}, = {name}")
        return lines


def arrays_of(total: Node) -> tuple[Node, ...]:
    """The factors and masks of a sum."""
    return total.args[: sum(total.data[:2])]


def rest_of(total: Node) -> tuple[Node, ...]:
    """What a sum is multiplied by."""
    return total.args[sum(total.data[:2]) :]


def _added(
    sums: Sequence[Node], names: Mapping[Node, str], new: Node | None, text: Text, places: Sequence[int]
) -> list[str]:  # fmt: skip
    """The lines that add to the sums whose last factor is ``new``; where it is none, to those of leaves only."""
    lines = []
    for place in places:
        total, arrays = sums[place], arrays_of(sums[place])
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


def finish(sums: Sequence[Node], leaves: Sequence[Node]) -> Callable[..., tuple[Any, ...]]:
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


def _ending(name: str, total: Node, names: Mapping[Node, str], text: Text, nothing: str = "0.0") -> list[str]:
    """The lines that multiply a sum, or several alike, by what was taken out of it, and add as many zeros."""
    lines, scalars = [], total.data[2]
    rest = [names[argument] for argument in rest_of(total)]
    for operator, scalar in zip(scalars, rest, strict=False):
        lines.append(f"{name} = {name} {operator} {scalar}")
    for size in rest[len(scalars) :]:
        lines.append(f"if not {size}: {text.name(_refuse_empty)}()")
        lines.append(f"{name} = {name} * {text.name(DTYPES[total.type])}({size})")
    return [*lines, f"{name} = {name} + {nothing}"] if total.type == "float64" else lines


def _refuse_empty() -> None:
    raise Refused(EMPTY)


def _refuse_infinite() -> None:
    raise Refused("a sum is not finite")
