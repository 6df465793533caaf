"""The algebra of scalar expressions: frozen values that calculations work on.

Operators and functions are one thing here, a :class:`Call`: ``x + 1`` is ``Call("+", (x, 1))`` and ``exp(x)`` is
``Call("exp", (x,))``. Parentheses, letter case and spans are no part of a value: equal texts are equal
values. What calculations have no use for (LIKE, subqueries, intervals, ...) stays a tree inside an
:class:`Verbatim` and goes back to SQL as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import Span
from .syntax import Tree, span_of


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
class Verbatim(Expression):
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
    window: Verbatim | None = field(default=None, repr=False)
    order: Verbatim | None = field(default=None, repr=False)

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

    def results(self, made: Sequence[Any]) -> list[Any]:
        """Of what was made of the parts, what was made of the values: those of the branches, and of the ELSE."""
        ends = 2 * len(self.branches)
        return [*made[1:ends:2], *(made[ends : ends + 1] if self.default is not None else ())]

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
    type: Verbatim
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
