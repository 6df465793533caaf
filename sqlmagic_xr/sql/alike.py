"""Which expressions in a node are brought to one type: those that are compared, chosen from, calculated with."""

from __future__ import annotations

from typing import Any

from .pieces import arguments, function_name
from .selects import value_of
from .traversal import Tree

_COMPARED = frozenset(["Eq", "NotEq", "Spaceship", "Lt", "LtEq", "Gt", "GtEq"])
_CHOICES = frozenset(["greatest", "least", "coalesce", "nullif", "nvl", "ifnull"])


def compared(node: Tree) -> list[Tree]:
    """The expressions that a node compares with one another; [] where it compares none."""
    ((kind, body),) = node.items()
    if kind == "BinaryOp":
        return [body["left"], body["right"]] if body["op"] in _COMPARED else []
    if kind == "Between":
        return [body["expr"], body["low"], body["high"]]
    if kind == "InList":
        return [body["expr"], *body["list"]]
    if kind in ("IsDistinctFrom", "IsNotDistinctFrom"):
        return list(body)
    if kind == "Case" and body["operand"] is not None:
        return [body["operand"], *(branch["condition"] for branch in body["conditions"])]
    return []


def chosen(node: Tree) -> list[Tree]:
    """The expressions of which a node gives one; [] where it is no choice."""
    if "Case" in node:
        body = node["Case"]
        default = [] if body["else_result"] is None else [body["else_result"]]
        return [*(branch["result"] for branch in body["conditions"]), *default]
    return arguments(node) if function_name(node) in _CHOICES else []


def calculated(node: Tree) -> tuple[str, Tree, Tree] | None:
    """An operator and its two operands; None of what compares, and of anything else."""
    body = node.get("BinaryOp")
    return None if body is None or body["op"] in _COMPARED else (str(body["op"]), body["left"], body["right"])


def signed(node: Tree) -> Tree | None:
    """What stands in parentheses or behind a sign; None of anything else."""
    if "Nested" in node:
        return node["Nested"]
    body = node.get("UnaryOp")
    return body["expr"] if body is not None and body["op"] in ("Minus", "Plus") else None


def among(node: Tree) -> tuple[Tree, Tree] | None:
    """What is looked for in the rows of a query, and that query; None of anything else."""
    body = node.get("InSubquery")
    return None if body is None else (body["expr"], body["subquery"])


def scalar(node: Tree) -> Tree | None:
    """The query that gives a value; None of anything else."""
    return node.get("Subquery")


def is_null(node: Tree) -> bool:
    """Whether a node is the word NULL."""
    return bool("Value" in node and node["Value"]["value"] == "Null")


def rows(body: Tree) -> list[list[Tree]] | None:
    """What VALUES and a SELECT without a star give for each column, row by row; None of any other body."""
    ((kind, node),) = body.items()
    if kind == "Values":
        return [list(row) for row in node["rows"]]
    if kind != "Select":
        return None
    values = [value_of(item) for item in node["projection"]]
    return None if any(value is None for value in values) else [values]


def sides(body: Tree) -> tuple[Any, Any] | None:
    """The two bodies of UNION and its like; None where columns are put together by name, and of any other body."""
    node = body.get("SetOperation")
    return None if node is None or node["set_quantifier"].endswith("ByName") else (node["left"], node["right"])


def opened(query: Tree) -> Tree:
    """The body of a query."""
    return query["body"]


def selecting(body: Tree) -> Tree | None:
    """The SELECT that a body is; None of any other."""
    return body.get("Select")


def in_parentheses(body: Tree) -> Tree | None:
    """The query that a body is in parentheses; None of any other."""
    return body.get("Query")
