"""The parts of bound expressions that stand for relations: a column, a query inside, a piece of SQL; and named ones.

A column is a :class:`Field`: a relation and one of its names; there is none for a name that the relation has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..sql.expression import Call, Expression, Verbatim, descend
from ..sql.syntax import Tree

if TYPE_CHECKING:
    from .nodes import Relation


class UnboundError(ValueError):
    """A column that its relation has not, or a relation that is not in sight where its column is used."""


@dataclass(frozen=True, eq=False)
class Field(Expression):
    """A column of a relation.

    Raises:
        UnboundError: the relation has no such column, or several of that name.
    """

    relation: Relation
    name: str

    def __post_init__(self) -> None:
        if not self.relation.has(self.name):
            raise UnboundError(f"{self.name} is not one column of {type(self.relation).__name__}")


@dataclass(frozen=True, eq=False)
class Nested(Expression):
    """A query inside an expression.

    Attributes:
        kind: ``"scalar"``, ``"exists"`` or ``"in"``.
        query: its rows; what it uses of the query around is free in it.
        operand: what IN looks for.
        negated: NOT EXISTS, NOT IN.
    """

    kind: Literal["scalar", "exists", "in"]
    query: Relation
    operand: Expression | None = None
    negated: bool = False

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102 - see Expression
        return () if self.operand is None else (self.operand,)

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        new = tuple(parts)
        return replace(self, operand=new[0] if new else None)


@dataclass(frozen=True, eq=False)
class Piece(Expression):
    """SQL that calculations have no form for (LIKE, intervals, ...), its columns bound all the same.

    Attributes:
        piece: the parser's tree.
        places: the trees inside it that ``holes`` stand for, in the order of the text.
        holes: what they mean.
    """

    piece: Tree
    places: tuple[Any, ...] = field(default=(), repr=False)
    holes: tuple[Expression, ...] = ()

    @property
    def parts(self) -> tuple[Expression, ...]:  # noqa: D102 - see Expression
        return self.holes

    def rebuilt(self, parts: Iterable[Expression]) -> Expression:  # noqa: D102 - see Expression
        return replace(self, holes=tuple(parts))

    @property
    def _key(self) -> tuple[Any, ...]:
        return (Verbatim(self.piece)._key, self.holes)


@dataclass(frozen=True)
class Output:
    """A column that a SELECT puts out: its name, None where the engine makes one up, and what it is."""

    name: str | None
    expression: Expression
    tree: Tree = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class SortKey:
    """One key of an ORDER BY; ``nulls_first`` is None where it is not written."""

    expression: Expression
    descending: bool = False
    nulls_first: bool | None = None
    tree: Tree = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Measure:
    """An aggregate, or a window function, as a column.

    Attributes:
        name: the column's name inside the node; no user's.
        call: the call, without OVER and without its own ORDER BY.
        order: the ORDER BY in its parentheses, or of its window.
        partition: the PARTITION BY of its window.
        frame: the tree of its window's frame, or None.
        over: whether it has a window.
    """

    name: str
    call: Call
    order: tuple[SortKey, ...] = ()
    partition: tuple[Expression, ...] = ()
    frame: Tree = field(default=None, repr=False)
    over: bool = False

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that it evaluates in a row."""
        return (self.call, *self.partition, *(key.expression for key in self.order))


def fields(expression: Expression) -> Iterator[Field]:
    """The columns that an expression uses, those that nested queries use of their own not among them."""
    return (node for node in descend(expression) if isinstance(node, Field))


def subqueries(expression: Expression) -> Iterator[Relation]:
    """The queries directly inside an expression."""
    return (node.query for node in descend(expression) if isinstance(node, Nested))
