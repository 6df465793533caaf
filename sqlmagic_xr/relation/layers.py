"""Which relation and column a name means: aliases, CTEs, subqueries, views.

A query is read as layers. A :class:`Scope` is what the names in one SELECT (or UPDATE, ...) may mean: its items, one
for each relation in FROM. An :class:`Item` reads a table of the catalog or a :class:`Query`, whose branches (more than
one in a UNION ALL) have scopes again. Reading is lazy, and nothing in here changes a tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from ..errors import UnknownNameError, suggest
from ..sql.expression import Call, Column, Expression, Parameter, Reader
from ..sql.expression import Literal as Constant
from ..sql.syntax import NOWHERE, Tree, expression_sql, identifier, name_of, transform, walk
from .functions import is_aggregate

ColumnType = Literal["integer", "decimal", "real", "boolean", "text", "time", "other"]
"""What kind of value a column holds, as far as reading SQL needs to know; decimals are "real"."""

RelationKind = Literal["xarray", "scratch", "variable", "view", "table"]


@dataclass(frozen=True)
class Relation:
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


class Catalog(Protocol):
    """What a reader of SQL asks about tables; ``engine/catalog.py`` answers."""

    def relation(self, name: tuple[str, ...]) -> Relation | None:
        """The table or view of that name (``("params",)`` or ``("era5", "surface")``), or None."""


@dataclass(eq=False)
class Item:
    """A relation in a FROM, as one use of it: a table that is joined with itself has two.

    Attributes:
        tree: its node, that an error or a change is about.
        path: its alias, or else its name.
        relation: the table it reads, or None.
        query: the query it reads (a subquery, a CTE, a view), or None. Neither of both: its columns are not known.
        renamed: the names of ``AS t(a, b)``, or ().
        nullable: whether an outer join may fill it with NULL.
    """

    tree: Tree
    path: tuple[str, ...]
    relation: Relation | None = None
    query: Query | None = None
    renamed: tuple[str, ...] = ()
    nullable: bool = False

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """Its columns in order, as this FROM calls them; None where they are not known."""
        own = tuple(self.relation.columns) if self.relation else self.query.names if self.query else None
        return None if own is None else (*self.renamed, *own[len(self.renamed) :])

    def inner(self, name: str) -> str:
        """The name that the table or query itself has for a column."""
        own = tuple(self.relation.columns) if self.relation else self.query.names if self.query else None
        if self.renamed and own is not None and name in self.renamed:
            return own[self.renamed.index(name)]
        return name

    def has(self, name: str) -> bool:
        """Whether it has a column of that name; not where its columns are not known."""
        return name in (self.names or ()) or (self.query is not None and name in self.query.added)


@dataclass(frozen=True)
class Output:
    """A column of a query's branch: its name (None where the engine makes one up) and what it is."""

    name: str | None
    expression: Expression


class Scope:
    """What the names in one SELECT, UPDATE, DELETE or MERGE may mean.

    Args:
        items: the relations of its FROM.
        outer: the scope around it, for a correlated subquery.
        select: the SELECT's tree, or None.
        environment: what a table's name means around it.

    ``facts`` is for whoever asks what expressions are here: what was found out, by the fact's name and whatever it is
    about.
    """

    def __init__(
        self, items: Sequence[Item], environment: Environment, outer: Scope | None = None, select: Tree = None
    ) -> None:
        self.items = list(items)
        self.environment = environment
        self.outer = outer
        self.select = select
        self.facts: dict[tuple[str, Any], Any] = {}
        self._found: dict[tuple[str, ...], tuple[Item, str]] = {}
        self._fixed: dict[tuple[Expression, ...], set[tuple[int, str]]] = {}

    def read(self, tree: Tree) -> Expression:
        """The expression that a tree means, read once."""
        return self.environment.reader.read(tree)

    def resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        """The item and the column that a name means, here or in a scope around.

        Raises:
            UnknownNameError: nothing has that column, or more than one relation has.
        """
        if path not in self._found:
            self._found[path] = self._resolve(path)
        return self._found[path]

    def _resolve(self, path: tuple[str, ...]) -> tuple[Item, str]:
        *qualifier, name = path
        items = [item for item in self.items if not qualifier or _means(item, tuple(qualifier))]
        having = [item for item in items if item.has(name)]
        if len(having) > 1 and not self._merged(name):
            raise UnknownNameError(
                f"the column {name} is ambiguous",
                hint=f"Write {' or '.join(f'{item.path[-1]}.{name}' for item in having if item.path)}.",
            )
        if having:
            return having[0], name
        unknown = [item for item in items if item.names is None]
        if len(unknown) == 1:
            return unknown[0], name
        if self.outer is not None:
            try:
                return self.outer.resolve(path)
            except UnknownNameError:
                pass
        known = [n for item in (items or self.items) for n in item.names or ()]
        missing = f"there is no column {'.'.join(path)} here"
        raise UnknownNameError(missing, hint=suggest(name, known) or "There are no columns here.")

    def owns(self, item: Item) -> bool:
        """Whether an item is of this scope itself, not of one around it."""
        return any(item is own for own in self.items)

    def _merged(self, name: str) -> bool:
        """Whether JOIN ... USING (name) or a NATURAL JOIN makes one column of several."""
        natural, using = self.merging
        return natural or name in using

    @cached_property
    def merging(self) -> tuple[bool, frozenset[str]]:
        """Whether there is a NATURAL JOIN, and the names after USING."""
        joins = [node["join_operator"] for node in walk((self.select or {}).get("from", [])) if "join_operator" in node]
        constraints = [next(iter(join.values())) for join in joins if isinstance(join, dict)]
        using = {name_of(n)[-1] for c in constraints if isinstance(c, dict) for n in c.get("Using", [])}
        return "Natural" in [c for c in constraints if isinstance(c, str)], frozenset(using)

    @cached_property
    def outputs(self) -> tuple[Output, ...] | None:
        """The columns that a SELECT puts out, wildcards spelled out; None where they are not known."""
        found: list[Output] = []
        for node in self.select["projection"]:
            ((kind, body),) = node.items()
            if kind == "UnnamedExpr":
                expression = self.read(body)
                found.append(Output(expression.name if isinstance(expression, Column) else None, expression))
            elif kind == "ExprWithAlias":
                found.append(Output(identifier(body["alias"]), self.read(body["expr"])))
            else:
                spelled = self._wildcard(kind, body)
                if spelled is None:
                    return None
                found += spelled
        return tuple(found)

    def _wildcard(self, kind: str, body: Tree) -> list[Output] | None:
        options = body if kind == "Wildcard" else body[1]
        if kind not in ("Wildcard", "QualifiedWildcard") or any(
            options.get(key) is not None for key in ("opt_ilike", "opt_replace", "opt_rename")
        ):
            return None
        hidden = {identifier(node) for key in ("opt_exclude", "opt_except") for node in _identifiers(options.get(key))}
        items = self.items
        if kind == "QualifiedWildcard":
            name = body[0][0]["ObjectName"] if isinstance(body[0], (list, tuple)) else body[0]["ObjectName"]
            items = [item for item in items if _means(item, name_of(name))]
        found: dict[tuple[str, ...], Output] = {}
        for item in items:
            if item.names is None:
                return None
            for column in item.names:
                if column in hidden:
                    continue
                merged = kind == "Wildcard" and len(self.items) > 1 and self._merged(column)
                path = (column,) if merged or not item.path else (*item.path, column)
                found.setdefault(path, Output(column, Column(path)))
        return list(found.values())

    @cached_property
    def aliases(self) -> dict[str, Expression]:
        """The names that the SELECT gives to its columns, for ORDER BY, GROUP BY and HAVING."""
        named = [node["ExprWithAlias"] for node in self.select["projection"] if "ExprWithAlias" in node]
        return {identifier(node["alias"]): self.read(node["expr"]) for node in named}

    @cached_property
    def group_keys(self) -> tuple[Expression, ...] | None:
        """What a SELECT groups by, aliases and positions replaced; None where it does not group."""
        keys = self.select["group_by"].get("Expressions") if self.select is not None else None
        if keys is None or not (keys[0] or keys[1]):
            return None if keys is not None or self.select is None else ()
        found = []
        for node in keys[0]:
            key = self.read(node)
            if isinstance(key, Constant) and isinstance(key.value, int) and self.outputs is not None:
                key = self.outputs[key.value - 1].expression if 0 < key.value <= len(self.outputs) else key
            elif isinstance(key, Column) and len(key.path) == 1 and not any(i.has(key.name) for i in self.items):
                key = self.aliases.get(key.name, key)
            found.append(key)
        return tuple(found)

    @cached_property
    def groups(self) -> bool:
        """Whether a SELECT makes one row of many: by GROUP BY or by an aggregate."""
        parts = (*self.select["projection"], self.select["having"])
        return self.select["group_by"] != NO_GROUP or any(aggregates(part) for part in parts)

    @cached_property
    def equalities(self) -> tuple[tuple[Expression, Expression], ...]:
        """The pairs that every row has equal: from WHERE, and from the ON of inner joins."""
        if self.select is None:
            return ()
        conditions = [self.read(self.select["selection"])] if self.select["selection"] is not None else []
        for node in walk(self.select["from"]):
            join = node.get("join_operator")
            if isinstance(join, dict) and next(iter(join)) in ("Join", "Inner"):
                constraint = next(iter(join.values()))
                if isinstance(constraint, dict) and "On" in constraint:
                    conditions.append(self.read(constraint["On"]))
        pairs = []
        while conditions:
            match conditions.pop():
                case Call("and", (left, right)):
                    conditions += [left, right]
                case Call("=", (left, right)):
                    pairs.append((left, right))
        return tuple(pairs)

    def fixed(self, keys: Sequence[Expression]) -> set[tuple[int, str]]:
        """The columns, as ``(id(item), name)``, that have one value wherever all of ``keys`` have one."""
        if tuple(keys) not in self._fixed:
            self._fixed[tuple(keys)] = self._find_fixed(keys)
        return self._fixed[tuple(keys)]

    def _find_fixed(self, keys: Sequence[Expression]) -> set[tuple[int, str]]:
        fixed = {place for key in keys if (place := self._place(key)) is not None}
        while True:
            before = len(fixed)
            for pair in self.equalities:
                for one, other in (pair, pair[::-1]):
                    place = self._place(one)
                    if place and (isinstance(other, (Constant, Parameter)) or self._place(other) in fixed):
                        fixed.add(place)
            for item in self.items:
                fixed |= {(id(item), name) for name in (item.query.constants if item.query is not None else ())}
                key = item_key(item)
                if key is not None and all((id(item), name) in fixed for name in key):
                    fixed |= {(id(item), name) for name in item.names or ()}
            if len(fixed) == before:
                return fixed

    def _place(self, expression: Expression) -> tuple[int, str] | None:
        if not isinstance(expression, Column):
            return None
        try:
            item, name = self.resolve(expression.path)
        except UnknownNameError:
            return None
        return id(item), name


def item_key(item: Item) -> tuple[str, ...] | None:
    """The columns whose values name a row of an item: () for a relation of one row, None where that is not known."""
    if item.relation is not None:
        return tuple(item.relation.key) or None
    return item.query.key if item.query is not None else None


@dataclass
class Environment:
    """What a table's name means: a CTE around it, or else a table of the catalog.

    Attributes:
        catalog: the tables.
        ctes: the CTEs around it.
        within: the ids of the recursive CTEs in whose definition it stands.
        reader: reads the expressions of the statement, each once.
    """

    catalog: Catalog
    ctes: dict[str, Query] = field(default_factory=dict)
    within: frozenset[int] = frozenset()
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

    def table(self, name: tuple[str, ...]) -> tuple[Relation | None, Query | None]:
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
        renamed: tuple[str, ...] = (), view: Relation | None = None, recursive: str | None = None,
    ) -> None:  # fmt: skip
        self.tree = tree
        self.outer = outer
        self.renamed = renamed
        self.view = view
        self.recursive = recursive
        self.added: dict[str, object] = {}
        self.facts: dict[tuple[str, str], Any] = {}
        within = environment.within if recursive is None else environment.within | {id(self)}
        self.environment = Environment(environment.catalog, dict(environment.ctes), within, environment.reader)
        self._scopes: dict[int, Scope] = {}
        self._nested: dict[int, Query] = {}
        if recursive is not None:
            self.environment.ctes[recursive] = self
        for cte in (tree["with"] or {}).get("cte_tables", []):
            name = identifier(cte["alias"]["name"])
            columns = tuple(identifier(column["name"]) for column in cte["alias"]["columns"])
            recursively = name if tree["with"]["recursive"] and _mentions(cte["query"], name) else None
            self.environment.ctes[name] = Query(
                cte["query"], self.environment, outer, renamed=columns, recursive=recursively
            )

    @cached_property
    def branches(self) -> tuple[Scope, ...] | None:
        """The scopes of its SELECTs that are put one under the other; None where it is anything else."""
        return self._branches(self.tree["body"])

    def scope(self, select: Tree) -> Scope:
        """The scope of a SELECT that stands in the query's body."""
        if id(select) not in self._scopes:
            scope = self._scopes[id(select)] = Scope((), self.environment, self.outer, select)
            scope.items = self.environment.items(select["from"], self.outer)
            for item in scope.items:  # a LATERAL subquery reads its neighbours
                if "Derived" in item.tree and item.tree["Derived"]["lateral"] and item.query is not None:
                    item.query.outer = scope
        return self._scopes[id(select)]

    def nested(self, tree: Tree) -> Query:
        """A query in parentheses that stands in the query's body."""
        if id(tree) not in self._nested:
            self._nested[id(tree)] = Query(tree, self.environment, self.outer)
        return self._nested[id(tree)]

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

    @cached_property
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

    @cached_property
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

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """The columns that have one value in all its rows: those it reads from a relation of one row, for example."""
        if self.branches is None or len(self.branches) != 1 or self.recursive is not None:
            return ()
        scope = self.branches[0]
        fixed = scope.fixed(())
        named = zip(scope.outputs or (), self.names or (), strict=False)
        return tuple(name for output, name in named if scope._place(output.expression) in fixed)

    @cached_property
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
            wanted = {scope._place(key) or (0, "") for key in grouped}
        else:
            fixed = scope.fixed(())
            keys = [item_key(item) for item in scope.items]
            if any(key is None for key in keys):
                return None
            wanted = {
                (id(item), name) for item, key in zip(scope.items, keys, strict=True) for name in key or ()
            } - fixed  # fmt: skip
        named = zip(scope.outputs or (), self.names or (), strict=False)
        shown = {scope._place(output.expression): name for output, name in named}
        return tuple(shown[place] for place in wanted) if all(place in shown for place in wanted) else None


def expression_text(expression: Expression) -> str:
    """The text of an expression that was read, as its writer wrote it (letter case and spaces aside)."""
    return expression_sql(expression.origin)


NO_GROUP: Tree = {"Expressions": ([], [])}


def aggregates(projection: Tree) -> bool:
    """Whether an output holds an aggregate that is no window function (so that without GROUP BY there is one row)."""
    for node in walk(projection):
        call = node.get("Function")
        if isinstance(call, dict) and call["over"] is None and is_aggregate(name_of(call["name"])[-1]):
            return True
    return False


def _means(item: Item, qualifier: tuple[str, ...]) -> bool:
    """Whether a qualifier names an item: its alias, or its table's name with or without the schema."""
    return bool(item.path) and item.path[-len(qualifier) :] == qualifier


def _identifiers(option: Tree) -> Iterator[Tree]:
    """The names in ``EXCLUDE (a, b)`` or ``EXCEPT (a, b)``."""
    return (node for node in walk(option) if "quote_style" in node and "value" in node)


def _mentions(query: Tree, name: str) -> bool:
    """Whether a query reads a table of that name: then the CTE is recursive."""
    return any("Table" in node and name_of(node["Table"]["name"]) == (name,) for node in walk(query["body"]))


def _own_copy(definition: Tree) -> Tree:
    """A view's query as a tree of its own, without spans: they would count in another text."""
    query = definition.get("Query", definition)

    def change(node: Tree) -> Tree | None:
        return {**node, "span": NOWHERE} if "span" in node else None

    return transform(deepcopy(query), change)
