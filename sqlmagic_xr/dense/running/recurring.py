"""What a step calculates of a number that comes again (``:k % 11``) is kept for when it does: the rows of a mini-batch.

Which rows a batch has, where their labels stand and what is taken of tables that no step changes depends on nothing but
that number. The lines that calculate it stand together, and are passed over where they have been gone through before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..node import INSTANTS, WHOLE, Node
from .align import Alignment
from .blocks import BundleMember
from .instructions import Instruction
from .text import Text

MOST = 32 * 2**20
"""Bytes of what one function keeps; what comes again only after more is calculated each time."""

_ENTRIES = 4096
_LEAST = 4  # instructions; fewer cost about as much as to look them up
_EXACT = WHOLE | INSTANTS | {"boolean", "label"}  # of floats two that are equal may differ, 0.0 and -0.0


class Kept:
    """What has been calculated, by the numbers that it was calculated of."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._hits = self._nbytes = 0
        self._full = False

    def find(self, numbers: Any) -> tuple[Any, ...] | None:
        """What has been kept of some numbers."""
        found = self._known.get(numbers)
        if found is not None:
            self._hits += 1
        return found

    def keep(self, numbers: Any, results: tuple[Any, ...]) -> None:
        """Keep results, as long as there is room; what has never come again leaves it when it is full."""
        if self._full:
            return
        self._nbytes += sum(map(_nbytes, results))
        self._full = self._nbytes > MOST or len(self._known) >= _ENTRIES
        if not self._full:
            self._known[numbers] = results
        elif not self._hits:
            self._known.clear()


@dataclass
class RecurringLines:
    """Some instructions of a step, in an order in which what comes again stands together.

    Attributes:
        numbers: what it depends on.
        start, stop: where it stands among the instructions; nowhere where nothing is worth being kept.
        results: of what it calculates what others need.
    """

    instructions: list[Instruction]
    numbers: tuple[Node, ...] = ()
    start: int = -1
    stop: int = -1
    results: tuple[Node, ...] = ()
    kept: Kept = field(default_factory=Kept)

    def begin(self, text: Text, name: Callable[[Node], str]) -> None:
        """Write the lines in front of what comes again, which then stands deeper."""
        text.line(f"numbers = {''.join(f'{name(number)}.item(), ' for number in self.numbers)}")
        text.line(f"again = {text.name(self.kept.find)}(numbers)")
        text.line("if again is None:")
        text.depth += 1

    def end(self, text: Text, name: Callable[[Node], str]) -> None:
        """Write the lines behind it."""
        results = "".join(f"{name(result)}, " for result in self.results)
        text.line(f"{text.name(self.kept.keep)}(numbers, ({results}))")
        text.depth -= 1
        text.line("else:")
        text.line(f"{results.rstrip()} = again", depth=text.depth + 1)


def _nbytes(value: Any) -> int:
    if isinstance(value, Alignment):
        return sum(_nbytes(part) for part in (value.coordinates, value.first, value.second, value.found))
    return int(getattr(value, "nbytes", 0))


def recurring(
    brief: Sequence[Instruction], kept: Collection[Node], given: Collection[Node], stay: Collection[Node]
) -> RecurringLines:
    """The instructions of a step, what is calculated of nothing but numbers that come again set apart.

    Args:
        brief: the instructions, arguments first.
        kept: what is the same whenever their function runs.
        given: what is the same as long as it runs.
        stay: the nodes that are needed behind the last instruction.
    """
    numbers = _numbers(brief, kept, given)
    sources = {number for number, comes_again in numbers.items() if comes_again}
    again: dict[Node, Instruction] = {}
    for node, args, function in brief:
        own = node in numbers or node.op == "scan" or isinstance(function, BundleMember)
        if not own and not all(a in kept for a in args) and all(a in kept or a in sources or a in again for a in args):
            again[node] = node, args, function
    rest = [i for i in brief if i[0] not in numbers and i[0] not in again]
    needed = {a for _, args, _ in rest for a in args} | set(stay)
    results = tuple(node for node in again if node in needed)
    if len(again) < _LEAST or not results:
        return RecurringLines(list(brief))
    first = [i for i in brief if i[0] in numbers]
    used = dict.fromkeys(a for _, args, _ in again.values() for a in args if a in sources)
    stop = len(first) + len(again)
    return RecurringLines([*first, *again.values(), *rest], tuple(used), len(first), stop, results)


def _numbers(
    brief: Sequence[Instruction], kept: Collection[Node], given: Collection[Node]
) -> dict[Node, bool]:  # fmt: skip
    """The numbers that are calculated of parameters alone, and whether each comes again: a remainder, a truth value."""
    found = {node: True for node in given if _is_number(node)}
    for node, args, _ in brief:
        if (
            not _is_number(node)
            or node.op not in ("parameter", "map")
            or any(a not in found and a not in kept for a in args)
        ):
            continue
        few = node.op == "map" and (node.data == "integer %" or node.type == "boolean")
        found[node] = few or (node.op == "map" and all(found.get(a, True) for a in args))
    return found


def _is_number(node: Node) -> bool:
    return not node.dims and node.type in _EXACT and node.op in ("parameter", "map")
