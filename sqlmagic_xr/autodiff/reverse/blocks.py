"""The small algebra that the backward pass works on: queries as blocks of leaves, conditions and outputs.

A :class:`Block` is one SELECT: leaves side by side (outer joins between some of them), conjuncts, outputs. One that
groups has only keys and aggregates for outputs: what is computed from them stands in a block around it. Columns are
plain :class:`~sqlmagic_xr.sql.expression.Column` values, ``(leaf's label, name)``; a label is given once and never
again, so blocks may be put into each other without renaming. Blocks are values: whoever changes one makes another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

from ...relation.layers import ColumnType
from ...sql.expression import Call, Case, Column, Expression, replace_parts
from ...sql.expression import columns as paths
from ...sql.remembered import once_a_node
from ...sql.syntax import Tree
from .once import Once
from .over import RANKS, Over

Path = tuple[str, ...]
_LABELS = count(1)


@dataclass(frozen=True, eq=False)
class Given:
    """A relation that is read as it is: a table, or a query that no cell is derived through.

    Attributes:
        name: what it may be called.
        factor: its tree in a FROM, without an alias.
        kinds: column -> what kind of value it holds.
        required: the columns that hold no NULL.
        key: the columns whose values name a row; () for one row, None where that is not known.
        cells: the columns by whose cells derivatives are taken; () for a relation that is only data.
        one: whether it has exactly one row.
        summed: whether what it holds may be calculated from sums, each time that it is read.
    """

    name: str
    factor: Tree = field(repr=False)
    kinds: Mapping[str, ColumnType | None]
    required: frozenset[str]
    key: tuple[str, ...] | None
    cells: frozenset[str] = frozenset()
    one: bool = False
    summed: bool = False


@dataclass(frozen=True, eq=False)
class BlockUnion:
    """UNION ALL: blocks of the same columns, one under the other."""

    name: str
    parts: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class FromLeaf:
    """One reading of a relation in a FROM."""

    label: str
    node: Node

    def column(self, name: str) -> Column:
        """One of its columns."""
        return Column((self.label, name))


@dataclass(frozen=True, eq=False)
class Joined:
    """A join that keeps rows without a partner, and what stands below one."""

    left: From
    right: From
    kind: Literal["inner", "left", "right", "full"]
    on: tuple[Expression, ...] = ()


@dataclass(frozen=True, eq=False)
class Block:
    """One SELECT.

    Attributes:
        name: what it may be called.
        source: what its FROM reads, side by side.
        where: what is true of every row.
        outputs: name -> expression; where it groups, a key or an aggregate alone.
        keys: the outputs that it groups by; () for one group, whatever rows there are; None where it does not group.
        still: whether what reads it is the same to first order however it changes, as a sum of squares is about its
            mean: nothing goes through it then.
    """

    name: str
    source: tuple[From, ...]
    where: tuple[Expression, ...]
    outputs: Mapping[str, Expression]
    keys: tuple[str, ...] | None = None
    still: bool = False

    @property
    def moves(self) -> bool:
        """Whether it looks along an order of its rows (see :class:`~.over.Over`)."""
        return any(isinstance(e, Over) for e in self.outputs.values())

    @property
    def groups(self) -> bool:
        """Whether it makes one row of several."""
        return self.keys is not None

    @property
    def leaves(self) -> list[FromLeaf]:
        """The readings in its FROM."""
        return [leaf for part in self.source for leaf in leaves(part)]

    def leaf(self, label: str) -> FromLeaf:
        """The reading of that label."""
        return next(leaf for leaf in self.leaves if leaf.label == label)


Node = Given | Block | BlockUnion
From = FromLeaf | Joined


def label(name: str) -> str:
    """A label that nothing has."""
    return f"{name}#{next(_LABELS)}"


def leaves(part: From) -> Iterator[FromLeaf]:
    """The readings in a part of a FROM."""
    if isinstance(part, FromLeaf):
        yield part
    else:
        yield from leaves(part.left)
        yield from leaves(part.right)


def names(node: Node) -> tuple[str, ...]:
    """The columns of a relation, in order."""
    if isinstance(node, Given):
        return tuple(node.kinds)
    return tuple(node.outputs) if isinstance(node, Block) else tuple(node.parts[0].outputs)


def labels(expression: Expression) -> frozenset[str]:
    """The readings whose columns an expression uses."""
    return frozenset(path[0] for path in paths(expression))


def substituted(expression: Expression, new: Mapping[Path, Expression]) -> Expression:
    """An expression with others in the place of columns."""
    if paths(expression).isdisjoint(new):
        return expression

    def change(part: Expression) -> Expression | None:
        if isinstance(part, Once):
            return part.moved(new, lambda inside: substituted(inside, new))
        return new.get(part.path) if isinstance(part, Column) else None

    return replace_parts(expression, change)


def mapped(block: Block, new: Mapping[Path, Expression], source: tuple[From, ...] | None = None) -> Block:
    """A block with others in the place of columns, and perhaps another FROM."""
    where = tuple(dict.fromkeys(substituted(e, new) for e in block.where))
    outputs = {name: substituted(e, new) for name, e in block.outputs.items()}
    read = block.source if source is None else source
    return replace(block, source=tuple(_on(part, new) for part in read), where=where, outputs=outputs)


def renamed(block: Block, new: Mapping[str, str]) -> Block:
    """A block whose outputs have other names."""
    keys = None if block.keys is None else tuple(new[k] for k in block.keys)
    return replace(block, outputs={new[n]: e for n, e in block.outputs.items()}, keys=keys)


def _on(part: From, new: Mapping[Path, Expression]) -> From:
    if isinstance(part, FromLeaf):
        return part
    on = tuple(substituted(e, new) for e in part.on)
    return Joined(_on(part.left, new), _on(part.right, new), part.kind, on)


def exchanged(part: From, old: FromLeaf, new: From) -> From:
    """A part of a FROM that reads something else instead of a leaf."""
    if part is old:
        return new
    if isinstance(part, FromLeaf):
        return part
    return Joined(exchanged(part.left, old, new), exchanged(part.right, old, new), part.kind, part.on)


def inputs(node: Node) -> list[Node]:
    """The relations that one reads, one for each reading."""
    if isinstance(node, Given):
        return []
    return list(node.parts) if isinstance(node, BlockUnion) else [leaf.node for leaf in node.leaves]


@once_a_node
def active(node: Node) -> frozenset[str]:
    """The columns that depend on a cell by which derivatives are taken."""
    if isinstance(node, Given):
        return node.cells
    if isinstance(node, BlockUnion):
        return _of_parts(node, active)
    live = _below(node, active)
    return frozenset() if node.still else frozenset(
        name for name, e in node.outputs.items() if not _read_by(node, e).isdisjoint(live)
    )  # fmt: skip


def _of_parts(node: BlockUnion, columns: Callable[[Node], frozenset[str]]) -> frozenset[str]:
    """The columns of a union of which one part or another says a thing, by the place that they have there."""
    named = [zip(names(node), part.outputs, strict=True) for part in node.parts]
    said = [columns(part) for part in node.parts]
    return frozenset(n for pairs, those in zip(named, said, strict=True) for n, o in pairs if o in those)


def _below(block: Block, columns: Callable[[Node], frozenset[str]]) -> set[Path]:
    """The columns of what a block reads of which a thing is said, as the block writes them."""
    return {(leaf.label, name) for leaf in block.leaves for name in columns(leaf.node)}


def _read_by(block: Block, output: Expression) -> frozenset[Path]:
    """The columns by which an output may have a derivative."""
    if isinstance(output, Over):
        return paths(output.call.args[0]) if output.is_linear else frozenset()
    counts = isinstance(output, Call) and block.groups and output.name not in ("sum", "min", "max")
    return frozenset() if counts else paths(output)


@once_a_node
def staircase(node: Node) -> frozenset[str]:
    """The columns computed from where a row stands among others by a value that depends on a cell."""
    if isinstance(node, Given):
        return frozenset()
    if isinstance(node, BlockUnion):
        return _of_parts(node, staircase)
    live, steps = _below(node, active), _below(node, staircase)

    def is_step(e: Expression) -> bool:
        ranks = isinstance(e, Over) and e.call.name in RANKS and any(not paths(k).isdisjoint(live) for k in e.order)
        return ranks or any(isinstance(part, Column) and part.path in steps for part in _valued(e))

    return frozenset(n for n, e in node.outputs.items() if is_step(e))


_TRUTHS = frozenset({"=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "is null", "is not null", "in", "not in",
                     "between", "not between", "is not distinct from", "is distinct from"})  # fmt: skip


def _valued(expression: Expression) -> Iterator[Expression]:
    """The parts of an expression that its value is computed from; conditions decide, and are no part of it."""
    todo = [expression]
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, Over):
            todo += part.call.args
        elif isinstance(part, Case):
            todo += [e for _, e in part.branches] + ([] if part.default is None else [part.default])
        elif isinstance(part, Call):
            todo += [] if part.name in _TRUTHS or part.name == "count" else part.args
        else:
            todo += part.parts


@once_a_node
def reads_cells(node: Node) -> bool:
    """Whether a relation reads the table by whose cells derivatives are taken, in whatever way."""
    return bool(node.cells) if isinstance(node, Given) else any(map(reads_cells, inputs(node)))


def requiring(block: Block, wanted: str) -> Block:
    """The rows of a block in which one reading takes part, so that no outer join fills it with NULL.

    What is derived by the cells of a reading is asked of these rows alone: in the others it is not there.
    """
    source: list[From] = []
    where = list(block.where)
    for part in block.source:
        source += _requiring(part, wanted, where)
    return replace(block, source=tuple(source), where=tuple(where))


def _requiring(part: From, wanted: str, where: list[Expression]) -> list[From]:
    if isinstance(part, FromLeaf) or wanted not in {leaf.label for leaf in leaves(part)}:
        return [part]
    on_left = wanted in {leaf.label for leaf in leaves(part.left)}
    keeps = part.kind == "full" or part.kind == ("left" if on_left else "right")
    if not keeps:
        where += part.on
        return [*_requiring(part.left, wanted, where), *_all(part.right, where, on_left)] if on_left else [
            *_all(part.left, where, True), *_requiring(part.right, wanted, where)]  # fmt: skip
    inner: list[Expression] = []
    mine = _requiring(part.left if on_left else part.right, wanted, inner)
    kind: Literal["left", "right"] = "left" if on_left else "right"
    if len(mine) == 1:
        where += inner
        sides = (mine[0], part.right) if on_left else (part.left, mine[0])
        return [Joined(*sides, kind, part.on)]
    whole = mine[0]
    for other in mine[1:]:
        whole = Joined(whole, other, "inner")
    # The conditions of what became inner joins may stand above: the kept side's rows are those for which they hold.
    where += inner
    return [Joined(whole, part.right, kind, part.on) if on_left else Joined(part.left, whole, kind, part.on)]


def _all(part: From, where: list[Expression], _: bool) -> list[From]:
    """A side all of whose rows take part as partners."""
    if isinstance(part, Joined) and part.kind == "inner":
        where += part.on
        return [*_all(part.left, where, True), *_all(part.right, where, True)]
    return [part]


def filled(block: Block) -> frozenset[str]:
    """The labels of the readings that an outer join may fill with NULL."""
    found: set[str] = set()
    todo = list(block.source)
    while todo:
        part = todo.pop()
        if isinstance(part, Joined):
            todo += [part.left, part.right]
            if part.kind in ("left", "full"):
                found |= {leaf.label for leaf in leaves(part.right)}
            if part.kind in ("right", "full"):
                found |= {leaf.label for leaf in leaves(part.left)}
    return frozenset(found)
