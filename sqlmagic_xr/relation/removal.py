"""A relation of one row, whose values are known, taken out of a query: its columns become those values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ..sql.expression import Call, Cast, Expression, Literal, Parameter, Star
from .change import exchanged, without_columns
from .columns import Field, Measure, fields
from .conditions import conjuncts, restricted
from .nodes import Aggregate, Filtering, Join, Leaf, Relation, Select, Sort, Values, Window, relations
from .rebuild import substituted
from .scope import Unsure

SOME_ROW = "some row"
"""The measure by which what was GROUP BY over nothing but constants still has no group without a row."""


def without(
    root: Relation, reader: Filtering, leaf: Leaf, values: Mapping[str, Expression], *,
    used: Collection[Expression] = (), more: Iterable[Expression] = (),
) -> Relation:  # fmt: skip
    """A query without one of its relations, which has one row of these values.

    Args:
        root: the query.
        reader: what reads the relation.
        leaf: the relation.
        values: column -> expression without columns.
        used: the parts of WHERE and ON that the row is known to fulfil.
        more: further conditions on what is left.

    Raises:
        Unsure: the query might then mean something else.
    """
    above = list(_above(root, reader))
    _check(above, leaf)
    source, freed = _taken_out(reader.source, leaf)
    condition = restricted(reader.condition, used, [*(c for c in freed if not _among(c, used)), *more])
    smaller = replace(reader, source=source, condition=condition)
    before, root = root, _put_in(root, reader, smaller)
    known: dict[Expression, Expression] = {leaf[n]: value for n, value in values.items() if leaf.has(n)}
    if isinstance(smaller, Aggregate):
        root = _without_keys(root, smaller, _lost_keys(smaller, known))
    return _without_sort_keys(without_columns(root, known), before)


def is_constant(expression: Expression) -> bool:
    """Whether an expression is one value throughout a statement: literals, parameters, arithmetic on them."""
    match expression:
        case Literal() | Parameter():
            return True
        case Cast(value=value):
            return is_constant(value)
        case Call(name=name, window=None):
            return name in ("+", "-", "*", "/", "%") and all(map(is_constant, expression.args))
    return False


def uses(expression: Expression, leaf: Relation) -> bool:
    """Whether an expression has a column of a relation."""
    return any(field.relation is leaf for field in fields(expression))


def _among(condition: Expression, conditions: Collection[Expression]) -> bool:
    return any(condition is other for other in conditions)


def _above(root: Relation, reader: Relation) -> Iterator[Relation]:
    """A reader and what stands over it in its SELECT, the inner ones first."""
    readers = {node.source: node for node in relations(root) if isinstance(node, (Filtering, Sort))}
    yield reader
    while not isinstance(reader, Sort) and reader in readers:
        found = readers[reader]
        if isinstance(reader, Select) and not isinstance(found, Sort):
            return
        reader = found
        yield reader


def _check(above: Iterable[Relation], leaf: Leaf) -> None:
    """Refuse what would lose its name, its order or its place."""
    for node in above:
        if isinstance(node, Aggregate) and node.sets:
            raise Unsure("GROUP BY with ROLLUP, CUBE or the like")
        if isinstance(node, Window) and any(
            uses(e, leaf) for m in node.measures for e in (*m.partition, *(key.expression for key in m.order))
        ):
            raise Unsure("a window is ordered or partitioned by one of its columns")
        if isinstance(node, Select):
            if isinstance(node.distinct, tuple) and any(uses(e, leaf) for e in node.distinct):
                raise Unsure("DISTINCT ON one of its columns")
            if any(output.name is None and _reaches(output.expression, leaf) for output in node.outputs):
                raise Unsure("a column would lose its name: give it one with AS")


def _reaches(expression: Expression, leaf: Leaf) -> bool:
    """Whether an expression uses a relation, by way of a group too."""
    for field in fields(expression):
        if field.relation is leaf:
            return True
        if isinstance(field.relation, (Aggregate, Window)) and leaf in _below(field.relation):
            return True
    return False


def _below(relation: Relation) -> Iterator[Relation]:
    while isinstance(relation, Filtering):
        relation = relation.source
    yield from relation.visible


# FROM


def _taken_out(source: Relation, leaf: Leaf) -> tuple[Relation, list[Expression]]:
    """FROM without a relation, and the conditions that become free with it.

    Raises:
        Unsure: other joins stand around it.
    """
    if source is leaf:
        return Values(), []
    if not isinstance(source, Join) or source.using or source.kind in ("right", "full"):
        raise Unsure("it stands among outer joins, USING or NATURAL")
    if source.right is leaf:
        _refuse_other(source.left)
        return source.left, list(conjuncts(source.on))
    if source.left is leaf:
        if source.kind == "left":
            raise Unsure("it is the left side of an outer join")
        _refuse_other(source.right)
        return source.right, list(conjuncts(source.on))
    if leaf in source.left.visible:
        _refuse_other(source.right)
        left, freed = _taken_out(source.left, leaf)
        return replace(source, left=left), freed
    if source.kind == "left":
        raise Unsure("it stands among outer joins, USING or NATURAL")
    right, freed = _taken_out(source.right, leaf)
    return replace(source, right=right), freed


def _refuse_other(source: Relation) -> None:
    for node in (source, *_joins(source)):
        if isinstance(node, Join) and (node.using or node.kind in ("right", "full")):
            raise Unsure("it stands among outer joins, USING or NATURAL")


def _joins(source: Relation) -> Iterator[Relation]:
    if isinstance(source, Join):
        for side in source.inputs:
            yield side
            yield from _joins(side)


# GROUP BY and ORDER BY


def _lost_keys(aggregate: Aggregate, known: Mapping[Expression, Expression]) -> Mapping[str, Expression]:
    """The keys of a GROUP BY that become constants, and those that are."""
    found = {str(key.name): _put(key.expression, known) for key in aggregate.keys}
    return {name: value for name, value in found.items() if is_constant(value)}


def without_constant_keys(root: Relation) -> Relation:
    """A query in which nothing is grouped by constants: they are one value in any case."""
    for group in [node for node in relations(root) if isinstance(node, Aggregate) and not node.sets]:
        root = _without_keys(root, group, _lost_keys(group, {}))
    return root


def _put(expression: Expression, known: Mapping[Expression, Expression]) -> Expression:
    return substituted(expression, lambda part: known.get(part) if isinstance(part, Field) else None)


def _without_keys(root: Relation, old: Aggregate, lost: Mapping[str, Expression]) -> Relation:
    """A query whose GROUP BY has these keys no more, which are constants; if none is left, there is one group."""
    if not lost:
        return root
    keys = tuple(key for key in old.keys if key.name not in lost)
    new = replace(old, keys=keys, grouped=bool(keys))
    if not keys:
        count = Measure(SOME_ROW, Call("count", (Star(),)))
        new = replace(new, measures=(*(m for m in old.measures if m.name != SOME_ROW), count))
    root = exchanged(root, lambda node: new if node is old else None, {old[n]: value for n, value in lost.items()})
    if keys:
        return root
    above = next(node for node in relations(root) if isinstance(node, Filtering) and node.source is new)
    some = Call(">", (new[SOME_ROW], Literal(0)))
    having = replace(above, condition=restricted(above.condition, (), [some]))
    return _put_in(root, above, having)


def _without_sort_keys(root: Relation, before: Relation) -> Relation:
    """A query without the keys of ORDER BY that have become constants: a bare number there would name a column."""
    kept = {id(key) for node in relations(before) if isinstance(node, Sort) for key in node.keys}
    for old in [node for node in relations(root) if isinstance(node, Sort)]:
        keys = tuple(key for key in old.keys if id(key) in kept or not is_constant(key.expression))
        if len(keys) < len(old.keys):
            root = _put_in(root, old, replace(old, keys=keys) if keys else old.source)
    return root


def _put_in(root: Relation, old: Relation, new: Relation) -> Relation:
    return exchanged(root, lambda node: new if node is old else None)
