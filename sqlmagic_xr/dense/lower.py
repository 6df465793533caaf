"""Queries as relations over named arrays: SELECT, joins, GROUP BY, CTEs, subqueries, UNION ALL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..sql.expression import Call, Column, Expression, Literal, Opaque, Parameter, descend, from_tree
from ..sql.syntax import Tree, identifier, name_of, span_of
from .clauses import Item, conjuncts, group_keys, join_condition, relabel, star
from .node import FLOATS, Axis, Graph, Node, Refused, Type, Value
from .relation import Grouping, Named, Relation, cross, equate, is_aggregate, restrict
from .scalar import Scalars, Special
from .tables import Read, Table, Tables
from .window import row_number

Scope = Mapping[str, Relation]
"""The relations that WITH, or an earlier statement of the step, has named."""


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
    graph: Graph = field(default_factory=Graph)
    writes: dict[tuple[str, ...], list[Sequence[Mapping[str, Node]] | None]] = field(default_factory=dict)

    def parts(self, query: Tree, scope: Scope) -> list[Relation]:
        """The relations whose rows together are those of a query (the inside of a ``Query`` node).

        Raises:
            Refused: with the first reason.
        """
        for clause in ("order_by", "limit_clause", "fetch", "for_clause", "locks", "pipe_operators"):
            if query.get(clause):
                raise Refused(clause.split("_")[0].upper() + " is not array code", span_of(query[clause]))
        scope = self._with(query.get("with"), scope)
        return list(self._bodies(query["body"], scope))

    def relation(self, query: Tree, scope: Scope) -> Relation:
        """The one relation that a query is."""
        found = self.parts(query, scope)
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

    def _bodies(self, body: Tree, scope: Scope) -> Iterator[Relation]:
        ((kind, inner),) = body.items()
        if kind == "Select":
            yield self._select(inner, scope)
        elif kind == "Query":
            yield from self.parts(inner, scope)
        elif kind == "SetOperation" and inner["op"] == "Union" and inner["set_quantifier"] == "All":
            yield from self._bodies(inner["left"], scope)
            yield from self._bodies(inner["right"], scope)
        else:
            raise Refused(f"{kind} is not array code", span_of(body))

    # SELECT

    def _select(self, select: Tree, scope: Scope) -> Relation:
        for clause in ("distinct", "top", "lateral_views", "connect_by", "cluster_by", "sort_by", "named_window",
                       "distribute_by", "into", "value_table_mode", "prewhere", "exclude"):  # fmt: skip
            if select.get(clause):
                raise Refused(f"{clause.replace('_', ' ').upper()} is not array code", span_of(select))
        where = [] if select["selection"] is None else list(conjuncts(from_tree(select["selection"])))
        relation = self._from(select["from"], where, scope)
        items = self._items(select["projection"], relation)
        keys = group_keys(select["group_by"], items)
        having = None if select["having"] is None else from_tree(select["having"])
        computed = [e for _, e, _ in items if e is not None] + ([having] if having is not None else [])
        if keys is None and having is None and not any(is_aggregate(e) for x in computed for e in descend(x)):
            scalars = self._scalars(relation, scope)
            columns = [(name, value or scalars.lower(e)) for name, e, value in items]  # type: ignore[arg-type]
        else:
            relation, columns = self._grouped(relation, items, keys, having, scope)
        result = replace(relation, columns=tuple(Named((), n, v) for n, v in columns), shared=frozenset())
        if select["qualify"] is not None:
            raise Refused("QUALIFY is not array code", span_of(select["qualify"]))
        return result

    def _grouped(
        self, relation: Relation, items: Sequence[Item], keys: Sequence[Expression] | None,
        having: Expression | None, scope: Scope,
    ) -> tuple[Relation, list[tuple[str, Value]]]:  # fmt: skip
        inner = self._scalars(relation, scope)
        known = None if keys is None else [inner.lower(key) for key in keys]
        grouping = Grouping(self.graph, relation, inner, known)
        by_text = dict(zip(keys or (), known or (), strict=True))

        def special(expression: Expression) -> Value | None:
            if is_aggregate(expression):
                return grouping.aggregate(expression)  # type: ignore[arg-type]
            if expression in by_text:
                return grouping.column(by_text[expression])
            return self._special(scope)(expression)

        def resolve(column: Column) -> Value:
            return grouping.column(relation.resolve(column))

        outer = Scalars(self.graph, resolve, self.parameters, special)
        columns = [
            (name, grouping.column(value) if value is not None else outer.lower(e))  # type: ignore[arg-type]
            for name, e, value in items
        ]
        result = replace(grouping.grouped, columns=tuple(Named((), n, v) for n, v in columns))
        if having is not None:
            result = restrict(self.graph, result, outer.condition(having))
        return result, [(c.name, c.value) for c in result.columns]

    def _items(self, projection: Sequence[Tree], relation: Relation) -> list[Item]:
        items: list[Item] = []
        for tree in projection:
            if tree == "Wildcard" or "Wildcard" in tree or "QualifiedWildcard" in tree:
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

    def _scalars(self, relation: Relation, scope: Scope) -> Scalars:
        special = self._special(scope, relation)
        return Scalars(self.graph, relation.resolve, self.parameters, special)

    def _special(self, scope: Scope, relation: Relation | None = None) -> Special:
        def special(expression: Expression) -> Value | None:
            if isinstance(expression, Opaque) and isinstance(expression.tree, dict) and "Subquery" in expression.tree:
                return self._subquery(expression.tree["Subquery"], scope)
            if isinstance(expression, Call) and expression.window is not None and relation is not None:
                return row_number(self.graph, relation, expression, self._scalars(relation, scope))
            return None

        return special

    def _subquery(self, query: Tree, scope: Scope) -> Value:
        """A scalar subquery: NULL where it has no row."""
        relation = self.relation(query, scope)
        if relation.axes or len(relation.columns) != 1:
            raise Refused("a subquery that may have several rows", span_of(query))
        value = relation.columns[0].value
        return Value(value.cells, self.graph.both(value.valid, relation.present))

    # FROM

    def _from(self, tables: Sequence[Tree], where: list[Expression], scope: Scope) -> Relation:
        """The rows of FROM and WHERE, which are looked at together: what fixes a key is part of the scan."""
        conditions = list(where)
        joins: list[tuple[Tree, Tree | None]] = []
        for table in tables:
            joins.append((table["relation"], None))
            joins += [(join["relation"], join["join_operator"]) for join in table["joins"]]
        using: list[list[str]] = []
        for _, operator in joins:
            on, names = join_condition(operator)
            conditions += on
            using.append(names)
        aliases = [_alias(factor) for factor, _ in joins]
        relation = Relation((), ())
        for index, (factor, _) in enumerate(joins):
            right = self._factor(factor, aliases, conditions, scope)
            pairs = [(relation, right, name) for name in using[index]]
            relation = self._joined(cross(self.graph, relation, right), len(relation.columns), pairs)
        return self._filtered(relation, conditions, scope)

    def _joined(self, relation: Relation, split: int, pairs: Sequence[tuple[Relation, Relation, str]]) -> Relation:
        """A product of relations, restricted to equal values of the columns of USING."""
        for _, _, name in pairs:
            left = [c for c in relation.columns[:split] if c.name == name]
            right = [c for c in relation.columns[split:] if c.name == name]
            if len(right) != 1 or not left or (len(left) > 1 and name not in relation.shared):
                raise Refused(f"USING ({name}) does not name one column of each side")
            relation = self._equal(relation, left[0].value, right[0].value)
            relation = replace(relation, shared=relation.shared | {name})
        return relation

    def _equal(self, relation: Relation, left: Value, right: Value) -> Relation:
        aligned = equate(self.graph, relation, left, right)
        if aligned is not None:
            return aligned
        scalars = Scalars(self.graph, relation.resolve, self.parameters)
        return restrict(self.graph, relation, scalars.holds(scalars.compare("=", left, right)))

    def _filtered(self, relation: Relation, conditions: Sequence[Expression], scope: Scope) -> Relation:
        """Equalities of axes first, then those that look one up, then all other conditions."""
        later = []
        for condition in conditions:
            pair = self._columns_of(relation, condition)
            if pair and all(v.cells.op == "coordinate" for v in pair):
                relation = self._equal(relation, *pair)
            else:
                later.append(condition)
        rest = []
        for condition in later:
            pair = self._columns_of(relation, condition)
            if pair and any(v.cells.op == "coordinate" for v in pair):
                relation = self._equal(relation, *pair)
            else:
                rest.append(condition)
        for condition in rest:
            relation = restrict(self.graph, relation, self._scalars(relation, scope).condition(condition))
        return relation

    def _columns_of(self, relation: Relation, condition: Expression) -> tuple[Value, Value] | None:
        """The two columns that a condition says are equal."""
        if not (isinstance(condition, Call) and condition.name == "=" and len(condition.args) == 2):
            return None
        left, right = condition.args
        if not (isinstance(left, Column) and isinstance(right, Column)):
            return None
        return relation.resolve(left), relation.resolve(right)

    def _factor(self, factor: Tree, aliases: Sequence[Any], conditions: list[Expression], scope: Scope) -> Relation:
        if "Derived" in factor:
            derived = factor["Derived"]
            if derived["lateral"] or derived["alias"] is None:
                raise Refused("a derived table without a name, or LATERAL", span_of(factor))
            alias = derived["alias"]
            return relabel(self.relation(derived["subquery"], scope), alias).renamed((identifier(alias["name"]),))
        table = factor.get("Table")
        if table is None or table["args"] is not None or table["sample"] or table["version"]:
            raise Refused("this part of FROM is not array code", span_of(factor))
        name = name_of(table["name"])
        alias = table["alias"]
        if alias is not None and alias["columns"]:
            raise Refused("a table alias with columns", span_of(factor))
        qualifier = name if alias is None else (identifier(alias["name"]),)
        if len(name) == 1 and name[0] in scope:
            return scope[name[0]].renamed(qualifier)
        return self._scan(name, qualifier, len(aliases) == 1, conditions, factor).renamed(qualifier)

    def _scan(
        self, name: tuple[str, ...], qualifier: tuple[str, ...], alone: bool, conditions: list[Expression], where: Tree
    ) -> Relation:
        """A table's grid; conditions that fix a column of its key are taken out of ``conditions``."""
        table = self.tables.table(name)
        if table is None:
            raise Refused(f"{'.'.join(name)} has no grid", span_of(where))
        fixed: dict[str, Node] = {}
        for condition in list(conditions):
            found = self._fixes(condition, table, qualifier, alone)
            if found is not None and found[0] not in fixed:
                fixed[found[0]] = found[1]
                conditions.remove(condition)
        key = None if table.key is None else tuple(k for k in table.key if k not in fixed)
        columns = tuple(n for n, kind in table.columns.items() if kind is not None and n not in (table.key or ()))
        version, guards = self._version(name, fixed)
        read = Read(name, version, tuple(fixed), key, columns, table.holes)
        scan = self.graph.make("scan", tuple(fixed.values()), data=read)
        relation = self._scanned(scan, read, table, fixed)
        return replace(relation, scans=(*guards, scan))

    def _version(self, name: tuple[str, ...], fixed: Mapping[str, Node]) -> tuple[int, tuple[Node, ...]]:
        """How many writes a scan may see, and what must hold so that it does not see the others.

        A generation is written at ``:next_step`` and read at ``:k``: as long as the two differ, the rows that are read
        are those that were there before.
        """
        guards: list[Node] = []
        for place, parts in reversed(list(enumerate(self.writes.get(name, ())))):
            apart = [self._apart(part, fixed) for part in parts] if parts is not None else [None]
            if None in apart:
                return place + 1, tuple(guards)
            guards += [guard for guard in apart if guard is not None]
        return 0, tuple(guards)

    def _apart(self, part: Mapping[str, Node], fixed: Mapping[str, Node]) -> Node | None:
        """What says that the rows written are none of those read; None where they may be."""
        for column, wanted in fixed.items():
            written = part.get(column)
            if written is not None and written is not wanted and {written.type, wanted.type} == {"int64"}:
                return self.graph.make("differ", (written, wanted), (), "boolean")
        return None

    def _scanned(self, scan: Node, read: Read, table: Table, fixed: Mapping[str, Node]) -> Relation:
        make = self.graph.make
        names = ("",) if read.key is None else read.key
        axes = tuple(Axis(make("axis", (scan,), data=place)) for place in range(len(names)))
        columns = []
        for name, kind in table.columns.items():
            if kind is None:
                continue
            if name in names:
                value = Value(self.graph.coordinate(axes[names.index(name)], kind))
            elif name in fixed:
                value = Value(
                    Scalars(self.graph, _nothing, {}).to(fixed[name], kind) if kind != "label" else fixed[name]
                )
            else:
                valid = make("known", (scan,), axes, "boolean", name) if name in table.nulls else None
                value = Value(make("cells", (scan,), axes, kind, (name, name in table.nulls)), valid)
            columns.append(Named((), name, value))
        present = make("present", (scan,), axes, "boolean") if table.holes else None
        return Relation(axes, tuple(columns), present, scans=(scan,))

    def _fixes(
        self, condition: Expression, table: Table, qualifier: tuple[str, ...], alone: bool
    ) -> tuple[str, Node] | None:
        """The column of the key and the scalar that a condition says it equals."""
        if not (isinstance(condition, Call) and condition.name == "=" and len(condition.args) == 2):
            return None
        for column, other in (condition.args, condition.args[::-1]):
            if not isinstance(column, Column) or column.name not in (table.key or ()):
                continue
            mine = column.qualifier == qualifier[-len(column.qualifier) :] if column.qualifier else alone
            if mine and all(isinstance(e, (Literal, Parameter, Call)) for e in descend(other)):
                value = Scalars(self.graph, _nothing, self.parameters).lower(other)
                kind = table.columns[column.name]
                exact = value.type == kind or {value.type, kind} <= {"int32", "int64"}
                if exact and value.valid is None and kind not in FLOATS:
                    return column.name, value.cells
        return None


def _nothing(column: Column) -> Value:
    raise Refused("a column where a constant was expected", column.span)


def _alias(factor: Tree) -> Any:
    return next(iter(factor.values())).get("alias")
