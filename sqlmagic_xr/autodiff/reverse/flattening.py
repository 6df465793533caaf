"""A SELECT without groups put into what reads it, and counts that count rows instead of computing what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from ...sql.expression import Call, Column, Expression, Star
from ..size import distinct_size, size
from .blocks import (
    Block,
    BlockUnion,
    From,
    FromLeaf,
    Joined,
    Node,
    Path,
    exchanged,
    filled,
    inputs,
    label,
    mapped,
    names,
    reads_cells,
)
from .keys import key_of, strict
from .refusing import refused

_LONG = 200_000  # characters
_REPEATED = 8  # times as long as it would be if each of its parts stood there once


def flattened(root: Block) -> Block:
    """A query in which each SELECT without groups stands in what reads it, unless several read it and it has a key."""
    known = readers(root)
    done: dict[Node, Node] = {}

    def of(node: Node) -> Node:
        if node not in done:
            made = node
            if isinstance(node, BlockUnion):
                made = BlockUnion(node.name, tuple(p for p in map(of, node.parts) if isinstance(p, Block)))
            elif isinstance(node, Block) and reads_cells(node):
                made = _counting(inside(node))
            done[node] = made
        return done[node]

    def inside(block: Block) -> Block:
        if block.moves:  # its rows stay apart: the way back joins them with what is owed to them
            (leaf,) = block.leaves
            return replace(block, source=(FromLeaf(leaf.label, of(leaf.node)),))
        is_kept = {leaf.label: is_inside(leaf.node, known) for leaf in block.leaves}
        for leaf in block.leaves:
            new = FromLeaf(leaf.label, of(leaf.node))
            block = replace(block, source=tuple(exchanged(part, leaf, new) for part in block.source))
            if is_kept[leaf.label] and leaf.label not in filled(block) and reads_cells(leaf.node):
                assert isinstance(new.node, Block)
                block = inlined(block, new, new.node)[0]
        return block

    found = of(root)
    assert isinstance(found, Block)
    for node in done.values():
        if isinstance(node, Block):
            _require_short(node)
    return found


def _require_short(block: Block) -> None:
    """Raise DerivativeError where layers that each read a column of the one below twice have become 2^layers terms."""
    for expression in (*block.outputs.values(), *block.where):
        if size(expression) > _LONG and size(expression) > _REPEATED * distinct_size(expression):
            raise refused(
                f"the gradient would be a text of more than {_LONG:,} characters: queries that each read a column of "
                "the one below several times are put into each other",
                "Read such a column once in each query, or take grad(x, column) of each of them.", expression,
            )  # fmt: skip


def is_inside(node: Node, known: Counter[Node]) -> bool:
    """Whether a relation is put into what reads it."""
    if not isinstance(node, Block) or node.groups or node.moves:
        return False
    return key_of(node) is None or known[node] < 2


def _counting(block: Block) -> Block:
    """A group in which COUNT(x) counts the rows in which nothing is NULL that makes x NULL."""
    outputs = {name: _counted(block, e) if block.groups and name not in (block.keys or ()) else e
               for name, e in block.outputs.items()}  # fmt: skip
    return replace(block, outputs=outputs)


def _counted(block: Block, measure: Expression) -> Expression:
    if not isinstance(measure, Call) or measure.name != "count" or measure.distinct:
        return measure
    needed = strict(block, measure.args[0]) if not isinstance(measure.args[0], Star) else None
    if needed is None:
        return measure
    known: list[Expression] = [Call("is not null", (Column(path),)) for path in sorted(needed)]
    if measure.filter is not None:
        known.insert(0, measure.filter)
    held = reduce(lambda a, b: Call("and", (a, b)), known) if known else None
    return replace(measure, args=(Star(),), filter=held)


def readers(loss: Block) -> Counter[Node]:
    """How many readings there are of each relation below a query."""
    found: Counter[Node] = Counter()
    todo: list[Node] = [loss]
    seen: set[Node] = set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        inner = inputs(node)
        found.update(filter(reads_cells, inner))
        todo += inner
    return found


def inlined(
    work: Block, leaf: FromLeaf, node: Block, columns: Mapping[str, str] | None = None
) -> tuple[Block, frozenset[str]]:
    """Rows in which a SELECT without groups stands in the place of its reading; and the labels of what it reads."""
    new = {inner.label: FromLeaf(label(inner.node.name), inner.node) for inner in node.leaves}
    inside: dict[Path, Expression] = {
        (old, name): fresh.column(name) for old, fresh in new.items() for name in names(fresh.node)
    }
    fresh = mapped(node, inside)
    source = fresh.source
    for inner in node.leaves:
        source = tuple(exchanged(part, inner, new[inner.label]) for part in source)
    called = columns or {name: name for name in node.outputs}
    outer: dict[Path, Expression] = {(leaf.label, name): fresh.outputs[inner] for name, inner in called.items()}
    parts: list[From] = []
    for part in work.source:
        if part is leaf:
            parts += source
        elif len(source) == 1:
            parts.append(exchanged(part, leaf, source[0]))
        else:
            whole = reduce(lambda a, b: Joined(a, b, "inner"), source)
            parts.append(exchanged(part, leaf, whole))
    made = mapped(replace(work, source=tuple(parts)), outer)
    where = tuple(dict.fromkeys([*made.where, *fresh.where]))
    return replace(made, where=where), frozenset(x.label for x in new.values())
