"""The tangents of ``jvp``: how fast each cell of a table moves, said by an expression over the table's row.

``jvp(e, t.c, v)`` is how fast ``e`` changes where every cell ``c`` moves as fast as ``v`` of its row says, whichever
row of ``t`` the call stands in. ``v`` is computed from columns of ``t``, and of relations of which the FROM has one row
for each row of ``t``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...relation import nodes
from ...relation.columns import Field, Nested, fields
from ...relation.facts import equalities, key
from ...relation.rebuild import substituted as rebuilt
from ...sql.expression import Call, Cast, Expression, descend
from ..doubles import REAL
from ..rules import CALLS
from .blocks import Block, From, FromLeaf, Given, Joined, label
from .forward import TangentRelation
from .given import Givens
from .refusing import refused, require_steady
from .rows import free
from .shares import or_zero, same
from .slopes import kind_of_expression

Pairs = Sequence[tuple[str, Expression]]


def directions(
    leaf: nodes.Leaf, pairs: Pairs, around: nodes.Relation, givens: Givens
) -> Callable[[Given], TangentRelation]:
    """What gives a relation of cells their tangents.

    Args:
        leaf: the relation in the FROM by whose columns a derivative is taken.
        pairs: its columns, by the names that they have there, and their tangents.
        around: what the SELECT reads.
        givens: makes the relations that tangents are read of.

    Raises:
        DerivativeError: a tangent that is not one number for each row.
    """
    others = list(dict.fromkeys(f.relation for _, v in pairs for f in fields(v) if f.relation is not leaf))
    for _, v in pairs:
        require_steady(v)
        if any(isinstance(part, Nested) or (isinstance(part, Call) and part.name in CALLS) for part in descend(v)):
            raise refused(
                "a tangent is no query and no derivative itself", "Compute it in a subquery, and join that.", v
            )
    beside = [_beside(leaf, other, around, givens, pairs[0][1]) for other in others]

    def moved(given: Given) -> TangentRelation:
        mine = FromLeaf(label(given.name), given)
        source: From = mine
        where: dict[nodes.Relation, FromLeaf] = {leaf: mine}
        for other, node, equal in beside:
            theirs = where[other] = FromLeaf(label(node.name), node)
            on = tuple(same(mine.column(givens.inner(leaf, a)), theirs.column(givens.inner(other, b)), False)
                       for a, b in equal)  # fmt: skip
            source = Joined(source, theirs, "left", on)
        block = Block(f"{given.name}_moving", (source,), (), {})
        outputs: dict[str, Expression] = {n: mine.column(n) for n in given.kinds}
        tangents = {}
        for name, value in pairs:
            column = givens.inner(leaf, name)
            tangents[column] = free(f"d_{column}", outputs)
            outputs[tangents[column]] = _real(block, rebuilt(value, lambda e: _column(e, where, givens)))
        return TangentRelation(Block(block.name, (source,), (), outputs), tangents)

    return moved


def _column(e: Expression, where: Mapping[nodes.Relation, FromLeaf], givens: Givens) -> Expression | None:
    if not isinstance(e, Field):
        return None
    relation = e.relation
    assert isinstance(relation, nodes.Leaf)
    return where[relation].column(givens.inner(relation, e.name))


def _real(block: Block, tangent: Expression) -> Expression:
    """A tangent as a double; a cell of which none is known does not move."""
    real = tangent if kind_of_expression(block, tangent) == "real" else Cast(tangent, REAL)
    return or_zero(real)


def _beside(
    leaf: nodes.Leaf, other: nodes.Relation, around: nodes.Relation, givens: Givens, where: Expression
) -> tuple[nodes.Leaf, Given, list[tuple[str, str]]]:
    """A relation that tangents are read of, and the columns by which it has one row for each row of the parameter."""
    if not isinstance(other, nodes.Leaf):
        raise refused("a tangent is of one row of the parameter", "Compute it in a subquery, and join that.", where)
    found: dict[str, str] = {}
    for pair in equalities(around):
        for one, two in (pair, pair[::-1]):
            if isinstance(one, Field) and isinstance(two, Field) and (one.relation, two.relation) == (leaf, other):
                found.setdefault(two.name, one.name)
    names = key(other)
    if names is None or not set(names) <= set(found):
        raise refused(f"it is not known that {other.path[-1]} has one row for each row of {leaf.path[-1]}",
                      "Join the two on its whole key.", where)  # fmt: skip
    return other, givens.given(other), [(found[n], n) for n in names]
