"""What a reading contributes to the cotangents of a relation, and the sum of several contributions.

A contribution that is lost would be a wrong derivative, so several are joined with the relation itself, each by a LEFT
JOIN on its key: every row of it is there, whatever the contributions have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from ...sql.expression import Call, Column, Expression
from ...sql.expression import columns as paths
from ..simplify import ZERO, add
from .blocks import Block, BlockUnion, From, FromLeaf, Joined, Path, label, substituted
from .keys import nullable

MINE = "@"
"""The label of the relation itself in the values of a share."""


@dataclass(frozen=True)
class Share:
    """What one reading contributes.

    Attributes:
        block: the rows; None where each row of the relation has one, without any other relation.
        key: column of the relation's key -> that of the block.
        said: columns of the relation's key -> the one value that they have here.
        batch: column of the loss's key -> that of the block.
        values: column of the relation -> its cotangent, of the block's columns ``("", name)`` and the relation's own
            ``("@", name)``.
    """

    block: Block | None
    key: Mapping[str, str]
    values: Mapping[str, Expression]
    said: Mapping[str, Expression] = field(default_factory=dict)
    batch: Mapping[str, str] = field(default_factory=dict)


def same(one: Expression, other: Expression, may_be_null: bool) -> Expression:
    """The condition that two columns name the same row."""
    return Call("is not distinct from" if may_be_null else "=", (one, other))


def or_zero(expression: Expression) -> Expression:
    """An expression, or 0 where it is NULL."""
    return Call("coalesce", (expression, ZERO))


def placed(expression: Expression, block: Mapping[str, Expression], mine: Mapping[str, Expression]) -> Expression:
    """A share's value where its columns, and those of the relation, are these."""
    new: dict[Path, Expression] = {("", n): e for n, e in block.items()}
    return substituted(expression, new | {(MINE, n): e for n, e in mine.items()})


def total(node: Block, shares: Sequence[Share], key: Sequence[str]) -> Share:
    """All contributions to the cotangents of a relation as one.

    Args:
        node: the relation.
        shares: one or more.
        key: the relation's.
    """
    if shares[0].batch:
        return shares[0] if len(shares) == 1 else _added(node, shares, key)
    if len(shares) == 1:
        (share,) = shares
        own = any(path[0] == MINE for e in share.values.values() for path in paths(e))
        if not own:
            return share
    name = f"d_{node.name}"
    mine = FromLeaf(label(node.name), node)
    source: tuple[From, ...] = (mine,)
    where: list[Expression] = []
    columns = list(dict.fromkeys(c for share in shares for c in share.values))
    values: dict[str, list[Expression]] = {c: [] for c in columns}
    for share in shares:
        block: dict[str, Expression] = {}
        if share.block is not None:
            leaf = FromLeaf(label(share.block.name), share.block)
            block = {n: leaf.column(n) for n in share.block.outputs}
            on = tuple(same(mine.column(k), leaf.column(c), nullable(node, k)) for k, c in share.key.items())
            if len(shares) > 1:
                source = (Joined(source[0], leaf, "left", on),)
            else:
                source, where = (mine, leaf), list(on)
        own_columns = {n: mine.column(n) for n in node.outputs}
        for column, value in share.values.items():
            made = placed(value, block, own_columns)
            values[column].append(or_zero(made) if len(shares) > 1 else made)
    outputs: dict[str, Expression] = {k: mine.column(k) for k in key}
    outputs |= {_free(f"d_{c}", outputs): reduce(add, values[c]) for c in columns}
    made_block = Block(name, source, tuple(where), outputs)
    names = [n for n in outputs if n not in key]
    return Share(made_block, {k: k for k in key}, {c: Column(("", n)) for c, n in zip(columns, names, strict=True)})


def _added(node: Block, shares: Sequence[Share], key: Sequence[str]) -> Share:
    """Contributions of several rows of the loss: one under the other, and added by key."""
    columns = list(dict.fromkeys(c for share in shares for c in share.values))
    batch = list(shares[0].batch)
    names = {("key", k): f"k_{k}" for k in key} | {("batch", b): f"by_{b}" for b in batch}
    names |= {("value", c): f"d_{c}" for c in columns}
    parts = []
    for share in shares:
        assert share.block is not None
        leaf = FromLeaf(label(share.block.name), share.block)
        block = {n: leaf.column(n) for n in share.block.outputs}
        outputs: dict[str, Expression] = {names["key", k]: block[share.key[k]] for k in key}
        outputs |= {names["batch", b]: block[share.batch[b]] for b in batch}
        for c in columns:
            found = share.values.get(c)
            outputs[names["value", c]] = ZERO if found is None else placed(found, block, {})
        parts.append(Block(share.block.name, (leaf,), (), outputs))
    leaf = FromLeaf(label(node.name), BlockUnion(f"all_{node.name}", tuple(parts)))
    keyed = {n: leaf.column(n) for (what, _), n in names.items() if what != "value"}
    sums = {names["value", c]: Call("sum", (leaf.column(names["value", c]),)) for c in columns}
    block_of_sums = Block(f"d_{node.name}", (leaf,), (), {**keyed, **sums}, tuple(keyed))
    return Share(
        block_of_sums, {k: names["key", k] for k in key}, {c: Column(("", names["value", c])) for c in columns},
        {}, {b: names["batch", b] for b in batch},
    )  # fmt: skip


def _free(name: str, taken: Mapping[str, Expression]) -> str:
    while name in taken:
        name += "_1"
    return name
