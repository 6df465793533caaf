"""Conditions pushed down to where the rows are made: a network is computed for the images of a batch, not for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...relation.columns import Nested
from ...sql.expression import Call, Column, Expression, Parameter, Verbatim, descend
from ...sql.expression import columns as paths
from .blocks import (
    Block,
    BlockUnion,
    FromLeaf,
    Given,
    Node,
    Path,
    exchanged,
    filled,
    labels,
    names,
    reads_cells,
    substituted,
)
from .keys import equalities, kind_of
from .over import Over

Conditions = tuple[Expression, ...]
"""Conditions over the columns of a relation, each ``("", name)``, in the order in which they were written."""


class Pushing:
    """Makes of relations those of their rows for which conditions hold; equal questions get one answer."""

    def __init__(self) -> None:
        self._made: dict[tuple[Node, frozenset[Expression]], Node] = {}

    def pushed(self, node: Node, conditions: Conditions = ()) -> Node:
        """The rows of a relation for which conditions hold.

        Args:
            node: a relation that reads cells.
            conditions: such as it can take (see :func:`takes`).
        """
        place = node, frozenset(conditions)
        if place not in self._made:
            self._made[place] = self._pushed(node, conditions)
        return self._made[place]

    def _pushed(self, node: Node, conditions: Conditions) -> Node:
        if isinstance(node, Given):
            return node
        if isinstance(node, BlockUnion):
            first = names(node)
            parts = []
            for part in node.parts:
                new: dict[Path, Expression] = {("", a): Column(("", b))
                                               for a, b in zip(first, names(part), strict=True)}  # fmt: skip
                parts.append(self._pushed(part, tuple(substituted(e, new) for e in conditions)))
            return BlockUnion(node.name, tuple(p for p in parts if isinstance(p, Block)))
        inside: dict[Path, Expression] = {("", name): e for name, e in node.outputs.items()}
        more = [substituted(e, inside) for e in sorted(conditions, key=_varies)]
        return self._below(replace(node, where=tuple(dict.fromkeys([*node.where, *more]))))

    def _below(self, block: Block) -> Block:
        """A block whose readings are of no more rows than it needs."""
        empty, whole = filled(block), block
        for leaf in block.leaves:
            if isinstance(leaf.node, Given) or not reads_cells(leaf.node):
                continue
            own = {} if leaf.label in empty else _about(whole, leaf)
            mine = {inner: said for said, inner in own.items() if takes(leaf.node, inner)}
            node = self.pushed(leaf.node, tuple(mine))
            new = FromLeaf(leaf.label, node)
            source = tuple(exchanged(part, leaf, new) for part in block.source)
            said = set(mine.values())
            where = tuple(e for e in block.where if e not in said or labels(e) != {leaf.label})
            block = replace(block, source=source, where=where)
        return block


def _varies(condition: Expression) -> bool:
    """Puts what parameters have a part in behind what is the same at each step, as array code does.

    Otherwise the order is the user's: the loss beside its derivative is read for the same rows by the same steps.
    """
    return any(isinstance(part, Parameter) for part in descend(condition))


def _about(block: Block, leaf: FromLeaf) -> dict[Expression, Expression]:
    """What WHERE says, or what follows from it, about one reading alone: condition -> the same over its columns."""
    equal: dict[Path, Expression] = {}
    for one, other in equalities(block):
        if isinstance(one, Column) and isinstance(other, Column) and one.path[0] == leaf.label != other.path[0]:
            kinds = [kind_of(block.leaf(c.path[0]).node, c.path[1]) for c in (one, other)]
            if kinds == ["integer", "integer"]:
                equal.setdefault(other.path, one)
    inside: dict[Path, Expression] = {(leaf.label, n): Column(("", n)) for n in names(leaf.node)}
    found: dict[Expression, Expression] = {}
    for condition in block.where:
        if not paths(condition) or not is_plain(condition):
            continue
        mine = substituted(condition, equal)
        if labels(mine) == {leaf.label} and not (isinstance(mine, Call) and mine.name == "=" and
                                                 mine.args[0] == mine.args[1]):  # fmt: skip
            found.setdefault(condition, substituted(mine, inside))
    return found


def is_plain(condition: Expression) -> bool:
    """Whether a condition is made of columns and functions alone, without a query inside."""
    return not any(isinstance(part, (Nested, Verbatim)) for part in descend(condition)) and not any(
        isinstance(part, Call) and part.window is not None for part in descend(condition)
    )


def takes(node: Node, condition: Expression) -> bool:
    """Whether the rows for which a condition holds can be said inside a relation."""
    if isinstance(node, Given):
        return False
    if isinstance(node, BlockUnion):
        first: Mapping[str, int] = {name: place for place, name in enumerate(names(node))}
        return all(
            takes(part, substituted(condition, {("", n): Column(("", names(part)[p])) for n, p in first.items()}))
            for part in node.parts
        )
    used = {path[1] for path in paths(condition)}
    if node.moves:  # whole partitions may be left out
        by = [set(e.partition) for e in node.outputs.values() if isinstance(e, Over)]
        return all(node.outputs[name] in partition for name in used for partition in by)
    return node.keys is None or used <= set(node.keys)
