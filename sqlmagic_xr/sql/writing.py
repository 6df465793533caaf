"""Expressions as the parser's trees and as text, with the parentheses that they need."""

from __future__ import annotations

from .algebra import Call, Case, Cast, Column, Expression, Literal, Parameter, Star, Verbatim
from .operators import ATOM, DISTINCT_TREE, IS, NESTED_LEFT, NOT, OPERATOR, OPERATORS, POSTFIX_TREE, UNARY
from .syntax import NOWHERE, Tree, expression_sql, make_identifier


def to_sql(expression: Expression) -> str:
    """The SQL text of an expression, with the parentheses it needs.

    >>> from .reading import parse
    >>> to_sql(parse("(a+b) * (c*d) - (e - f)"))
    '(a + b) * (c * d) - (e - f)'
    """
    return expression_sql(to_tree(expression))


def to_tree(expression: Expression) -> Tree:
    """The parser's tree of an expression, with parentheses where reading it again needs them.

    Shared parts become shared trees, so that the work is that of the distinct parts (the text is written in full).
    """
    return TreeWriter().tree(expression)


class TreeWriter:
    """Writes expressions as trees; each distinct object once, so that shared parts become shared trees."""

    def __init__(self) -> None:
        # The expression is kept beside its tree, since the id of one that is gone may be another's.
        self.done: dict[int, tuple[Expression, Tree]] = {}

    def tree(self, node: Expression) -> Tree:
        """The tree of an expression."""
        todo = [node]
        while todo:
            last = todo[-1]
            missing = [part for part in last.parts if not (id(part) in self.done or isinstance(part, Star))]
            if missing and id(last) not in self.done:
                todo += missing
                continue
            todo.pop()
            if id(last) not in self.done:
                self.done[id(last)] = (last, self._make(last))
        return self.done[id(node)][1]

    def inside(self, node: Expression, strength: int) -> Tree:
        """The tree of an operand: in parentheses where it binds less tightly than ``strength``."""
        tree = self.tree(node)
        return tree if _strength(node) >= strength else {"Nested": tree}

    def _make(self, node: Expression) -> Tree:
        match node:
            case Verbatim():
                return node.tree
            case Literal():
                return _literal(node.value)
            case Column():
                if node.origin is not None:
                    return node.origin  # the quotes and the spelling are the user's
                parts = [make_identifier(p) for p in node.path]
                return {"Identifier": parts[0]} if len(parts) == 1 else {"CompoundIdentifier": parts}
            case Parameter():
                return _value({"Placeholder": node.name})
            case Cast():
                return {"Cast": {
                    "kind": node.kind, "expr": self.inside(node.value, 51) if node.kind == "DoubleColon"
                    else self.tree(node.value), "data_type": node.type.tree, "array": False, "format": None,
                }}  # fmt: skip
            case Case():
                return self._case(node)
            case Call():
                return self._operator(node) if node.name in OPERATORS else self._function(node)
        raise TypeError(f"no expression: {node!r}")

    def _operator(self, node: Call) -> Tree:
        name, args = node.name, node.args
        if name == "-" and len(args) == 1:
            return {"UnaryOp": {"op": "Minus", "expr": self.inside(args[0], UNARY + 1)}}
        if name == "not":
            return {"UnaryOp": {"op": "Not", "expr": self.inside(args[0], NOT + 1)}}
        if name in OPERATOR:
            kind, strength = OPERATOR[name]
            left = self.inside(args[0], strength + (strength in NESTED_LEFT))
            return {"BinaryOp": {"left": left, "op": kind, "right": self.inside(args[1], strength + 1)}}
        if name in POSTFIX_TREE:
            return {POSTFIX_TREE[name]: self.inside(args[0], 21)}
        if name in DISTINCT_TREE:
            return {DISTINCT_TREE[name]: [self.inside(args[0], 21), self.inside(args[1], 21)]}
        negated = name.startswith("not ")
        if name.endswith("between"):
            low, high = self.inside(args[1], 21), self.inside(args[2], 21)
            return {"Between": {"expr": self.inside(args[0], 21), "negated": negated, "low": low, "high": high}}
        items = [self.tree(a) for a in args[1:]]
        return {"InList": {"expr": self.inside(args[0], 21), "list": items, "negated": negated}}

    def _function(self, node: Call) -> Tree:
        args = [{"Unnamed": "Wildcard" if isinstance(a, Star) else {"Expr": self.tree(a)}} for a in node.args]
        name = [{"Identifier": make_identifier(part)} for part in node.name.split(".")]
        return {"Function": {
            "name": name, "uses_odbc_syntax": False, "parameters": "None",
            "args": {"List": {
                "duplicate_treatment": "Distinct" if node.distinct else None, "args": args,
                "clauses": [] if node.order is None else [{"OrderBy": node.order.tree}],
            }},
            "filter": None if node.filter is None else self.tree(node.filter),
            "null_treatment": None, "over": None if node.window is None else node.window.tree, "within_group": [],
        }}  # fmt: skip

    def _case(self, node: Case) -> Tree:
        return {"Case": {
            "case_token": _token("CASE"), "end_token": _token("END"),
            "operand": None if node.operand is None else self.tree(node.operand),
            "conditions": [{"condition": self.tree(c), "result": self.tree(r)} for c, r in node.branches],
            "else_result": None if node.default is None else self.tree(node.default),
        }}  # fmt: skip


def _strength(node: Expression) -> int:
    """How tightly the outermost operator of an expression binds; ATOM for what needs no parentheses anywhere."""
    if isinstance(node, Literal) and node.number is not None and str(node.number).startswith("-"):
        return UNARY
    if isinstance(node, Cast):
        return 50 if node.kind == "DoubleColon" else ATOM
    if isinstance(node, Verbatim):
        return 0 if next(iter(node.tree), "") not in _OPAQUE_ATOMS else ATOM
    if not isinstance(node, Call) or node.name not in OPERATORS:
        return ATOM
    if node.name in ("-", "not") and len(node.args) == 1:
        return UNARY if node.name == "-" else NOT
    return OPERATOR[node.name][1] if node.name in OPERATOR else IS


_OPAQUE_ATOMS = {"Function", "Value", "Subquery", "Exists", "Substring", "Position", "Trim", "Extract", "Array",
                 "Struct", "Tuple", "Ceil", "Floor", "Overlay", "Cast", "CompoundFieldAccess"}  # fmt: skip


def _literal(value: int | float | str | bool | None) -> Tree:
    if value is None:
        return _value("Null")
    if isinstance(value, bool):
        return _value({"Boolean": value})
    if isinstance(value, str):
        return _value({"SingleQuotedString": value})
    if value != value or value in (float("inf"), float("-inf")):
        text = "NaN" if value != value else "inf" if value > 0 else "-inf"
        return {"Cast": {"kind": "Cast", "expr": _value({"SingleQuotedString": text}),
                         "data_type": {"Double": "None"}, "array": False, "format": None}}  # fmt: skip
    text = repr(abs(value))
    number = _value({"Number": [text, False]})
    return {"UnaryOp": {"op": "Minus", "expr": number}} if repr(value).startswith("-") else number


def _value(content: Tree) -> Tree:
    return {"Value": {"value": content, "span": NOWHERE}}


def _token(word: str) -> Tree:
    return {"token": {"Word": {"value": word, "quote_style": None, "keyword": word}}, "span": NOWHERE}
