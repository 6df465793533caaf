"""The graph of a program: frozen nodes, each an array over named axes, equal nodes being one.

A node is built once for equal operation, arguments and axes, so that what two statements of a step have in common is
calculated once. Nothing is calculated here: :mod:`.running` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import Span
from .folding import folded
from .labels import Labels

Type = Literal[
    "boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]", "date", "label", "null",
]  # fmt: skip
"""What the cells hold; a label is the code of a text, which is only compared for equality."""

INTEGERS: frozenset[Type] = frozenset(("int32", "int64", "uint64"))
NARROW: frozenset[Type] = frozenset(("int8", "int16", "uint8", "uint16", "uint32"))
"""Whole numbers that are compared, aligned and converted, and calculated with as int64 or float64."""
WHOLE = INTEGERS | NARROW
FLOATS: frozenset[Type] = frozenset(("float32", "float64"))
NUMBERS = INTEGERS | FLOATS
INSTANTS: frozenset[Type] = frozenset(("timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]", "date"))
"""Points in time: whole numbers of their unit since 1970, which are compared with their like."""


class Refused(Exception):  # noqa: N818 - no error: another executor answers
    """A statement, or the data that it met, is none of ours: it runs relationally.

    Args:
        reason: one line for ``--explain``.
        span: where in the user's text, or None.
    """

    def __init__(self, reason: str, span: Span | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.span = span


class Unforeseen(Refused):
    """An error of ours where code is made or runs: another executor answers, but nobody has declined."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of an array.

    Attributes:
        origin: the node that gives its coordinates; two axes of one origin have the same coordinates, in one order.
        copy: tells apart the axes that a relation has when it is joined with itself.
    """

    origin: Node
    copy: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One array of the graph; compared by identity, since a :class:`Graph` makes equal ones once.

    Attributes:
        op: what is done.
        args: what it is done to.
        dims: the axes of the array; () for a scalar.
        type: what its cells hold.
        data: what else the operation needs; hashable.
    """

    op: str
    args: tuple[Node, ...] = ()
    dims: tuple[Axis, ...] = ()
    type: Type = "float64"
    data: Any = None


@dataclass(frozen=True, slots=True)
class Value:
    """A column: its cells, and where they are not NULL.

    Attributes:
        cells: the array; what it holds where ``valid`` is false means nothing.
        valid: a boolean array over some of the same axes; None where no cell is NULL.
    """

    cells: Node
    valid: Node | None = None

    @property
    def type(self) -> Type:
        """What the cells hold."""
        return self.cells.type

    @property
    def dims(self) -> tuple[Axis, ...]:
        """All axes along which it varies."""
        return union((self.cells, *((self.valid,) if self.valid else ())))


class Graph:
    """Makes nodes, equal ones once.

    Args:
        labels: the codes of its texts.
        kind: what a table's axis has in common with those that have the same coordinates; None where nothing is known.

    Attributes:
        granted: nodes that say of such origins that they still have.
    """

    def __init__(self, labels: Labels, kind: Callable[[Node], Hashable] = lambda _: None) -> None:
        self.labels, self._kind = labels, kind
        self._axes: dict[Hashable, Node] = {}
        self._made: dict[Any, Node] = {}
        self.granted: dict[Node, None] = {}

    def make(
        self,
        op: str,
        args: tuple[Node, ...] = (),
        dims: tuple[Axis, ...] = (),
        type: Type = "float64",
        data: Any = None,
    ) -> Node:
        """The node of that operation."""
        key = (op, args, dims, type, data)
        node = self._made.get(key)
        if node is None:
            node = self._made[key] = Node(op, args, dims, type, data)
        return node

    def has(self, type: Type) -> bool:
        """Whether there is a node of a type."""
        return any(node.type == type for node in self._made.values())

    def known(self, op: str, args: tuple[Node, ...], dims: tuple[Axis, ...], type: Type, data: Any) -> Node | None:
        """The node of that operation, where there is one."""
        return self._made.get((op, args, dims, type, data))

    def elementwise(self, name: str, args: tuple[Node, ...], type: Type) -> Node:
        """A function of cells; the axes are all those of the arguments."""
        if name == "where":
            args = _without_masked(args)
        known = folded(name, args) if type == "boolean" else None
        if known is not None:
            return known if isinstance(known, Node) else self.constant(known, "boolean")
        return self.make("map", args, union(args), type, name)

    def axis(self, scan: Node, place: int) -> Node:
        """The origin of an axis of a table; that of the first one that is known to have the same coordinates."""
        mine = self.make("axis", (scan,), data=place)
        kind = self._kind(mine)
        first = mine if kind is None else self._axes.setdefault(kind, mine)
        if first is not mine:
            self.granted[self.make("alike", (first, mine), (), "boolean")] = None
        return first

    def constant(self, value: Any, type: Type) -> Node:
        """A literal; ``-0.0`` is not ``0.0``."""
        return self.make("constant", (), (), type, (repr(value), value))

    def label(self, text: str) -> Node:
        """A text as a literal."""
        return self.constant(self.labels.label(text), "label")

    def both(self, *conditions: Node | None) -> Node | None:
        """The conjunction of boolean nodes, of which None is true."""
        kept = list(dict.fromkeys(c for c in conditions if c is not None and not _is_true(c)))
        if not kept:
            return None
        result = kept[0]
        for condition in kept[1:]:
            result = self.elementwise("and", (result, condition), "boolean")
        return result

    def take(self, node: Node, old: Axis, new: Axis, side: int) -> Node:
        """A node along ``new`` instead of ``old``; ``side`` says which of the new origin's indices picks the cells."""
        if old not in node.dims:
            return node
        if node.op == "coordinate" and side != GATHER:
            return self.coordinate(new, node.type)
        if _is_spanned(node):
            return self.elementwise(node.data, tuple(self.take(a, old, new, side) for a in node.args), node.type)
        return self._taken(node, old, new, side)

    def _taken(self, node: Node, old: Axis, new: Axis, side: int) -> Node:
        dims = tuple(new if d == old else d for d in node.dims)
        if len(set(dims)) < len(dims):
            raise Refused("a relation is joined along two of its own axes")
        return self.make("take", (node, new.origin), dims, node.type, (node.dims.index(old), side))

    def relabel(self, node: Node, old: Axis, new: Axis) -> Node:
        """The same array under another name of an axis."""
        if old not in node.dims:
            return node
        if node.op == "coordinate":
            return self.coordinate(new, node.type)
        if _is_spanned(node):
            return self.elementwise(node.data, tuple(self.relabel(a, old, new) for a in node.args), node.type)
        dims = tuple(new if d == old else d for d in node.dims)
        if len(set(dims)) < len(dims):
            return self.make("diagonal", (node,), tuple(dict.fromkeys(dims)), node.type, (
                node.dims.index(old), node.dims.index(new)))  # fmt: skip
        base = node.args[0] if node.op == "same" else node  # an array that is called what it was called is that array
        return base if dims == base.dims else self.make("same", (base,), dims, node.type)

    def coordinate(self, axis: Axis, type: Type) -> Node:
        """The coordinates of an axis, as a column."""
        return self.make("coordinate", (axis.origin,), (axis,), type)


FIRST, SECOND, GATHER = 1, 2, 3
"""Which index of an axis' origin picks the cells: the first or the second partner's, or a look-up's."""


def _without_masked(args: tuple[Node, ...]) -> tuple[Node, ...]:
    """The arguments of a choice, without what an inner choice by the same mask has for where that is false."""
    mask, chosen, other = args
    if chosen.op != "map" or chosen.data != "where" or chosen.args[0] is not mask:
        return args
    fewer = (mask, chosen.args[1], other)
    return fewer if set(union(fewer)) == set(union(args)) and fewer[1].type == chosen.type else args


def _is_true(condition: Node) -> bool:
    return condition.op == "constant" and condition.data[1] is True


def _is_spanned(node: Node) -> bool:
    """Whether it is a mask of pairs of rows: it is left until it is known which of them a join wants."""
    return node.op == "map" and node.data == "and" and any(len(a.dims) < len(node.dims) for a in node.args)


def conjuncts(mask: Node) -> Iterator[Node]:
    """What a mask is the conjunction of."""
    if mask.op == "map" and mask.data == "and":
        for argument in mask.args:
            yield from conjuncts(argument)
    else:
        yield mask


def union(nodes: Iterable[Node]) -> tuple[Axis, ...]:
    """All axes of some nodes, in the order in which they first appear; those of the largest node first."""
    ordered = sorted(nodes, key=lambda node: -len(node.dims))
    return tuple(dict.fromkeys(axis for node in ordered for axis in node.dims))


def ancestors(roots: Iterable[Node], instead: Mapping[Node, Sequence[Node]] | None = None) -> Iterator[Node]:
    """The roots and what they are made of, each once, arguments first; ``instead`` gives other arguments for some."""
    seen: set[int] = set()
    others = instead or {}
    pending = [(node, False) for node in reversed(list(roots))]
    while pending:
        node, ready = pending.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending += [(argument, False) for argument in reversed(others.get(node, node.args))]
