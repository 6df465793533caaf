"""The instructions of a statement: what calculates the nodes of its result, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..labels import Labels
from ..lowering.relation import LoweredRelation
from ..node import Node, ancestors
from ..ports import Form, GridOutput, Source
from .blocked import BlockedMap
from .blocks import BundleMember, bundles
from .buffers import Buffers
from .compiled import Quick, quick
from .fusion import fused
from .instructions import Instruction, Still, function_of, parameter, scan
from .result import ArrayResult
from .standing import Standing

FEW = 16_384
"""Cells of functions that are gone through one after the other: what is between stays in a core's cache as it is."""


class Code:
    """The instructions of one statement, in order.

    Args:
        parts: the grids of its result.
        done: the instructions of the statements before it.
        buffers: room for arrays.
        still: tells which nodes depend on nothing but axes.
        labels: the codes of its texts.

    Attributes:
        whole: everything that the result is made of.
        brief: of these, what is left to do where the statements before it have run, and what does not change is known.
        result: what becomes of them.
    """

    def __init__(
        self, parts: Sequence[LoweredRelation], done: Mapping[Node, Instruction], buffers: Buffers, still: Still,
        labels: Labels,
    ) -> None:  # fmt: skip
        self._done, self._buffers, self._still = done, buffers, still
        self.result = ArrayResult(parts, labels)
        self.roots = self.result.roots
        nodes = [node for node in ancestors(self.roots) if node not in done]
        together = {n: b for b in bundles(nodes, still) for n in b.sums}
        alone = fused((node for node in nodes if node not in together), self.roots, still, buffers)
        instead = {n: b.leaves for n, b in together.items()} | {n: f.args for n, f in alone.items()}
        self.whole: list[Instruction] = []
        for node in ancestors(self.roots, instead | {n: args for n, args, _ in done.values()}):
            if node in done:
                self.whole.append(done[node])
                continue
            if node in together:
                function: Callable[..., Any] = BundleMember(node, together[node])
            else:
                function = alone[node].function if node in alone else function_of(node, buffers, still)
            self.whole.append((node, instead.get(node, node.args), function))
        self.brief: list[Instruction] | None = None
        self._quick: Quick | None = None

    @property
    def parts(self) -> Sequence[tuple[LoweredRelation, Form]]:
        """The grids of its result, and the forms of their rows."""
        return self.result.parts

    def take_apart(self, known: dict[Node, Any]) -> None:
        """Let each function of few cells be by itself: then it is calculated once for all that read it, or looked up.

        Args:
            known: what a step has calculated; these functions' cells are added.
        """
        whole: list[Instruction] = []
        for instruction in self.whole:
            node, _, function = instruction
            mine = node in known and node not in self._done
            if not isinstance(function, BlockedMap) or not mine or np.size(known[node]) > FEW:
                whole.append(instruction)
                continue
            for part in (*function.inner, node):
                whole.append((part, part.args, function_of(part, self._buffers, self._still)))
                if part not in known:
                    with np.errstate(all="ignore"):
                        known[part] = whole[-1][2](*[known[argument] for argument in part.args])
        self.whole = whole

    def abridge(self, kept: Mapping[Node, Any]) -> None:
        """Leave out what is kept or done before."""
        self.brief = [step for step in self.whole if step[0] not in kept and step[0] not in self._done]

    def compile(
        self, brief: Sequence[Instruction], known: Mapping[Node, Any], kept: Mapping[Node, Any], wanted: set[Node],
        standing: Standing,
    ) -> set[Node]:  # fmt: skip
        """Make one function of what is left to do; returns what it and the statements behind it need.

        Args:
            brief: what is left.
            known: what this step has calculated, whose sizes are those to come.
            kept: what is the same at each step.
            wanted: what the statements behind this one need.
            standing: the axes that are taken to stay as they are.
        """
        uses = {argument for _, args, _ in brief for argument in args} | set(self.roots)
        self._quick = quick(brief, self.result, known, kept, wanted, uses - wanted, standing)
        return wanted | uses

    def forget(self) -> None:
        """Go back to the whole: what was the same at each step has changed."""
        self.brief = self._quick = None

    @property
    def ready(self) -> bool:
        """Whether there is a function of the brief instructions."""
        return self._quick is not None

    def run(
        self, known: dict[Node, Any], source: Source, parameters: Mapping[str, Any], *, whole: bool
    ) -> list[GridOutput]:
        """Calculate what is not known yet.

        Raises:
            Refused, Changed: the data are not what they were taken for.
        """
        with np.errstate(all="ignore"):
            if not whole and self._quick is not None:
                return self._quick(known, source, parameters)
            for node, args, function in self.whole:
                if node not in known:
                    calculate(node, args, function, known, source, parameters)
        return self.result.of(known)


def calculate(
    node: Node, args: Sequence[Node], function: Callable[..., Any], known: dict[Node, Any], source: Source,
    parameters: Mapping[str, Any],
) -> None:  # fmt: skip
    """Calculate a node from what it is made of."""
    if node.op == "scan":
        known[node] = scan(node, [known[a] for a in args], source)
    elif node.op == "parameter":
        known[node] = parameter(node, parameters)
    elif isinstance(function, BundleMember):
        function.calculate(known)
    else:
        known[node] = function(*[known[a] for a in args])
