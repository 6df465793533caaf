"""Columns that stay, as the rows of one matrix: a sum over many of them is a matrix product, and not a call for each.

A model whose weights are columns says ``w0 * x0 + w1 * x1 + ...`` of each row, and its slopes are ``SUM(r * x0)``,
``SUM(r * x1)``, ... Over few rows the calls cost more than their arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any

import numpy as np

from ..node import Node
from .text import Text

_FEW = 4  # columns; fewer are no matrix
MOST = 1_000_000  # cells of a matrix, which is held beside the columns that it is made of


@dataclass(frozen=True)
class Weighted:
    """Numbers times columns, added up, and other cells added to that.

    Attributes:
        root: the sum.
        weights: the numbers, and whether they are subtracted.
        columns: as many.
        others: what else is added, and whether it is subtracted.
        inside: the nodes that need not be formed.
    """

    root: Node
    weights: tuple[tuple[Node, bool], ...]
    columns: tuple[Node, ...]
    others: tuple[tuple[Node, bool], ...]
    inside: frozenset[Node]


@dataclass(frozen=True)
class Projected:
    """Sums of the same cells times a column each.

    Attributes:
        cells: the cells.
        places: of the sums.
        columns: as many.
    """

    cells: Node
    places: tuple[int, ...]
    columns: tuple[Node, ...]


@dataclass
class Matrices:
    """What of a bundle of sums is a matrix product.

    Attributes:
        weighted: by the node that is calculated so.
        projected: by the cells that are added up.
    """

    weighted: Mapping[Node, Weighted] = field(default_factory=dict)
    projected: Mapping[Node, Projected] = field(default_factory=dict)
    _rows: list[tuple[Node, ...]] = field(default_factory=list)
    _places: list[list[int]] = field(default_factory=list)
    _made: list[tuple[list[Any], Any]] = field(default_factory=list)

    def place(self, columns: tuple[Node, ...], leaves: Sequence[Node]) -> int:
        """Which matrix has these columns for its rows."""
        if columns not in self._rows:
            self._rows.append(columns)
            self._places.append([leaves.index(column) for column in columns])
            self._made.append(([], None))
        return self._rows.index(columns)

    @property
    def columns(self) -> set[Node]:
        """All columns."""
        return {column for columns in self._rows for column in columns}

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._rows)

    @property
    def width(self) -> int:
        """How many rows they have, all together."""
        return sum(map(len, self._rows))

    def of(self, leaves: Sequence[Any]) -> Iterator[Any]:
        """The matrices; one is made anew where a column is another array."""
        for number, places in enumerate(self._places):
            columns = [leaves[place] for place in places]
            before, matrix = self._made[number]
            if len(before) != len(columns) or not all(map(is_, before, columns)):
                matrix = np.stack([np.reshape(column, -1) for column in columns])
                self._made[number] = columns, matrix
            yield matrix

    def formed(self, inner: Sequence[Node]) -> list[Node]:
        """The functions of cells that are still calculated."""
        inside = {node for some in self.weighted.values() for node in some.inside}
        return [node for node in inner if node not in inside]

    def arguments(self, node: Node) -> Sequence[Node]:
        """What a node is calculated from."""
        return [n for n, _ in self.weighted[node].others] if node in self.weighted else node.args


def matrices(
    sums: Sequence[Node], inner: Sequence[Node], leaves: Sequence[Node], still: Callable[[Node], bool]
) -> Matrices | None:  # fmt: skip
    """What of some sums is a matrix product; None for nothing.

    Args:
        sums: nodes of operation ``sum`` along the same axes, to a number each.
        inner: the functions of cells that they are made of, arguments first.
        leaves: what these are made of.
        still: whether a node is the same at each step.
    """
    columns = {leaf for leaf in leaves if leaf.dims and leaf.type == "float64" and still(leaf)}
    uses = Counter(argument for node in (*inner, *sums) for argument in node.args)
    single = {node for node in inner if uses[node] == 1}
    weighted: dict[Node, Weighted] = {}
    taken = _compared(inner)
    for node in reversed(inner):
        found = None if node in taken else _weighted(node, single, columns)
        if found is not None:
            weighted[node] = found
            taken |= found.inside
    projected = _projected(sums, columns)
    return Matrices(weighted, projected) if weighted or projected else None


def _compared(inner: Sequence[Node]) -> set[Node]:
    """What is compared with another number that was calculated: in the row of a maximum it must have that very value.

    A matrix product has other last digits than the sum that the maximum was taken of.
    """
    found: set[Node] = set()
    for node in reversed(inner):
        compares = isinstance(node.data, str) and node.data.startswith("float ")
        if node in found or (compares and not any(side.op == "constant" for side in node.args)):
            found |= set(node.args)
    return found


def _weighted(root: Node, single: set[Node], columns: set[Node]) -> Weighted | None:
    """A node as numbers times columns; ``single`` are the functions of cells that one other alone is made of."""
    if root.data not in ("+", "-") or root.type != "float64":
        return None
    inside, weights, found, others = set[Node](), [], [], []
    pending = [(root, False)]
    while pending:  # a chain of operators is deep
        node, less = pending.pop()
        once = node is root or node in single
        if once and node.data in ("+", "-") and node.type == "float64":
            left, right = node.args
            pending += [(right, less != (node.data == "-")), (left, less)]
            inside |= set() if node is root else {node}
            continue
        number, column = _product(node, columns) if once else (None, None)
        if number is None or column is None:
            others.append((node, less))
            continue
        inside.add(node)
        weights.append((number, less))
        found.append(column)
    if len(found) < _FEW:
        return None
    return Weighted(root, tuple(weights), tuple(found), tuple(others), frozenset(inside))


def _product(node: Node, columns: set[Node]) -> tuple[Node | None, Node | None]:
    """The number and the column that a node is the product of."""
    if node.data == "*" and node.type == "float64":
        for number, column in (node.args, node.args[::-1]):
            if column in columns and not number.dims and number.type == "float64":
                return number, column
    return None, None


def _projected(sums: Sequence[Node], columns: set[Node]) -> dict[Node, Projected]:
    groups: dict[tuple[Node, tuple[Node, ...], Any], list[tuple[int, Node]]] = {}
    for place, total in enumerate(sums):
        if total.type == "float64" and total.data[:2] == (2, 0):
            one, other = total.args[:2]
            cells, column = (other, one) if one in columns else (one, other)
            if column in columns and cells not in columns:
                # What a sum is multiplied by is the same number for all of them.
                groups.setdefault((cells, total.args[2:], total.data[2]), []).append((place, column))
    found: dict[Node, Projected] = {}
    for (cells, _, _), some in groups.items():
        if len(some) >= _FEW and cells not in found:
            found[cells] = Projected(cells, tuple(place for place, _ in some), tuple(column for _, column in some))
    return found


def weighted_lines(
    weighted: Weighted, matrix: str, name: str, numbers: str, names: Mapping[Node, str], room: str, text: Text
) -> list[str]:  # fmt: skip
    """The lines that calculate numbers times columns.

    Args:
        weighted: which.
        matrix: what the matrix of the columns is called.
        name: what the result is called.
        numbers: the numbers as a vector.
        names: what everything else is called.
        room: the array that it is written into.
        text: names objects.
    """
    lines = [
        f"w = {numbers}",
        f"{name} = w.dot({matrix}, {room})",
        f"if {text.name(np.count_nonzero)}({name}) < len({name}): {text.name(_signed)}({name}, w, {matrix})",
    ]
    for other, less in weighted.others:
        lines.append(f"{text.name(np.subtract if less else np.add)}({name}, {names[other]}, {name})")
    return lines


def numbers_of(weighted: Weighted, names: Mapping[Node, str], text: Text) -> str:
    """The numbers as a vector that is made of each."""
    numbers = ", ".join(f"-{names[number]}" if less else names[number] for number, less in weighted.weights)
    return f"{text.name(np.array)}(({numbers},))"


def signed(weighted: Weighted, vector: str, text: Text) -> str:
    """The numbers as a vector, of which there is one in which none is subtracted."""
    signs = np.array([-1.0 if less else 1.0 for _, less in weighted.weights])
    return vector if (signs > 0).all() else f"{vector} * {text.name(signs)}"


def _signed(cells: Any, weights: Any, matrix: Any) -> None:
    """Make 0.0 what it is where all that was added is -0.0: a matrix product begins at 0.0."""
    zero = np.flatnonzero(cells == 0)
    products = weights[:, None] * matrix[:, zero]
    cells[zero] = np.where(((products == 0) & np.signbit(products)).all(axis=0), -0.0, cells[zero])


__all__ = ["MOST", "Matrices", "Projected", "Weighted", "matrices", "numbers_of", "signed", "weighted_lines"]
