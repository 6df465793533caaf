"""What is known of a bound query, each fact worked out in one place and kept on its node.

A fact is certain or it is not given: no type is None, no key is None, and every column may be NULL until it is proved
that it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from ..sql.expression import Call, Expression, Literal, descend
from ..sql.remembered import once_a_node
from .catalog import Type
from .columns import Field, Nested, Piece, fields
from .conditions import conjuncts, equal_sides
from .functions import Varies, function
from .nodes import (
    Aggregate,
    Join,
    Limit,
    Recursive,
    Relation,
    Scan,
    Select,
    Shared,
    Sort,
    Union,
    Values,
    Window,
)
from .nullable import may_be_null
from .types import type_of

Key = tuple[str, ...]


# --------------------------------------------------------------------------------------------------- types and NULLs


@once_a_node
def types(relation: Relation) -> tuple[Type | None, ...]:
    """The types of its columns, in order; None for one that is not known."""
    count = len(relation.names or ())
    match relation:
        case Scan():
            return tuple(relation.table.columns.values())
        case Shared():
            return types(relation.query) or (None,) * count
        case Select():
            return tuple(type_of(output.expression, field_type) for output in relation.outputs)
        case Aggregate():
            keys = (type_of(key.expression, field_type) for key in relation.keys)
            return (*keys, *(type_of(m.call, field_type) for m in relation.measures))
        case Window():
            return tuple(type_of(m.call, field_type) for m in relation.measures)
        case Sort() | Limit():
            return types(relation.source)
        case Recursive():
            return types(relation.anchor)
        case Union() | Values():
            rows = map(types, relation.parts) if isinstance(relation, Union) else _row_types(relation)
            return tuple(kinds[0] if len(set(kinds)) == 1 else None for kinds in zip(*rows, strict=False))
        case Join():
            return (*types(relation.left), *types(relation.right))
    return (None,) * count


def _row_types(relation: Values) -> list[list[Type | None]]:
    return [[type_of(cell, field_type) for cell in row] for row in relation.rows]


def field_type(column: Field) -> Type | None:
    """The type of a column."""
    names = column.relation.names or ()
    known = types(column.relation)
    place = names.index(column.name)
    return known[place] if place < len(known) else None


@once_a_node
def nullable(relation: Relation) -> tuple[bool, ...]:
    """Whether its columns may be NULL, in order; an outer join around it may fill them all the same."""
    count = len(relation.names or ())
    match relation:
        case Scan():
            return tuple(name not in relation.table.required for name in relation.table.columns)
        case Shared() if relation.kind != "working":  # whose rows are the anchor's in the first round alone
            return nullable(relation.query) or (True,) * count
        case Select():
            null = _null_in(relation)
            return tuple(may_be_null(output.expression, null) for output in relation.outputs)
        case Aggregate():
            null = _null_in(relation)
            keys = [relation.sets or may_be_null(key.expression, null) for key in relation.keys]
            return (*keys, *(_measure_null(relation, m.call, null) for m in relation.measures))
        case Sort() | Limit():
            return nullable(relation.source)
        case Union():
            sides = list(map(nullable, relation.parts))
            return sides[0] if relation.operator != "union" else tuple(map(any, zip(*sides, strict=True)))
        case Values():
            cells = [[may_be_null(cell, _null_of(frozenset())) for cell in row] for row in relation.rows]
            return tuple(map(any, zip(*cells, strict=True)))
    return (True,) * count


def filled_by(relation: Relation) -> frozenset[Relation]:
    """The relations in a FROM whose columns an outer join may fill with NULL."""
    if not isinstance(relation, Join):
        return filled_by(relation.source) if isinstance(relation, Window) else frozenset()
    found = filled_by(relation.left) | filled_by(relation.right)
    if relation.kind in ("left", "full"):
        found |= set(relation.right.visible)
    if relation.kind in ("right", "full"):
        found |= set(relation.left.visible)
    return found


def _null_of(filled: frozenset[Relation]) -> Callable[[Field], bool]:
    return lambda column: column.relation in filled or field_nullable(column)


def _null_in(relation: Select | Aggregate) -> Callable[[Field], bool]:
    """Whether a column may be NULL in a row that a node reads: not where its condition says that it is none."""
    null = _null_of(filled_by(relation.source))
    said = {
        part.args[0] for part in conjuncts(relation.condition) if isinstance(part, Call) and part.name == "is not null"
    }
    return (lambda column: column not in said and null(column)) if said else null


def field_nullable(column: Field) -> bool:
    """Whether a column may be NULL in the rows of its own relation."""
    known = nullable(column.relation)
    place = (column.relation.names or ()).index(column.name)
    return place >= len(known) or known[place]


_OF_ANY_ROW = frozenset({"sum", "avg", "min", "max", "bool_and", "bool_or", "var_pop", "stddev_pop"})
"""Aggregates that have a value where one row has."""


def _measure_null(relation: Aggregate, call: Call, null: Callable[[Field], bool]) -> bool:
    row = function(call.name)
    if row is not None and row.name == "count":
        return False
    # A group that may have no row: DataFusion leaves constants out of GROUP BY, and then has one row in any case.
    whole = relation.sets or not any(True for k in relation.keys for _ in fields(k.expression))
    passes = row is not None and row.name in _OF_ANY_ROW
    return whole or not passes or call.filter is not None or may_be_null(call, null)


# ------------------------------------------------------------------------------------------------ what rows are alike


@once_a_node
def equalities(relation: Relation) -> tuple[tuple[Expression, Expression], ...]:
    """Pairs that are equal, and not NULL, in every row that a node reads: from WHERE, ON and USING of inner joins."""
    conditions: list[Expression] = []
    pairs: list[tuple[Expression, Expression]] = []
    todo: list[Relation] = [relation]
    while todo:
        match todo.pop():
            case Join(kind=kind) as join:
                if kind in ("cross", "inner"):
                    conditions += [join.on] if join.on is not None else []
                    todo += [join.left, join.right]
                    pairs += list(using_pairs(join))
                elif kind == "left":
                    todo.append(join.left)
                elif kind == "right":
                    todo.append(join.right)
            case Select() | Aggregate() | Window() as reader:
                conditions += [reader.condition] if reader.condition is not None else []
                todo += [reader.source] if isinstance(reader.source, (Join, Window)) else []
    return (*pairs, *equal_sides(conditions))


def using_pairs(join: Join) -> Iterator[tuple[Field, Field]]:
    """The columns that USING says are equal."""
    for name in join.using:
        sides = [[leaf for leaf in side.visible if leaf.has(name)] for side in (join.left, join.right)]
        if all(len(side) >= 1 for side in sides):
            yield Field(sides[0][0], name), Field(sides[1][0], name)


def fixed(relation: Relation, keys: Iterable[Expression] = ()) -> frozenset[Field]:
    """The columns in sight of a SELECT, GROUP BY or window that have one value wherever all ``keys`` have one."""
    source = relation.source if isinstance(relation, (Select, Aggregate, Window)) else relation
    found = {key for key in keys if isinstance(key, Field)}
    outside = relation.free
    filled = filled_by(source)
    while True:
        before = len(found)
        for pair in equalities(relation):
            for one, other in (pair, pair[::-1]):
                if isinstance(one, Field) and (other in found or _is_constant(other, outside)):
                    found.add(one)
        for leaf in source.visible:
            if leaf not in filled:
                found |= {Field(leaf, name) for name in constants(leaf) if leaf.has(name)}
            name_row = key(leaf)
            if (
                name_row is not None
                and (name_row or leaf not in filled)
                and all(leaf.has(n) and Field(leaf, n) in found for n in name_row)
            ):
                found |= {Field(leaf, n) for n in leaf.names or () if n is not None and leaf.has(n)}
        if len(found) == before:
            return frozenset(found)


def _is_constant(expression: Expression, outside: Collection[Relation]) -> bool:
    """Whether an expression has one value in all rows: no column, or only those of the query around."""
    for part in descend(expression):
        if isinstance(part, Field) and part.relation not in outside:
            return False
        if isinstance(part, (Nested, Piece)) or (isinstance(part, Call) and function_varies(part) == "call"):
            return False
    return True


@once_a_node
def constants(relation: Relation) -> frozenset[str]:
    """The columns that have one value in all rows."""
    match relation:
        case Shared() if relation.kind != "working":
            return _renamed(relation, constants(relation.query))
        case Select():
            known = fixed(relation)
            return frozenset(o.name for o in relation.outputs if o.name is not None and relation.has(o.name)
                             and (o.expression in known or _is_constant(o.expression, relation.free)))  # fmt: skip
        case Sort() | Limit():
            return constants(relation.source)
    return frozenset()


@once_a_node
def key(relation: Relation) -> Key | None:
    """The columns whose values name a row; () where there is one row at most, None where that is not known."""
    match relation:
        case Scan():
            called = dict(zip(relation.table.columns, relation.names, strict=False))
            own = tuple(str(called[name]) for name in relation.table.key)
            return own or None
        case Shared() if relation.kind != "working":
            found = key(relation.query)
            inside = relation.query.names or ()
            if not found:
                return found
            renamed = [(relation.names or ())[inside.index(name)] for name in found]
            return tuple(n for n in renamed if n is not None) if None not in renamed else None
        case Values():
            return () if len(relation.rows) == 1 else None
        case Aggregate():
            return None if relation.sets else tuple(str(k.name) for k in relation.keys)
        case Select():
            return _select_key(relation)
        case Sort():
            return key(relation.source)
        case Limit():
            one = isinstance(relation.count, Literal) and relation.count.value in (0, 1)
            return () if one else key(relation.source)
        case Union(all=False):
            names = relation.names or ()
            return names if None not in names and len(set(names)) == len(names) else None  # type: ignore[return-value]
    return None


def _select_key(relation: Select) -> Key | None:
    wanted = row_key(relation.source)
    if wanted is None:
        return None
    wanted -= fixed(relation)
    shown = {o.expression: o.name for o in relation.outputs if o.name is not None and relation.has(o.name)}
    if not all(column in shown for column in wanted):
        return None
    return tuple(str(shown[column]) for column in sorted(wanted, key=lambda c: str(shown[c])))


def row_key(source: Relation) -> set[Field] | None:
    """The columns in sight whose values name a row of what is read; None where that is not known."""
    if isinstance(source, Window):
        return row_key(source.source)
    if isinstance(source, Join):
        sides = row_key(source.left), row_key(source.right)
        if sides[0] is None or sides[1] is None:
            return None
        # The rows that an outer join adds are named by one side; its other columns are NULL there.
        return sides[0] | sides[1] if source.kind != "full" or (sides[0] and sides[1]) else None
    found = key(source)
    return None if found is None else {Field(source, name) for name in found}


def one_row(relation: Relation) -> bool:
    """Whether there is one row at most."""
    return key(relation) == ()


@once_a_node
def always_one_row(relation: Relation) -> bool:
    """Whether there is exactly one row, whatever the tables hold."""
    match relation:
        case Values():
            return len(relation.rows) == 1
        case Aggregate():
            return not relation.grouped
        case Select():
            return relation.condition is None and relation.distinct is False and always_one_row(relation.source)
        case Shared():
            return relation.kind != "working" and always_one_row(relation.query)
        case Sort() | Window():
            return always_one_row(relation.source) and getattr(relation, "condition", None) is None
        case Join(kind=kind):
            return kind in ("cross", "left") and all(map(always_one_row, relation.inputs))
    return False


def _renamed(relation: Shared, names: Collection[str]) -> frozenset[str]:
    inside, outside = relation.query.names or (), relation.names or ()
    return frozenset(o for i, o in zip(inside, outside, strict=False) if i in names and o is not None)


def function_varies(call: Call) -> Varies:
    """Whether a call may give another value for equal arguments."""
    row = function(call.name)
    return "never" if row is None else row.varies
