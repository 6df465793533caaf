"""What other engines write shorter, and ours does not read: written out as plain SQL before anything looks at it.

``FROM t`` alone is ``SELECT * FROM t``; ``ORDER BY ALL`` names every column; PIVOT is an aggregate with FILTERs,
UNPIVOT a UNION ALL, TABLESAMPLE a condition on ``random()``; ``->`` and ``->>`` read JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import SqlError, UnsupportedError
from . import build
from .syntax import NOWHERE, Tree, expression_sql, identifier, name_columns, name_of, span_of, transform, walk

Names = Callable[[Tree], Sequence[str]]
"""Gives the names of a query's columns."""

_SIGNS = re.compile(
    r"(?:\A|\(|\b(?:UNION|ALL|EXCEPT|INTERSECT|INTO\s+\S+|INTO\s+[^()]+\([^()]*\)|SUMMARIZE|EXPLAIN|AS))\s*FROM\b"
    r"|\bORDER\s+BY\s+ALL\b|SAMPLE\b|PIVOT\b|->",
    re.IGNORECASE,
)
_ARROWS = {"Arrow": "json_get", "LongArrow": "json_get_text"}


def written_out(tree: Tree, sql: str, names: Names) -> Tree:
    """A statement without what is shorthand in it; ``tree`` itself where there is none.

    Args:
        tree: the statement.
        sql: its text, which tells at a glance.
        names: asks the engine for the names of a query's columns.

    Raises:
        UnsupportedError: a form of it that has no meaning here.

    >>> from .syntax import parse_one, to_sql
    >>> sql = "FROM t"
    >>> to_sql(written_out(parse_one(sql).tree, sql, lambda query: ["a"]))
    'SELECT * FROM t'
    """
    if not _SIGNS.search(sql):
        return tree
    tree = name_columns(tree, _has_arrow)

    def change(node: dict[str, Any]) -> Tree | None:
        if "flavor" in node and "projection" in node:
            return _whole(node)
        if "body" in node and _orders_all(node):
            return _ordered(node, names)
        for kind in _FACTORS.keys() & node.keys():
            return _FACTORS[kind](node[kind], names) if isinstance(node[kind], dict) else None
        return _json(node["BinaryOp"]) if _is_arrow(node) else None

    return transform(tree, change)


def _whole(select: Tree) -> Tree | None:
    """``FROM t`` and ``FROM t SELECT a``."""
    if select["flavor"] == "Standard":
        return None
    return {**select, "projection": select["projection"] or [build.star()], "flavor": "Standard"}


def _orders_all(query: Tree) -> bool:
    order = query.get("order_by")
    keys: Sequence[Tree] = order["kind"].get("Expressions", ()) if order and isinstance(order["kind"], dict) else ()
    return len(keys) == 1 and _is_all(keys[0]["expr"])


def _is_all(expression: Tree) -> bool:
    node = expression.get("Identifier") if isinstance(expression, dict) else None
    return node is not None and not node["quote_style"] and identifier(node) == "all"


def _ordered(query: Tree, names: Names) -> Tree:
    order = query["order_by"]
    key = order["kind"]["Expressions"][0]
    width = len(names({"Query": {**query, "order_by": None, "limit_clause": None}}))
    keys = [{**key, "expr": _number(place)} for place in range(1, width + 1)]
    return {**query, "order_by": {**order, "kind": {"Expressions": keys}}}


def _number(value: float) -> Tree:
    return {"Value": {"value": {"Number": [str(value), False]}, "span": NOWHERE}}


def _text(value: str) -> Tree:
    return {"Value": {"value": {"SingleQuotedString": value}, "span": NOWHERE}}


# --- JSON ---
#
# The parser binds -> less strongly than comparisons. Here, as in PostgreSQL, it binds more strongly than all else; what
# is in parentheses is told by its Nested node.


def _has_arrow(column: Tree) -> bool:
    return any(_is_arrow(node) for node in walk(column))


def _is_arrow(node: dict[str, Any]) -> bool:
    operation = node.get("BinaryOp")
    return isinstance(operation, dict) and isinstance(operation["op"], str) and operation["op"] in _ARROWS


def _inner(node: Tree, *, first: bool) -> tuple[str, str] | None:
    """Where the first or the last operand of an expression without parentheses is; None where it is one itself."""
    kind = next(iter(node)) if isinstance(node, dict) else ""
    if kind == "BinaryOp":
        return kind, "left" if first else "right"
    if kind == "UnaryOp" and not first:
        return kind, "expr"
    return (kind, "expr") if first and kind in ("Like", "ILike", "InList", "Between", "RLike", "SimilarTo") else None


def _at_end(node: Tree, change: Callable[[Tree], Tree], *, first: bool) -> Tree:
    """An expression with its first or last operand changed."""
    place = _inner(node, first=first)
    if place is not None:
        kind, side = place
        return {kind: {**node[kind], side: _at_end(node[kind][side], change, first=first)}}
    kind = next(iter(node))
    return {kind: _at_end(node[kind], change, first=first)} if first and kind in _POSTFIX else change(node)


_POSTFIX = ("IsNull", "IsNotNull", "IsTrue", "IsNotTrue", "IsFalse", "IsNotFalse")


def _json(operation: Tree) -> Tree:
    """``text -> key``: a key is a name, ``$.a.b``, or the number of an element."""
    name = _ARROWS[operation["op"]]

    def applied(text: Tree) -> Tree:
        return _at_end(operation["right"], lambda key: build.call(name, [text, _key(key)]), first=True)

    return _at_end(operation["left"], applied, first=False)


def _key(key: Tree) -> Tree:
    sign, plain = "", key
    if isinstance(key.get("UnaryOp"), dict) and key["UnaryOp"]["op"] == "Minus":
        sign, plain = "-", key["UnaryOp"]["expr"]
    number = (plain.get("Value") or {}).get("value")
    return _text(f"$[{sign}{number['Number'][0]}]") if isinstance(number, dict) and "Number" in number else key


# --- Relations ---


def _sampled(factor: Tree, names: Names) -> Tree | None:
    """``t TABLESAMPLE (10 PERCENT)`` and ``(10 ROWS)``; a number alone counts rows."""
    sample = next(iter((factor.get("sample") or {}).values()), None)
    if sample is None:
        return None
    kind = "Table" if "args" in factor else "Derived"
    name = name_of(factor["name"])[-1] if kind == "Table" else "sample"
    label = identifier(factor["alias"]["name"]) if factor["alias"] else name
    quantity, method = sample["quantity"], sample["name"]
    number = quantity and ((quantity["value"].get("Value") or {}).get("value") or {}).get("Number")
    if number is None or sample["seed"] or sample["bucket"] or quantity["unit"] not in (None, "Rows", "Percent"):
        error: SqlError = UnsupportedError(
            "a sample is so many rows or so many percent of a table", hint="As in: FROM t TABLESAMPLE (10 PERCENT)"
        )
        error.span = span_of(factor)
        raise error
    amount = float(number[0])
    inner = {"relation": {kind: {**factor, "sample": None}}, "joins": []}
    random = build.call("random", [])
    share = quantity["unit"] == "Percent" or (quantity["unit"] is None and method in ("Bernoulli", "System"))
    chance = {"BinaryOp": {"left": random, "op": "Lt", "right": _number(amount / 100)}}
    query = build.select([build.star()], [inner], chance if share else None)["Query"]
    if not share:
        query = build.limited(query, random, _number(int(amount)))
    return build.derived(query, label)["relation"]


def _pivoted(pivot: Tree, names: Names) -> Tree:
    """``t PIVOT (SUM(a) FOR b IN ('x', 'y'))``: a column for each of the values, a row for the other columns."""
    values = (pivot["value_source"] or {}).get("List")
    if values is None or len(pivot["value_column"]) != 1 or pivot["default_on_null"]:
        error: SqlError = UnsupportedError(
            "PIVOT needs one column and its values", hint="As in: FROM t PIVOT (SUM(a) FOR b IN ('x', 'y'))"
        )
        error.span = span_of(pivot["value_column"])
        raise error
    column, source = pivot["value_column"][0], {"relation": pivot["table"], "joins": []}
    measures = pivot["aggregate_functions"]
    used = {identifier(n["Identifier"]) for n in walk([column, [_arguments(m) for m in measures]]) if "Identifier" in n}
    used |= {identifier(n["CompoundIdentifier"][-1]) for n in walk([column, measures]) if "CompoundIdentifier" in n}
    keys = [build.column(name) for name in names(build.select([build.star()], [source])) if name not in used]
    items = [build.item(key) for key in keys]
    for value in values:
        condition = {"BinaryOp": {"left": column, "op": "Eq", "right": value["expr"]}}
        for measure in measures:
            call = {"Function": {**measure["expr"]["Function"], "filter": condition}}
            items.append(build.item(call, _label(value, measure, alone=len(measures) == 1)))
    query = build.grouped(build.select(items, [source])["Query"], keys)
    return _named_as(query, pivot)


def _arguments(measure: Tree) -> Tree:
    return measure["expr"]["Function"]["args"] if "Function" in measure["expr"] else measure["expr"]


def _label(value: Tree, measure: Tree, *, alone: bool) -> str:
    literal = (value["expr"].get("Value") or {}).get("value")
    shown = literal.get("SingleQuotedString") if isinstance(literal, dict) else None
    shown = identifier(value["alias"]) if value["alias"] else shown or expression_sql(value["expr"])
    if alone and not measure["alias"]:
        return str(shown)
    return f"{shown}_{identifier(measure['alias']) if measure['alias'] else expression_sql(measure['expr'])}"


def _unpivoted(unpivot: Tree, names: Names) -> Tree:
    """``t UNPIVOT (v FOR n IN (a, b))``: a row for each of the columns, those that are NULL left out."""
    source = {"relation": unpivot["table"], "joins": []}
    columns = [(c["expr"], c["alias"]) for c in unpivot["columns"]]
    gone = {identifier(n["Identifier"]) for n in walk([e for e, _ in columns]) if "Identifier" in n}
    value = identifier(unpivot["value"]["Identifier"])
    rest = [build.item(build.column(n)) for n in names(build.select([build.star()], [source])) if n not in gone]
    parts = []
    for expression, alias in columns:
        name = identifier(alias) if alias else identifier(expression["Identifier"])
        items = [*rest, build.item(_text(name), identifier(unpivot["name"])), build.item(expression, value)]
        keep = None if unpivot["null_inclusion"] == "IncludeNulls" else {"IsNotNull": expression}
        parts.append(build.select(items, [source], keep))
    return _named_as(build.union_all(parts)["Query"], unpivot)


def _named_as(query: Tree, factor: Tree) -> Tree:
    inner = next(iter(factor["table"].values()))
    label = factor["alias"] or inner["alias"]
    name = identifier(label["name"]) if label else name_of(inner["name"])[-1] if "name" in inner else "pivot"
    return build.derived(query, name)["relation"]


_FACTORS: Mapping[str, Callable[[Tree, Names], Any]] = {
    "Table": _sampled, "Derived": _sampled, "Pivot": _pivoted, "Unpivot": _unpivoted,
}  # fmt: skip
