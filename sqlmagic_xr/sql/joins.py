"""The joins of a FROM: which relations they put together, how, and on what condition."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from .build import true
from .clauses import conjunction, conjuncts
from .syntax import Tree, identifier, name_of

_INNER = frozenset({"Inner", "Join"})
_LEFT = frozenset({"Left", "LeftOuter"})


def joins_of(element: Tree) -> list[Tree]:
    """The joins of an element of FROM, those in parentheses left out."""
    return list(element["joins"])


def every_join(elements: Sequence[Tree]) -> Iterator[Tree]:
    """The joins of a FROM, those in parentheses too."""
    for element in elements:
        yield from element["joins"]
        for relation in relations_of(element):
            inner = joined_inside(relation)
            if inner is not None:
                yield from every_join([inner])


def relations_of(element: Tree) -> list[Tree]:
    """The relations that an element of FROM joins."""
    return [element["relation"], *(join["relation"] for join in element["joins"])]


def with_relations(element: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """An element of FROM that joins other relations in the same way."""
    joins = [{**join, "relation": change(join["relation"])} for join in element["joins"]]
    return {**element, "relation": change(element["relation"]), "joins": joins}


def with_joins_changed(element: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """An element of FROM that joins its relations in other ways."""
    return {**element, "joins": [change(join) for join in element["joins"]]}


def joined_inside(relation: Tree) -> Tree | None:
    """The element of FROM that stands in parentheses; None of a relation that is no such joins."""
    body = relation.get("NestedJoin")
    return None if body is None else body["table_with_joins"]


def with_joined_inside(relation: Tree, element: Tree) -> Tree:
    """Joins in parentheses, over another element of FROM."""
    return {"NestedJoin": {**relation["NestedJoin"], "table_with_joins": element}}


def is_inner(join: Tree) -> bool:
    """Whether a join has a row for each pair that its condition, or USING, lets through; no cross join."""
    return _word(join) in _INNER


def is_cross(join: Tree) -> bool:
    """Whether a join has a row for each pair."""
    return _word(join) == "CrossJoin"


def is_left(join: Tree) -> bool:
    """Whether a join keeps the rows of what stands before it, and of that alone."""
    return _word(join) in _LEFT


def condition_of(join: Tree) -> Tree | None:
    """The condition after ON, if there is one."""
    operator = join["join_operator"]
    return None if isinstance(operator, str) else said_on(next(iter(operator.values())))


def conditions_of(join: Tree) -> list[Tree]:
    """The conditions after ON that AND joins, in their order; none where there is no ON."""
    condition = condition_of(join)
    return [] if condition is None else list(conjuncts(condition))


def with_conditions(join: Tree, conditions: Sequence[Tree]) -> Tree:
    """A join with other conditions after ON, all of which must hold."""
    return {**join, "join_operator": {_word(join): {"On": conjunction(conditions) or true()}}}


def said_on(constraint: Tree) -> Tree | None:
    """The condition of what stands behind a join's relations; None of USING, and of any other node."""
    condition = constraint.get("On") if isinstance(constraint, dict) else None
    return condition if isinstance(condition, dict) else None


def on(condition: Tree) -> Tree:
    """What stands behind a join's relations."""
    return {"On": condition}


def label_of(relation: Tree) -> str | None:
    """What a relation in FROM is called, its name where it has no alias; None where it has neither."""
    for kind in _NAMED:
        body = relation.get(kind)
        if isinstance(body, dict):
            if body.get("alias"):
                return identifier(body["alias"]["name"])
            return name_of(body["name"])[-1] if isinstance(body.get("name"), list) else None
    return None


_KEPT = {
    **dict.fromkeys(("Join", "Inner"), "both"), **dict.fromkeys(("Left", "LeftOuter"), "left"),
    **dict.fromkeys(("Right", "RightOuter"), "right"), "FullOuter": "either",
    **dict.fromkeys(("Semi", "LeftSemi", "Anti", "LeftAnti"), "left only"),
    **dict.fromkeys(("RightSemi", "RightAnti"), "right only"),
}  # fmt: skip


def kept_side(join: Tree) -> str:
    """Where each row of a join has a row for sure: "left", "right", "both" or "either"; "left only" without the other
    side's columns, "right only" likewise.
    """
    return _KEPT.get(_word(join), "both")


def using_of(join: Tree) -> list[Tree]:
    """The names after USING, as nodes; none of any other join."""
    operator = join["join_operator"]
    constraint = None if isinstance(operator, str) else next(iter(operator.values()))
    return list(constraint["Using"]) if isinstance(constraint, dict) and "Using" in constraint else []


def merged_names(join: Tree, left: Collection[str], right: Collection[str]) -> list[str]:
    """The columns of which a join makes one: those after USING, or all that both sides have of a NATURAL join.

    Args:
        join: the join.
        left, right: the columns of its sides.
    """
    operator = join["join_operator"]
    if not isinstance(operator, str) and next(iter(operator.values())) == "Natural":
        return [name for name in left if name in right]
    return [name_of(name)[-1] for name in using_of(join)]


_NAMED = ("Table", "Derived", "TableFunction", "UNNEST")


def is_lateral(relation: Tree) -> bool:
    """Whether a relation in FROM is a subquery that reads the relations before it."""
    body = relation.get("Derived")
    return isinstance(body, dict) and bool(body["lateral"])


def queried(relation: Tree) -> Tree:
    """The query of a subquery in FROM."""
    return relation["Derived"]["subquery"]


def plain_label(relation: Tree) -> str:
    """What a table or a subquery is called that reads no other and keeps its columns' names; "" of anything else."""
    kind, body = next(iter(relation.items()))
    if kind not in ("Table", "Derived") or body.get("lateral") or body.get("args"):
        return ""
    return "" if body["alias"] and body["alias"]["columns"] else label_of(relation) or ""


def _word(join: Tree) -> str:
    """Which join it is, by the parser's word."""
    operator = join["join_operator"]
    return operator if isinstance(operator, str) else str(next(iter(operator)))
