"""Expressions from the parser's trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ParseError
from .algebra import Call, Case, Cast, Column, Expression, Literal, Parameter, Star, Verbatim
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


Read = Callable[[Tree], Expression]
"""Who reads the trees inside a tree."""


def from_tree(tree: Tree, inside: Read | None = None) -> Expression:
    """The expression that a parser's tree of one means; ``inside`` reads the operands, where they may be known."""
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, body),) = tree.items()
        reader = _READERS.get(kind)
        read = inside or from_tree
        found = reader(tree, body, read) if reader else _read_postfix(tree, kind, body, read)
        if found is not None:
            return found
    return Verbatim(tree, origin=tree)


class Reader:
    """Reads trees and remembers what they were: a tree that stands in several is read once, and is one object."""

    def __init__(self) -> None:
        # The tree is kept beside its expression, since the id of one that is gone may be another's.
        self._done: dict[int, tuple[Tree, Expression]] = {}

    def read(self, tree: Tree) -> Expression:
        """The expression that a tree means."""
        known = self._done.get(id(tree))
        if known is not None:
            return known[1]
        links = []  # a chain of terms leans to the left, and is deep
        while id(tree) not in self._done and isinstance(tree, dict) and _is_link(tree.get("BinaryOp")):
            links.append(tree)
            tree = tree["BinaryOp"]["left"]
        if not links:
            return self._kept(tree, from_tree(tree, self.read))
        found = self.read(tree)
        for link in reversed(links):
            body = link["BinaryOp"]
            call = Call(BINARY[body["op"]][0], (found, self.read(body["right"])), origin=link)
            found = self._kept(link, call)
        return found

    def _kept(self, tree: Tree, expression: Expression) -> Expression:
        self._done[id(tree)] = tree, expression
        return expression


def _is_link(body: Any) -> bool:
    """Whether an operator has an expression of its own."""
    return isinstance(body, dict) and isinstance(body["op"], str) and body["op"] in BINARY


def _read_postfix(tree: Tree, kind: str, body: Any, read: Read) -> Expression | None:
    if kind in POSTFIX:
        return Call(POSTFIX[kind], (read(body),), origin=tree)
    if kind in DISTINCT:
        return Call(DISTINCT[kind], (read(body[0]), read(body[1])), origin=tree)
    return None


def _read_value(tree: Tree, body: Any, read: Read) -> Expression | None:
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


def _read_unary(tree: Tree, body: Any, read: Read) -> Expression | None:
    if body["op"] == "Plus":
        return read(body["expr"])
    name = {"Minus": "-", "Not": "not"}.get(body["op"])
    if name is None:
        return None
    inner = read(body["expr"])
    if name == "-" and isinstance(inner, Literal) and inner.number is not None and inner.number > 0:
        return Literal(-inner.number, origin=tree)
    return Call(name, (inner,), origin=tree)


def _read_binary(tree: Tree, body: Any, read: Read) -> Expression | None:
    links = []
    while _is_link(body):
        links.append((tree, body))
        tree = body["left"]
        body = tree.get("BinaryOp") if isinstance(tree, dict) else None
    found = read(tree) if links else None
    for link, inner in reversed(links):  # a chain of terms leans to the left
        assert found is not None
        found = Call(BINARY[inner["op"]][0], (found, read(inner["right"])), origin=link)
    return found


def _read_function(tree: Tree, body: Any, read: Read) -> Expression | None:
    arguments = body["args"].get("List") if isinstance(body["args"], dict) else None
    name = ".".join(name_of(body["name"])).lower()
    plain = body["parameters"] == "None" and body["null_treatment"] is None and _is_call(name, body["within_group"])
    if arguments is None or not plain or body["uses_odbc_syntax"]:
        return None
    if arguments["clauses"] and [set(clause) for clause in arguments["clauses"]] != [{"OrderBy"}]:
        return None
    order = arguments["clauses"][0]["OrderBy"] if arguments["clauses"] else None
    args: list[Expression] = [read(key["expr"]) for key in body["within_group"]]
    for argument in arguments["args"]:
        inner = argument.get("Unnamed") if isinstance(argument, dict) else None
        if inner == "Wildcard":
            args.append(Star(origin=tree))
        elif isinstance(inner, dict) and "Expr" in inner:
            args.append(read(inner["Expr"]))
        else:
            return None
    return Call(
        name, tuple(args), arguments["duplicate_treatment"] == "Distinct",
        None if body["filter"] is None else read(body["filter"]),
        None if body["over"] is None else Verbatim(body["over"], origin=body["over"]),
        None if order is None else Verbatim(order, origin=order), origin=tree,
    )  # fmt: skip


def _is_call(name: str, within: list[Any]) -> bool:
    """Whether a call says the same with what stands in WITHIN GROUP as its first argument."""
    if not within:
        return True
    upwards = all(key["options"]["asc"] is not False and key["options"]["nulls_first"] is None for key in within)
    return name in ("percentile_cont", "quantile_cont", "approx_percentile_cont") and len(within) == 1 and upwards


def _read_rounding(kind: str) -> Callable[[Tree, Any, Read], Expression | None]:
    def read_rounded(tree: Tree, body: Any, read: Read) -> Expression | None:
        if body["field"] != {"DateTimeField": "NoDateTime"}:
            return None
        return Call(ROUNDING[kind], (read(body["expr"]),), origin=tree)

    return read_rounded


def _read_case(tree: Tree, body: Any, read: Read) -> Expression:
    pairs = tuple((read(b["condition"]), read(b["result"])) for b in body["conditions"])
    default = None if body["else_result"] is None else read(body["else_result"])
    operand = None if body["operand"] is None else read(body["operand"])
    return Case(pairs, default, operand, origin=tree)


def _read_cast(tree: Tree, body: Any, read: Read) -> Expression | None:
    if body["format"] is not None or body["array"]:
        return None
    return Cast(read(body["expr"]), Verbatim(body["data_type"]), body["kind"], origin=tree)


def _read_between(tree: Tree, body: Any, read: Read) -> Expression:
    args = tuple(read(body[key]) for key in ("expr", "low", "high"))
    return Call("not between" if body["negated"] else "between", args, origin=tree)


def _read_in(tree: Tree, body: Any, read: Read) -> Expression:
    args = tuple(read(item) for item in (body["expr"], *body["list"]))
    return Call("not in" if body["negated"] else "in", args, origin=tree)


_READERS: dict[str, Callable[[Tree, Any, Read], Expression | None]] = {
    "Identifier": lambda tree, body, read: Column((identifier(body),), origin=tree),
    "CompoundIdentifier": lambda tree, body, read: Column(tuple(identifier(p) for p in body), origin=tree),
    "Value": _read_value,
    "Nested": lambda tree, body, read: read(body),
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
