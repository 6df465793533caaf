"""Queries as relations over named arrays: SELECT, joins, GROUP BY, CTEs, subqueries, UNION ALL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ...sql.expression import Call, Column, Expression, Literal, Opaque, descend, from_tree
from ...sql.syntax import Tree, identifier, local_name, span_of
from ..node import Graph, Node, Refused, Type, Value
from ..tables import Name, Table, Tables
from .clauses import Item, conjuncts, group_keys, narrowed, order_keys, relabel, star
from .grouping import Grouping, is_aggregate
from .joins import Fixed, Scope, source
from .newest import extremes, first_row
from .relation import Named, Relation, apart, restrict
from .scalar import Scalars, Special, refuse_failing
from .scans import Scans, no_column
from .window import row_number

Found = TypeVar("Found")


@dataclass
class Lowering:
    """Lowers the queries of a program into one graph.

    Attributes:
        tables: the tables outside.
        parameters: the type of each parameter.
        graph: where the nodes are made.
        writes: what the statements so far have written into each table: for a statement that only adds rows, the
            columns of each part of them that are one scalar; None for any other.
    """

    tables: Tables
    parameters: Mapping[str, Type]
    graph: Graph = field(init=False)
    writes: dict[Name, list[Sequence[Mapping[str, Node]] | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = Graph(self.tables.labels)
        self._made: Scope = {}
        self._views: list[Name] = []

    @property
    def scans(self) -> Scans:
        """Makes the nodes that read tables."""
        return Scans(self.graph, self.writes)

    def parts(self, query: Tree, scope: Scope) -> list[Relation]:
        """The relations whose rows together are those of a query (the inside of a ``Query`` node).

        Args:
            query: the query.
            scope: the tables that earlier statements have made anew.

        Raises:
            Refused: with the first reason.
        """
        self._made, self._views = scope, []
        try:
            return self._parts(query, scope)
        except RecursionError:
            raise Refused("it is nested too deeply for array code") from None

    def _parts(self, query: Tree, scope: Scope) -> list[Relation]:
        for clause in ("fetch", "for_clause", "locks", "pipe_operators"):
            if query.get(clause):
                raise Refused(clause.split("_")[0].upper() + " is not array code", span_of(query[clause]))
        if query["limit_clause"]:
            return [self._select(query["body"]["Select"], scope, rows=first_row(self, query, scope))]
        # Rows have no order but that of the query that is asked; whoever asks sorts what it is given.
        keys = order_keys(query["order_by"])
        scope = self._with(query.get("with"), scope)
        return list(self._bodies(query["body"], scope, keys))

    def relation(self, query: Tree, scope: Scope) -> Relation:
        """The one relation that a query is."""
        found = self._parts(query, scope)
        if len(found) != 1:
            raise Refused("UNION ALL inside a query is no grid", span_of(query))
        return found[0]

    def _with(self, clause: Tree | None, scope: Scope) -> Scope:
        if clause is None:
            return scope
        if clause["recursive"]:
            raise Refused("WITH RECURSIVE is not array code")
        named = dict(scope)
        for cte in clause["cte_tables"]:
            alias = cte["alias"]
            relation = relabel(self.relation(cte["query"], named), alias)
            named[identifier(alias["name"])] = relation
        return named

    def _bodies(self, body: Tree, scope: Scope, order: Sequence[Expression] = ()) -> Iterator[Relation]:
        ((kind, inner),) = body.items()
        if kind == "Select":
            yield self._select(inner, scope, order)
        elif order:
            raise Refused("ORDER BY of a UNION is not array code", order[0].span)
        elif kind == "Query":
            yield from self._parts(inner, scope)
        elif kind == "SetOperation" and inner["op"] == "Union" and inner["set_quantifier"] == "All":
            yield from self._bodies(inner["left"], scope)
            yield from self._bodies(inner["right"], scope)
        else:
            what = {"SetOperation": "UNION, INTERSECT or EXCEPT (UNION ALL apart)"}.get(kind, kind.upper())
            raise Refused(f"{what} is not array code", span_of(body))

    # SELECT

    def _select(
        self, select: Tree, scope: Scope, order: Sequence[Expression] = (), *, rows: Relation | None = None,
        also: Sequence[Expression] = (),
    ) -> Relation:  # fmt: skip
        for clause in ("distinct", "top", "lateral_views", "connect_by", "cluster_by", "sort_by", "named_window",
                       "distribute_by", "into", "value_table_mode", "prewhere", "exclude"):  # fmt: skip
            if select.get(clause):
                raise Refused(f"{clause.replace('_', ' ').upper()} is not array code", span_of(select))
        where = [*also, *(() if select["selection"] is None else conjuncts(from_tree(select["selection"])))]
        found = None if order or also or rows is not None else extremes(self, select, scope)
        if found is not None:
            return found
        relation = rows if rows is not None else source(self, select["from"], where, scope)
        items = self._items(select["projection"], relation)
        keys = group_keys(select["group_by"], items)
        having = None if select["having"] is None else from_tree(select["having"])
        computed = [e for _, e, _ in items if e is not None] + ([having] if having is not None else [])
        if keys is None and having is None and not any(is_aggregate(e) for x in computed for e in descend(x)):
            scalars = self.scalars(relation, scope)
            columns = [(name, value or scalars.lower(e)) for name, e, value in items]  # type: ignore[arg-type]
        else:
            relation, columns, scalars = self._grouped(relation, items, keys, having, scope)
        _check_order(order, [name for name, _ in columns], scalars)
        result = replace(relation, columns=tuple(Named((), n, v) for n, v in columns), shared=frozenset())
        if select["qualify"] is not None:
            raise Refused("QUALIFY is not array code", span_of(select["qualify"]))
        return result

    def _grouped(
        self, relation: Relation, items: Sequence[Item], keys: Sequence[Expression] | None,
        having: Expression | None, scope: Scope,
    ) -> tuple[Relation, list[tuple[str, Value]], Scalars]:  # fmt: skip
        inner = self.scalars(relation, scope)
        known = None if keys is None else [inner.lower(key) for key in keys]
        grouping = Grouping(self.graph, relation, inner, known)
        by_text = dict(zip(keys or (), known or (), strict=True))

        def special(expression: Expression) -> Value | None:
            if is_aggregate(expression):
                return grouping.aggregate(expression)  # type: ignore[arg-type]
            if expression in by_text:
                return grouping.column(by_text[expression])
            return self._special(scope)(expression)

        grouped = [relation.named(key) for key in keys or () if isinstance(key, Column)]

        def resolve(column: Column) -> Value:
            # What is the same in all rows of a group is not enough: SQL wants its name in GROUP BY.
            found = relation.named(column)
            if not any(found is one for one in grouped):
                raise Refused(f"{'.'.join(column.path)} is neither grouped nor aggregated", column.span)
            return grouping.column(found.value)

        outer = Scalars(self.graph, resolve, self.parameters, special)
        if any(value is not None and value not in (known or ()) for _, _, value in items):
            raise Refused("a star in a SELECT with GROUP BY")
        columns = [
            (name, grouping.column(value) if value is not None else outer.lower(e))  # type: ignore[arg-type]
            for name, e, value in items
        ]
        result = replace(grouping.grouped, columns=tuple(Named((), n, v) for n, v in columns))
        if having is not None:
            result = restrict(self.graph, result, outer.condition(having))
        return result, [(c.name, c.value) for c in result.columns], outer

    def _items(self, projection: Sequence[Tree], relation: Relation) -> list[Item]:
        items: list[Item] = []
        for tree in projection:
            if tree == "Wildcard" or "Wildcard" in tree or "QualifiedWildcard" in tree:
                if relation.shared and "QualifiedWildcard" not in tree:
                    raise Refused("a star over USING, whose columns the engine puts in an order of its own")
                items += star(tree, relation)
            elif "ExprWithAlias" in tree:
                body = tree["ExprWithAlias"]
                items.append((identifier(body["alias"]), from_tree(body["expr"]), None))
            elif "UnnamedExpr" in tree:
                expression = from_tree(tree["UnnamedExpr"])
                items.append((expression.name if isinstance(expression, Column) else "", expression, None))
            else:
                raise Refused("this column is not array code", span_of(tree))
        return items

    def scalars(self, relation: Relation, scope: Scope) -> Scalars:
        """Lowers the expressions over a relation."""
        special = self._special(scope, relation)
        return Scalars(self.graph, relation.resolve, self.parameters, special)

    def _special(self, scope: Scope, relation: Relation | None = None) -> Special:
        def special(expression: Expression) -> Value | None:
            if isinstance(expression, Opaque) and isinstance(expression.tree, dict) and "Subquery" in expression.tree:
                return self._subquery(expression.tree["Subquery"], scope)
            if isinstance(expression, Call) and expression.window is not None and relation is not None:
                return row_number(self.graph, relation, expression, self.scalars(relation, scope))
            return None

        return special

    def _subquery(self, query: Tree, scope: Scope) -> Value:
        """A scalar subquery: NULL where it has no row."""
        relation = self.relation(query, scope)
        if relation.axes or len(relation.columns) != 1:
            raise Refused("a subquery that may have several rows", span_of(query))
        value = relation.columns[0].value
        return Value(value.cells, self.graph.both(value.valid, relation.present))

    # What FROM asks

    def stored(self, name: Name) -> Table | Relation | None:
        """A table, or the relation that a view is: its query, which sees none of the CTEs around its name."""
        name = local_name(name)
        if len(name) == 1 and name[0] in self._made:  # a CTE does not hide it where its schema is written
            return self._made[name[0]]
        view = self.tables.view(name)
        return self.tables.table(name) if view is None else self._viewed(name, lambda: self.relation(view, self._made))

    def narrowed_view(self, name: Name, fixed: Fixed) -> Relation | None:
        """The rows of a view in which columns have these values; None where that cannot be said inside it."""
        name = local_name(name)
        view = self.tables.view(name)
        return None if view is None else self._viewed(name, lambda: self.narrowed(view, self._made, fixed))

    def narrowed(self, query: Tree, scope: Scope, fixed: Fixed) -> Relation | None:
        """The rows of a query in which columns have these values; None where that cannot be said inside it."""
        narrower = narrowed(query, fixed)
        return (
            None if narrower is None else self._select(narrower[0], self._with(query["with"], scope), also=narrower[1])
        )

    def _viewed(self, name: Name, lower: Callable[[], Found]) -> Found:
        if name in self._views:
            raise Refused(f"the view {'.'.join(name)} reads itself")
        self._views.append(name)
        try:
            return lower()
        finally:
            self._views.pop()

    def constant(self, expression: Expression, scope: Scope) -> Value:
        """The value of an expression without columns."""
        return Scalars(self.graph, no_column, self.parameters, self._special(scope)).lower(expression)

    def among(self, relation: Relation, tree: Tree, scope: Scope) -> Node:
        """Where ``value IN (query)`` is true: of the query's rows, one has the value; or where NOT IN is."""
        value = self.scalars(relation, scope).lower(from_tree(tree["expr"]))
        rows = self.relation(tree["subquery"], scope)
        if len(rows.columns) != 1:
            raise Refused("IN (query) with several columns", span_of(tree))
        rows = apart(self.graph, relation, rows)
        one = rows.columns[0].value
        if tree["negated"] and one.valid is not None:
            raise Refused("NOT IN (query) whose rows may be NULL", span_of(tree))
        scalars = self.scalars(rows, scope)
        equal = scalars.compare("=", replace(value, valid=None), one)
        pairs = replace(rows, axes=(*relation.axes, *rows.axes))
        found = Grouping(self.graph, pairs, scalars, []).some(relation.axes, equal.cells, one.valid, rows.present)
        found = self.graph.elementwise("not", (found,), "boolean") if tree["negated"] else found
        return scalars.holds(Value(found, value.valid))


def _check_order(order: Sequence[Expression], names: Sequence[str], scalars: Scalars) -> None:
    """Refuse what the engine would refuse to sort by."""
    for key in order:
        if isinstance(key, Column) and not key.qualifier and names.count(key.name) == 1:
            continue
        if isinstance(key, Literal):
            if not (isinstance(key.value, int) and 0 < key.value <= len(names)):
                raise Refused("ORDER BY a constant", key.span)
            continue
        refuse_failing(scalars.lower(key).cells, key)
