"""The clauses of a SELECT, read from the parser's tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...sql.expression import Call, Column, Expression, Literal, descend, from_tree
from ...sql.syntax import Tree, identifier, name_of, span_of
from ..node import Refused, Value
from .relation import Relation, refuse_unheld

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
        refuse_unheld(column)
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


def order_keys(tree: Tree | None) -> list[Expression]:
    """The expressions of ORDER BY."""
    if not tree:
        return []
    keys = tree["kind"].get("Expressions") if isinstance(tree["kind"], dict) else None
    if keys is None or any(key.get("with_fill") for key in keys):
        raise Refused("this ORDER BY is not array code", span_of(tree))
    return [from_tree(key["expr"]) for key in keys]


@dataclass(frozen=True)
class Joining:
    """How a relation of FROM is joined with those before it.

    Attributes:
        on: the conditions of ON.
        using: the columns of USING.
        outer: whether rows without a partner are kept (LEFT JOIN).
    """

    on: tuple[Expression, ...] = ()
    using: tuple[str, ...] = ()
    outer: bool = False


def joining(operator: Any) -> Joining:
    """What a join operator says; None stands for a comma."""
    if operator is None:
        return Joining()
    if isinstance(operator, str):
        raise Refused(f"{operator} is not array code")
    ((kind, constraint),) = operator.items()
    if kind not in ("Join", "Inner", "CrossJoin", "Left", "LeftOuter"):
        raise Refused(f"{kind} join is not array code", span_of(operator))
    outer = kind.startswith("Left")
    if constraint == "None":
        return Joining(outer=outer)
    if "On" in constraint:
        return Joining(tuple(conjuncts(from_tree(constraint["On"]))), outer=outer)
    if "Using" in constraint:
        return Joining(using=tuple(name_of(name)[-1] for name in constraint["Using"]), outer=outer)
    raise Refused("a NATURAL join is not array code", span_of(operator))


def equations(condition: Expression) -> tuple[tuple[Expression, Expression], ...]:
    """The two sides of a condition that says that they are equal, both ways round; () for any other."""
    if isinstance(condition, Call) and condition.name == "=" and len(condition.args) == 2:
        left, right = condition.args
        return (left, right), (right, left)
    return ()


def equal_columns(condition: Expression) -> tuple[tuple[Column, Column], ...]:
    """The two columns that a condition says are equal, both ways round; () for any other."""
    return tuple((a, b) for a, b in equations(condition) if isinstance(a, Column) and isinstance(b, Column))


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


def narrowed(query: Tree, fixed: Mapping[str, Expression]) -> tuple[Tree, list[Expression]] | None:
    """The SELECT of a query, and conditions inside it that say which values columns of its result have.

    A condition on a column that is passed on as it is, or grouped by, may stand before the grouping as well as behind.

    Returns:
        None where one of the columns is calculated, or the query does more than select and group.
    """
    select = query["body"].get("Select")
    if select is None or query["limit_clause"] or query["fetch"] or select["distinct"] or select["qualify"]:
        return None
    inner: dict[str, Column] = {}
    stars: list[tuple[str, ...]] = []
    for item in select["projection"]:
        if item == "Wildcard" or "Wildcard" in item or "QualifiedWildcard" in item:
            kind = {} if item == "Wildcard" else item.get("QualifiedWildcard", ({},))[0]
            stars.append(name_of(kind["ObjectName"]) if "ObjectName" in kind else ())
            continue
        named = item.get("ExprWithAlias")
        expression = from_tree(named["expr"] if named else item["UnnamedExpr"])
        if any(isinstance(e, Call) and e.window is not None for e in descend(expression)):
            return None
        label = identifier(named["alias"]) if named else expression.name if isinstance(expression, Column) else ""
        if isinstance(expression, Column):
            inner[label] = expression
        elif label in fixed:
            return None
    if not fixed.keys() <= inner.keys() and len(stars) != 1:
        return None
    columns = {name: inner.get(name) or Column((*stars[0], name)) for name in fixed}
    groups = select["group_by"].get("Expressions")
    keys = [] if groups is None else [from_tree(tree) for tree in groups[0]]
    if (keys or select["having"]) and not all(column in keys for column in columns.values()):
        return None
    return select, [Call("=", (columns[name], value)) for name, value in fixed.items()]
