"""A tree -> SQL text that reads back as the same tree: the parser's own printer, and what it does not see to.

sqlparser prints the nodes of a tree one after another. What it has read it mostly prints as it was; but ``- -x`` comes
out as ``--x``, which is a comment, a quote behind a quote is not doubled, and in a tree that was put together here it
does not know which operands need parentheses. So operands get those, and what holds its own quote is printed here.
"""

from __future__ import annotations

import re
from functools import cache
from math import inf
from typing import Any
from uuid import uuid4

import sqloxide

from .parsing import DIALECT, written_out
from .stack import with_stack
from .traversal import Tree, replace, transform


def to_sql(tree: Tree) -> str:
    """The SQL text of a statement's tree."""
    tree = written_out(tree)
    text = _restored(tree)
    if _QUOTES.search(text) is None:  # no literal, and no name that holds its own quote: the usual training step
        return text
    quoted: dict[str, str] = {}
    hidden = replace(tree, lambda node: _hide_quotes(node, quoted))
    if not quoted:
        return text
    text = _restored(hidden)
    for marker, literal in quoted.items():
        text = text.replace(marker, literal)
    return text


def expression_sql(tree: Tree) -> str:
    """The SQL text of an expression's tree."""
    select = _template()
    body = {"Select": {**select["body"]["Select"], "projection": [{"UnnamedExpr": tree}]}}
    return to_sql({"Query": {**select, "body": body}}).removeprefix("SELECT ")


def _restored(tree: Tree) -> str:
    parentheses = _Parentheses()
    tree = transform(tree, parentheses.change)
    if parentheses.links < _SHORT:
        return str(sqloxide.restore_ast([tree])[0])
    return with_stack(_STACK * parentheses.links, lambda: str(sqloxide.restore_ast([tree])[0]))


# The parser's printer calls itself for each term of a chain: at some 600 UNIONs it would leave the stack that a process
# begins with, and end it.
_SHORT = 300
_STACK = 64 * 1024  # bytes for each


@cache
def _template() -> Any:
    (tree,) = sqloxide.parse_sql("SELECT 1", DIALECT)
    return tree["Query"]


# ---------------------------------------------------------------------------------------------------------- quotes

# sqlparser prints a quote that follows a quote or a backslash as it stands, not doubled, so that a''b comes back as
# another string and \' OR 1=1 as SQL.
_QUOTES = re.compile(r"""['`\[\\]|\"\"""")


def _hide_quotes(node: dict[str, Any], quoted: dict[str, str]) -> Tree | None:
    """A node whose text holds its own quote, with a marker in its place."""
    for kind in ("SingleQuotedString", "NationalStringLiteral"):
        if isinstance(node.get(kind), str) and "'" in node[kind]:
            return {kind: _marker(node[kind], "'", quoted)}
    style = node.get("quote_style")
    if style and style in node["value"]:
        return {**node, "value": _marker(node["value"], style, quoted)}
    return None


def _marker(text: str, quote: str, quoted: dict[str, str]) -> str:
    marker = f"quoted_{uuid4().hex}"
    quoted[marker] = text.replace(quote, quote * 2)
    return marker


# ----------------------------------------------------------------------------------------------------- parentheses

# How tightly operators bind, as sqlparser reads them. It reads an operand up to the next operator that binds no more
# tightly than what it reads the operand for.
_PREFIX = {"Plus": 40, "Minus": 40, "Not": 15, "BangNot": 15}
_PREFIX_ELSE = 30
_BINARY = {
    "Or": 5, "And": 10, "Plus": 30, "Minus": 30, "Multiply": 40, "Divide": 40, "Modulo": 40, "StringConcat": 40,
    "DuckIntegerDivide": 40, "MyIntegerDivide": 40, "Xor": 24, "BitwiseAnd": 23, "BitwiseXor": 22,
    "PGBitwiseXor": 22, "PGBitwiseShiftLeft": 22, "PGBitwiseShiftRight": 22, "BitwiseOr": 21,
    "Gt": 20, "Lt": 20, "GtEq": 20, "LtEq": 20, "Spaceship": 20, "Eq": 20, "NotEq": 20, "Overlaps": 20,
    "Assignment": 20,
    "PGRegexMatch": 20, "PGRegexIMatch": 20, "PGRegexNotMatch": 20, "PGRegexNotIMatch": 20,
    "PGLikeMatch": 20, "PGILikeMatch": 20, "PGNotLikeMatch": 20, "PGNotILikeMatch": 20, "PGCustomBinaryOperator": 20,
    "PGStartsWith": 50,
    "Arrow": 16, "LongArrow": 16, "HashArrow": 16, "HashLongArrow": 16, "AtAt": 16, "AtArrow": 16, "ArrowAt": 16,
    "HashMinus": 16, "AtQuestion": 16, "Question": 16, "QuestionAnd": 16, "Custom": 16,
}  # fmt: skip
_BINARY_ELSE = 21  # the geometric operators
_POSTFIX = dict.fromkeys(
    ["IsNull", "IsNotNull", "IsTrue", "IsNotTrue", "IsFalse", "IsNotFalse", "IsUnknown", "IsNotUnknown"], 17
)
_DISTINCT = frozenset({"IsDistinctFrom", "IsNotDistinctFrom"})  # what stands behind them is read to its end
# (kind, key of the operand in front) of what closes behind itself -> how tightly it binds
_CLOSED = {
    "InList": ("expr", 20), "InSubquery": ("expr", 20), "InUnnest": ("expr", 20), "IsNormalized": ("expr", 17),
    "MemberOf": ("value", 19), "JsonAccess": ("value", 21)
}  # fmt: skip
_LIKE = frozenset({"Like", "ILike", "SimilarTo", "RLike"})
# kind -> the key of its operand, and what that may be; None for whatever has no edges
_PRIMARY = {
    "CompoundFieldAccess": ("root", None), "Collate": ("expr", {"Identifier", "Nested"}),
    "Interval": ("value", {"Value", "Identifier", "Function", "Nested"}),
}  # fmt: skip
_TIGHTEST = 100.0
_FIELDS = frozenset({"CompoundFieldAccess", "CompoundIdentifier"})
_ANYTHING = -1.0


class _Parentheses:
    """Puts parentheses around operands, from the inner ones to the outer.

    An operator has two edges. What stands in front of it would take its first operand away if that binds more tightly
    than some operator along the left edge; what stands behind it the last one, if that binds more tightly than what is
    read along the right edge. What has no edges needs no parentheses anywhere.
    """

    def __init__(self) -> None:
        # by the id of a node, which is kept beside them, since the id of one that is gone may be another's
        self.edges: dict[int, tuple[Tree, float, float]] = {}
        self.links = 0  # of chains

    def change(self, node: dict[str, Any]) -> Tree | None:
        """The node with parentheses where it needs them; None where it needs none."""
        if len(node) != 1:
            return None
        ((kind, body),) = node.items()
        if kind in _LINKS:
            self.links += 1
        read = _READ.get(kind)
        if read is None or not _REQUIRED.get(kind, _NOTHING).issubset(body if isinstance(body, dict) else ()):
            return None  # types and options have such names too
        new, left, right = read(self, kind, body)
        made = node if new is body else {kind: new}
        if left < inf or right < inf:
            self.edges[id(made)] = (made, left, right)
        return made

    def front(self, operand: Tree, strength: float) -> tuple[Tree, float]:
        """What stands in front of an operator, in parentheses if need be, and its left edge."""
        _, left, right = self.edges.get(id(operand), _ATOM)
        return ({"Nested": operand}, inf) if right < strength else (operand, left)

    def behind(self, operand: Tree, reads: float) -> tuple[Tree, float]:
        """What an operator reads behind itself, up to one as tight as ``reads``, and its right edge."""
        _, left, right = self.edges.get(id(operand), _ATOM)
        return ({"Nested": operand}, reads) if left <= reads else (operand, min(reads, right))

    def unary(self, kind: str, body: Tree) -> Read:
        op, operand = body["op"], body["expr"]
        if op == "PGPostfixFactorial":
            return self.closed(kind, body, "expr", 50)
        reads = _PREFIX.get(op, _PREFIX_ELSE)
        inner, right = self.behind(operand, reads)
        if _melts(op, inner) or (
            op == "Not" and inner is operand and "Exists" not in inner and "Exists" in _first(inner)
        ):
            inner, right = {"Nested": inner}, reads
        return _put(body, expr=inner), inf, right

    def binary(self, kind: str, body: Tree) -> Read:
        op = body["op"] if isinstance(body["op"], str) else next(iter(body["op"]))
        strength = _BINARY.get(op, _BINARY_ELSE)
        first, left = self.front(body["left"], strength)
        last, right = self.behind(body["right"], strength)
        return _put(body, left=first, right=last), min(strength, left), right

    def postfix(self, kind: str, body: Tree) -> Read:
        strength = _POSTFIX[kind]
        first, left = self.front(body, strength)
        return first, min(strength, left), inf

    def distinct(self, kind: str, body: Tree) -> Read:
        first, left = self.front(body[0], 17)
        last, right = self.behind(body[1], _ANYTHING)
        new = body if first is body[0] and last is body[1] else [first, last]
        return new, min(17, left), right

    def closed(self, kind: str, body: Tree, key: str = "", strength: float = 0) -> Read:
        key, strength = (key, strength) if key else _CLOSED[kind]
        first, left = self.front(body[key], strength)
        return _put(body, **{key: first}), min(strength, left), inf

    def between(self, kind: str, body: Tree) -> Read:
        first, left = self.front(body["expr"], 20)
        low, edge = self.behind(body["low"], 20)
        low = low if edge >= _BINARY["And"] else {"Nested": low}
        high, right = self.behind(body["high"], 20)
        return _put(body, expr=first, low=low, high=high), min(20, left), right

    def like(self, kind: str, body: Tree) -> Read:
        first, left = self.front(body["expr"], 19)
        pattern, right = self.behind(body["pattern"], 19)
        return _put(body, expr=first, pattern=pattern), min(19, left), inf if body.get("escape_char") else right

    def cast(self, kind: str, body: Tree) -> Read:
        return self.closed(kind, body, "expr", 50) if body["kind"] == "DoubleColon" else (body, inf, inf)

    def zone(self, kind: str, body: Tree) -> Read:
        first, left = self.front(body["timestamp"], 41)
        last, right = self.behind(body["time_zone"], 41)
        return _put(body, timestamp=first, time_zone=last), min(41, left), right

    def primary(self, kind: str, body: Tree) -> Read:
        """What is written behind one thing that has no edges, or in front of it."""
        key, plain = _PRIMARY[kind]
        operand = body[key]
        loose = id(operand) in self.edges if plain is None else plain.isdisjoint(operand)
        loose = loose or (kind in _FIELDS and not _FIELDS.isdisjoint(operand))
        right = inf if kind in _FIELDS else _TIGHTEST
        return _put(body, **{key: {"Nested": operand}}) if loose else body, inf, right

    def quantified(self, kind: str, body: Tree) -> Read:
        """``x = ANY (y)``, where a subquery is read on behind its parenthesis."""
        first, left = self.front(body["left"], 20)
        last, _ = self.behind(body["right"], 20)
        return _put(body, left=first, right=last), min(20, left), 20 if "Subquery" in body["right"] else inf

    def position(self, kind: str, body: Tree) -> Read:
        return _put(body, expr=self.alone(body["expr"], 20)), inf, inf

    def rounding(self, kind: str, body: Tree) -> Read:
        """``CEIL(x TO DAY)``, where an interval has a TO, too."""
        _, _, right = self.edges.get(id(body["expr"]), _ATOM)
        plain = right == inf or body["field"] == {"DateTimeField": "NoDateTime"}
        return body if plain else _put(body, expr={"Nested": body["expr"]}), inf, inf

    def bound(self, kind: str, body: Tree) -> Read:
        """A subscript or the entries of a map, where a colon is an operator, too."""
        keys = [key for key in ("index", "lower_bound", "upper_bound", "stride") if body.get(key) is not None]
        bounds = {key: self.before_colon(body[key]) for key in keys}
        return _put(body, **bounds), inf, inf

    def map(self, kind: str, body: Tree) -> Read:
        entries = [_put(entry, key=self.before_colon(entry["key"])) for entry in body["entries"]]
        same = all(a is b for a, b in zip(entries, body["entries"], strict=True))
        return body if same else {**body, "entries": entries}, inf, inf

    def before_colon(self, operand: Tree) -> Tree:
        return {"Nested": operand} if _is_named(operand) else self.alone(operand, 21)

    def alone(self, operand: Tree, strength: float) -> Tree:
        """An operand that stands in front of what looks like an operator, and is none."""
        _, left, right = self.edges.get(id(operand), _ATOM)
        return {"Nested": operand} if left <= strength or right < strength else operand

    def lambda_(self, kind: str, body: Tree) -> Read:
        _, right = self.behind(body["body"], _ANYTHING)
        return body, inf, right


Read = tuple[Tree, float, float]
"""What stands in the place of a node's body, and the node's left and right edge."""

_ATOM = (None, inf, inf)
_READ = {
    "UnaryOp": _Parentheses.unary, "BinaryOp": _Parentheses.binary, "Between": _Parentheses.between,
    "Cast": _Parentheses.cast, "AtTimeZone": _Parentheses.zone, "Lambda": _Parentheses.lambda_,
    "Index": _Parentheses.bound, "Slice": _Parentheses.bound, "Map": _Parentheses.map,
    "AnyOp": _Parentheses.quantified, "AllOp": _Parentheses.quantified, "Position": _Parentheses.position,
    "Ceil": _Parentheses.rounding, "Floor": _Parentheses.rounding,
    **dict.fromkeys(_POSTFIX, _Parentheses.postfix), **dict.fromkeys(_DISTINCT, _Parentheses.distinct),
    **dict.fromkeys(_CLOSED, _Parentheses.closed), **dict.fromkeys(_LIKE, _Parentheses.like),
    **dict.fromkeys(_PRIMARY, _Parentheses.primary),
}  # fmt: skip
_LINKS = frozenset({"BinaryOp", "SetOperation"})
_NOTHING: frozenset[str] = frozenset()
_REQUIRED = {
    "UnaryOp": {"op", "expr"}, "BinaryOp": {"left", "op", "right"}, "Between": {"expr", "low", "high"},
    "Cast": {"kind", "expr"}, "AtTimeZone": {"timestamp", "time_zone"}, "Lambda": {"body"}, "Index": {"index"},
    "Slice": {"lower_bound"}, "Map": {"entries"}, "AnyOp": {"left", "right"}, "AllOp": {"left", "right"},
    "Position": {"expr", "in"}, "Ceil": {"expr", "field"}, "Floor": {"expr", "field"},
    **{kind: {key} for kind, (key, _) in _CLOSED.items()}, **{kind: {"expr", "pattern"} for kind in _LIKE},
    **{kind: {key} for kind, (key, _) in _PRIMARY.items()},
}  # fmt: skip


def _put(body: Tree, **parts: Tree) -> Tree:
    """A node's body with other parts; itself where they are the same."""
    return body if all(body[key] is part for key, part in parts.items()) else {**body, **parts}


def _first(operand: Tree) -> Tree:
    """What stands first in the text of an operand, going down its left edge."""
    while isinstance(operand, dict) and len(operand) == 1:
        ((kind, body),) = operand.items()
        if kind in _POSTFIX:
            inner = body
        elif kind in _DISTINCT:
            inner = body[0]
        else:
            keys = (key for key in ("left", "expr", "root", "timestamp") if isinstance(body, dict) and key in body)
            inner = body.get(next(keys, None)) if isinstance(body, dict) else None
        if inner is None:
            break
        operand = inner
    return operand


def _is_named(operand: Tree) -> bool:
    """Whether ``:p`` is the first of it, which behind a colon would be a cast to p."""
    first = _first(operand)
    text = first["Value"]["value"] if isinstance(first, dict) and "Value" in first else None
    return isinstance(text, dict) and str(text.get("Placeholder", "")).startswith(":")


def _begins_with_exists(operand: Tree) -> bool:
    """Whether NOT in front of it would be read as NOT EXISTS, and the rest behind that."""
    return "Exists" not in operand and "Exists" in _first(operand)


def _melts(op: str, operand: Tree) -> bool:
    """Whether a sign in front of another becomes one with it: ``--`` is a comment, ``~~`` an operator."""
    inner = operand.get("UnaryOp") if isinstance(operand, dict) else None
    if inner is None or inner["op"] == "Not":
        return False
    return op != "Plus" and (op == inner["op"] or op != "Minus")
