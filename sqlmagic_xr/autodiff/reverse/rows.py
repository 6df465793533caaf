"""The rows of a block as one relation that may be read several times and whose rows can be told apart."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from ...sql.expression import Column, Expression
from ...sql.expression import columns as paths
from .blocks import Block, FromLeaf, Path, label
from .keys import is_unique, row_key
from .over import Over


def as_leaf(block: Block, used: Iterable[Expression]) -> tuple[FromLeaf, dict[Path, Expression]]:
    """The rows of a block as one leaf, and what the columns of its FROM are called there.

    Args:
        block: what a SELECT reads.
        used: what reads the rows.
    """
    if len(block.source) == 1 and isinstance(block.source[0], FromLeaf) and not block.where:
        return block.source[0], {}
    outputs: dict[str, Expression] = {}
    new: dict[Path, Expression] = {}
    leaf = FromLeaf(label(block.name), block)
    read = dict.fromkeys(path for e in used for path in sorted(paths(e)))
    for path in (*read, *(row_key(block) or ())):
        if path in new:
            continue
        name = free(path[1], outputs)
        outputs[name] = Column(path)
        new[path] = Column((leaf.label, name))
    return FromLeaf(leaf.label, replace(block, name=f"{block.name}_rows", outputs=outputs)), new


def keyed(block: Block) -> Block:
    """A block that shows the columns by which its rows are told apart as well."""
    shown = {e.path for e in block.outputs.values() if isinstance(e, Column)}
    more: dict[str, Expression] = {}
    for path in row_key(block) or ():
        if path not in shown:
            more[free(path[1], {*block.outputs, *more})] = Column(path)
    return replace(block, outputs={**block.outputs, **more}) if more else block


def is_total(rows: FromLeaf, over: Over) -> bool:
    """Whether no two rows of a partition tie in the order of a window."""
    base = Block("rows", (rows,), (), {})
    return is_unique(base, [e.path for e in (*over.partition, *over.order) if isinstance(e, Column)])


def free(name: str, taken: Container[str]) -> str:
    """A name that is not taken, like another.

    >>> free("x", {"x", "x_1"})
    'x_1_1'
    """
    while name in taken:
        name += "_1"
    return name
