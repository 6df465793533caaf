"""The clauses of a SELECT, read from the parser's tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..sql.expression import Call, Expression, Literal, from_tree
from ..sql.syntax import Tree, identifier, name_of, span_of
from .node import Refused, Value
from .relation import Relation

Item = tuple[str, Expression | None, Value | None]
"""A column of SELECT: its name ("" for none), and its expression or, where a star stands for it, its value."""


def star(tree: Any, relation: Relation) -> list[Item]:
    """The columns that ``*`` or ``t.*`` stands for."""
    options = tree.get("Wildcard") if isinstance(tree, dict) and "Wildcard" in tree else None
    qualifier: tuple[str, ...] = ()
    if isinstance(tree, dict) and "QualifiedWildcard" in tree:
        kind, options = tree["QualifiedWildcard"]
        if "ObjectName" not in kind:
            raise Refused("this star is not array code", span_of(tree))
        qualifier = name_of(kind["ObjectName"])
    if isinstance(options, dict) and any(v for k, v in options.items() if k != "wildcard_token"):
        raise Refused("a star with options", span_of(tree))
    found: list[Item] = []
    for column in relation.columns:
        if qualifier and column.qualifier[-len(qualifier) :] != qualifier:
            continue
        if not qualifier and column.name in relation.shared and any(n == column.name for n, _, _ in found):
            continue
        found.append((column.name, None, column.value))
    if len({name for name, _, _ in found}) < len(found):
        raise Refused("a star gives two columns of one name", span_of(tree))
    return found


def group_keys(tree: Tree, items: Sequence[Item]) -> list[Expression] | None:
    """The expressions of GROUP BY; a number or a name may stand for a column of SELECT."""
    if tree.get("Expressions") is None or tree["Expressions"][1]:
        raise Refused("this GROUP BY is not array code", span_of(tree))
    keys: list[Expression] = []
    for item in tree["Expressions"][0]:
        key = from_tree(item)
        if isinstance(key, Literal) and isinstance(key.value, int):
            chosen = items[key.value - 1][1] if 0 < key.value <= len(items) else None
            if chosen is None:
                raise Refused("GROUP BY a number that is no column", key.span)
            key = chosen
        keys.append(key)
    return keys or None


def join_condition(operator: Any) -> tuple[list[Expression], list[str]]:
    """The conditions of ON, and the columns of USING."""
    if operator is None:
        return [], []
    ((kind, constraint),) = operator.items()
    if kind not in ("Join", "Inner", "CrossJoin"):
        raise Refused(f"{kind} join is not array code", span_of(operator))
    if constraint == "None":
        return [], []
    if "On" in constraint:
        return list(conjuncts(from_tree(constraint["On"]))), []
    if "Using" in constraint:
        return [], [name_of(name)[-1] for name in constraint["Using"]]
    raise Refused("a NATURAL join is not array code", span_of(operator))


def conjuncts(condition: Expression) -> Iterable[Expression]:
    """What a condition is the conjunction of."""
    if isinstance(condition, Call) and condition.name == "and":
        for argument in condition.args:
            yield from conjuncts(argument)
    else:
        yield condition


def relabel(relation: Relation, alias: Tree) -> Relation:
    """A relation whose columns an alias has named anew: ``AS q (a, b)``."""
    names = [identifier(column["name"]) for column in alias["columns"]]
    if not names:
        return relation
    if len(names) != len(relation.columns):
        raise Refused("an alias names another number of columns")
    columns = (replace(c, name=name) for c, name in zip(relation.columns, names, strict=True))
    return replace(relation, columns=tuple(columns))
