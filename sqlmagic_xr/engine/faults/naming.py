"""A column without a name is called as the engine would have called it, whatever has been rewritten in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...sql.syntax import Tree, expression_sql, make_identifier

Names = Callable[[Tree], Sequence[str]]
"""The names that the engine gives the columns of a query."""


def named(after: Tree, before: Tree, names: Names) -> Tree:
    """The rewritten tree with names for the unnamed columns that were rewritten.

    Args:
        after: the statement as it will run.
        before: the statement as it was.
        names: asked at most once, and only where an outermost column without a name has changed.

    >>> from ...sql.syntax import parse_one, to_sql
    >>> from .negations import subtracted
    >>> from .reading import Reading
    >>> before = parse_one("SELECT b, -(a & 1) FROM t").tree
    >>> to_sql(named(subtracted(Reading(before)), before, lambda query: ["b", "(- t.a & Int64(1))"]))
    'SELECT b, (0 - (a & 1)) AS "(- t.a & Int64(1))" FROM t'
    """
    if not (isinstance(before, dict) and "Query" in before and "Query" in after):
        return _inner(after, before)
    made: list[Sequence[str]] = []

    def of(place: int, items: list[Tree]) -> str:
        if not made:
            try:
                made.append(names(before))
            except Exception:  # it cannot be planned as it was: its own text will do
                made.append(())
        return _at(made[0], place, items)

    query = _inner(after["Query"], before["Query"], first=of)
    return after if query is after["Query"] else {**after, "Query": query}


def _at(names: Sequence[str], place: int, items: list[Tree]) -> str:
    """The name of the column at a place; a star stands for any number of columns."""
    stars = [i for i, item in enumerate(items) if "Wildcard" in item or "QualifiedWildcard" in item]
    if names and not any(i < place for i in stars):
        return names[place]
    if names and not any(i > place for i in stars):
        return names[place - len(items)]
    return expression_sql(items[place]["UnnamedExpr"])


def _inner(after: Any, before: Any, first: Callable[[int, list[Tree]], str] | None = None) -> Any:
    """Name what has changed in two trees of one shape; ``first`` knows the names of the outermost SELECT."""
    if after is before:
        return after
    if _is_binary(after) and _is_binary(before):
        return _chain(after, before)
    if isinstance(after, (list, tuple)) and isinstance(before, (list, tuple)) and len(after) == len(before):
        return type(after)([_inner(a, b) for a, b in zip(after, before, strict=True)])
    if not (isinstance(after, dict) and isinstance(before, dict) and after.keys() == before.keys()):
        return after
    new = {}
    for key, value in after.items():
        outermost = first if key in ("body", "Select", "SetOperation", "left", "Query") else None
        new[key] = _inner(value, before[key], outermost) if key != "projection" else value
    if isinstance(after.get("projection"), list) and len(after["projection"]) == len(before["projection"]):
        pairs = list(zip(after["projection"], before["projection"], strict=True))
        new["projection"] = [_item(a, b, i, before["projection"], first) for i, (a, b) in enumerate(pairs)]
    return new


def _chain(after: Tree, before: Tree) -> Tree:
    """The same for a chain of operators, which leans to the left and may be thousands long."""
    links = []
    while after is not before and _is_binary(after) and _is_binary(before):
        links.append((after, before["BinaryOp"]))
        after, before = after["BinaryOp"]["left"], before["BinaryOp"]["left"]
    new = after if _is_binary(after) else _inner(after, before)
    for link, old in reversed(links):
        body = link["BinaryOp"]
        new = {**link, "BinaryOp": {**body, "left": new, "right": _inner(body["right"], old["right"])}}
    return new


def _is_binary(tree: Tree) -> bool:
    return isinstance(tree, dict) and "BinaryOp" in tree


def _item(after: Tree, before: Tree, place: int, items: list[Tree], first: Any) -> Tree:
    if after is before or "UnnamedExpr" not in after or "UnnamedExpr" not in before:
        return _inner(after, before)
    expression = _inner(after["UnnamedExpr"], before["UnnamedExpr"])
    name = expression_sql(before["UnnamedExpr"]) if first is None else first(place, items)
    return {"ExprWithAlias": {"expr": expression, "alias": make_identifier(name)}}
