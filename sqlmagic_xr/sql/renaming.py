"""A column without a name is called as the engine would have called it, whatever has been rewritten in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .syntax import Tree, expression_sql, make_identifier
from .traversal import is_query

Names = Callable[[Tree], Sequence[str]]
"""The names that the engine gives the columns of a query."""

Namer = Callable[[int, list[Tree]], str]
"""The name of the column at a place of a SELECT's list."""


def named(after: Tree, before: Tree, names: Names) -> Tree:
    """The rewritten tree with names for the unnamed columns that were rewritten.

    Args:
        after: the statement as it will run.
        before: the statement as it was.
        names: asked of a query, at most once, and only where a column of it without a name has changed.

    >>> from .pieces import filled
    >>> from .syntax import parse_one, replace, to_sql
    >>> before = parse_one("SELECT b, -(a & 1) FROM t").tree
    >>> after = replace(before, lambda node: filled("(0 - (a & 1))") if "UnaryOp" in node else None)
    >>> to_sql(named(after, before, lambda query: ["b", "(- t.a & Int64(1))"]))
    'SELECT b, (0 - (a & 1)) AS "(- t.a & Int64(1))" FROM t'
    """
    return after if after is before else _Namer(names).inner(after, before)


def _at(names: Sequence[str], place: int, items: list[Tree]) -> str:
    """The name of the column at a place; a star stands for any number of columns."""
    stars = [i for i, item in enumerate(items) if "Wildcard" in item or "QualifiedWildcard" in item]
    if names and not any(i < place for i in stars):
        return names[place]
    if names and not any(i > place for i in stars):
        return names[place - len(items)]
    return expression_sql(items[place]["UnnamedExpr"])


class _Namer:
    """Names what has changed in two trees of one shape.

    Args:
        names: asked once of a query in which a column without a name has changed.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._with: Tree = None  # the CTEs around a query, as its own would be written

    def inner(self, after: Any, before: Any, of: Namer | None = None) -> Any:
        """A part of the tree; ``of`` knows the names of the query whose SELECT it is."""
        if after is before:
            return after
        if _is_binary(after) and _is_binary(before):
            return self._chain(after, before)
        if isinstance(after, (list, tuple)) and isinstance(before, (list, tuple)) and len(after) == len(before):
            return type(after)([self.inner(a, b) for a, b in zip(after, before, strict=True)])
        if not (isinstance(after, dict) and isinstance(before, dict) and after.keys() == before.keys()):
            return after
        if is_query(before):
            return self._query(after, before)
        return self._each(after, before, of)

    def _query(self, after: dict[str, Any], before: dict[str, Any]) -> Tree:
        """A query of its own, which reads the CTEs around it."""
        around, own = self._with, before["with"]
        if around and own:
            own = {**own, "cte_tables": [*around["cte_tables"], *own["cte_tables"]]}
        self._with = own or around
        try:
            return self._each(after, before, self._of({**before, "with": self._with}))
        finally:
            self._with = around

    def _each(self, after: dict[str, Any], before: dict[str, Any], of: Namer | None) -> Tree:
        new = {}
        for key, value in after.items():
            within = of if key in ("body", "Select", "SetOperation", "left") else None
            new[key] = self.inner(value, before[key], within) if key != "projection" else value
        if isinstance(after.get("projection"), list) and len(after["projection"]) == len(before["projection"]):
            pairs = list(zip(after["projection"], before["projection"], strict=True))
            new["projection"] = [self._item(a, b, i, before["projection"], of) for i, (a, b) in enumerate(pairs)]
        return new

    def _of(self, query: Tree) -> Namer:
        made: list[Sequence[str]] = []

        def of(place: int, items: list[Tree]) -> str:
            if not made:
                try:
                    made.append(self._names({"Query": query}))
                except Exception:  # it cannot be planned as it was, or by itself: its own text will do
                    made.append(())
            return _at(made[0], place, items)

        return of

    def _chain(self, after: Tree, before: Tree) -> Tree:
        """The same for a chain of operators, which leans to the left and may be thousands long."""
        links = []
        while after is not before and _is_binary(after) and _is_binary(before):
            links.append((after, before["BinaryOp"]))
            after, before = after["BinaryOp"]["left"], before["BinaryOp"]["left"]
        new = after if _is_binary(after) else self.inner(after, before)
        for link, old in reversed(links):
            body = link["BinaryOp"]
            new = {**link, "BinaryOp": {**body, "left": new, "right": self.inner(body["right"], old["right"])}}
        return new

    def _item(self, after: Tree, before: Tree, place: int, items: list[Tree], of: Namer | None) -> Tree:
        if after is before or "UnnamedExpr" not in after or "UnnamedExpr" not in before:
            return self.inner(after, before)
        expression = self.inner(after["UnnamedExpr"], before["UnnamedExpr"])
        name = expression_sql(before["UnnamedExpr"]) if of is None else of(place, items)
        return {"ExprWithAlias": {"expr": expression, "alias": make_identifier(name)}}


def _is_binary(tree: Tree) -> bool:
    return isinstance(tree, dict) and "BinaryOp" in tree
