"""``b <> 0 AND 6 / b > 2``: the engine divides before it asks whether it may, and the query ends.

Where one condition of a conjunction is false for a divisor of 0, the others may divide by NULL there: the whole is
false all the same. So it is where one of a disjunction is true.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from ...sql.chains import negated, parts_of, replace_outside, with_parts
from ...sql.clauses import operation, with_operands
from ...sql.expression import Expression, from_tree
from ...sql.pieces import bare, filled, function_name, number, path_of
from ...sql.syntax import Tree, replace, walk
from ...sql.traversal import is_query
from .reading import Reading

SIGNS = r"[/%](?s:.*)\b(?:AND|OR)\b|\b(?:AND|OR)\b(?s:.*)[/%]"

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "NotEq": ne, "Eq": eq, "Gt": gt, "GtEq": ge, "Lt": lt, "LtEq": le,
}  # fmt: skip
_DIVISIONS = ("Divide", "Modulo")


def asked_first(reading: Reading) -> Tree:
    """The tree in which nothing is divided by a 0 that a condition beside it excludes.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> to_sql(asked_first(Reading(parse_one("SELECT a FROM d WHERE b <> 0 AND 6 / b > 2").tree)))
    'SELECT a FROM d WHERE b <> 0 AND 6 / CASE WHEN b <> 0 THEN b END > 2'
    >>> to_sql(asked_first(Reading(parse_one("SELECT b <= 0 OR 6 % b = 2 FROM d").tree)))
    'SELECT b <= 0 OR 6 % CASE WHEN b <> 0 THEN b END = 2 FROM d'
    """
    return replace(reading.tree, _changed)


def _changed(node: dict[str, Any]) -> Tree | None:
    operator = (operation(node) or ("",))[0]
    if operator not in ("And", "Or"):
        return None
    parts = parts_of(node, operator)
    asked = {divisor for part in parts for divisor in _excluded(part, operator)}
    new = [replace(_divided(part, asked) if asked else part, _changed) for part in parts]
    return with_parts(node, operator, new) if any(a is not b for a, b in zip(new, parts, strict=True)) else node


def _excluded(condition: Tree, operator: str, *, negative: bool = False) -> Iterator[Expression]:
    """What a condition compares with a number so that it decides the chain of that operator where it is 0."""
    condition = bare(condition)
    inner = negated(condition)
    if inner is not None:
        yield from _excluded(inner, operator, negative=not negative)
        return
    compared = (operation(condition) or ("",))[0]
    if compared == operator and not negative:
        for part in parts_of(condition, operator):
            yield from _excluded(part, operator)
    decides = (operator == "Or") is not negative
    for value, at_zero in _comparisons(condition):
        if at_zero is decides and _is_plain(value):
            yield from_tree(bare(value))


def _comparisons(condition: Tree) -> Iterator[tuple[Tree, bool]]:
    """What a condition compares with numbers, and what it says where that is 0."""
    compared, left, right = operation(condition) or ("", None, None)
    compare = _COMPARISONS.get(compared)
    if compare is not None:
        above, below = number(right), number(left)
        if above is not None:
            yield left, compare(0, above)
        elif below is not None:
            yield right, compare(below, 0)
    elif "Between" in condition:
        body = condition["Between"]
        low, high = number(body["low"]), number(body["high"])
        if low is not None and high is not None:
            yield body["expr"], (low <= 0 <= high) is not body["negated"]
    elif "InList" in condition:
        body = condition["InList"]
        members = [number(member) for member in body["list"]]
        if None not in members:
            yield body["expr"], (0 in members) is not body["negated"]


def _is_plain(value: Tree) -> bool:
    """Whether an expression of columns has one value in a row, however often it is asked for."""
    nodes = list(walk(value))
    return any(map(path_of, nodes)) and not any(function_name(node) or is_query(node) for node in nodes)


def _divided(part: Tree, asked: Collection[Expression]) -> Tree:
    def change(node: dict[str, Any]) -> Tree | None:
        operator, left, right = operation(node) or ("", None, None)
        if operator not in _DIVISIONS or from_tree(bare(right)) not in asked:
            return None
        return with_operands(
            node, replace_outside(left, change), filled("CASE WHEN X <> 0 THEN X END", X=bare(right))
        )  # fmt: skip

    return replace_outside(part, change)
