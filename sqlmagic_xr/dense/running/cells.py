"""Functions of cells that are calculated block by block: which they are, their lines, the arrays they write into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from ..arrays import DTYPES, MAPS
from ..node import Node, Type
from .operations import masked_product
from .text import Text


def gathered(roots: Iterable[Node], inside: Callable[[Node], bool]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """The functions that some nodes are made of, arguments first, and the leaves that these are made of.

    Args:
        roots: what is asked for.
        inside: whether a node is such a function; what is none is a leaf.
    """
    inner: dict[Node, None] = {}
    leaves: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in inner or node in leaves:
            return
        if not inside(node):
            leaves[node] = None
            return
        for argument in node.args:
            visit(argument)
        inner[node] = None

    for root in roots:
        visit(root)
    return tuple(inner), tuple(leaves)


class Rooms:
    """Which array each function writes into: one whose cells nobody needs any more, also one of its own arguments.

    Args:
        sums: what each sum is a sum of.
        inner: the functions, in order.
        arguments: what each is calculated from, where that is something else than a node's own arguments.

    Attributes:
        made: the names of the arrays, and the types of their cells.
    """

    def __init__(
        self, sums: Sequence[Sequence[Node]], inner: Sequence[Node],
        arguments: Callable[[Node], Sequence[Node]] = lambda node: node.args,
    ) -> None:  # fmt: skip
        places = {node: place for place, node in enumerate(inner)}
        self._last: dict[Node, float] = dict.fromkeys(inner, 0.0)
        for place, node in enumerate(inner):
            self._last.update({a: place for a in arguments(node) if a in places})
        for arrays in sums:  # which are added as soon as the last of them is there
            needed = [a for a in arrays if a in places]
            ready = max((places[a] for a in needed), default=0)
            # The sum stands behind the function at ``ready``, which must not write over the sum's other factors.
            self._last.update({a: max(self._last[a], ready + 0.5) for a in needed})
        self._holds: dict[str, Node] = {}
        self.made: dict[str, Type] = {}

    def take(self, place: float, node: Node) -> str:
        """The room of a node; a place before its own leaves its arguments alone."""
        for name, kind in self.made.items():
            if kind == node.type and (name not in self._holds or self._last[self._holds[name]] <= place):
                break
        else:
            name = f"r{len(self.made)}"
            self.made[name] = node.type
        self._holds[name] = node
        return name

    def lines(self, shape: str, text: Text) -> Iterator[str]:
        """The lines that make the arrays."""
        for name, kind in self.made.items():
            yield f"{name} = {text.name(np.empty)}({shape}, {text.name(DTYPES[kind])})"


def calculated(inner: Sequence[Node], names: dict[Node, str], rooms: Rooms, text: Text) -> Iterator[tuple[Node, str]]:
    """Each function with the line that calculates it; ``names`` holds those of the leaves, and is given the others."""
    for place, node in enumerate(inner):
        yield node, line_of(place, node, names, rooms, text)


def line_of(place: int, node: Node, names: dict[Node, str], rooms: Rooms, text: Text) -> str:
    """The line that calculates a function, which stands at some place among them; ``names`` is given its name."""
    function = MAPS[node.data]
    given = [names[argument] for argument in node.args]
    given += [rooms.take(place, node)] if isinstance(function, np.ufunc) else []
    names[node] = f"n{place}"
    return f"n{place} = {text.name(function)}({', '.join(given)})"


def product(given: Sequence[str], factors: int, text: Text) -> str:
    """The product of some arrays, of which the first ``factors`` are factors and the others masks."""
    return given[0] if len(given) == 1 else f"{text.name(masked_product)}(({', '.join(given)}), {factors})"


def write_loop(text: Text, rooms: Rooms, shape: str, cuts: Mapping[str, str], body: Sequence[str]) -> None:
    """Lines that go from ``start`` to ``stop``, ``step`` cells of the first axis at a time.

    Args:
        text: where they are written; ``start``, ``stop`` and ``step`` have values there.
        rooms: what the body writes into.
        shape: that of a block.
        cuts: the name of each block that is cut, and of the array that it is cut out of.
        body: what is done with a block.
    """
    for line in rooms.lines(shape, text):
        text.line(line)
    text.line("for low in range(start, stop, step):")
    text.line("high = min(low + step, stop)", 2)
    if rooms.made:
        text.line("if high - low < step:", 2)
        for name in rooms.made:
            text.line(f"{name} = {name}[: high - low]", 3)
    for line in (*(f"{name} = {array}[low:high]" for name, array in cuts.items()), *body):
        text.line(line, 2)
