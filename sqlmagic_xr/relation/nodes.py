"""Bound queries as frozen nodes: an algebra of relations over expressions whose columns are bound.

A column is a :class:`Field`: one relation, one of its names. Each reading of a table is a node of its own, so a table
that is joined with itself has two, and ``a.x`` and ``b.x`` are two fields. A node is a value: to change a query is to
build another (:mod:`.change`), which shares what stays. What is not bound with certainty is :class:`Opaque`.

Every node keeps the tree that it was read from; :mod:`.write` gives it back as it was where nothing has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ..errors import Span
from ..sql.expression import Expression
from ..sql.syntax import Tree, span_of
from .catalog import Table
from .columns import Field, Measure, Output, SortKey, UnboundError, fields, subqueries
from .names import Name

Names = tuple[str | None, ...]
"""The names of a relation's columns in order; None for one to which only the engine gives a name."""


@dataclass(frozen=True, eq=False)
class Relation:
    """What all relations have.

    Attributes:
        tree: the piece of the parser's tree that it was read from, or of which it is a changed form.
    """

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

    @cached_property
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

    @cached_property
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
                    grouped = any(isinstance(below, Aggregate) for below in self.inputs)
                    why = "is neither grouped nor aggregated" if grouped else "is of a relation that is out of sight"
                    raise UnboundError(f"{f.name} {why}")

    @cached_property
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

    @cached_property
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

    @cached_property
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

    @cached_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return self._renamed(tuple(f"column{n + 1}" for n in range(len(self.rows[0])))) or ()

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return tuple(e for row in self.rows for e in row)


# ---------------------------------------------------------------------------------------------------------- operators

JoinKind = Literal["cross", "inner", "left", "right", "full"]


@dataclass(frozen=True, eq=False)
class Join(Relation):
    """Two relations side by side; the columns of both stay those of the leaves.

    Attributes:
        kind: which rows without a partner are kept.
        on: the condition, or None.
        using: the names of USING (of a NATURAL JOIN, all common ones), whose columns are equal.
    """

    left: Relation
    right: Relation
    kind: JoinKind = "cross"
    on: Expression | None = None
    using: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if set(self.left.visible) & set(self.right.visible):
            raise UnboundError("one reading of a table stands on both sides of a join")

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        sides = self.left.names, self.right.names
        return None if None in sides else (*(sides[0] or ()), *(sides[1] or ()))

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.left, self.right)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return () if self.on is None else (self.on,)

    @cached_property
    def visible(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (*self.left.visible, *self.right.visible)


@dataclass(frozen=True, eq=False)
class Reader(Relation):
    """A relation over the rows of another for which a condition holds; None for all of them."""

    source: Relation
    condition: Expression | None = None

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.source,)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return () if self.condition is None else (self.condition,)


@dataclass(frozen=True, eq=False)
class Aggregate(Reader):
    """GROUP BY: one row for each group.

    Attributes:
        keys: the group's keys, as columns.
        measures: the aggregates, as columns.
        grouped: whether there is a GROUP BY; without one there is one row in any case.
        sets: whether a row may be in several groups (GROUPING SETS, ROLLUP, CUBE).
        grouping: of such, for each set the places of its keys.
    """

    keys: tuple[Output, ...] = ()
    measures: tuple[Measure, ...] = ()
    grouped: bool = True
    sets: bool = False
    grouping: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        self._check()

    @cached_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return (*(key.name for key in self.keys), *(measure.name for measure in self.measures))

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        computed = (*(k.expression for k in self.keys), *(e for m in self.measures for e in m.expressions))
        return (*super().expressions, *computed)


@dataclass(frozen=True, eq=False)
class Window(Reader):
    """Window functions as further columns beside those of its source."""

    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        self._check()

    @cached_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return tuple(measure.name for measure in self.measures)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return (*super().expressions, *(e for m in self.measures for e in m.expressions))

    @cached_property
    def visible(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (*self.source.visible, self)


@dataclass(frozen=True, eq=False)
class Select(Reader):
    """The columns that a SELECT puts out.

    Attributes:
        outputs: its columns.
        distinct: whether equal rows are one, or the keys of DISTINCT ON.
    """

    outputs: tuple[Output, ...] = ()
    distinct: bool | tuple[Expression, ...] = False

    def __post_init__(self) -> None:
        self._check()

    @cached_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return tuple(output.name for output in self.outputs)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        on = self.distinct if isinstance(self.distinct, tuple) else ()
        return (*super().expressions, *(output.expression for output in self.outputs), *on)


@dataclass(frozen=True, eq=False)
class Sort(Relation):
    """ORDER BY: its keys may use the columns of a SELECT, and those that the SELECT reads."""

    source: Relation
    keys: tuple[SortKey, ...] = ()

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self.source.names

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.source,)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return tuple(key.expression for key in self.keys)

    @cached_property
    def free(self) -> frozenset[Relation]:  # noqa: D102 - see Relation
        read = self.source.source.visible if isinstance(self.source, Select) else ()
        return super().free - set(read)


@dataclass(frozen=True, eq=False)
class Limit(Relation):
    """LIMIT and OFFSET; None where one is not written."""

    source: Relation
    count: Expression | None = None
    skip: Expression | None = None

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self.source.names

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.source,)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return tuple(e for e in (self.count, self.skip) if e is not None)


@dataclass(frozen=True, eq=False)
class Union(Relation):
    """Relations one under the other, or what two have in common; the columns go by their places.

    Attributes:
        parts: two or more; UNION ALL of UNION ALL is one node of all branches.
        operator: "union", "intersect" or "except".
        all: whether equal rows are kept apart.
    """

    parts: tuple[Relation, ...]
    operator: Literal["union", "intersect", "except"] = "union"
    all: bool = True

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self.parts[0].names

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return self.parts


@dataclass(frozen=True, eq=False)
class Recursive(Relation):
    """A recursive CTE: the rows of the anchor, and those of the term for as long as it gives new ones.

    Attributes:
        anchor: the first rows, which name and type the columns.
        term: what is evaluated again and again; it reads the last rows by :class:`Shared` leaves of kind "working".
        name: the CTE's.
        all: UNION ALL; else rows that have been there are dropped.
        renamed: the names that ``WITH name(a, b)`` gives its columns.
    """

    anchor: Relation
    term: Relation
    name: str = ""
    all: bool = True
    renamed: tuple[str, ...] = ()

    @property
    def names(self) -> Names | None:  # noqa: D102 - see Relation
        return self.anchor.names

    @property
    def inputs(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (self.anchor, self.term)


# ------------------------------------------------------------------------------------------------------------- walking


def relations(root: Relation) -> Iterator[Relation]:
    """The relation and all below it, each once, those inside expressions too; the outer ones first."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        nested = [query for e in node.expressions for query in subqueries(e)]
        todo += reversed([*node.inputs, *nested])


def leaves(relation: Relation) -> tuple[Leaf, ...]:
    """The relations of a FROM."""
    return tuple(leaf for leaf in relation.visible if isinstance(leaf, Leaf))
