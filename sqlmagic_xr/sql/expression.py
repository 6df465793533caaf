"""The algebra of scalar expressions: frozen values that calculations work on, to and from the parser's tree.

Operators and functions are one thing here, a :class:`Call`: ``x + 1`` is ``Call("+", (x, 1))`` and ``exp(x)`` is
``Call("exp", (x,))``. Parentheses, letter case and spans are no part of a value: equal texts are equal
values. What calculations have no use for (LIKE, subqueries, intervals, ...) stays a tree inside an
:class:`Opaque` and goes back to SQL as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import ParseError, Span
from .syntax import NOWHERE, Tree, expression_sql, identifier, make_identifier, name_of, parse_one, span_of, walk


@dataclass(frozen=True, eq=False)
class Expression:
    """What all expressions have: parts, a hash that is worked out once, and the place it was read from."""

    origin: Tree = field(default=None, repr=False, kw_only=True)

    @property
    def span(self) -> Span | None:
        """Where the user wrote it; None for an expression that was calculated."""
        return None if self.origin is None else span_of(self.origin)

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions directly inside this one."""
        return ()

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:
        """The same node around other parts, as many and in the same order as in ``parts``."""
        return self

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or hash(self) != hash(other):
            return False
        return _same(self._key, other._key)

    def __hash__(self) -> int:
        cached: int | None = self.__dict__.get("_hash")
        if cached is None:
            settle(self, "_hash", lambda node: hash((type(node).__name__, node._key)))
            cached = self.__dict__["_hash"]
        return cached

    @property
    def _key(self) -> tuple[Any, ...]:
        key: tuple[Any, ...] | None = self.__dict__.get("_fields")
        if key is None:
            key = tuple(getattr(self, name) for name in _compared(self))
            object.__setattr__(self, "_fields", key)
        return key


_COMPARED: dict[Any, tuple[str, ...]] = {}


def _compared(expression: Expression) -> tuple[str, ...]:
    """The names of the parts that make expressions of one class equal, found once for each class."""
    kind: Any = type(expression)
    if kind not in _COMPARED:
        _COMPARED[kind] = tuple(f.name for f in fields(kind) if f.name != "origin")
    return _COMPARED[kind]


@dataclass(frozen=True, eq=False)
class Literal(Expression):
    """A number, a string, a truth value or NULL (None); ``1`` and ``1.0`` differ, as their types do in SQL."""

    value: int | float | str | bool | None

    @property
    def _key(self) -> tuple[Any, ...]:
        return (type(self.value).__name__, repr(self.value))

    @property
    def number(self) -> int | float | None:
        """The value if it is a number, else None (a truth value is none)."""
        return self.value if isinstance(self.value, (int, float)) and not isinstance(self.value, bool) else None


@dataclass(frozen=True, eq=False)
class Column(Expression):
    """A column's name as written: ``("x",)``, ``("t", "x")``, ``("schema", "t", "x")``, folded where unquoted."""

    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The column's own name."""
        return self.path[-1]

    @property
    def qualifier(self) -> tuple[str, ...]:
        """The relation's name in front of it, or ()."""
        return self.path[:-1]


@dataclass(frozen=True, eq=False)
class Parameter(Expression):
    """A placeholder such as ``:lr`` or ``$1``; a constant, whatever value it will have."""

    name: str


@dataclass(frozen=True, eq=False)
class Star(Expression):
    """The star of ``count(*)``."""


@dataclass(frozen=True, eq=False)
class Opaque(Expression):
    """A piece of SQL kept as the parser's tree.

    Attributes:
        tree: the piece; equal trees (spans aside) are equal pieces.
    """

    tree: Tree

    @property
    def _key(self) -> tuple[Any, ...]:
        key: tuple[Any, ...] | None = self.__dict__.get("_fields")
        if key is None:
            key = (_frozen(self.tree),)
            object.__setattr__(self, "_fields", key)
        return key


@dataclass(frozen=True, eq=False)
class Call(Expression):
    """An operator or a function applied to arguments.

    Attributes:
        name: ``"+"``, ``"and"``, ``"is null"``, ``"exp"``, ...: lower case, ``schema.f`` with its schema.
        args: the operands; one for a unary operator.
        distinct: DISTINCT in front of an aggregate's arguments.
        filter: the condition of an aggregate's FILTER.
        window: what stands behind OVER, or None.
        order: the ORDER BY inside an aggregate's parentheses, a list of the parser's trees, or None.
    """

    name: str
    args: tuple[Expression, ...]
    distinct: bool = field(default=False, repr=False)
    filter: Expression | None = field(default=None, repr=False)
    window: Opaque | None = field(default=None, repr=False)
    order: Opaque | None = field(default=None, repr=False)

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102
        return self.args if self.filter is None else (*self.args, self.filter)

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        new = tuple(parts)
        args, filtered = (new, None) if self.filter is None else (new[:-1], new[-1])
        return Call(self.name, args, self.distinct, filtered, self.window, self.order, origin=self.origin)


@dataclass(frozen=True, eq=False)
class Case(Expression):
    """``CASE [operand] WHEN c THEN r ... [ELSE default] END``.

    Attributes:
        branches: the pairs (condition, result).
        default: the ELSE, or None where there is none (NULL).
        operand: the value that a simple CASE compares, or None.
    """

    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression | None = None
    operand: Expression | None = None

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102 - see Expression
        ends = tuple(e for e in (self.default, self.operand) if e is not None)
        return tuple(e for pair in self.branches for e in pair) + ends

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        new = list(parts)
        operand = new.pop() if self.operand is not None else None
        default = new.pop() if self.default is not None else None
        return replace(
            self, branches=tuple(zip(new[::2], new[1::2], strict=True)), default=default, operand=operand
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cast(Expression):
    """``CAST(value AS type)``, ``value::type`` or ``TRY_CAST(value AS type)``.

    Attributes:
        type: the parser's tree of the type.
        kind: "Cast", "DoubleColon" or "TryCast": how it was written.
    """

    value: Expression
    type: Opaque
    kind: str = "Cast"

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102 - see Expression
        return (self.value,)

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        (value,) = parts
        return replace(self, value=value)


def settle(expression: Expression, name: str, value: Callable[[Expression], Any]) -> None:
    """Work out what expressions keep under a name, of the inner parts first; not recursive, since chains are deep."""
    todo = [expression]
    while todo:
        node = todo[-1]
        missing = [part for part in node.parts if name not in part.__dict__]
        if missing and name not in node.__dict__:
            todo += missing
            continue
        todo.pop()
        if name not in node.__dict__:
            object.__setattr__(node, name, value(node))


def _same(a: Any, b: Any) -> bool:
    """Whether the keys of two expressions are equal; not recursive either."""
    todo = [(a, b)]
    while todo:
        one, other = todo.pop()
        if one is other:
            continue
        if isinstance(one, Expression):
            if type(one) is not type(other) or hash(one) != hash(other):
                return False
            todo.append((one._key, other._key))
        elif isinstance(one, tuple) and isinstance(other, tuple):
            if len(one) != len(other):
                return False
            todo += zip(one, other, strict=True)
        elif one != other:
            return False
    return True


def descend(expression: Expression) -> Iterator[Expression]:
    """The expression and all inside it, each distinct object once, the outer ones first.

    >>> [e.name for e in descend(parse("exp(x) + y")) if isinstance(e, (Call, Column))]
    ['+', 'exp', 'x', 'y']
    """
    seen: set[int] = set()
    todo = [expression]
    while todo:
        node = todo.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            todo += reversed(node.parts)


def columns(expression: Expression) -> frozenset[tuple[str, ...]]:
    """The paths of all columns that an expression mentions, those inside opaque pieces too (worked out once)."""
    if "_columns" not in expression.__dict__:
        settle(expression, "_columns", _columns)
    found: frozenset[tuple[str, ...]] = expression.__dict__["_columns"]
    return found


def _columns(expression: Expression) -> frozenset[tuple[str, ...]]:
    cached: frozenset[tuple[str, ...]]
    if isinstance(expression, Column):
        cached = frozenset((expression.path,))
    elif isinstance(expression, Opaque):
        cached = frozenset(tree_columns(expression.tree))
    else:
        inside = [columns(part) for part in expression.parts]
        if isinstance(expression, Call):
            inside += [columns(kept) for kept in (expression.window, expression.order) if kept is not None]
        cached = inside[0] if len(inside) == 1 else frozenset().union(*inside)
    return cached


def tree_columns(tree: Tree) -> Iterator[tuple[str, ...]]:
    """The paths of what a tree mentions as columns, subqueries' own included."""
    for node in walk(tree):
        if "CompoundIdentifier" in node:
            yield tuple(identifier(part) for part in node["CompoundIdentifier"])
        elif isinstance(node.get("Identifier"), dict):
            yield (identifier(node["Identifier"]),)


def bottom_up(
    expression: Expression,
    make: Callable[[Expression, list[Any]], Any],
    done: dict[int, Any],
    parts: Callable[[Expression], Sequence[Expression]] = lambda node: node.parts,
) -> Any:
    """What ``make`` makes of an expression, the inner parts first; not recursive, since a chain of terms is deep.

    Args:
        expression: where to start.
        make: is given each distinct object once, and what was made of its parts.
        done: what was made already, by the id of what it was made of; what is made is added.
        parts: which parts of a node are looked into.
    """
    todo = [expression]
    while todo:
        node = todo[-1]
        if id(node) in done:
            todo.pop()
            continue
        inner = parts(node)
        missing = [part for part in inner if id(part) not in done]
        if missing:
            todo += reversed(missing)
        else:
            todo.pop()
            done[id(node)] = make(node, [done[id(part)] for part in inner])
    return done[id(expression)]


class Made:
    """What one way of making has made of expressions, for those that come later and share parts with them."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._kept: list[Expression] = []  # an id means nothing once its object is gone

    def of(
        self,
        expression: Expression,
        make: Callable[[Expression, list[Any]], Any],
        parts: Callable[[Expression], Sequence[Expression]] = lambda node: node.parts,
    ) -> Any:
        """What ``make`` makes of an expression, see :func:`bottom_up`; always the same ``make`` and ``parts``."""
        self._kept.append(expression)
        return bottom_up(expression, make, self._done, parts)


def replace_parts(expression: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """An expression in which ``change`` has replaced parts, the inner ones first; shared parts stay shared.

    Args:
        expression: where to start.
        change: is given every node, its parts changed already; returns what stands in its place, or None to keep it.
    """

    def made(node: Expression, parts: list[Expression]) -> Expression:
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        new = node if same else node.rebuilt(parts)
        changed = change(new)
        return new if changed is None else changed

    found: Expression = bottom_up(expression, made, {})
    return found


def unique(
    expression: Expression, one: dict[Expression, Expression], done: dict[int, Expression] | None = None
) -> Expression:
    """The expression with one object for each of its distinct parts, so that comparing them is quick.

    Args:
        expression: any expression.
        one: the parts that there are already; what is new is added.
        done: what was visited, by its id, for whoever calls this with several expressions and keeps them.
    """

    def made(node: Expression, parts: list[Expression]) -> Expression:
        same = all(a is b for a, b in zip(parts, node.parts, strict=True))
        new = node if same else node.rebuilt(parts)
        return one.setdefault(new, new)

    found: Expression = bottom_up(expression, made, {} if done is None else done)
    return found


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


def to_sql(expression: Expression) -> str:
    """The SQL text of an expression, with the parentheses it needs.

    >>> to_sql(parse("(a+b) * (c*d) - (e - f)"))
    '(a + b) * (c * d) - (e - f)'
    """
    return expression_sql(to_tree(expression))


# ---------------------------------------------------------------------------------------------- from and to the tree

# sqlparser's name of an operator -> (SQL, how tightly it binds, as sqlparser reads it)
_BINARY = {
    "Or": ("or", 5), "And": ("and", 10),
    "Eq": ("=", 20), "NotEq": ("<>", 20), "Lt": ("<", 20), "LtEq": ("<=", 20), "Gt": (">", 20), "GtEq": (">=", 20),
    "BitwiseOr": ("|", 21), "BitwiseXor": ("^", 22), "BitwiseAnd": ("&", 23),
    "Plus": ("+", 30), "Minus": ("-", 30),
    "Multiply": ("*", 40), "Divide": ("/", 40), "Modulo": ("%", 40), "StringConcat": ("||", 40),
}  # fmt: skip
_POSTFIX = {
    "IsNull": "is null", "IsNotNull": "is not null", "IsTrue": "is true", "IsNotTrue": "is not true",
    "IsFalse": "is false", "IsNotFalse": "is not false", "IsUnknown": "is unknown", "IsNotUnknown": "is not unknown",
}  # fmt: skip
_DISTINCT = {"IsDistinctFrom": "is distinct from", "IsNotDistinctFrom": "is not distinct from"}
_ROUNDING = {"Ceil": "ceil", "Floor": "floor"}

_OPERATOR = {sql: (name, strength) for name, (sql, strength) in _BINARY.items()}
_POSTFIX_TREE = {sql: name for name, sql in _POSTFIX.items()}
_DISTINCT_TREE = {sql: name for name, sql in _DISTINCT.items()}
_NOT, _IS, _UNARY, _ATOM = 15, 17, 45, 100
_NESTED_LEFT = {20}  # a comparison of a comparison is written with parentheses on either side

OPERATORS = frozenset(_OPERATOR) | frozenset(_POSTFIX_TREE) | frozenset(_DISTINCT_TREE) | {
    "not", "between", "not between", "in", "not in",
}  # fmt: skip
"""The names of calls that are operators, not functions."""


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
    if kind in _POSTFIX:
        return Call(_POSTFIX[kind], (from_tree(body),), origin=tree)
    if kind in _DISTINCT:
        return Call(_DISTINCT[kind], (from_tree(body[0]), from_tree(body[1])), origin=tree)
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
    while isinstance(body, dict) and isinstance(body["op"], str) and body["op"] in _BINARY:
        links.append((tree, body))
        tree = body["left"]
        body = tree.get("BinaryOp") if isinstance(tree, dict) else None
    found = from_tree(tree) if links else None
    for link, inner in reversed(links):  # a chain of terms leans to the left
        assert found is not None
        found = Call(_BINARY[inner["op"]][0], (found, from_tree(inner["right"])), origin=link)
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
        return Call(_ROUNDING[kind], (from_tree(body["expr"]),), origin=tree)

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


def to_tree(expression: Expression) -> Tree:
    """The parser's tree of an expression, with parentheses where reading it again needs them.

    Shared parts become shared trees, so that the work is that of the distinct parts (the text is written in full).
    """
    return Writer().tree(expression)


class Writer:
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
            case Opaque():
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
            return {"UnaryOp": {"op": "Minus", "expr": self.inside(args[0], _UNARY + 1)}}
        if name == "not":
            return {"UnaryOp": {"op": "Not", "expr": self.inside(args[0], _NOT + 1)}}
        if name in _OPERATOR:
            kind, strength = _OPERATOR[name]
            left = self.inside(args[0], strength + (strength in _NESTED_LEFT))
            return {"BinaryOp": {"left": left, "op": kind, "right": self.inside(args[1], strength + 1)}}
        if name in _POSTFIX_TREE:
            return {_POSTFIX_TREE[name]: self.inside(args[0], 21)}
        if name in _DISTINCT_TREE:
            return {_DISTINCT_TREE[name]: [self.inside(args[0], 21), self.inside(args[1], 21)]}
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
    """How tightly the outermost operator of an expression binds; _ATOM for what needs no parentheses anywhere."""
    if isinstance(node, Literal) and node.number is not None and str(node.number).startswith("-"):
        return _UNARY
    if isinstance(node, Cast):
        return 50 if node.kind == "DoubleColon" else _ATOM
    if isinstance(node, Opaque):
        return 0 if next(iter(node.tree), "") not in _OPAQUE_ATOMS else _ATOM
    if not isinstance(node, Call) or node.name not in OPERATORS:
        return _ATOM
    if node.name in ("-", "not") and len(node.args) == 1:
        return _UNARY if node.name == "-" else _NOT
    return _OPERATOR[node.name][1] if node.name in _OPERATOR else _IS


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


def _frozen(tree: Tree) -> Any:
    """A tree as hashable tuples without its spans and the keywords' spelling."""
    links = []  # a chain of operators leans to the left, and may be thousands long
    while isinstance(tree, dict) and tree.keys() == {"BinaryOp"}:
        body = tree["BinaryOp"]
        links.append(tuple((key, _frozen(body[key])) for key in body if key not in ("left", "span")))
        tree = body["left"]
    if links:
        return ("BinaryOp", _frozen(tree), *links)
    if isinstance(tree, dict):
        kept = (key for key in tree if key != "span" and not key.endswith("_token"))
        return tuple((key, _frozen(tree[key])) for key in kept)
    return tuple(_frozen(value) for value in tree) if isinstance(tree, (list, tuple)) else tree
