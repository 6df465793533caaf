"""CTEs and views as the subqueries that they are: a WITH says nothing that a subquery does not."""

from __future__ import annotations

from ..sql.remembered import once_a_node
from .change import exchanged
from .columns import subqueries
from .nodes import Join, Opaque, Recursive, Relation, Shared, leaves, relations
from .scope import Unsure

LARGE = 500
"""Relations; a chain of CTEs that are each read twice doubles with every link."""


def inlined(root: Relation) -> Relation:
    """A query without WITH, a recursive one apart, and without views.

    The engine plans each mention of a CTE on its own too, so nothing is evaluated more often than before.

    Raises:
        Unsure: the result would be out of proportion, or a part of it is not bound.
    """
    if written_out(root) > LARGE:
        raise Unsure("its CTEs and views, written out, are too large")
    for node in relations(root):
        if isinstance(node, Shared) and isinstance(node.query, Opaque):
            raise Unsure(node.query.why)  # its text may name a CTE
        names = [leaf.path[-1] for leaf in leaves(node) if leaf.path] if isinstance(node, Join) else []
        if len(set(names)) < len(names):
            raise Unsure("two relations of a FROM have one name")  # which their schemas told apart
    return exchanged(root, lambda relation: None, remade=_as_subquery)


def _as_subquery(node: Relation) -> Relation:
    named = isinstance(node, Shared) and node.kind in ("cte", "view")
    if not isinstance(node, Shared) or not named or isinstance(node.query, Recursive):
        return node
    return Shared(node.path[-1:], node.renamed, query=node.query, kind="subquery", name=node.name, tree=node.tree)


@once_a_node
def written_out(relation: Relation) -> int:
    """How many relations a query has where what is read twice stands twice."""
    inside = [*relation.inputs, *(query for e in relation.expressions for query in subqueries(e))]
    return 1 + sum(map(written_out, inside))
