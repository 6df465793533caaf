"""A query inside an expression that uses columns of the row: its aggregates by those columns, joined with the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...relation import columns as bound
from ...relation import nodes
from ...relation.conditions import conjuncts
from ...relation.facts import nullable
from ...relation.functions import SAME
from ...sql.expression import Call, Case, Column, Expression, Literal, Star, replace_parts
from .blocks import Block, FromLeaf
from .grouping import Group
from .keys import may_be_null
from .refusing import refused, require_free

if TYPE_CHECKING:
    from .reading import BlockReader

Joined = tuple[FromLeaf, tuple[Expression, ...]]

_HOW = "Join it: LEFT JOIN (SELECT ... GROUP BY ...) AS q ON ..."


def value_by_row(reader: BlockReader, part: bound.Nested) -> tuple[list[Joined], Expression]:
    """The value of a query that depends on the row, as a column of a relation that is joined with the rows.

    Args:
        reader: says what columns mean.
        part: the query inside an expression.

    Returns:
        The relations with the conditions of their LEFT JOINs, and the value in each row.

    Raises:
        DerivativeError: a query that depends on the row by more than equalities.
    """
    if part.kind == "in":
        return _among(reader, part)
    joined, value = _by_row(reader, part)
    return [joined], value


def _among(reader: BlockReader, part: bound.Nested) -> tuple[list[Joined], Expression]:
    """IN or NOT IN: whether one of the rows has the value; of NULL it is NULL, where there are rows at all."""
    if nullable(part.query)[0]:
        raise refused("IN over a query that depends on the row has no derivative where its values may be NULL",
                      "Say there that they are not: ... IS NOT NULL.", part)  # fmt: skip
    assert part.operand is not None
    there = replace(part, kind="exists", operand=None, negated=False)
    rows, some = _by_row(reader, there)
    alike, found = _by_row(reader, there, part.operand)
    operand = reader.expression(part.operand)
    unknown = Case(((some, Literal(None)),), Literal(part.negated))
    value = Case(((Call("is null", (operand,)), unknown),), Call("not", (found,)) if part.negated else found)
    return [rows, alike], value


def _by_row(reader: BlockReader, part: bound.Nested, operand: Expression | None = None) -> tuple[Joined, Expression]:
    """The same of one relation; with an operand, whether there is a row whose one column equals it."""
    select, group, source = _parts(part)
    conditions = list(conjuncts(select.condition if group is None else group.condition))
    pairs = [(e, pair) for e in conditions if (pair := _pair(e, part.query.free, part)) is not None]
    said = {e for e, _ in pairs}
    pairs += [] if operand is None else [(operand, (select.outputs[0].expression, operand))]
    around, reader.beside = reader.beside, []
    where: list[Expression] = []
    read = reader.source(source, where)
    where += [reader.expression(e) for e in conditions if e not in said]
    block = reader.taken(Block("by_row", read, tuple(where), {}))
    keys = {f"key_{n}": reader.expression(inner) for n, (_, (inner, _)) in enumerate(pairs)}
    calls = {} if group is None else {m.name: reader.expression(m.call) for m in group.measures}
    block = reader.taken(block)
    reader.beside = around
    require_free(Block("by_row", block.source, (), keys), "A condition of a query inside an expression on", part)
    known = [Call("is not null", (e,)) for e in keys.values() if may_be_null(block, e)]
    one = Group(Block("by_row", block.source, (*block.where, *known), {}), keys)
    if part.kind == "exists":
        count = one.measure(Call("count", (Star(),)), "rows")
        value: Expression = Call("=" if part.negated else ">", (_or_none(count), Literal(0)))
    else:
        assert group is not None
        values = {m: _of(one, e, m) for m, e in calls.items()}
        reader.columns[group] = lambda name: values[name]
        value = reader.expression(select.outputs[0].expression)
    leaf = one.made()
    on = tuple(Call("=", (reader.expression(outer), leaf.column(k)))
               for k, (_, (_, outer)) in zip(keys, pairs, strict=True))  # fmt: skip
    return (leaf, on), value


def _parts(part: bound.Nested) -> tuple[nodes.Select, nodes.Aggregate | None, nodes.Relation]:
    """The SELECT of a query, its aggregates without a GROUP BY, and its FROM."""
    select = part.query.source if isinstance(part.query, nodes.Sort) else part.query
    if not isinstance(select, nodes.Select) or isinstance(select.source, nodes.Window):
        raise refused("a query inside an expression that depends on the row has no derivative in this form", _HOW, part)
    group = select.source if isinstance(select.source, nodes.Aggregate) else None
    source = select.source if group is None else group.source
    grouped = group is not None and (group.grouped or select.condition is not None)
    if select.distinct or grouped or (part.kind == "exists") != (group is None):
        raise refused("a query inside an expression that depends on the row has no derivative in this form", _HOW, part)
    return select, group, source


def _pair(
    condition: Expression, outside: Iterable[nodes.Relation], part: bound.Nested
) -> tuple[Expression, Expression] | None:
    """What a condition says is equal, inside and in the row; None for one that does not depend on the row."""
    outer = set(outside)
    used = {f.relation for f in bound.fields(condition)}
    if used.isdisjoint(outer) and not any(outer & set(q.free) for q in bound.subqueries(condition)):
        return None
    if isinstance(condition, Call) and condition.name == "=":
        for one, other in (condition.args, condition.args[::-1]):
            mine, theirs = ({f.relation for f in bound.fields(e)} for e in (one, other))
            if mine and mine.isdisjoint(outer) and theirs and theirs <= outer:
                return one, other
    raise refused("a query inside an expression depends on the row by more than equalities", _HOW, condition, part)


def _of(group: Group, call: Expression, name: str) -> Expression:
    """An aggregate where it is read, also of no row."""
    assert isinstance(call, Call)
    value = group.measure(call, name.replace(" ", "_"))
    counts = SAME.get(call.name, call.name) in ("count", "regr_count")
    own = {e.path for n, e in ((n, group.column(n)) for n in group.measures) if isinstance(e, Column)
           and isinstance(m := group.measures[n], Call) and m.name == "count"}  # fmt: skip
    if counts:
        return _or_none(value)
    return replace_parts(value, lambda e: _or_none(e) if isinstance(e, Column) and e.path in own else None)


def _or_none(count: Expression) -> Expression:
    """A count, 0 where there is no row."""
    return Call("coalesce", (count, Literal(0)))
