"""Relations that are read as they are: their trees, their keys, and what is known of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...relation import nodes
from ...relation.bind import Cte
from ...relation.catalog import Catalog
from ...relation.facts import always_one_row, key, nullable, types
from ...relation.layers import ColumnType
from ...relation.write import derived, written
from ...sql.build import cte_names
from ...sql.clauses import named_table, numbered
from .blocks import Given
from .refusing import refused, require_steady


@dataclass(frozen=True)
class CellTable:
    """By what derivatives are taken: the columns of a table, or of a query that has a name.

    Attributes:
        table: the table's name, or None.
        query: the query, or None.
        columns: its columns, by its own names.
    """

    table: tuple[str, ...] | None
    query: nodes.Relation | None
    columns: frozenset[str]

    def of(self, relation: nodes.Relation) -> bool:
        """Whether a relation is a reading of it."""
        if isinstance(relation, nodes.Scan):
            return relation.table.name == self.table
        return isinstance(relation, nodes.Shared) and relation.query is self.query


_NAMED = ("cte", "working")


class Givens:
    """Makes of bound relations those that are read as they are.

    Args:
        cells: by what derivatives are taken.
        ctes: the CTEs that may be named where the derivative is written.
        catalog: what tables there are.
    """

    def __init__(self, cells: CellTable, ctes: Mapping[str, Cte], catalog: Catalog) -> None:
        self.cells, self.ctes, self.catalog = cells, ctes, catalog
        self._reading: dict[nodes.Relation, bool] = {}  # asked for each column of a query

    def reads(self, query: nodes.Relation) -> bool:
        """Whether a query reads the cells."""
        if query not in self._reading:
            self._reading[query] = any(map(self.cells.of, nodes.relations(query)))
        return self._reading[query]

    def inner(self, leaf: nodes.Relation, column: str) -> str:
        """The name that a relation itself has for a column that a FROM calls so."""
        if isinstance(leaf, nodes.Scan):
            return leaf.column(column)
        if isinstance(leaf, nodes.Shared):
            names = self._own_names(leaf)
            found = names[leaf.inner(column)]
            if found is not None and names.count(found) == 1:
                return found
        raise refused(f"the column {column} has no name of its own where it is computed",
                      "Give it one: ... AS name.", leaf)  # fmt: skip

    def _own_names(self, leaf: nodes.Shared) -> nodes.Names:
        """The names of its columns where it is defined, or where it is named."""
        named = self._by_name(leaf)
        if named is not None and (self.cells.of(leaf) or not self.reads(leaf)):
            return named
        return leaf.query.names or ()

    def _by_name(self, leaf: nodes.Shared) -> nodes.Names | None:
        """The columns of a CTE, a view or a working table as whoever names it calls them; None where it has no name."""
        if leaf.kind == "view":
            known = self.catalog.table(leaf.name)
            return None if known is None else tuple(known.columns)
        cte = self.ctes.get(leaf.name[0]) if leaf.kind in _NAMED and len(leaf.name) == 1 else None
        if cte is None or cte.query is not leaf.query:
            return None
        return replace(leaf, renamed=cte.renamed).names

    def given(self, leaf: nodes.Relation) -> Given:
        """A relation that is read as it is."""
        self.require_rows(leaf)
        inside = [self.inner(leaf, name) for name in leaf.names or () if name is not None]
        kinds = [kind_of_type(kind) for kind in types(leaf)] or [None] * len(inside)
        named = dict(zip(leaf.names or (), inside, strict=True))
        known, factor, sure = key(leaf), self._factor(leaf), nullable(leaf)
        if self.cells.of(leaf) and known is None:
            factor = self.numbered(leaf)
            known = (row_of(inside),)
            named[known[0]] = known[0]
            inside, kinds, sure = [*inside, known[0]], [*kinds, "integer"], (*sure, False)
        return Given(
            called_so(leaf), factor, dict(zip(inside, kinds, strict=True)),
            frozenset(n for n, null in zip(inside, sure, strict=True) if not null),
            None if known is None else tuple(named[name] for name in known),
            self.cells.columns if self.cells.of(leaf) else frozenset(), always_one_row(leaf), _may_sum(leaf),
        )  # fmt: skip

    def numbered(self, leaf: nodes.Relation, alias: str = "") -> object:
        """A relation without a key in FROM, with the number of each row."""
        columns = [self.inner(leaf, name) for name in leaf.names or () if name is not None]
        return numbered(self._factor(leaf), columns, row_of(columns), alias or called_so(leaf))

    def _factor(self, leaf: nodes.Relation) -> object:
        if isinstance(leaf, nodes.Scan):
            return self._table(leaf.table.name)
        assert isinstance(leaf, nodes.Shared)
        if self._by_name(leaf) is not None:
            return named_table(leaf.name) if leaf.kind in _NAMED else self._table(leaf.name)
        tree = written(leaf.query)
        self.require_seen(leaf.query, cte_names(tree), leaf)
        return derived(tree, called_so(leaf))

    def require_seen(self, query: nodes.Relation, own: set[str], where: object) -> None:
        """Raise DerivativeError where a query's text would mean other relations in the place it is put into."""
        for inside in nodes.relations(query):
            hidden = isinstance(inside, nodes.Scan) and inside.table.name[0] in self.ctes
            if isinstance(inside, nodes.Shared) and inside.kind == "cte" and inside.name[0] not in own:
                hidden = self._by_name(inside) is None
            if hidden:
                raise refused(f"{called_so(inside)} means another relation where the derivative is written",
                              "Give one of them another name.", where)  # fmt: skip

    def _table(self, name: tuple[str, ...]) -> object:
        """A table by its name; with its schema where a CTE has the same."""
        before = name[:-1] or (("public",) if name[0] in self.ctes else ())
        return named_table((*before, name[-1]))

    def require_rows(self, leaf: nodes.Relation) -> None:
        """What is evaluated again on the way back must give the same rows."""
        for node in nodes.relations(leaf):
            if isinstance(node, nodes.Opaque):
                raise refused(f"{called_so(leaf)} is not understood: {node.why}", "Write it in another way.", leaf)
            if isinstance(node, nodes.Limit) and not isinstance(node.source, nodes.Sort):
                raise refused("LIMIT without ORDER BY may take other rows each time", "Add an ORDER BY.", node, leaf)
            for expression in node.expressions:
                require_steady(expression)


def row_of(columns: Sequence[str]) -> str:
    """The name of the column that numbers the rows of a table without a key."""
    name = "row"
    while name in columns:
        name += "_1"
    return name


def kind_of_type(kind: str | None) -> ColumnType | None:
    """What kind of value an Arrow type holds, by its name.

    >>> kind_of_type("int64"), kind_of_type("double"), kind_of_type("decimal128(10, 2)")
    ('integer', 'real', 'decimal')
    """
    if kind is None:
        return None
    for start, found in _KINDS:
        if kind.startswith(start):
            return found
    return "other"


_KINDS: tuple[tuple[str, ColumnType], ...] = (
    ("int", "integer"), ("uint", "integer"), ("double", "real"), ("float", "real"), ("halffloat", "real"),
    ("decimal", "decimal"), ("bool", "boolean"), ("string", "text"), ("large_string", "text"),
    ("dictionary", "text"), ("timestamp", "time"), ("date", "time"), ("time", "time"), ("duration", "time"),
)  # fmt: skip


def called_so(relation: nodes.Relation) -> str:
    """What a relation may be called: its own name, or its alias."""
    if isinstance(relation, nodes.Shared) and relation.name:
        return relation.name[-1]
    if isinstance(relation, nodes.Leaf) and relation.path:
        return relation.path[-1]
    return "rows"


_SUMMING = (nodes.Aggregate, nodes.Window, nodes.Recursive, nodes.Opaque)


def _may_sum(leaf: nodes.Relation) -> bool:
    """Whether a relation may be calculated from sums."""
    return isinstance(leaf, nodes.Shared) and any(isinstance(r, _SUMMING) for r in nodes.relations(leaf.query))
