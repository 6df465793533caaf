"""Which relation and column a name means: aliases, CTEs, subqueries, views.

A query is read as layers. A :class:`Scope` is what the names in one SELECT (or UPDATE, ...) may mean: its items, one
for each relation in FROM. An :class:`Item` reads a table of the catalog or a :class:`Query`, whose branches (more than
one in a UNION ALL) have scopes again. Reading is lazy, and nothing in here changes a tree.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

from ..properties import kept_property
from ..sql.expression import Expression, Reader
from ..sql.expression import Literal as Constant
from ..sql.identity import IdentityMap
from ..sql.syntax import NOWHERE, Tree, expression_sql, identifier, name_of, transform, walk
from .scopes import NO_GROUP, BranchOutput, Item, Scope, aggregates, item_key

__all__ = [
    "NO_GROUP",
    "BranchOutput",
    "ColumnType",
    "Environment",
    "Item",
    "KnownTable",
    "LayerCatalog",
    "Query",
    "RelationKind",
    "Scope",
    "aggregates",
    "expression_text",
    "item_key",
]

ColumnType = Literal["integer", "decimal", "real", "boolean", "text", "time", "other"]
"""What kind of value a column holds, as far as reading SQL needs to know; decimals are "real"."""

RelationKind = Literal["xarray", "scratch", "variable", "view", "table"]


@dataclass(frozen=True)
class KnownTable:
    """A table or view as a statement's reader knows it.

    Attributes:
        name: the parts of its name, as the engine folds them.
        columns: column name -> kind of value, in the table's order.
        key: the columns whose values name a row (dims of an xarray table, the PRIMARY KEY), or ().
        kind: where it comes from.
        definition: the query of a view, as a tree; None for anything else.
    """

    name: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    key: tuple[str, ...] = ()
    kind: RelationKind = "table"
    definition: Tree | None = None

    def __eq__(self, other: object) -> bool:
        """Whether a query means the same over it: a star gives the columns in their order."""
        return type(other) is KnownTable and list(self.columns) == list(other.columns) and vars(self) == vars(other)


class LayerCatalog(Protocol):
    """What a reader of SQL asks about tables; ``engine/catalog.py`` answers."""

    def relation(self, name: tuple[str, ...]) -> KnownTable | None:
        """The table or view of that name (``("params",)`` or ``("era5", "surface")``), or None."""


@dataclass
class Environment:
    """What a table's name means: a CTE around it, or else a table of the catalog.

    Attributes:
        catalog: the tables.
        ctes: the CTEs around it.
        within: the ids of the recursive CTEs in whose definition it stands.
        reader: reads the expressions of the statement, each once.
    """

    catalog: LayerCatalog
    ctes: dict[str, Query] = field(default_factory=dict)
    within: frozenset[Query] = frozenset()
    reader: Reader = field(default_factory=Reader)

    def item(self, node: Tree, *, outer: Scope | None, nullable: bool = False) -> Iterator[Item]:
        """The items of one relation in a FROM."""
        ((kind, body),) = node.items()
        if kind == "NestedJoin" and body["alias"] is None:
            yield from self.items([body["table_with_joins"]], outer)
            return
        alias = body.get("alias") if isinstance(body, dict) else None
        path = (identifier(alias["name"]),) if alias else ()
        renamed = tuple(identifier(column["name"]) for column in alias["columns"]) if alias else ()
        if kind == "Derived":
            yield Item(node, path, None, Query(body["subquery"], self, outer), renamed, nullable)
        elif kind == "Table" and body["args"] is None:
            name = name_of(body["name"])
            relation, query = self.table(name)
            yield Item(node, path or name, relation, query, renamed, nullable)
        else:
            yield Item(node, path, None, None, renamed, nullable)

    def table(self, name: tuple[str, ...]) -> tuple[KnownTable | None, Query | None]:
        """What a table's name reads: a table, or the query of a CTE or view."""
        if len(name) == 1 and name[0] in self.ctes:
            return None, self.ctes[name[0]]
        relation = self.catalog.relation(name)
        if relation is None or relation.definition is None:
            return relation, None
        return None, Query(
            _own_copy(relation.definition), Environment(self.catalog, reader=self.reader), None, view=relation
        )

    def items(self, joined: Sequence[Tree], outer: Scope | None) -> list[Item]:
        """The items of a FROM."""
        found: list[Item] = []
        for table in joined:
            first = list(self.item(table["relation"], outer=outer))
            for join in table["joins"]:
                kind = join["join_operator"]
                kind = kind if isinstance(kind, str) else next(iter(kind))
                if kind.startswith(("Right", "Full")):
                    for item in first:
                        item.nullable = True
                first += self.item(join["relation"], outer=outer, nullable=kind.startswith(("Left", "Full")))
            found += first
        return found


class Query:
    """A query as a layer: what it puts out, branch by branch.

    Args:
        tree: its node, ``{"with": ..., "body": ..., ...}``.
        environment: what a table's name means around it.
        outer: the scope around a correlated subquery.
        renamed: the names that ``WITH q(a, b) AS`` gives its columns.
        view: the view whose query it is.

    ``added`` is for whoever adds columns to it: the names that it has then besides ``names``. ``facts`` is for whoever
    asks what its columns are: what was found out, by the fact's and the column's name.
    """

    def __init__(
        self, tree: Tree, environment: Environment, outer: Scope | None = None, *,
        renamed: tuple[str, ...] = (), view: KnownTable | None = None, recursive: str | None = None,
    ) -> None:  # fmt: skip
        self.tree = tree
        self.outer = outer
        self.renamed = renamed
        self.view = view
        self.recursive = recursive
        self.added: dict[str, object] = {}
        self.facts: dict[tuple[str, str], Any] = {}
        within = environment.within if recursive is None else environment.within | {self}
        self.environment = Environment(environment.catalog, dict(environment.ctes), within, environment.reader)
        self._scopes: IdentityMap[Tree, Scope] = IdentityMap()
        self._nested: IdentityMap[Tree, Query] = IdentityMap()
        if recursive is not None:
            self.environment.ctes[recursive] = self
        for cte in (tree["with"] or {}).get("cte_tables", []):
            name = identifier(cte["alias"]["name"])
            columns = tuple(identifier(column["name"]) for column in cte["alias"]["columns"])
            recursively = name if tree["with"]["recursive"] and _mentions(cte["query"], name) else None
            self.environment.ctes[name] = Query(
                cte["query"], self.environment, outer, renamed=columns, recursive=recursively
            )

    @property
    def own_ctes(self) -> Iterator[tuple[Tree, Query]]:
        """Its own CTEs: what each is called, as a tree, and its query."""
        for cte in (self.tree["with"] or {}).get("cte_tables", []):
            yield cte["alias"], self.environment.ctes[identifier(cte["alias"]["name"])]

    @property
    def body(self) -> Tree:
        """Its body: a SELECT, a UNION, VALUES."""
        return self.tree["body"]

    @property
    def behind(self) -> dict[str, Tree]:
        """What stands behind its body, by the clause: ORDER BY, LIMIT and the like."""
        return {clause: tree for clause, tree in self.tree.items() if clause not in ("with", "body")}

    @property
    def given(self) -> bool:
        """Whether its rows are written out (VALUES)."""
        return "Values" in self.tree["body"]

    @kept_property
    def branches(self) -> tuple[Scope, ...] | None:
        """The scopes of its SELECTs that are put one under the other; None where it is anything else."""
        return self._branches(self.tree["body"])

    def scope(self, select: Tree) -> Scope:
        """The scope of a SELECT that stands in the query's body."""
        if select not in self._scopes:
            scope = self._scopes[select] = Scope((), self.environment, self.outer, select)
            scope.items = self.environment.items(select["from"], self.outer)
            for item in scope.items:  # a LATERAL subquery reads its neighbours
                if "Derived" in item.tree and item.tree["Derived"]["lateral"] and item.query is not None:
                    item.query.outer = scope
        return self._scopes[select]

    def nested(self, tree: Tree) -> Query:
        """A query in parentheses that stands in the query's body."""
        if tree not in self._nested:
            self._nested[tree] = Query(tree, self.environment, self.outer)
        return self._nested[tree]

    def _branches(self, body: Tree) -> tuple[Scope, ...] | None:
        ((kind, node),) = body.items()
        if kind == "Select":
            return (self.scope(node),)
        if kind == "Query":
            return self.nested(node).branches
        if kind == "SetOperation" and node["op"] == "Union" and node["set_quantifier"] in ("All", "AllByName"):
            left, right = self._branches(node["left"]), self._branches(node["right"])
            return None if left is None or right is None or node["set_quantifier"] != "All" else (*left, *right)
        return None

    @kept_property
    def first(self) -> Scope | None:
        """The scope of the leftmost SELECT, which names the columns; None where there is none (VALUES)."""
        query, body = self, self.tree["body"]
        while "SetOperation" in body or "Query" in body:
            if "Query" in body:
                query = query.nested(body["Query"])
                body = query.tree["body"]
            else:
                body = body["SetOperation"]["left"]
        return query.scope(body["Select"]) if "Select" in body else None

    @kept_property
    def names(self) -> tuple[str, ...] | None:
        """The names of its columns in order; None where they are not known."""
        if self.view is not None:
            return tuple(self.view.columns)
        if self.first is None:
            values = self.tree["body"].get("Values")
            own = tuple(f"column{i + 1}" for i in range(len(values["rows"][0]))) if values else None
        else:
            outputs = self.first.outputs
            own = None if outputs is None else tuple(o.name or expression_text(o.expression) for o in outputs)
        return None if own is None else (*self.renamed, *own[len(self.renamed) :])

    def output(self, branch: Scope, name: str) -> Expression | None:
        """What a branch computes for a column of the query; None where that is not known."""
        if self.names is None or name not in self.names or branch.outputs is None:
            return None
        place = self.names.index(name)
        return branch.outputs[place].expression if place < len(branch.outputs) else None

    @kept_property
    def constants(self) -> tuple[str, ...]:
        """The columns that have one value in all its rows: those it reads from a relation of one row, for example."""
        if self.branches is None or len(self.branches) != 1 or self.recursive is not None:
            return ()
        scope = self.branches[0]
        fixed = scope.fixed(())
        named = zip(scope.outputs or (), self.names or (), strict=False)
        return tuple(name for output, name in named if scope._place(output.expression) in fixed)

    @kept_property
    def key(self) -> tuple[str, ...] | None:
        """The columns whose values name a row; () where it has one row at most; None where that is not known."""
        limit = self.tree["limit_clause"]
        if limit is not None and "LimitOffset" in limit:
            count = limit["LimitOffset"]["limit"]
            if count is not None and self.environment.reader.read(count) == Constant(1):
                return ()
        values = self.tree["body"].get("Values")
        if values is not None and len(values["rows"]) == 1:
            return ()
        if self.branches is None or len(self.branches) != 1:
            return None
        return self._select_key(self.branches[0])

    def _select_key(self, scope: Scope) -> tuple[str, ...] | None:
        if not scope.items:
            return ()
        grouped = scope.group_keys
        if grouped is None and any(aggregates(node) for node in scope.select["projection"]):
            return ()
        if grouped is not None:
            places = [scope._place(key) for key in grouped]
            wanted = {place for place in places if place is not None}
            if None in places:  # a key that is calculated
                return None
        else:
            fixed = scope.fixed(())
            keys = [item_key(item) for item in scope.items]
            if any(key is None for key in keys):
                return None
            wanted = {
                (item, name) for item, key in zip(scope.items, keys, strict=True) for name in key or ()
            } - fixed  # fmt: skip
        named = zip(scope.outputs or (), self.names or (), strict=False)
        shown = {scope._place(output.expression): name for output, name in named}
        return tuple(shown[place] for place in wanted) if all(place in shown for place in wanted) else None


def expression_text(expression: Expression) -> str:
    """The text of an expression that was read, as its writer wrote it (letter case and spaces aside)."""
    return expression_sql(expression.origin)


def _mentions(query: Tree, name: str) -> bool:
    """Whether a query reads a table of that name: then the CTE is recursive."""
    return any("Table" in node and name_of(node["Table"]["name"]) == (name,) for node in walk(query["body"]))


def _own_copy(definition: Tree) -> Tree:
    """A view's query as a tree of its own, without spans: they would count in another text."""
    known = _COPIES.get(id(definition))
    if known is None or known[0] is not definition:
        if len(_COPIES) >= _REMEMBERED:
            _COPIES.clear()
        known = _COPIES[id(definition)] = definition, _copier(_placeless(definition.get("Query", definition)))
    copy: Tree = known[1]()
    return copy


def _copier(tree: Tree) -> Callable[[], Tree]:
    """What gives a copy of a tree each time; bytes are read some ten times as fast as dictionaries are copied."""
    try:
        return partial(marshal.loads, marshal.dumps(tree))
    except ValueError:  # too deep for it, or with something in it that is not the parser's
        return partial(deepcopy, tree)


def _placeless(query: Tree) -> Tree:
    def change(node: Tree) -> Tree | None:
        return {**node, "span": NOWHERE} if "span" in node else None

    return transform(query, change)


_REMEMBERED = 64  # views; a notebook has fewer
_COPIES: dict[int, tuple[Tree, Callable[[], Tree]]] = {}
