"""FROM and WHERE: relations joined on their axes, and restricted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ...sql.expression import Call, Column, Expression, Literal, Opaque, Parameter, descend
from ...sql.syntax import Tree, identifier, name_of, span_of
from ..node import INTEGERS, Graph, Node, Refused, Type, Value
from ..tables import Name, Table
from .clauses import Joining, equal_columns, equations, joining, relabel
from .outer import extended
from .relation import Relation, cross, equate, restrict
from .scalar import Scalars
from .scans import Fixing, Scans, fixed_by, fixing

Scope = Mapping[str, Relation]
"""The relations that WITH, or an earlier statement of the step, has named."""


class Queries(Protocol):
    """What FROM asks of the lowering around it."""

    graph: Graph

    @property
    def scans(self) -> Scans:
        """Makes the nodes that read tables."""

    def relation(self, query: Tree, scope: Scope) -> Relation:
        """The relation that a query is."""

    def stored(self, name: Name) -> Table | Relation | None:
        """A table, or the relation that a view is."""

    def narrowed(self, query: Tree, scope: Scope, fixed: Fixed) -> Relation | None:
        """The rows of a query in which columns have these values; None where that cannot be said inside it."""

    def narrowed_view(self, name: Name, fixed: Fixed) -> Relation | None:
        """The same of a view."""

    def constant(self, expression: Expression, scope: Scope) -> Value:
        """The value of an expression without columns."""

    def scalars(self, relation: Relation, scope: Scope) -> Scalars:
        """Lowers the expressions over a relation."""

    def among(self, relation: Relation, tree: Tree, scope: Scope) -> Node:
        """Where ``value IN (query)`` is true."""


Fixed = Mapping[str, Expression]
"""Columns of a query and the constants that they shall equal."""


_KEYS = INTEGERS | {"label"}


@dataclass
class Factor:
    """A relation of FROM.

    Attributes:
        qualifier: its alias or name.
        joining: how it is joined with those before it.
        types: the type of each of its columns; None for one that arrays do not hold.
        name, table: of a table, whose rows are chosen when all conditions are known.
        relation: of anything else.
        narrow: gives the rows of a subquery or a view in which columns have some values.
        fixings: what is known of the values of its columns.
    """

    qualifier: Name
    joining: Joining
    types: Mapping[str, Type | None]
    name: Name = ()
    table: Table | None = None
    relation: Relation | None = None
    narrow: Callable[[Fixed], Relation | None] | None = None
    fixings: list[Fixing] = field(default_factory=list)

    def has(self, column: Column) -> bool:
        """Whether a name may mean a column of this relation."""
        mine = self.qualifier[len(self.qualifier) - len(column.qualifier) :] == column.qualifier
        return mine and column.name in self.types


def source(queries: Queries, tables: Sequence[Tree], where: Sequence[Expression], scope: Scope) -> Relation:
    """The rows of FROM and WHERE, which are looked at together: what fixes a key is part of the scan.

    Raises:
        Refused: with the first reason.
    """
    factors = []
    for table in tables:
        factors.append(_factor(queries, table["relation"], None, scope))
        factors += [_factor(queries, j["relation"], j["join_operator"], scope) for j in table["joins"]]
    conditions = [*where, *(on for f in factors if not f.joining.outer for on in f.joining.on)]
    _fix(factors, conditions)
    joined = Relation((), ())
    for factor in factors:
        right, used = _rows(queries, factor, scope)
        conditions = [c for c in conditions if not any(c is u for u in used)]
        if factor.joining.outer:
            on = [c for c in factor.joining.on if not any(c is u for u in used)]
            joined = extended(queries.graph, joined, right, on, factor.joining.using)
        else:
            whole = cross(queries.graph, joined, right)
            joined = _using(queries, whole, len(joined.columns), factor.joining.using)
    # In WHERE and ON the engine takes a column of USING without its table's name for ambiguous; in SELECT it does not.
    found = _filtered(queries, replace(joined, shared=frozenset()), conditions, scope)
    return replace(found, shared=joined.shared)


def _factor(queries: Queries, tree: Tree, operator: Tree | None, scope: Scope) -> Factor:
    how = joining(operator)
    if "Derived" in tree:
        derived = tree["Derived"]
        alias = derived["alias"]
        if derived["lateral"] or alias is None:
            raise Refused("a derived table without a name, or LATERAL", span_of(tree))
        query = derived["subquery"]
        relation = relabel(queries.relation(query, scope), alias)
        narrow = None if alias["columns"] else lambda fixed: queries.narrowed(query, scope, fixed)
        return _known(relation, (identifier(alias["name"]),), how, narrow)
    table = tree.get("Table")
    if table is None or table["args"] is not None or table["sample"] or table["version"]:
        raise Refused("this part of FROM is not array code", span_of(tree))
    name, alias = name_of(table["name"]), table["alias"]
    qualifier = name if alias is None else (identifier(alias["name"]),)
    found = scope.get(name[0]) if len(name) == 1 else None
    known = queries.stored(name) if found is None else found
    if known is None:
        raise Refused(f"{'.'.join(name)} is no table that arrays can hold, or is not there yet", span_of(tree))
    if isinstance(known, Relation):
        renamed = alias is not None and alias["columns"]
        narrow = (lambda fixed: queries.narrowed_view(name, fixed)) if found is None and not renamed else None
        return _known(known if alias is None else relabel(known, alias), qualifier, how, narrow)
    if alias is not None and alias["columns"]:
        raise Refused("a table alias with columns", span_of(tree))
    return Factor(qualifier, how, known.columns, name, known)


def _known(
    relation: Relation, qualifier: Name, how: Joining, narrow: Callable[[Fixed], Relation | None] | None
) -> Factor:
    types = {c.name: c.value.type for c in relation.columns}
    return Factor(qualifier, how, types, relation=relation.renamed(qualifier), narrow=narrow)


def _rows(queries: Queries, factor: Factor, scope: Scope) -> tuple[Relation, list[Expression]]:
    """A factor's rows, and the conditions that are part of the scan."""
    if factor.table is None:
        assert factor.relation is not None
        return _narrowed(factor) or (factor.relation, [])
    fixed, used = fixed_by(factor.table, factor.fixings, lambda e: queries.constant(e, scope))
    return queries.scans.scan(factor.name, factor.table, fixed).renamed(factor.qualifier), used


def _narrowed(factor: Factor) -> tuple[Relation, list[Expression]] | None:
    """The rows of a subquery or a view, what fixes a column being said inside it: it may be the key of a scan there."""
    said: dict[str, Fixing] = {}
    for each in factor.fixings:
        constant = not any(isinstance(e, Opaque) for e in descend(each.value))
        if constant and factor.types[each.column.name] in _KEYS:
            said.setdefault(each.column.name, each)
    if factor.narrow is None or not said:
        return None
    found = factor.narrow({name: each.value for name, each in said.items()})
    used = [each.condition for each in said.values() if each.condition is not None]
    return None if found is None else (found.renamed(factor.qualifier), used)


# What fixes a key


def _fix(factors: Sequence[Factor], conditions: Sequence[Expression]) -> None:
    """Give each factor what the conditions say about its columns.

    An outer join's own condition chooses among the rows of its relation; those of the others do not, since a row
    without a partner is there all the same, and it chooses none of the rows before it.
    """
    inner = [factor for factor in factors if not factor.joining.outer]
    classes = _classes(inner, factors, conditions)
    for condition in conditions:
        found = fixing(condition)
        owner = _owner(factors, found.column) if found is not None else None
        if found is None or owner is None or owner.joining.outer:
            continue
        owner.fixings.append(found)
        for group in classes:
            if (id(owner), found.column.name) in group:
                _spread(inner, group, owner, found)
    for condition in conditions:
        found = _followed(factors, condition)
        owner = None if found is None else _owner(factors, found.column)
        if found is not None and owner is not None and not owner.joining.outer:
            owner.fixings.append(found)
    for factor in factors:
        if factor.joining.outer:
            _fix_outer(factors, factor)


def _followed(factors: Sequence[Factor], condition: Expression) -> Fixing | None:
    """``before.step = cur.step - 1`` where ``cur.step`` is fixed: so is ``before.step``, and no more is said."""
    for column, other in equations(condition):
        owner = _owner(factors, column) if isinstance(column, Column) else None
        if owner is not None and isinstance(column, Column) and isinstance(other, Call):
            value = _settled(factors, owner, other)
            if value is not None:
                return Fixing(column, value, condition)
    return None


def _settled(factors: Sequence[Factor], owner: Factor, expression: Expression) -> Expression | None:
    """An expression with constants for the columns of other relations, all of which must be fixed."""
    if isinstance(expression, Column):
        source = _owner(factors, expression)
        if source is None or source is owner or source.joining.outer or source.types[expression.name] != "int64":
            return None
        return next((f.value for f in source.fixings if f.column.name == expression.name), None)
    if isinstance(expression, Call) and expression.name not in ("+", "-", "*"):
        return None
    if not isinstance(expression, (Call, Literal, Parameter)):
        return None
    parts = [_settled(factors, owner, part) for part in expression.parts]
    return None if None in parts else expression.rebuilt([part for part in parts if part is not None])


def _fix_outer(factors: Sequence[Factor], factor: Factor) -> None:
    """What ON says about the columns of an outer join's relation, in rows whose own columns are fixed."""
    pairs = []
    for name in factor.joining.using:
        earlier = next((f for f in factors if name in f.types), factor)
        pairs.append((Column((*earlier.qualifier, name)), Column((*factor.qualifier, name))))
    for condition in factor.joining.on:
        found = fixing(condition)
        found = found or _followed(factors, condition)
        if found is not None and _owner(factors, found.column) is factor:
            factor.fixings.append(found)
        pairs += equal_columns(condition)
    for mine, theirs in pairs:
        owner = _owner(factors, mine)
        if owner is None or owner is factor or not factor.has(theirs) or owner.types[mine.name] not in INTEGERS:
            continue
        fixed = [f for f in owner.fixings if f.column.name == mine.name and not owner.joining.outer]
        factor.fixings += [Fixing(theirs, f.value, None) for f in fixed]


def _owner(factors: Sequence[Factor], column: Column) -> Factor | None:
    """The one relation whose column a name means."""
    found = [factor for factor in factors if factor.has(column)]
    return found[0] if len(found) == 1 else None


Group = set[tuple[int, str]]
"""Columns that are equal in every row: the factor's id and the column's name."""


def _spread(inner: Sequence[Factor], group: Group, owner: Factor, found: Fixing) -> None:
    """What fixes a column fixes all that equal it."""
    for factor in inner:
        for name in factor.types:
            if (id(factor), name) in group and (factor is not owner or name != found.column.name):
                factor.fixings.append(Fixing(Column((*factor.qualifier, name)), found.value, None))


def _classes(inner: Sequence[Factor], factors: Sequence[Factor], conditions: Iterable[Expression]) -> list[Group]:
    """Which columns of whole numbers the conditions and USING say are equal."""
    pairs: list[Group] = []
    for condition in conditions:
        for columns in equal_columns(condition)[:1]:
            owners = [_owner(factors, column) for column in columns]
            if all(o is not None and not o.joining.outer for o in owners):
                pairs.append({(id(o), c.name) for o, c in zip(owners, columns, strict=True)})
    for place, factor in enumerate(inner):
        for name in factor.joining.using:
            earlier = next((f for f in inner[:place] if name in f.types), None)
            if earlier is not None:
                pairs.append({(id(earlier), name), (id(factor), name)})
    whole = {(id(f), n) for f in inner for n, kind in f.types.items() if kind in INTEGERS}
    groups: list[Group] = []
    for pair in pairs:
        if pair <= whole:
            touching = [group for group in groups if group & pair]
            groups = [g for g in groups if not g & pair] + [pair.union(*touching)]
    return groups


# Joins


def _using(queries: Queries, relation: Relation, split: int, names: Sequence[str]) -> Relation:
    """A product of relations, restricted to equal values of the columns of USING."""
    for name in names:
        left = [c for c in relation.columns[:split] if c.name == name]
        right = [c for c in relation.columns[split:] if c.name == name]
        if len(right) != 1 or not left or (len(left) > 1 and name not in relation.shared):
            raise Refused(f"USING ({name}) does not name one column of each side")
        relation = _equal(queries, relation, left[0].value, right[0].value)
        relation = replace(relation, shared=relation.shared | {name})
    return relation


def _equal(queries: Queries, relation: Relation, left: Value, right: Value) -> Relation:
    if left.cells is right.cells and left.valid is right.valid is None and left.type in INTEGERS:
        return relation
    aligned = equate(queries.graph, relation, left, right)
    if aligned is not None:
        return aligned
    scalars = queries.scalars(relation, {})
    return restrict(queries.graph, relation, scalars.holds(scalars.compare("=", left, right)))


def _filtered(queries: Queries, relation: Relation, conditions: Sequence[Expression], scope: Scope) -> Relation:
    """Equalities of axes first, then those that look one up, then all other conditions."""
    later = []
    for condition in conditions:
        pair = columns_of(relation, condition)
        if pair and all(v.cells.op == "coordinate" for v in pair):
            relation = _equal(queries, relation, *pair)
        else:
            later.append(condition)
    rest = []
    for condition in later:
        pair = columns_of(relation, condition)
        if pair and (any(v.cells.op == "coordinate" for v in pair) or pair[0] == pair[1]):
            relation = _equal(queries, relation, *pair)
        else:
            rest.append(condition)
    for condition in rest:
        if isinstance(condition, Opaque) and isinstance(condition.tree, dict) and "InSubquery" in condition.tree:
            holds = queries.among(relation, condition.tree["InSubquery"], scope)
        else:
            holds = queries.scalars(relation, scope).condition(condition)
        relation = restrict(queries.graph, relation, holds)
    return relation


def columns_of(relation: Relation, condition: Expression) -> tuple[Value, Value] | None:
    """The two columns that a condition says are equal."""
    for left, right in equal_columns(condition):
        return relation.resolve(left), relation.resolve(right)
    return None
