"""What the array code of a statement keeps, reads and does at each step, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Grid
from ..node import Node
from .blocks import BundleMember
from .code import Code

_AGGREGATES = {"count": "count", "min": "minimum", "max": "maximum", "squares": "variance", "row number": "ranking",
               "sum by value": "sum", "count by value": "count"}  # fmt: skip
_PLURALS = {
    "function of cells": "functions of cells", "matrix product": "matrix products", "sum": "sums", "count": "counts",
    "minimum": "minima", "maximum": "maxima", "variance": "variances", "ranking": "rankings",
}  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """What a statement does.

    Attributes:
        kept: the tables that are held: name, cells, bytes.
        state: the tables of which one generation is read at each step: name, and what its key equals.
        work: what is done at each step, and how often.
    """

    kept: tuple[tuple[str, int, int], ...]
    state: tuple[tuple[str, str], ...]
    work: Mapping[str, int]

    @property
    def said(self) -> str:
        """The work in words: ``3 functions of cells, 2 sums``."""
        return ", ".join(f"{n} {what if n == 1 else _PLURALS[what]}" for what, n in self.work.items() if n)


def summary(code: Code, kept: Mapping[Node, Any]) -> Summary:
    """What a statement does, as far as the steps that were made have shown it.

    Args:
        code: its instructions.
        kept: what is the same at each step.
    """
    scans = [node for node, _, _ in code.whole if node.op == "scan"]
    held = {node: _size(kept[node]) for node in scans if node in kept}
    tables = tuple((".".join(node.data.table), *size) for node, size in held.items())
    state = tuple((".".join(node.data.table), _where(node)) for node in scans if node not in held)
    work: Counter[str] = Counter()
    bundles: set[int] = set()
    for node, args, function in code.whole if code.brief is None else code.brief:
        if isinstance(function, BundleMember) and id(function.bundle) not in bundles:
            bundles.add(id(function.bundle))
            work["function of cells"] += len(function.bundle.inner)
        if node.op == "sum":
            work["matrix product" if _contracts(node, args) else "sum"] += 1
        elif node.op in _AGGREGATES:
            work[_AGGREGATES[node.op]] += 1
        elif node.op == "map" and node.dims:
            work["function of cells"] += 1
    return Summary(tables, state, work)


def _size(grid: Grid) -> tuple[int, int]:
    arrays = [*grid.axes, *(a for cells in grid.columns.values() for a in (cells.data, cells.valid) if a is not None)]
    rows = int(np.prod(grid.shape, dtype=np.int64)) if grid.present is None else int(np.count_nonzero(grid.present))
    return rows, sum(np.asarray(array).nbytes for array in arrays)


def _where(scan: Node) -> str:
    values = (
        f":{a.data}" if a.op == "parameter" else repr(a.data[1]) if a.op == "constant" else "..." for a in scan.args
    )
    return " AND ".join(f"{name} = {value}" for name, value in zip(scan.data.fixed, values, strict=True))


def _contracts(node: Node, args: tuple[Node, ...]) -> bool:
    """Whether a sum is one of products of arrays along different axes."""
    factors, masks, _ = node.data
    return args == node.args and len({frozenset(array.dims) for array in node.args[: factors + masks]}) > 1
