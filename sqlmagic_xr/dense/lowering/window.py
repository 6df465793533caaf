"""ROW_NUMBER() over a grid: the rank of each cell among those of its partition."""

from __future__ import annotations

from ...sql.expression import Call, from_tree
from ..node import NUMBERS, Graph, Refused, Value
from .relation import Relation
from .scalar import Scalars, refuse


def row_number(graph: Graph, relation: Relation, call: Call, scalars: Scalars) -> Value:
    """``ROW_NUMBER() OVER (PARTITION BY axes ORDER BY columns)``; ties are refused when they are met.

    Raises:
        Refused: another window function, a frame, or a partition that is no axis.
    """
    specification = call.window.tree.get("WindowSpec") if call.window is not None else None
    if call.name != "row_number" or call.args or specification is None or specification["window_frame"]:
        raise refuse(call)
    parts = [scalars.lower(from_tree(tree)) for tree in specification["partition_by"]]
    if any(part.cells.op != "coordinate" for part in parts):
        raise Refused("PARTITION BY what is no axis", call.span)
    kept = {part.dims[0] for part in parts}
    ranked = tuple(axis for axis in relation.axes if axis not in kept)
    if not ranked or not specification["order_by"]:
        raise refuse(call)
    keys, directions = [], []
    for item in specification["order_by"]:
        value = scalars.lower(from_tree(item["expr"]))
        options = item["options"]
        if value.valid is not None or value.type not in NUMBERS or options["nulls_first"] is not None:
            raise Refused("ORDER BY what is no number, or may be NULL", call.span)
        keys.append(value.cells)
        directions.append(options["asc"] is False)
    dims = (*(axis for axis in relation.axes if axis in kept), *ranked)
    sizes = [graph.make("coordinate", (axis.origin,), (axis,), "int64") for axis in dims]
    masks = () if relation.present is None else (relation.present,)
    data = (len(keys), tuple(directions), len(masks), len(ranked))
    return Value(graph.make("row number", (*keys, *masks, *sizes), dims, "uint64", data))
