"""Bound queries as frozen nodes: an algebra of relations over expressions whose columns are bound.

A column is a :class:`Field`: one relation, one of its names. Each reading of a table is a node of its own, so a table
that is joined with itself has two, and ``a.x`` and ``b.x`` are two fields. A node is a value: to change a query is to
build another (:mod:`.change`), which shares what stays. What is not bound with certainty is :class:`Opaque`.

Every node keeps the tree that it was read from; :mod:`.write` gives it back as it was where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..properties import kept_property
from ..sql.expression import Expression
from .columns import Measure, Output, SortKey, UnboundError, subqueries
from .node import Leaf, Names, Opaque, Relation, Scan, Shared, SharedKind, Values

__all__ = [
    "Aggregate",
    "Filtering",
    "Join",
    "JoinKind",
    "Leaf",
    "Limit",
    "Names",
    "Opaque",
    "Recursive",
    "Relation",
    "Scan",
    "Select",
    "Shared",
    "SharedKind",
    "Sort",
    "Union",
    "Values",
    "Window",
    "leaves",
    "relations",
]

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

    @kept_property
    def visible(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (*self.left.visible, *self.right.visible)


@dataclass(frozen=True, eq=False)
class Filtering(Relation):
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
class Aggregate(Filtering):
    """GROUP BY: one row for each group.

    Attributes:
        keys: the group's keys, as columns.
        measures: the aggregates, as columns.
        grouped: whether there is a GROUP BY; without one there is one row in any case.
        sets: whether a row may be in several groups (GROUPING SETS, ROLLUP, CUBE).
        grouping: of such, for each set the places of its keys.
    """

    groups: ClassVar[bool] = True
    keys: tuple[Output, ...] = ()
    measures: tuple[Measure, ...] = ()
    grouped: bool = True
    sets: bool = False
    grouping: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        self._check()

    @kept_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return (*(key.name for key in self.keys), *(measure.name for measure in self.measures))

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        computed = (*(k.expression for k in self.keys), *(e for m in self.measures for e in m.expressions))
        return (*super().expressions, *computed)


@dataclass(frozen=True, eq=False)
class Window(Filtering):
    """Window functions as further columns beside those of its source."""

    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        self._check()

    @kept_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return tuple(measure.name for measure in self.measures)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return (*super().expressions, *(e for m in self.measures for e in m.expressions))

    @kept_property
    def visible(self) -> tuple[Relation, ...]:  # noqa: D102 - see Relation
        return (*self.source.visible, self)


@dataclass(frozen=True, eq=False)
class Select(Filtering):
    """The columns that a SELECT puts out.

    Attributes:
        outputs: its columns.
        distinct: whether equal rows are one, or the keys of DISTINCT ON.
    """

    outputs: tuple[Output, ...] = ()
    distinct: bool | tuple[Expression, ...] = False

    def __post_init__(self) -> None:
        self._check()

    @kept_property
    def names(self) -> Names:  # noqa: D102 - see Relation
        return tuple(output.name for output in self.outputs)

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        on = self.distinct if isinstance(self.distinct, tuple) else ()
        return (*super().expressions, *(output.expression for output in self.outputs), *on)


@dataclass(frozen=True, eq=False)
class RowsOf(Relation):
    """Rows of another relation, with its columns."""

    source: Relation

    @property
    def names(self) -> Names | None:
        return self.source.names

    @property
    def inputs(self) -> tuple[Relation, ...]:
        return (self.source,)


@dataclass(frozen=True, eq=False)
class Sort(RowsOf):
    """ORDER BY: its keys may use the columns of a SELECT, and those that the SELECT reads."""

    keys: tuple[SortKey, ...] = ()

    @property
    def expressions(self) -> tuple[Expression, ...]:  # noqa: D102 - see Relation
        return tuple(key.expression for key in self.keys)

    @kept_property
    def free(self) -> frozenset[Relation]:  # noqa: D102 - see Relation
        read = self.source.source.visible if isinstance(self.source, Select) else ()
        return super().free - set(read)


@dataclass(frozen=True, eq=False)
class Limit(RowsOf):
    """LIMIT and OFFSET; None where one is not written."""

    count: Expression | None = None
    skip: Expression | None = None

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
    todo, seen = [root], set[Relation]()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        nested = [query for e in node.expressions for query in subqueries(e)]
        todo += reversed([*node.inputs, *nested])


def leaves(relation: Relation) -> tuple[Leaf, ...]:
    """The relations of a FROM."""
    return tuple(leaf for leaf in relation.visible if isinstance(leaf, Leaf))
