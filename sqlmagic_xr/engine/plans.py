"""What a plan will do, read before it runs: whether rows stream, how many there are, which chunks are read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from .recursion.failing import MARK
from .streaming import chunks_of

if TYPE_CHECKING:
    from .context import Context

Flow = Literal["stream", "sorted", "whole"]
"""Whether the first rows cost little (stream), little memory (sorted: the engine keeps the top ones), or everything."""

_TRANSPARENT = ("Projection", "SubqueryAlias", "Filter", "Sort")
_SCAN = "XarrayScanExec"
_NOISE = ("CooperativeExec",)


@dataclass(frozen=True)
class PlanNode:
    """A node of a logical plan: its operator's name, its whole line, what it reads."""

    name: str
    line: str
    children: tuple[PlanNode, ...]


def logical(frame: Any) -> PlanNode:
    """The optimized logical plan of a frame."""
    lines = frame.optimized_logical_plan().display_indent().splitlines()
    return _node([(len(line) - len(line.lstrip()), line.strip()) for line in lines if line.strip()])


def _node(lines: list[tuple[int, str]]) -> PlanNode:
    (depth, line), rest = lines[0], lines[1:]
    starts = [i for i, (d, _) in enumerate(rest) if d == depth + 2]
    parts = [rest[a:b] for a, b in zip(starts, [*starts, len(rest)][1:], strict=True)]
    return PlanNode(line.split(":")[0], line, tuple(map(_node, parts)))


def is_explained(frame: Any) -> bool:
    """Whether a frame is an EXPLAIN, of which no other query can be made: not even its first rows can be asked for."""
    return frame.logical_plan().display() in ("Explain", "Analyze")


def flow(frame: Any) -> Flow:
    """How a frame's first rows come to be."""
    node, found = logical(frame), "stream"
    while node.name in _TRANSPARENT and len(node.children) == 1:
        found = "sorted" if node.name == "Sort" else found
        node = node.children[0]
    streams = node.name in ("TableScan", "Union") or node.name.endswith("Join")
    return found if streams else "whole"  # type: ignore[return-value]


LARGEST_HEAD = 100_000
"""A LIMIT of more rows than this is left to the engine, which reads many chunks at a time."""


@dataclass(frozen=True)
class Limited:
    """A query with a LIMIT, taken apart: of the rows of ``frame``, ``fetch`` from ``skip`` on."""

    frame: Any
    skip: int
    fetch: int


def limited(frame: Any, context: Context) -> Limited | None:
    """A frame whose outermost step is a LIMIT over rows that stream, or None.

    The engine would begin to read all chunks at once and take the rows that come first; read one chunk after another,
    the rows are the same each time and the other chunks are not touched.
    """
    # As written: the optimizer puts the LIMIT below a computed column.
    plan = frame.logical_plan()
    match = re.match(r"Limit: skip=(\d+), fetch=(\d+)\n", plan.display_indent())
    if match is None or int(match[1]) + int(match[2]) > LARGEST_HEAD:
        return None
    below = context.create_dataframe_from_logical_plan(plan.inputs()[0])
    return Limited(below, int(match[1]), int(match[2])) if flow(below) == "stream" else None


def grid_rows(frame: Any, context: Context) -> int | None:
    """The rows of a query that only selects or joins whole tables, from what is known of them; None for any other."""
    return _rows(logical(frame), context)


def _rows(node: PlanNode, context: Context, alias: str = "") -> int | None:
    if node.name in ("Projection", "SubqueryAlias", "Sort") and len(node.children) == 1:
        return _rows(node.children[0], context, node.line.partition(": ")[2] if node.name == "SubqueryAlias" else alias)
    if node.name == "Cross Join":
        counts = [_rows(child, context) for child in node.children]
        return None if None in counts else _product([c for c in counts if c is not None])
    if node.name == "TableScan" and not re.search(r"_filters=\[|, fetch=", node.line):
        name = _table(node)
        # A scratch table is planned as the rows that it holds, without a name but for the alias around them.
        return int(context.table(alias if name == "?table?" else name).count())
    return None


def _product(counts: list[int]) -> int:
    total = 1
    for count in counts:
        total *= count
    return total


def row_bytes(schema: pa.Schema) -> int:
    """About how many bytes a row takes; text and lists are taken for 32."""
    return sum(_width(field.type) for field in schema)


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 32


def _table(node: PlanNode) -> str:
    match = re.match(r"TableScan: (\S+)", node.line)
    return match[1] if match else ""


@dataclass(frozen=True)
class Chunks:
    """The chunks of xarray tables that a plan reads, of how many there are."""

    read: int
    total: int
    what: str = "chunks"

    def __str__(self) -> str:
        return f"{self.read:,} of {self.total:,} {self.what} read, {self.total - self.read:,} pruned"


def chunks_to_read(frame: Any) -> int:
    """How many chunks of xarray tables a frame reads in all."""
    return sum(chunks_of(leaf.partition_count) for leaf in _leaves(frame.execution_plan()) if _SCAN in leaf.display())


def explain(frame: Any, context: Context) -> str:
    """A plan as an indented tree; scans of xarray tables say which part of their chunks they read."""
    tables = tables_read(logical(frame))
    totals = [total for name in tables if (total := _chunks_of(name, context))]
    what = _what(tables, context)
    plan = frame.execution_plan()
    read = [chunks_of(leaf.partition_count) for leaf in _leaves(plan) if _SCAN in leaf.display()]
    only = Chunks(read[0], totals[0], what) if len(read) == len(totals) == 1 else None
    lines = list(_tree(plan, only or what, "", ""))
    if only is None and read and len(read) == len(totals):
        lines.append(f"xarray tables: {Chunks(sum(read), sum(totals), what)}")
    return "\n".join(lines)


def _what(tables: list[str], context: Context) -> str:
    """What a scan's partitions are: chunks, or where these are very many, some neighbours each."""
    found = [grid for name in tables if (grid := context.tables.grid(tuple(name.split(".")))) is not None]
    each = max((math.prod(grid.together.values()) for grid in found), default=1)
    return "chunks" if each == 1 else f"groups of up to {each:,} chunks"


def _chunks_of(table: str, context: Context) -> int:
    """The chunks of an xarray table; 0 for any other, such as the one that a recursive query works on."""
    try:
        return chunks_to_read(context.table(table))
    except (KeyError, RuntimeError):
        return 0


def tables_read(node: PlanNode) -> list[str]:
    """The names of the tables that a plan reads."""
    return [_table(leaf) for leaf in _walk(node) if leaf.name == "TableScan"]


def _walk(node: PlanNode) -> Iterator[PlanNode]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _leaves(plan: Any) -> Iterator[Any]:
    children = plan.children()
    if not children:
        yield plan
    for child in children:
        yield from _leaves(child)


def _tree(plan: Any, only: Chunks | str, here: str, below: str) -> Iterator[str]:
    while plan.display().strip() in _NOISE and len(plan.children()) == 1:
        plan = plan.children()[0]
    if MARK in plan.display():
        yield here + "RecursionResult"
        return
    yield here + _label(plan, only)
    children = plan.children()
    for index, child in enumerate(children):
        last = index == len(children) - 1
        yield from _tree(child, only, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _label(plan: Any, only: Chunks | str) -> str:
    line = str(plan.display()).strip().split("\n")[0]
    if _SCAN in line:
        shown = f"{chunks_of(plan.partition_count):,} {only}" if isinstance(only, str) else str(only)
        return f"XarrayScan: {shown}"
    name, colon, detail = line.partition(":")
    detail = detail if len(detail) <= 160 else detail[:159] + "…"
    return name.removesuffix("Exec") + colon + detail
