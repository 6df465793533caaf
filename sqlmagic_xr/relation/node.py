"""What all relations of a bound query have, and those that stand in FROM: tables, queries, rows that are written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..errors import Span
from ..properties import kept_property
from ..sql.expression import Expression
from ..sql.syntax import Tree, span_of
from .catalog import Table
from .columns import Field, UnboundError, fields, subqueries
from .names import Name

Names = tuple[str | None, ...]
"""The names of a relation's columns in order; None for one to which only the engine gives a name."""


@dataclass(frozen=True, eq=False)
class Relation:
    """What all relations have.

    Attributes:
        tree: the piece of the parser's tree that it was read from, or of which it is a changed form.
    """

    groups: ClassVar[bool] = False  # whether it makes one row of several, whose columns then are out of sight
    tree: Tree = field(default=None, repr=False, kw_only=True)

    @property
    def span(self) -> Span | None:
        """Where the user wrote it."""
        return None if self.tree is None else span_of(self.tree)

    @property
    def names(self) -> Names | None:
        """The names of its columns; None where they are not known."""
        raise NotImplementedError

    @property
    def inputs(self) -> tuple[Relation, ...]:
        """The relations directly below it; those inside its expressions are not among them."""
        return ()

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its own expressions, in the order of evaluation."""
        return ()

    @property
    def visible(self) -> tuple[Relation, ...]:
        """The relations whose columns may be used by what reads this one directly."""
        return (self,)

    @kept_property
    def free(self) -> frozenset[Relation]:
        """The relations outside whose columns it uses: of a correlated subquery, those of the query around."""
        used = {f.relation for e in self.expressions for f in fields(e)}
        for e in self.expressions:
            for nested in subqueries(e):
                used |= nested.free
        own: set[Relation] = {r for below in self.inputs for r in below.visible}
        for below in self.inputs:
            used |= below.free
        return frozenset(used - own)

    def has(self, name: str) -> bool:
        """Whether exactly one of its columns has that name."""
        return name in self._single

    @kept_property
    def _single(self) -> frozenset[str]:
        """The names that exactly one of its columns has."""
        return frozenset(name for name, count in Counter(self.names).items() if count == 1 and name is not None)

    def __getitem__(self, name: str) -> Field:
        return Field(self, name)

    def _check(self) -> None:
        """Refuse a column of a relation that this one reads, but not directly: then it is out of sight."""
        hidden = {r for below in self.inputs for r in below.hidden}
        if not hidden:
            return
        for e in self.expressions:
            for f in fields(e):
                if f.relation in hidden:
                    grouped = any(below.groups for below in self.inputs)
                    why = "is neither grouped nor aggregated" if grouped else "is of a relation that is out of sight"
                    raise UnboundError(f"{f.name} {why}")

    @kept_property
    def hidden(self) -> frozenset[Relation]:
        """The relations below it whose columns are out of sight for what reads it."""
        below = {r for i in self.inputs for r in (*i.visible, *i.hidden)}
        return frozenset(below - set(self.visible))


# ------------------------------------------------------------------------------------------------------------- leaves


@dataclass(frozen=True, eq=False)
class Leaf(Relation):
    """A relation in a FROM.

    Attributes:
        path: its alias, or else its name with catalog and schema; () where nothing qualifies its columns.
        renamed: the names of ``AS t(a, b)``, or ().
    """

    path: Name = ()
    renamed: tuple[str, ...] = ()

    def _renamed(self, own: Names | None) -> Names | None:
        return None if own is None else (*self.renamed, *own[len(self.renamed) :])

    def inner(self, name: str) -> int:
        """The place of the column that it calls so."""
        assert self.names is not None
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class Scan(Leaf):
    """One reading of a table."""

    table: Table = field(kw_only=True)

    @kept_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return self._renamed(tuple(self.table.columns)) or ()

    def column(self, name: str) -> str:
        """The table's own name of a column."""
        return tuple(self.table.columns)[self.inner(name)]

    def called(self, column: str) -> str:
        """The name here of a column of the table's."""
        return self.names[tuple(self.table.columns).index(column)] or ""


SharedKind = Literal["subquery", "cte", "view", "working"]


@dataclass(frozen=True, eq=False)
class Shared(Leaf):
    """One reading of a query under a name: a CTE, a view, a subquery, or the working table of a recursion.

    Attributes:
        query: its rows; of a working table, those of the anchor.
        kind: which of them.
        name: the CTE's or the view's own name.
    """

    query: Relation = field(kw_only=True)
    kind: SharedKind = field(kw_only=True)
    name: Name = field(default=(), kw_only=True)

    @kept_property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self._renamed(self.query.names)

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.query,)


@dataclass(frozen=True, eq=False)
class Opaque(Leaf):
    """What is not bound, with the reason; of a query of which no more is known, ``reads`` may be the least it reads.

    Attributes:
        why: one line.
        reads: the tables that its text names, those that views stand for among them.
    """

    why: str = ""
    reads: frozenset[Name] = frozenset()

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self.renamed or None


@dataclass(frozen=True, eq=False)
class Values(Leaf):
    """Rows that are written out; one row without a column is what a SELECT without FROM reads."""

    rows: tuple[tuple[Expression, ...], ...] = ((),)

    @kept_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return self._renamed(tuple(f"column{n + 1}" for n in range(len(self.rows[0])))) or ()

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return tuple(e for row in self.rows for e in row)


# ---------------------------------------------------------------------------------------------------------- operators
