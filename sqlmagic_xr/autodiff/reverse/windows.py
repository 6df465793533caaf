"""Window functions: aggregates over whole partitions as a GROUP BY of the same rows, the others along an order.

A partition's group is joined with its rows, so that it needs no rule of its own. What looks along an order
(:mod:`.moving`) becomes further columns of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...relation import columns as bound
from ...relation import nodes
from ...relation.functions import SAME, function
from ...sql.expression import Call, Column, Expression
from .blocks import Block, FromLeaf, Path, label, names, substituted
from .grouping import MOMENTS, Group
from .keys import may_be_null
from .moving import MovingWindows
from .refusing import require_free
from .rows import as_leaf

if TYPE_CHECKING:
    from .reading import BlockReader


@dataclass
class _Partition:
    """The aggregates over one PARTITION BY.

    Attributes:
        rows: the rows that have it.
        by: the expressions of PARTITION BY, over the rows.
        group: the group.
        moved: the columns of the rows -> those of the rows that are grouped.
    """

    rows: FromLeaf
    by: tuple[Expression, ...]
    group: Group
    moved: Mapping[Path, Expression]

    def value(self, call: Expression, number: int) -> Expression:
        """What an aggregate over the partition is in each row."""
        inside = substituted(call, self.moved)
        assert isinstance(inside, Call)
        return self.group.measure(inside, f"{inside.name}_{number}")


def windowed(reader: BlockReader, window: nodes.Window, block: Block, select: nodes.Select) -> Block:
    """The rows of a block, with their windows beside them.

    Args:
        reader: learns what the window's columns mean.
        window: the window functions.
        block: what they look at.
        select: the SELECT around them.

    Raises:
        DerivativeError: a window through which no derivative goes.
    """
    expressions = [*(o.expression for o in select.outputs), *([select.condition] if select.condition else []),
                   *(e for m in window.measures for e in m.expressions)]  # fmt: skip
    used = [reader.expression(f) for e in expressions for f in bound.fields(e) if f.relation is not window]
    rows, new = as_leaf(block, used)
    reader.rename(new)
    moving = MovingWindows(reader, rows, bool(new), select)
    for measure in window.measures:
        if not _is_whole(measure):
            moving.add(measure)
    if moving.needed:
        rows, new = moving.rows()
        reader.rename(new)
    partitions: dict[tuple[Expression, ...], _Partition] = {}

    def over(by: tuple[Expression, ...], call: Expression) -> Expression:
        if by not in partitions:
            partitions[by] = _partition(rows, by)
        return partitions[by].value(call, len(values))

    values: dict[str, Expression] = {}
    for measure in window.measures:
        if _is_whole(measure):
            values[measure.name] = over(
                tuple(map(reader.expression, measure.partition)), reader.expression(measure.call)
            )
        else:
            values[measure.name] = moving.value(measure, rows, over)
    reader.columns[window] = _named(values)
    joined = [_joined(one, select) for one in partitions.values()]
    where = [e for _, conditions in joined for e in conditions]
    return Block(block.name, (rows, *(leaf for leaf, _ in joined)), tuple(where), {})


def _named(values: Mapping[str, Expression]) -> Callable[[str], Expression]:
    return lambda name: values[name]


def _is_whole(measure: bound.Measure) -> bool:
    """Whether a window is an aggregate over its whole partition."""
    name = SAME.get(measure.call.name, measure.call.name)
    row = function(name)
    aggregates = name in MOMENTS or (row is not None and row.kind == "aggregate" and not name.endswith("_value"))
    return aggregates and not measure.order and measure.frame is None


def _partition(rows: FromLeaf, by: tuple[Expression, ...]) -> _Partition:
    again = FromLeaf(label(rows.node.name), rows.node)
    inside = Block(f"{rows.node.name}_group", (again,), (), {})
    moved: dict[Path, Expression] = {(rows.label, n): again.column(n) for n in names(rows.node)}
    keys: dict[str, Expression] = {}
    for number, e in enumerate(by):
        name = e.path[1] if isinstance(e, Column) and e.path[1] not in keys else f"key_{number}"
        keys[name] = substituted(e, moved)
    return _Partition(rows, by, Group(inside, keys), moved)


def _joined(one: _Partition, select: nodes.Select) -> tuple[FromLeaf, list[Expression]]:
    """The group of a partition, and the conditions that join it with the rows."""
    base = Block("rows", (one.rows,), (), {})
    require_free(replace(one.group.rows, outputs=one.group.keys), "PARTITION BY", select)
    leaf = one.group.made()
    where: list[Expression] = [Call("is not distinct from" if may_be_null(base, e) else "=", (e, leaf.column(k)))
             for e, k in zip(one.by, one.group.keys, strict=True)]  # fmt: skip
    return leaf, where
