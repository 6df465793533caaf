"""The brief instructions of a statement as the lines of one function: what a step is once it has been made before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import DTYPES, MAPS
from ..node import NUMBERS, Node
from ..ports import GridOutput, Source
from .align import aligner
from .blocks import BundleMember
from .buffers import SMALL
from .instructions import Instruction, refuse_holes
from .matmul import product, total
from .recurring import recurring
from .result import ArrayResult
from .standing import Standing
from .text import Text

Quick = Callable[[dict[Node, Any], Source, Mapping[str, Any]], list[GridOutput]]
"""(what earlier statements have left, the tables, the parameters) -> the rows of the statement."""

_OPERATORS = frozenset({"+", "-", "*", "/"})


def quick(
    brief: Sequence[Instruction], result: ArrayResult, known: Mapping[Node, Any], kept: Mapping[Node, Any],
    wanted: Collection[Node], last: Collection[Node], standing: Standing,
) -> Quick:  # fmt: skip
    """The function of some instructions.

    Args:
        brief: the instructions, arguments first.
        result: what becomes of them.
        known: what they have calculated at this step: a small array stays small.
        kept: what is the same at each step.
        wanted: what the statements behind this one need.
        last: what earlier statements have calculated, and none behind this one needs.
        standing: the axes that are taken to stay as they are; it is looked at where a scan has read them.
    """
    return _InstructionWriter(brief, result, known, kept, wanted, last, standing).function()


class FunctionLines:
    """Instructions as lines of a function.

    Args:
        known: what they have calculated at some step: a small array stays small.
        kept: what is the same whenever the function runs.

    Attributes:
        text: the function's.
        names: what each node is called.
    """

    def __init__(self, known: Mapping[Node, Any], kept: Mapping[Node, Any]) -> None:
        self._known, self.kept = known, kept
        self.text = Text()
        self.names: dict[Node, str] = {}

    def is_large(self, node: Node) -> bool:
        """Whether it is an array that is worth being used again."""
        return getattr(self._known.get(node), "size", 0) >= SMALL

    def is_shown(self, node: Node) -> bool:
        """Whether another line finds out where a sum is not finite."""
        return False

    def name(self, node: Node) -> str:
        """What a node is called."""
        if node not in self.names:
            self.names[node] = self.text.name(self.kept[node]) if node in self.kept else self.fetched(node)
        return self.names[node]

    def fetched(self, node: Node) -> str:
        """The name of a node that these lines do not calculate, after the lines that fetch it."""
        raise KeyError(node)

    def new(self, node: Node) -> str:
        """A name for a node that is about to be calculated."""
        self.names[node] = f"v{len(self.names)}"
        return self.names[node]

    def write(self, node: Node, args: Sequence[Node], function: Callable[..., Any]) -> tuple[Node, ...]:
        """Write an instruction; returns the nodes that it calculates."""
        text = self.text
        given = [self.name(argument) for argument in args]
        if isinstance(function, BundleMember):
            sums = function.bundle.sums
            names = [self.new(total) for total in sums]
            text.line(f"{', '.join(names)}, = {text.name(function.bundle.run)}({', '.join(given)})")
            return sums
        if tuple(args) != node.args:  # fused with what it is made of
            value = f"{text.name(function)}({', '.join(given)})"
        elif node.op == "cells":
            value = self._cells(node, *given, function=function)
        else:
            value = self._value(node, given, function)
        text.line(f"{self.new(node)} = {value}")
        if node.op == "scan" and not node.data.holes:
            grid, refusing = self.names[node], text.name(refuse_holes)
            text.line(f"if {grid}.present is not None: {refusing}({text.name(node)}, {grid})")
        if node.op == "scan":
            self.scanned(node)
        return (node,)

    def scanned(self, node: Node) -> None:
        """Write what is done behind the line of a scan."""

    def _cells(self, node: Node, grid: str, *, function: Callable[..., Any]) -> str:
        """A column of a grid; the usual case of one that varies along all axes and has no NULL asks for no function."""
        text, column = self.text, f"{grid}c"
        text.line(f"{column} = {grid}.columns[{node.data[0]!r}]")
        plain = f"{column}.valid is None and {column}.dims == {tuple(range(len(node.dims)))}"
        return f"{column}.data if {plain} else {text.name(function)}({grid})"

    def _value(self, node: Node, given: Sequence[str], function: Callable[..., Any]) -> str:
        text = self.text
        if node.op == "scan":
            fixed = [n if a.op in ("parameter", "constant") else f"{text.name(np.asarray)}({n})[()]"
                     for n, a in zip(given, node.args, strict=True)]  # fmt: skip
            pairs = ", ".join(f"{name!r}: {value}" for name, value in zip(node.data.fixed, fixed, strict=True))
            return f"source.grid({text.name(node.data)}, {{{pairs}}})"
        if node.op == "parameter":
            return f"{text.name(DTYPES[node.type])}(parameters[{node.data!r}])"
        if node.op == "map" and not node.dims and node.type in NUMBERS and all(not a.dims for a in node.args):
            if node.data in _OPERATORS:  # of NumPy's scalars, ten times as fast as the ufunc
                return f"{given[0]} {node.data} {given[1]}"
            if node.data == "negative":
                return f"-{given[0]}"
            if node.data == "to float64":
                return f"{text.name(np.float64)}({given[0]})"
            if node.data == "power":  # but for what NumPy takes for a square root
                both = ", ".join(given)
                return f"{text.name(np.power)}({both}) if {given[1]} != 0.5 else {text.name(function)}({both})"
        plain = node.op == "map" and (isinstance(MAPS[node.data], np.ufunc) or node.data == "where")
        if plain and not self.is_large(node) and one_spans(node):
            turned = [aligner(argument.dims, node.dims) for argument in node.args]
            given = [n if turn is None else f"{text.name(turn)}({n})" for n, turn in zip(given, turned, strict=True)]
            return f"{text.name(MAPS[node.data])}({', '.join(given)})"
        made = None if self.is_large(node) else product(node, given, text, shown=self.is_shown(node))
        if made is None and not any(map(self.is_large, (node, *node.args))):
            made = total(node, given, text, shown=self.is_shown(node))
        return f"{text.name(function)}({', '.join(given)})" if made is None else made


class _InstructionWriter(FunctionLines):
    def __init__(
        self, brief: Sequence[Instruction], result: ArrayResult, known: Mapping[Node, Any], kept: Mapping[Node, Any],
        wanted: Collection[Node], last: Collection[Node], standing: Standing,
    ) -> None:  # fmt: skip
        super().__init__(known, kept)
        self._brief, self._result, self._standing = brief, result, standing
        self._wanted, self._last = frozenset(wanted), frozenset(last)

    def function(self) -> Quick:
        text, stay = self.text, self._wanted.union(self._result.roots)
        again = recurring(self._brief, self.kept, (), stay)
        brief = again.instructions
        ends = last_uses(brief, lambda node: node not in stay and node not in self.kept and self.is_large(node))
        for place, (node, args, function) in enumerate(brief):
            if place == again.start:
                again.begin(text, self.name)
            made = self.write(node, args, function) if node not in self.names else ()
            if not again.start <= place < again.stop:
                self._hand_on(made)
            # An array that nobody needs any more is room for the next one.
            gone = [self.names[dead] for dead in ends.get(place, ()) if dead in self.names]
            if gone:
                text.line(f"del {', '.join(gone)}")
            if place + 1 == again.stop:
                again.end(text, self.name)
                self._hand_on(again.results)
        text.line(f"return {self._result.expression(text, self.name)}")
        return text.function(["known", "source", "parameters"])

    def _hand_on(self, nodes: Iterable[Node]) -> None:
        """Leave to the statements behind this one what they need."""
        for node in nodes:
            if node in self._wanted:
                self.text.line(f"known[{self.text.name(node)}] = {self.names[node]}")

    def scanned(self, node: Node) -> None:
        """Look at the axes that are taken to stay as they are."""
        for place, axis in self._standing.get(node, {}).items():
            name, coordinates = self.text.name(axis), f"{self.names[node]}.axes[{place}]"
            self.text.line(f"if {coordinates} is not {name}.coordinates: {name}({coordinates})")

    def fetched(self, node: Node) -> str:
        """What an earlier statement has calculated."""
        key = self.text.name(node)
        fetched = f"known.pop({key})" if node in self._last else f"known[{key}]"
        self.text.line(f"{self.new(node)} = {fetched}")
        return self.names[node]


def last_uses(brief: Sequence[Instruction], ends: Callable[[Node], bool]) -> dict[int, list[Node]]:
    """For the places of instructions the nodes that are used there for the last time.

    Args:
        brief: the instructions.
        ends: whether a node is to be among them.
    """
    final: dict[Node, int] = {}
    for place, (_, args, _) in enumerate(brief):
        final.update(dict.fromkeys(args, place))
    found: dict[int, list[Node]] = {}
    for node, place in final.items():
        if ends(node):
            found.setdefault(place, []).append(node)
    return found


def one_spans(node: Node) -> bool:
    """Whether one of the arguments is as large as the result, so that this one cannot be too large."""
    return not node.dims or any(len(argument.dims) == len(node.dims) for argument in node.args)
