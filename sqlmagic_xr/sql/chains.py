"""Conditions joined by AND, or by OR, as the chain that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .clauses import operation, with_operands
from .syntax import Tree, replace
from .traversal import is_query


def parts_of(chain: Tree, operator: str) -> list[Tree]:
    """The conditions that a chain joins by an operator, in their order; it leans to the left, and may be long.

    >>> from .syntax import expression_sql, parse_one
    >>> chain = parse_one("SELECT a > 1 AND b > 2 AND (c OR d)").tree["Query"]["body"]["Select"]["projection"][0]
    >>> [expression_sql(part) for part in parts_of(chain["UnnamedExpr"], "And")]
    ['a > 1', 'b > 2', '(c OR d)']
    """
    found = []
    while (said := operation(chain)) is not None and said[0] == operator:
        found.append(said[2])
        chain = said[1]
    return [chain, *reversed(found)]


def with_parts(chain: Tree, operator: str, parts: Sequence[Tree]) -> Tree:
    """A chain of as many other conditions."""
    joints = []
    while (said := operation(chain)) is not None and said[0] == operator:
        joints.append(chain)
        chain = said[1]
    whole = parts[0]
    for joint, part in zip(reversed(joints), parts[1:], strict=True):
        whole = with_operands(joint, whole, part)
    return whole


def negated(condition: Tree) -> Tree | None:
    """What stands behind a NOT; None of any other condition."""
    body = condition.get("UnaryOp")
    inner: Tree | None = body["expr"] if isinstance(body, dict) and body["op"] == "Not" else None
    return inner


def replace_outside(tree: Tree, change: Callable[[Tree], Tree | None]) -> Tree:
    """As ``replace``, but for subqueries, in which names may mean something else."""
    return replace(tree, lambda node: node if is_query(node) else change(node))
