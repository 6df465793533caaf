"""Aggregates over whole partitions as a GROUP BY of the same rows, joined with them: windows need no other rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...relation import columns as bound
from ...relation import nodes
from ...relation.functions import SAME, function
from ...sql.expression import Call, Column, Expression
from ...sql.expression import columns as paths
from .blocks import Block, Leaf, Path, label, names, substituted
from .keys import may_be_null
from .refusing import refused, require_free

if TYPE_CHECKING:
    from .reading import Reader


@dataclass
class _Partition:
    """The aggregates over one PARTITION BY.

    Attributes:
        leaf: the group as it is joined with the rows; its block is put in at the end.
        inside: the rows that are grouped.
        moved: the columns of the rows -> those of the rows that are grouped.
        measures: the aggregates.
    """

    leaf: Leaf
    inside: Block
    moved: Mapping[Path, Expression]
    measures: dict[str, Expression] = field(default_factory=dict)


def windowed(reader: Reader, window: nodes.Window, block: Block, select: nodes.Select) -> Block:
    """The rows of a block, with their windows beside them.

    Args:
        reader: learns what the window's columns mean.
        window: the window functions.
        block: what they look at.
        select: the SELECT around them.

    Raises:
        DerivativeError: a window that moves with its row.
    """
    expressions = [*(o.expression for o in select.outputs), *([select.condition] if select.condition else []),
                   *(e for m in window.measures for e in m.expressions)]  # fmt: skip
    used = [f for e in expressions for f in bound.fields(e) if f.relation is not window]
    rows, new = _rows_of(block, dict.fromkeys(path for f in used for path in paths(reader.expression(f))))
    reader.rename(new, window)
    partitions: dict[tuple[Expression, ...], _Partition] = {}
    values: dict[str, Expression] = {}
    for measure in window.measures:
        _require_whole(measure, select)
        key = tuple(map(reader.expression, measure.partition))
        if key not in partitions:
            partitions[key] = _partition(rows)
        one = partitions[key]
        call = substituted(reader.expression(measure.call), one.moved)
        assert isinstance(call, Call)
        name = f"{call.name}_{len(values)}"
        values[measure.name] = reader.measure(call, one.inside, one.measures, name, one.leaf)
    reader.columns[window] = _named(values)
    joined = [_grouped(rows, key, one, select) for key, one in partitions.items()]
    where = [e for _, conditions in joined for e in conditions]
    return Block(block.name, (rows, *(leaf for leaf, _ in joined)), tuple(where), {})


def _named(values: Mapping[str, Expression]) -> Callable[[str], Expression]:
    return lambda name: values[name]


def _require_whole(measure: bound.Measure, select: nodes.Select) -> None:
    row = function(SAME.get(measure.call.name, measure.call.name))
    if measure.order or measure.frame is not None or row is None or row.kind != "aggregate":
        what = f"{measure.call.name} over a window that moves has no derivative through a whole query"
        raise refused(what, "Aggregates over whole partitions have: OVER (PARTITION BY ...).", measure.call, select)


def _partition(rows: Leaf) -> _Partition:
    again = Leaf(label(rows.node.name), rows.node)
    inside = Block(f"{rows.node.name}_group", (again,), (), {})
    moved: dict[Path, Expression] = {(rows.label, n): again.column(n) for n in names(rows.node)}
    return _Partition(Leaf(label(inside.name), inside), inside, moved)


def _grouped(
    rows: Leaf, key: Iterable[Expression], one: _Partition, select: nodes.Select
) -> tuple[Leaf, list[Expression]]:  # fmt: skip
    """The group of a partition, and the conditions that join it with the rows."""
    base = Block("rows", (rows,), (), {})
    keys: dict[str, Expression] = {}
    where: list[Expression] = []
    for number, e in enumerate(key):
        name = e.path[1] if isinstance(e, Column) else f"key_{number}"
        name = name if name not in {*keys, *one.measures} else f"key_{number}"
        keys[name] = substituted(e, one.moved)
        where.append(Call("is not distinct from" if may_be_null(base, e) else "=", (e, one.leaf.column(name))))
    require_free(replace(one.inside, outputs=keys), "PARTITION BY", select)
    return Leaf(one.leaf.label, replace(one.inside, outputs={**keys, **one.measures}, keys=tuple(keys))), where


def _rows_of(block: Block, read: Sequence[Path] | Mapping[Path, None]) -> tuple[Leaf, dict[Path, Expression]]:
    """The rows of a block as one leaf, which may be read twice, and what its columns are called there."""
    if len(block.source) == 1 and isinstance(block.source[0], Leaf) and not block.where:
        return block.source[0], {}
    outputs: dict[str, Expression] = {}
    new: dict[Path, Expression] = {}
    leaf = Leaf(label(block.name), block)
    for path in read:
        name = path[1]
        while name in outputs:
            name += "_1"
        outputs[name] = Column(path)
        new[path] = Column((leaf.label, name))
    return Leaf(leaf.label, replace(block, name=f"{block.name}_rows", outputs=outputs)), new
