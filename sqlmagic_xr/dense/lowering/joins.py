"""FROM and WHERE: relations joined on their axes, and restricted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...relation.columns import Field, Nested
from ...relation.conditions import conjuncts
from ...relation.facts import equalities, using_pairs
from ...relation.names import Name
from ...relation.nodes import Filtering, Join, Leaf, Opaque, Scan, Select, Shared, Values
from ...relation.nodes import Relation as Query
from ...sql.expression import Call, Expression, Literal, Parameter
from ..node import INTEGERS, Graph, Node, Refused, Type, Value
from ..tables import TableShape
from .bound import LoweringCatalog
from .narrowing import conditions_inside, fixings_inside, select_of
from .outer import extended
from .relation import LoweredRelation, cross, equate, restrict
from .safely import plain
from .scalar import Scalars
from .scans import Fixing, Scans, equal_columns, equations, fixed_by, fixing


class Queries(Protocol):
    """What FROM asks of the lowering around it."""

    graph: Graph
    scans: Scans
    known: LoweringCatalog
    changing: Collection[Name]

    def relation(self, query: Query) -> LoweredRelation:
        """The relation that a query is."""

    def select(self, select: Select, also: Sequence[Expression]) -> LoweredRelation:
        """The rows of a SELECT with further conditions on what it reads."""

    def constant(self, expression: Expression) -> Value:
        """The value of an expression without columns."""

    def scalars(self, relation: LoweredRelation) -> Scalars:
        """Lowers the expressions over a relation."""

    def among(self, relation: LoweredRelation, nested: Nested) -> Node:
        """Where ``value IN (query)`` is true."""


_KEYS = INTEGERS | {"label"}


@dataclass(eq=False)
class Factor:
    """A relation of FROM.

    Attributes:
        leaf: what is bound.
        types: the type of each of its columns; None for one that arrays do not hold.
        table: of a table, whose rows are chosen when all conditions are known.
        relation: of anything else.
        outer: whether rows before it without a partner are kept (LEFT JOIN).
        on: the conditions of ON; also those of the joins whose right side begins with it.
        using: the columns that USING says are equal.
        fixings: what is known of the values of its columns.
    """

    leaf: Leaf
    types: Mapping[str, Type | None]
    table: TableShape | None = None
    relation: LoweredRelation | None = None
    outer: bool = False
    on: tuple[Expression, ...] = ()
    using: tuple[tuple[Field, Field], ...] = ()
    fixings: list[Fixing] = field(default_factory=list)

    def may_be_null(self, name: str) -> bool:
        """Whether a column holds NULL somewhere."""
        if self.table is not None and isinstance(self.leaf, Scan):
            return self.leaf.column(name) in self.table.nulls
        assert self.relation is not None
        return any(column.name == name and column.value.valid is not None for column in self.relation.columns)


Factors = Mapping[Query, Factor]
"""The relations of a FROM by what their columns are bound to, in their order."""


def joined(queries: Queries, reader: Filtering, also: Sequence[Expression]) -> LoweredRelation:
    """The rows of FROM and WHERE, which are looked at together: what fixes a key is part of the scan.

    Args:
        queries: the lowering around.
        reader: the SELECT, GROUP BY or window that reads them.
        also: further conditions.

    Raises:
        Refused: with the first reason.
    """
    factors: dict[Query, Factor] = {factor.leaf: factor for factor in _factors(queries, reader.source)}
    for factor in factors.values():
        factor.on = tuple(_plain(factors, on, factor) for on in factor.on)
    conditions = [_plain(factors, condition) for condition in conjuncts(reader.condition)]
    conditions += [on for f in factors.values() if not f.outer for on in f.on]
    conditions += [more for more in also if more not in conditions]
    _fix(factors, reader, conditions)
    found = LoweredRelation((), ())
    for factor in factors.values():
        right, used = _rows(queries, factor, conditions)
        conditions = [c for c in conditions if not any(c is u for u in used)]
        if factor.outer:
            on = [c for c in factor.on if not any(c is u for u in used)]
            found = extended(queries.graph, found, right, on, factor.using, queries.scalars)
        else:
            found = cross(queries.graph, found, right)
            for left, other in factor.using:
                found = _equal(queries, found, found.resolve(left), found.resolve(other))
    return _filtered(queries, found, conditions)


def divided(queries: Queries, select: Select) -> list[Expression]:
    """Conditions each of which leaves a part of the rows that a SELECT reads, and together all; () where it is one.

    A network's weights are one grid for each layer: a query over all of them is one query for each.
    """
    if not any(queries.known.falls_apart(leaf) for leaf in select.source.visible):
        return []
    factors: dict[Query, Factor] = {factor.leaf: factor for factor in _factors(queries, select.source)}
    conditions = [*conjuncts(select.condition), *(on for f in factors.values() if not f.outer for on in f.on)]
    _fix(factors, select, conditions)
    for factor in factors.values():
        if factor.table is not None and isinstance(factor.leaf, Scan) and not factor.outer:
            fixed, _ = fixed_by(factor.table, factor.fixings, queries.constant)
            parts = factor.table.parts.get(frozenset(fixed))
            if parts is not None:
                column = Field(factor.leaf, factor.leaf.called(parts.column))
                return [Call("=", (column, Literal(value))) for value in parts.values]
    return []


# The relations


def _factors(queries: Queries, source: Query) -> Iterator[Factor]:
    """The relations of a FROM, one behind the other."""
    match source:
        case Join():
            before, behind = (source.right, source.left) if source.kind == "right" else (source.left, source.right)
            yield from _factors(queries, before)
            first, *others = _factors(queries, behind)
            _join(source, first, alone=not others)
            yield first
            yield from others
        case Values(rows=((),)):
            pass
        case Scan():
            yield _scanned(queries, source)
        case Shared() if source.kind != "working":
            relation = queries.relation(source.query).called(source)
            yield Factor(source, {c.name: c.value.type for c in relation.columns}, relation=relation)
        case Opaque():
            raise queries.known.refusal(source)
        case _:
            raise Refused("this part of FROM is not array code", source.span)


def _plain(factors: Factors, condition: Expression, own: Factor | None = None) -> Expression:
    """A condition of WHERE, or of a relation's own ON, without what it says of NULLs that there are not."""

    def may_be_null(column: Field) -> bool:
        owner = factors.get(column.relation)
        return owner is None or (owner.outer and owner is not own) or owner.may_be_null(column.name)

    return plain(condition, may_be_null)


def _join(join: Join, factor: Factor, *, alone: bool) -> None:
    """Say of the first relation of a join's right side how it is joined with those before it.

    A RIGHT JOIN is a LEFT JOIN from the other side, so it is its left side that is joined.
    """
    if join.kind == "full":
        raise Refused("Full join is not array code", join.span)
    using = tuple(pair[::-1] if join.kind == "right" else pair for pair in using_pairs(join))
    if len(using) < len(join.using):
        raise Refused(f"USING ({', '.join(join.using)}) does not name one column of each side", join.span)
    outer = join.kind in ("left", "right")
    if not alone and (using or outer):
        raise Refused("this part of FROM is not array code", join.span)
    factor.outer, factor.on, factor.using = outer, (*factor.on, *conjuncts(join.on)), using


def _scanned(queries: Queries, scan: Scan) -> Factor:
    made = queries.known.made(scan.table.name)
    if made is not None:
        relation = made.called(scan)
        return Factor(scan, {c.name: c.value.type for c in relation.columns}, relation=relation)
    table = queries.known.grid(scan.table.name)
    return Factor(scan, {n or "": kind for n, kind in zip(scan.names, table.columns.values(), strict=True)}, table)


def _rows(
    queries: Queries, factor: Factor, conditions: Sequence[Expression]
) -> tuple[LoweredRelation, list[Expression]]:  # fmt: skip
    """A factor's rows, and the conditions that are part of the scan, or of what is read."""
    leaf = factor.leaf
    if factor.table is None or not isinstance(leaf, Scan):
        assert factor.relation is not None
        return _narrowed(queries, factor, factor.relation, () if factor.outer else conditions)
    fixed, used = fixed_by(factor.table, factor.fixings, queries.constant)
    return queries.scans.scan(leaf.table.name, factor.table, fixed).called(leaf), used


def _narrowed(
    queries: Queries, factor: Factor, rows: LoweredRelation, conditions: Sequence[Expression]
) -> tuple[LoweredRelation, list[Expression]]:  # fmt: skip
    """The rows of a subquery, a CTE or a view, what chooses among them being said inside it."""
    leaf, select = factor.leaf, select_of(factor.leaf)
    if select is None:
        return rows, []
    keys = [each for each in factor.fixings if factor.types[each.column.name] in _KEYS]
    fixed = list(fixings_inside(leaf, select, keys))
    others = [c for c in conditions if not any(c is each.condition for each in factor.fixings)]
    still = not any(scan.op == "scan" and scan.data.table in queries.changing for scan in rows.scans)
    chosen = list(conditions_inside(leaf, select, others, queries.scalars(rows), still=still))
    if not fixed and not chosen:
        return rows, []
    found = queries.select(select, [inside for inside, _ in (*fixed, *chosen)]).called(leaf)
    return found, [*(f.condition for _, f in fixed if f.condition is not None), *(c for _, c in chosen)]


# What fixes a key


def _fix(factors: Factors, reader: Filtering, conditions: Sequence[Expression]) -> None:
    """Give each factor what the conditions say about its columns.

    An outer join's own condition chooses among the rows of its relation; those of the others do not, since a row
    without a partner is there all the same, and it chooses none of the rows before it.
    """
    classes = _classes(factors, reader)
    for condition in conditions:
        found = fixing(condition)
        owner = None if found is None else _inner(factors, found.column)
        if found is None or owner is None:
            continue
        owner.fixings.append(found)
        for group in classes:
            for column in group if found.column in group else ():
                if column != found.column:
                    factors[column.relation].fixings.append(Fixing(column, found.value, None))
    for condition in conditions:
        found = _followed(factors, condition)
        owner = None if found is None else _inner(factors, found.column)
        if found is not None and owner is not None:
            owner.fixings.append(found)
    for factor in factors.values():
        if factor.outer:
            _fix_outer(factors, factor)


def _inner(factors: Factors, column: Field) -> Factor | None:
    """The relation of a column, unless it is that of an outer join, or stands outside."""
    owner = factors.get(column.relation)
    return None if owner is None or owner.outer else owner


def _followed(factors: Factors, condition: Expression) -> Fixing | None:
    """``before.step = cur.step - 1`` where ``cur.step`` is fixed: so is ``before.step``, and no more is said."""
    for column, other in equations(condition):
        if isinstance(column, Field) and isinstance(other, Call):
            value = _settled(factors, column.relation, other)
            if value is not None:
                return Fixing(column, value, condition)
    return None


def _settled(factors: Factors, mine: Query, expression: Expression) -> Expression | None:
    """An expression with constants for the columns of other relations, all of which must be fixed."""
    if isinstance(expression, Field):
        owner = _inner(factors, expression)
        if owner is None or owner.leaf is mine or owner.types[expression.name] != "int64":
            return None
        return _value(owner, expression)
    if isinstance(expression, Call) and expression.name not in ("+", "-", "*"):
        return None
    if not isinstance(expression, (Call, Literal, Parameter)):
        return None
    parts = [_settled(factors, mine, part) for part in expression.parts]
    return None if None in parts else expression.rebuilt([part for part in parts if part is not None])


def _value(owner: Factor, column: Field) -> Expression | None:
    return next((f.value for f in owner.fixings if f.column == column), None)


def _fix_outer(factors: Factors, factor: Factor) -> None:
    """What ON says about the columns of an outer join's relation, in rows whose own columns are fixed."""
    pairs = list(factor.using)
    for condition in factor.on:
        found = fixing(condition) or _followed(factors, condition)
        if found is not None and found.column.relation is factor.leaf:
            factor.fixings.append(found)
        pairs += equal_columns(condition)
    for mine, theirs in pairs:
        owner = _inner(factors, mine)
        if owner is None or theirs.relation is not factor.leaf or owner.types[mine.name] not in _KEYS:
            continue
        factor.fixings += [Fixing(theirs, f.value, None) for f in owner.fixings if f.column == mine]


def _classes(factors: Factors, reader: Filtering) -> list[dict[Field, None]]:
    """Which columns of whole numbers or texts are equal in every row, in the order in which that is said."""
    groups: list[dict[Field, None]] = []
    for pair in equalities(reader):
        columns = {column: None for column in pair if isinstance(column, Field) and _is_exact(factors, column)}
        if len(columns) == 2:
            touching = [group for group in groups if group.keys() & columns]
            merged = {column: None for group in (*touching, columns) for column in group}
            groups = [group for group in groups if group not in touching] + [merged]
    return groups


def _is_exact(factors: Factors, column: Field) -> bool:
    owner = _inner(factors, column)
    return owner is not None and owner.types[column.name] in _KEYS


# Joins


def _equal(queries: Queries, relation: LoweredRelation, left: Value, right: Value) -> LoweredRelation:
    if left.cells is right.cells and left.valid is right.valid is None and left.type in INTEGERS:
        return relation
    aligned = equate(queries.graph, relation, left, right)
    if aligned is not None:
        return aligned
    scalars = queries.scalars(relation)
    return restrict(queries.graph, relation, scalars.holds(scalars.compare("=", left, right)))


def _filtered(queries: Queries, relation: LoweredRelation, conditions: Sequence[Expression]) -> LoweredRelation:
    """Equalities of axes first, then those that look one up, then all other conditions."""
    later = []
    for condition in conditions:
        pair = _columns(relation, condition)
        if pair and all(v.cells.op == "coordinate" for v in pair):
            relation = _equal(queries, relation, *pair)
        else:
            later.append(condition)
    rest = []
    for condition in later:
        pair = _columns(relation, condition)
        if pair and (any(v.cells.op == "coordinate" for v in pair) or pair[0] == pair[1]):
            relation = _equal(queries, relation, *pair)
        else:
            rest.append(condition)
    for condition in rest:
        if isinstance(condition, Nested) and condition.kind == "in":
            holds = queries.among(relation, condition)
        else:
            holds = queries.scalars(relation).condition(condition)
        relation = restrict(queries.graph, relation, holds)
    return relation


def _columns(relation: LoweredRelation, condition: Expression) -> tuple[Value, Value] | None:
    """The values of the two columns that a condition says are equal."""
    for left, right in equal_columns(condition):
        return relation.resolve(left), relation.resolve(right)
    return None
