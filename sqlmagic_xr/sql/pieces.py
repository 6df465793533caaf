"""SQL text with blanks that trees are put into, and the pieces of trees that rewrites look at."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .syntax import NOWHERE, Tree, identifier, parse_one, replace, transform

_ATOMS = ("Identifier", "CompoundIdentifier", "Value", "Function", "Nested", "Subquery", "Cast", "Case")


def filled(text: str, **blanks: Tree) -> Tree:
    """The expression of a text whose names in capitals are blanks, each filled by a tree.

    Example:
        >>> from .syntax import expression_sql
        >>> three = filled("1 + 2")
        >>> expression_sql(filled("X * Y", X=three, Y=filled("b")))
        '(1 + 2) * b'
    """

    def fill(node: dict[str, Any]) -> Tree | None:
        name = node.get("Identifier")
        return atom(blanks[name["value"]]) if isinstance(name, dict) and name["value"] in blanks else None

    return replace(_template(text), fill)


def atom(tree: Tree) -> Tree:
    """The expression, in parentheses unless it needs none wherever it stands."""
    return tree if next(iter(tree)) in _ATOMS else {"Nested": tree}


def bare(tree: Tree) -> Tree:
    """The expression without parentheses around it."""
    while isinstance(tree, dict) and "Nested" in tree:
        tree = tree["Nested"]
    return tree


def number(tree: Tree) -> float | None:
    """The value of a number as written, its sign included; None for anything else."""
    tree = bare(tree)
    if not isinstance(tree, dict):
        return None
    if "UnaryOp" in tree and tree["UnaryOp"]["op"] in ("Minus", "Plus"):
        inner = number(tree["UnaryOp"]["expr"])
        return None if inner is None else -inner if tree["UnaryOp"]["op"] == "Minus" else inner
    value = tree["Value"]["value"] if "Value" in tree else None
    return float(value["Number"][0]) if isinstance(value, dict) and "Number" in value else None


def cast_of_decimal(node: Tree) -> Tree | None:
    """What is cast to a decimal; None of anything else."""
    body = node.get("Cast") if isinstance(node, dict) else None
    if not isinstance(body, dict) or not isinstance(body["data_type"], dict):
        return None
    return None if _DECIMALS.isdisjoint(body["data_type"]) else body["expr"]


_DECIMALS = frozenset({"Decimal", "Numeric", "Dec"})


def recast(node: Tree, value: Tree) -> Tree:
    """A cast of another value to the same type."""
    return {"Cast": {**node["Cast"], "expr": value}}


def minus_of(node: Tree) -> Tree | None:
    """What a minus stands before; None of anything else."""
    body = node.get("UnaryOp") if isinstance(node, dict) else None
    return body["expr"] if isinstance(body, dict) and body["op"] == "Minus" else None


def with_minus_of(node: Tree, value: Tree) -> Tree:
    """A minus before another value."""
    return {"UnaryOp": {**node["UnaryOp"], "expr": value}}


def is_operator(node: Tree) -> bool:
    """Whether a node is an operator over one operand or two."""
    return "BinaryOp" in node or "UnaryOp" in node


def inside_parentheses(node: Tree) -> Tree | None:
    """What stands in parentheses; None of anything else."""
    return node.get("Nested")


def in_parentheses(node: Tree) -> Tree:
    """An expression in parentheses."""
    return {"Nested": node}


def binary(left: Tree, operator: str, right: Tree) -> Tree:
    """An operator, by the parser's name, over two operands."""
    return {"BinaryOp": {"left": left, "op": operator, "right": right}}


def whole_number(tree: Tree) -> int | None:
    """The value of a number that is written without a point, its sign included."""
    if number(tree) is None:
        return None
    sign, tree = 1, bare(tree)
    while "UnaryOp" in tree:
        sign, tree = -sign if tree["UnaryOp"]["op"] == "Minus" else sign, bare(tree["UnaryOp"]["expr"])
    text = str(tree["Value"]["value"]["Number"][0])
    return sign * int(text) if text.isdecimal() else None


def function_name(node: Tree) -> str:
    """The name of the function that a node calls, in lower case; "" where it calls none."""
    body = node.get("Function") if isinstance(node, dict) else None
    if not isinstance(body, dict) or "Identifier" not in body["name"][-1]:
        return ""
    return str(body["name"][-1]["Identifier"]["value"]).lower()


def arguments(node: Tree) -> list[Tree]:
    """The expressions that a function is called with; [] where one of them is none (``count(*)``)."""
    args = node["Function"]["args"]
    listed = args["List"]["args"] if "List" in args else []
    given = [a["Unnamed"] if isinstance(a, dict) and isinstance(a.get("Unnamed"), dict) else {} for a in listed]
    return [a["Expr"] for a in given] if all("Expr" in a for a in given) else []


def with_arguments(node: Tree, args: list[Tree]) -> Tree:
    """A function's call with other arguments."""
    listed = {**node["Function"]["args"]["List"], "args": [{"Unnamed": {"Expr": a}} for a in args]}
    return {"Function": {**node["Function"], "args": {"List": listed}}}


def over_of(node: Tree) -> Tree | None:
    """What stands behind OVER in a function's call; None without."""
    return node["Function"]["over"]


def filter_of(node: Tree) -> Tree | None:
    """The condition of a call's FILTER; None without."""
    return node["Function"]["filter"]


def is_distinct(node: Tree) -> bool:
    """Whether a call's arguments are taken once each: ``count(DISTINCT x)``."""
    args = node["Function"]["args"]
    return "List" in args and bool(args["List"]["duplicate_treatment"] == "Distinct")


def with_parts(node: Tree, **parts: Tree) -> Tree:
    """A function's call with other parts: ``over``, ``filter``, ..."""
    return {"Function": {**node["Function"], **parts}}


def ignores_nulls(node: Tree) -> bool:
    """Whether IGNORE NULLS stands behind a function's call."""
    return bool(node["Function"]["null_treatment"] == "IgnoreNulls")


def has_clauses(node: Tree) -> bool:
    """Whether something stands behind a call's arguments in their parentheses: an ORDER BY, a LIMIT, ..."""
    return bool(node["Function"]["args"]["List"]["clauses"])


def order_of(spec: Tree) -> list[Tree]:
    """The keys of a window's ORDER BY, each with its direction."""
    return list(spec["order_by"])


def text_of(node: Tree) -> str | None:
    """The text of a literal in single quotes; None of anything else."""
    literal: Any = node.get("Value") if isinstance(node, dict) else None
    value = literal["value"] if isinstance(literal, dict) else None
    return value.get("SingleQuotedString") if isinstance(value, dict) else None


def window_of(spec: Tree, **parts: Tree) -> Tree:
    """A window with other parts: ``order_by``, ``window_frame``, ...; it stands behind OVER."""
    return {"WindowSpec": {**spec, **parts}}


def with_function(node: Tree, name: str) -> Tree:
    """The same call of another function."""
    return {"Function": {**node["Function"], "name": _template(f"{name}()")["Function"]["name"]}}


def path_of(node: Tree) -> tuple[str, ...]:
    """The parts of a column's name; () of anything else."""
    if "CompoundIdentifier" in node:
        return tuple(identifier(part) for part in node["CompoundIdentifier"])
    return (identifier(node["Identifier"]),) if isinstance(node.get("Identifier"), dict) else ()


@lru_cache(maxsize=256)
def _template(text: str) -> Tree:
    select = parse_one(f"SELECT {text}").tree["Query"]["body"]["Select"]
    return transform(select["projection"][0]["UnnamedExpr"], _nowhere)


def _nowhere(node: dict[str, Any]) -> Tree | None:
    return {**node, "span": NOWHERE} if "span" in node else None
