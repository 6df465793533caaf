"""EXISTS, IN and scalar subqueries as pieces, and the queries in them over the same FROM."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .build import item
from .pieces import filled
from .selects import own_select, where_of, with_own_select
from .syntax import Tree, replace

MEMBERSHIP = "InSubquery"
"""The parser's name of IN over a query."""


class Existence(NamedTuple):
    """``EXISTS (query)``, or ``NOT EXISTS (query)``."""

    query: Tree
    negated: bool

    @property
    def tree(self) -> Tree:
        """The expression."""
        return {"Exists": {"subquery": self.query, "negated": self.negated}}


class Membership(NamedTuple):
    """``value IN (query)``, or ``value NOT IN (query)``."""

    value: Tree
    query: Tree
    negated: bool

    @property
    def tree(self) -> Tree:
        """The expression."""
        return {"InSubquery": {"expr": self.value, "subquery": self.query, "negated": self.negated}}


def existence_of(node: Tree) -> Existence | None:
    """An EXISTS in its parts; None of anything else."""
    body = node.get("Exists") if isinstance(node, dict) else None
    return Existence(body["subquery"], body["negated"]) if isinstance(body, dict) else None


def membership_of(node: Tree) -> Membership | None:
    """An IN over a query in its parts; None of anything else, and of IN over a list."""
    body = node.get("InSubquery") if isinstance(node, dict) else None
    return Membership(body["expr"], body["subquery"], body["negated"]) if isinstance(body, dict) else None


def scalar_query(node: Tree) -> Tree | None:
    """The query of a scalar subquery; None of anything else."""
    return node.get("Subquery") if isinstance(node, dict) else None


def scalar(query: Tree) -> Tree:
    """A query as a value."""
    return {"Subquery": query}


def value_over(query: Tree, expression: Tree, where: Tree | None = None) -> Tree:
    """``(SELECT expression FROM ...)``: another value of the rows that a query selects.

    Args:
        query: it has a SELECT of its own.
        expression: what is selected.
        where: a condition besides that of the query.

    >>> from .syntax import expression_sql, parse_one
    >>> query = parse_one("SELECT DISTINCT a FROM t WHERE b > 1 ORDER BY a").tree["Query"]
    >>> expression_sql(value_over(query, filled("count(*)"), filled("a IS NULL")))
    '(SELECT count(*) FROM t WHERE (b > 1) AND (a IS NULL))'
    """
    select = own_select(query)
    selection = where_of(select)
    if where is not None:
        selection = where if selection is None else filled("A AND B", A=selection, B=where)
    body = {**select, "projection": [item(expression)], "having": None, "distinct": None, "selection": selection}
    return scalar({**with_own_select(query, body), "order_by": None})


def exists_over(query: Tree, select: Tree) -> Tree:
    """``EXISTS (SELECT 1 FROM ...)``: whether a query, with this as its SELECT, has a row."""
    one = {**select, "projection": [item(filled("1"))], "distinct": None}
    return Existence({**with_own_select(query, one), "order_by": None}, negated=False).tree


def read_instead(tree: Tree, query: Tree) -> Tree:
    """An expression over a subquery in FROM that reads another query in the place of that."""
    return replace(tree, lambda n: {"Derived": {**n["Derived"], "subquery": query}} if "Derived" in n else None)


def with_conditions(select: Tree, condition: Callable[[Tree], Tree], rest: Callable[[Tree], Tree]) -> Tree:
    """A SELECT whose WHERE and HAVING one function changes, and another all that stands beside them.

    Args:
        select: it stays itself where nothing in it changes.
        condition: what becomes of a condition.
        rest: what becomes of the list, of FROM, of GROUP BY, ...
    """
    new = {key: condition(value) if key in _CONDITIONS and value else rest(value) for key, value in select.items()}
    return select if all(new[key] is value for key, value in select.items()) else new


_CONDITIONS = ("selection", "having")
