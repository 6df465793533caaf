"""Expressions from the parser's trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ParseError
from .algebra import Call, Case, Cast, Column, Expression, Literal, Opaque, Parameter, Star
from .operators import BINARY, DISTINCT, POSTFIX, ROUNDING
from .syntax import Tree, identifier, name_of, parse_one


def parse(text: str) -> Expression:
    """The expression of a text; its spans count in ``SELECT text``, which errors show.

    >>> parse("t.x * 2")
    Call(name='*', args=(Column(path=('t', 'x')), Literal(value=2)))

    Raises:
        ParseError: the text is not one expression.
    """
    statement = parse_one(f"SELECT {text}")
    query = statement.tree.get("Query", {}) if isinstance(statement.tree, dict) else {}
    select = query.get("body", {}).get("Select", {})
    items = select.get("projection", [])
    if len(items) != 1 or "UnnamedExpr" not in items[0] or select["from"] or query["order_by"]:
        raise ParseError(f"one expression was expected: {text}", hint="Give a scalar expression such as `x * exp(y)`.")
    return from_tree(items[0]["UnnamedExpr"])


def from_tree(tree: Tree) -> Expression:
    """The expression that a parser's tree of one means."""
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, body),) = tree.items()
        reader = _READERS.get(kind)
        found = reader(tree, body) if reader else _read_postfix(tree, kind, body)
        if found is not None:
            return found
    return Opaque(tree, origin=tree)


def _read_postfix(tree: Tree, kind: str, body: Any) -> Expression | None:
    if kind in POSTFIX:
        return Call(POSTFIX[kind], (from_tree(body),), origin=tree)
    if kind in DISTINCT:
        return Call(DISTINCT[kind], (from_tree(body[0]), from_tree(body[1])), origin=tree)
    return None


def _read_value(tree: Tree, body: Any) -> Expression | None:
    value = body["value"]
    if value == "Null":
        return Literal(None, origin=tree)
    ((kind, content),) = value.items()
    if kind == "Number":
        text = content[0]
        return Literal(int(text) if text.isdigit() else float(text), origin=tree)
    if kind in ("SingleQuotedString", "Boolean"):
        return Literal(content, origin=tree)
    return Parameter(content, origin=tree) if kind == "Placeholder" else None


def _read_unary(tree: Tree, body: Any) -> Expression | None:
    if body["op"] == "Plus":
        return from_tree(body["expr"])
    name = {"Minus": "-", "Not": "not"}.get(body["op"])
    if name is None:
        return None
    inner = from_tree(body["expr"])
    if name == "-" and isinstance(inner, Literal) and inner.number is not None and inner.number > 0:
        return Literal(-inner.number, origin=tree)
    return Call(name, (inner,), origin=tree)


def _read_binary(tree: Tree, body: Any) -> Expression | None:
    links = []
    while isinstance(body, dict) and isinstance(body["op"], str) and body["op"] in BINARY:
        links.append((tree, body))
        tree = body["left"]
        body = tree.get("BinaryOp") if isinstance(tree, dict) else None
    found = from_tree(tree) if links else None
    for link, inner in reversed(links):  # a chain of terms leans to the left
        assert found is not None
        found = Call(BINARY[inner["op"]][0], (found, from_tree(inner["right"])), origin=link)
    return found


def _read_function(tree: Tree, body: Any) -> Expression | None:
    arguments = body["args"].get("List") if isinstance(body["args"], dict) else None
    plain = body["parameters"] == "None" and not body["within_group"] and body["null_treatment"] is None
    if arguments is None or not plain or body["uses_odbc_syntax"]:
        return None
    if arguments["clauses"] and [set(clause) for clause in arguments["clauses"]] != [{"OrderBy"}]:
        return None
    order = arguments["clauses"][0]["OrderBy"] if arguments["clauses"] else None
    args: list[Expression] = []
    for argument in arguments["args"]:
        inner = argument.get("Unnamed") if isinstance(argument, dict) else None
        if inner == "Wildcard":
            args.append(Star(origin=tree))
        elif isinstance(inner, dict) and "Expr" in inner:
            args.append(from_tree(inner["Expr"]))
        else:
            return None
    return Call(
        ".".join(name_of(body["name"])).lower(), tuple(args), arguments["duplicate_treatment"] == "Distinct",
        None if body["filter"] is None else from_tree(body["filter"]),
        None if body["over"] is None else Opaque(body["over"], origin=body["over"]),
        None if order is None else Opaque(order, origin=order), origin=tree,
    )  # fmt: skip


def _read_rounding(kind: str) -> Callable[[Tree, Any], Expression | None]:
    def read(tree: Tree, body: Any) -> Expression | None:
        if body["field"] != {"DateTimeField": "NoDateTime"}:
            return None
        return Call(ROUNDING[kind], (from_tree(body["expr"]),), origin=tree)

    return read


def _read_case(tree: Tree, body: Any) -> Expression:
    pairs = tuple((from_tree(b["condition"]), from_tree(b["result"])) for b in body["conditions"])
    default = None if body["else_result"] is None else from_tree(body["else_result"])
    operand = None if body["operand"] is None else from_tree(body["operand"])
    return Case(pairs, default, operand, origin=tree)


def _read_cast(tree: Tree, body: Any) -> Expression | None:
    if body["format"] is not None or body["array"]:
        return None
    return Cast(from_tree(body["expr"]), Opaque(body["data_type"]), body["kind"], origin=tree)


def _read_between(tree: Tree, body: Any) -> Expression:
    args = tuple(from_tree(body[key]) for key in ("expr", "low", "high"))
    return Call("not between" if body["negated"] else "between", args, origin=tree)


def _read_in(tree: Tree, body: Any) -> Expression:
    args = tuple(from_tree(item) for item in (body["expr"], *body["list"]))
    return Call("not in" if body["negated"] else "in", args, origin=tree)


_READERS: dict[str, Callable[[Tree, Any], Expression | None]] = {
    "Identifier": lambda tree, body: Column((identifier(body),), origin=tree),
    "CompoundIdentifier": lambda tree, body: Column(tuple(identifier(p) for p in body), origin=tree),
    "Value": _read_value,
    "Nested": lambda tree, body: from_tree(body),
    "UnaryOp": _read_unary,
    "BinaryOp": _read_binary,
    "Function": _read_function,
    "Ceil": _read_rounding("Ceil"),
    "Floor": _read_rounding("Floor"),
    "Case": _read_case,
    "Cast": _read_cast,
    "Between": _read_between,
    "InList": _read_in,
}  # fmt: skip
