"""Windows over a grid: the rank of each cell among those of its partition, and aggregates of the whole partition."""

from __future__ import annotations

from dataclasses import replace

from ...relation.columns import Measure
from ...relation.functions import is_given
from ..node import NUMBERS, Graph, Refused, Value
from .grouping import Grouping
from .refusing import refuse
from .relation import LoweredRelation, axis_of
from .scalar import Scalars


def windowed(graph: Graph, relation: LoweredRelation, measure: Measure, scalars: Scalars) -> Value:
    """A window function beside the rows that it is taken over.

    Raises:
        Refused: it is neither ROW_NUMBER nor an aggregate of the whole partition, whose columns are axes.
    """
    call = measure.call
    if call.name == "row_number" or is_given(call.name) or measure.order or measure.frame:
        return row_number(graph, relation, measure, scalars)
    parts = _partition(measure, scalars)
    return Grouping(graph, relation, scalars, parts).aggregate(replace(call, window=None))


def row_number(graph: Graph, relation: LoweredRelation, measure: Measure, scalars: Scalars) -> Value:
    """``ROW_NUMBER() OVER (PARTITION BY axes ORDER BY columns)``; ties are refused when they are met.

    Raises:
        Refused: another window function, a frame, or a partition that is no axis.
    """
    call = measure.call
    if call.name != "row_number" or is_given(call.name) or call.args or measure.frame:
        raise refuse(call)
    parts = _partition(measure, scalars)
    kept = {part.dims[0] for part in parts}
    ranked = tuple(axis for axis in relation.axes if axis not in kept)
    if not ranked or not measure.order:
        raise refuse(call)
    keys, directions = [], []
    for key in measure.order:
        value = scalars.lower(key.expression)
        if value.valid is not None or value.type not in NUMBERS or key.nulls_first is not None:
            raise Refused("ORDER BY what is no number, or may be NULL", call.span)
        keys.append(value.cells)
        directions.append(key.descending)
    dims = (*(axis for axis in relation.axes if axis in kept), *ranked)
    sizes = [graph.make("coordinate", (axis.origin,), (axis,), "int64") for axis in dims]
    masks = () if relation.present is None else (relation.present,)
    data = (len(keys), tuple(directions), len(masks), len(ranked))
    return Value(graph.make("row number", (*keys, *masks, *sizes), dims, "uint64", data))


def _partition(measure: Measure, scalars: Scalars) -> list[Value]:
    """The axes of PARTITION BY; what is one value in all rows parts none of them."""
    parts = [part for part in map(scalars.lower, measure.partition) if part.dims]
    if any(axis_of(part) is None for part in parts):
        raise Refused("PARTITION BY what is no axis", measure.call.span)
    return parts
