"""Conditions said inside what is read: a view over a trajectory is calculated for one generation and one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...relation.columns import Field, Nested, fields
from ...relation.nodes import Aggregate, Filtering, Leaf, Select, Shared, Sort, Window
from ...relation.nodes import Relation as Query
from ...relation.rebuild import substituted
from ...sql.expression import Call, Expression, Parameter, descend
from ..node import Refused
from .scalar import Scalars
from .scans import Fixing


def select_of(leaf: Leaf) -> Select | None:
    """The SELECT that a leaf reads and that can be given further conditions; None where there is none."""
    if not isinstance(leaf, Shared) or leaf.kind == "working":
        return None
    query = leaf.query.source if isinstance(leaf.query, Sort) else leaf.query
    return query if isinstance(query, Select) and not query.distinct else None


def fixings_inside(leaf: Leaf, select: Select, fixings: Iterable[Fixing]) -> Iterator[tuple[Expression, Fixing]]:
    """What fixes columns of a leaf, as conditions of the rows that its SELECT is made of, each column once.

    Args:
        leaf: the leaf.
        select: what it reads.
        fixings: of its columns.
    """
    said: set[str] = set()
    for each in fixings:
        if each.column.name in said or any(isinstance(e, Nested) for e in descend(each.value)):
            continue
        inside = _inside(leaf, select, Call("=", (each.column, each.value)))
        if inside is not None:
            said.add(each.column.name)
            yield inside, each


def conditions_inside(
    leaf: Leaf, select: Select, conditions: Sequence[Expression], scalars: Scalars, *, still: bool
) -> Iterator[tuple[Expression, Expression]]:  # fmt: skip
    """Conditions about a leaf alone that choose along one of its axes: each inside and as it was written.

    What parameters have no part in comes first, since that is the same at each step.

    Args:
        leaf: the leaf.
        select: what it reads.
        conditions: of the query around.
        scalars: lowers expressions over the leaf's rows.
        still: whether these are the same at each step, so that what a parameter chooses is better chosen of them.
    """
    for condition in sorted(conditions, key=_varies):
        used = list(fields(condition))
        if not used or any(f.relation is not leaf for f in used) or (still and _varies(condition)):
            continue
        if any(isinstance(e, Nested) for e in descend(condition)) or not _chooses(condition, scalars):
            continue
        inside = _inside(leaf, select, condition)
        if inside is not None:
            yield inside, condition


def _varies(condition: Expression) -> bool:
    return any(isinstance(e, Parameter) for e in descend(condition))


def _chooses(condition: Expression, scalars: Scalars) -> bool:
    """Whether a condition chooses positions of one axis, so that there are fewer cells wherever it is said."""
    try:
        return len(scalars.condition(condition).dims) == 1
    except Refused:
        return False


def _inside(leaf: Leaf, select: Select, condition: Expression) -> Expression | None:
    """A condition about a leaf as one of what its SELECT, or the GROUP BY or window below it, reads."""
    outputs = {f: select.outputs[leaf.inner(f.name)].expression for f in fields(condition)}
    made = substituted(condition, lambda part: outputs.get(part) if isinstance(part, Field) else None)
    return _below(select.source, made) if all(isinstance(e, Field) for e in outputs.values()) else None


def _below(source: Query, condition: Expression) -> Expression | None:
    """A condition about the rows of a FROM, a group or a window as one of what is read below; None for no such one."""
    while isinstance(source, Filtering):
        columns = set(fields(condition))
        if isinstance(source, Aggregate):
            keys = {source[key.name]: key.expression for key in source.keys if key.name and source.has(key.name)}
            if not columns <= keys.keys() or not all(isinstance(keys[c], Field) for c in columns):
                return None
            condition = substituted(condition, lambda part, keys=keys: keys.get(part))  # type: ignore[misc]
        elif not isinstance(source, Window) or any(not columns <= set(m.partition) for m in source.measures):
            return None  # a window whose partitions are left out whole is the same in those that stay
        source = source.source
    return condition if all(f.relation in source.visible for f in fields(condition)) else None
