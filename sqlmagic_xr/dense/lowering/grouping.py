"""GROUP BY over named arrays: which axes are kept, and what aggregates are along the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from ...relation.functions import function, usual
from ...sql.expression import Call, Star
from ..node import (
    GATHER,
    INSTANTS,
    INTEGERS,
    NARROW,
    NUMBERS,
    Axis,
    Graph,
    Node,
    Refused,
    Type,
    Value,
    conjuncts,
    union,
)
from .failing import refuse_failing
from .refusing import refuse
from .relation import LoweredRelation, axis_of
from .scalar import Scalars


class Grouping:
    """GROUP BY: what aggregates and other columns are, for each group.

    Args:
        graph: where nodes are made.
        relation: the rows.
        scalars: lowers what stands inside the aggregates.
        keys: the columns of GROUP BY; None where there is no GROUP BY, so that there is one row in any case.
    """

    def __init__(self, graph: Graph, relation: LoweredRelation, scalars: Scalars, keys: Sequence[Value] | None) -> None:
        self.graph, self.scalars, self.relation = graph, scalars, relation
        self.always = keys is None
        self.replaced: dict[Node, Node] = {}
        kept = {axis for key in keys or () if (axis := axis_of(key)) is not None}
        for key in keys or ():
            if not set(key.dims) <= kept:
                kept.add(self._distinct(key))
        self.axes = tuple(axis for axis in self.relation.axes if axis in kept)
        rows = self.relation.present
        self.present = None if rows is None or self.always else self._some(rows)

    def some(self, kept: Sequence[Axis], *masks: Node | None) -> Node:
        """Along some axes, whether all masks are true of one of the other rows."""
        self.axes = tuple(kept)
        mask = self.graph.both(*masks)
        assert mask is not None
        return self._some(mask)

    @property
    def grouped(self) -> LoweredRelation:
        """One row for each group; no columns."""
        return LoweredRelation(self.axes, (), self.present, scans=self.relation.scans)

    def column(self, value: Value) -> Value:
        """A column that is the same in all rows of a group.

        Raises:
            Refused: it is not.
        """
        cells = self.replaced.get(value.cells, value.cells)
        value = Value(cells, value.valid if cells is value.cells else None)
        if not set(value.dims) <= set(self.axes):
            raise Refused("a column is neither grouped nor aggregated")
        return value

    def aggregate(self, call: Call) -> Value:
        """The value of an aggregate for each group."""
        call = replace(call, name=usual(call.name))
        row = function(call.name)
        if row is None or not row.arrays or len(call.args) != 1 or (call.distinct and call.name != "count"):
            raise refuse(call)
        where = None if call.filter is None else self.scalars.condition(call.filter)
        if call.distinct:
            return Value(self._count_distinct(call, self.graph.both(self.relation.present, where)))
        if isinstance(call.args[0], Star):
            if call.name != "count":
                raise refuse(call)
            return Value(self._count(self.graph.both(self.relation.present, where)))
        value = self.scalars.lower(call.args[0])
        mask = self.graph.both(self.relation.present, value.valid, where)
        count = self._count(mask)
        if call.name == "count":
            refuse_failing(value.cells, call)
            return Value(count)
        if value.type not in NUMBERS | NARROW | INSTANTS or value.type == "uint64":
            raise refuse(call)
        # A group has a row; whether one of them counts is open where some are NULL or left out by FILTER.
        open_ = mask is not None and (self.always or value.valid is not None or where is not None)
        zero = self.graph.constant(0, "int64")
        valid = self.graph.elementwise(">", (count, zero), "boolean") if open_ else None
        return self._computed(call, value.cells, mask, count, valid)

    def _count_distinct(self, call: Call, mask: Node | None) -> Node:
        """How many of the distinct values of a column a group has: along their axis, those that some row has."""
        if isinstance(call.args[0], Star):
            raise refuse(call)
        value, graph, relation = self.scalars.lower(call.args[0]), self.graph, self.relation
        if value.valid is not None or len(value.dims) != 1 or value.dims[0] in self.axes:
            raise Refused("COUNT(DISTINCT) of what may be NULL, or varies along several axes", call.span)
        axis = axis_of(value)
        if axis is None:
            axis, member = self._values(value)
            mask, relation = graph.both(mask, member), replace(relation, axes=(*relation.axes, axis))
        inner = Grouping(graph, replace(relation, present=None), self.scalars, [])
        inner.axes = (*self.axes, axis)
        there = inner._some(mask)
        sizes = () if axis in there.dims else (graph.make("size", (axis.origin,), (), "int64"),)
        kept = tuple(a for a in self.axes if a in there.dims)
        return graph.make("count", (there, *sizes), kept, "int64", 1)

    def _computed(self, call: Call, cells: Node, mask: Node | None, count: Node, valid: Node | None) -> Value:
        name = call.name
        if name in ("min", "max"):
            if cells.type == "float32":
                raise refuse(call)
            return Value(self._reduce(name, cells, mask), valid)
        if cells.type in INSTANTS or (name == "sum" and cells.type in NARROW and cells.type[0] == "u"):
            raise refuse(call)
        kind: Type = "int64" if name == "sum" and cells.type in INTEGERS | NARROW else "float64"
        total = self._sum(self.scalars.to(cells, kind), mask)
        if name == "sum":
            return Value(total, valid)
        number = self.scalars.to(count, "float64")
        average = self.graph.elementwise("/", (total, number), "float64")
        return Value(average, valid) if name == "avg" else self._spread(call, cells, mask, count)

    def _spread(self, call: Call, cells: Node, mask: Node | None, count: Node) -> Value:
        """Variance and standard deviation, in two passes; a sample of one has none."""
        graph = self.graph
        cells = self.scalars.to(cells, "float64")
        squares = self._reduce("squares", cells, mask)
        sample = not call.name.endswith("_pop")
        one = graph.constant(1, "int64")
        number = graph.elementwise("-", (count, one), "int64") if sample else count
        result = graph.elementwise("/", (squares, self.scalars.to(number, "float64")), "float64")
        if call.name.startswith("stddev"):
            result = graph.elementwise("sqrt", (result,), "float64")
        zero = graph.constant(0, "int64")
        return Value(result, graph.elementwise(">", (number, zero), "boolean"))

    def _distinct(self, key: Value) -> Axis:
        """A new axis of the distinct values of a column, of which each row has one."""
        if len(key.dims) != 1 or key.valid is not None:
            raise Refused("GROUP BY a value that varies along several axes, or may be NULL")
        axis, member = self._values(key)
        present = self.graph.both(self.relation.present, member)
        self.relation = replace(self.relation, axes=(*self.relation.axes, axis), present=present)
        self.replaced[key.cells] = self.graph.coordinate(axis, key.type)
        return axis

    def _values(self, value: Value) -> tuple[Axis, Node]:
        """An axis that has the values of a column, and which of them each row has."""
        (rows,), cells = value.dims, value.cells
        looked_up = cells.op == "take" and cells.data[1] == GATHER and cells.args[0].op == "coordinate"
        if looked_up:  # then they are coordinates of an axis that there is
            axis = self._free(Axis(rows.origin.args[1]))
            return axis, self.graph.elementwise("=", (cells, self.graph.coordinate(axis, cells.type)), "boolean")
        axis = self._free(Axis(self.graph.make("distinct", (rows.origin, cells))))
        return axis, self.graph.make("member", (axis.origin,), (rows, axis), "boolean")

    def _free(self, axis: Axis) -> Axis:
        while axis in self.relation.axes:
            axis = Axis(axis.origin, axis.copy + 1)
        return axis

    def _sizes(self, *arrays: Node) -> tuple[Node, ...]:
        """The lengths of the axes that are summed over and along which no array varies."""
        seen = set(union(arrays)) | set(self.axes)
        return tuple(self.graph.make("size", (a.origin,), (), "int64") for a in self.relation.axes if a not in seen)

    def _kept(self, *arrays: Node) -> tuple[Axis, ...]:
        present = set(union(arrays))
        return tuple(axis for axis in self.axes if axis in present)

    def _some(self, mask: Node | None) -> Node:
        zero = self.graph.constant(0, "int64")
        return self.graph.elementwise(">", (self._count(mask), zero), "boolean")

    def _count(self, mask: Node | None) -> Node:
        masks = () if mask is None else tuple(conjuncts(mask))
        sizes, by = self._sizes(*masks), self._value_of_rows(masks)
        if by is not None:
            others = tuple(m for m in masks if m is not by)
            args = (*others, by.args[0], *sizes)
            return self.graph.make("count by value", args, by.dims[1:], "int64", len(others))
        return self.graph.make("count", (*masks, *sizes), self._kept(*masks), "int64", len(masks))

    def _reduce(self, kind: str, cells: Node, mask: Node | None) -> Node:
        arrays = (cells,) if mask is None else (cells, mask)
        sizes = self._sizes(*arrays)
        return self.graph.make(kind, (*arrays, *sizes), self._kept(*arrays), cells.type, len(arrays))

    def _sum(self, cells: Node, mask: Node | None) -> Node:
        """A sum, taken apart into the factors that it is a sum of products of."""
        factors, scalars = _factors(self.graph, cells) if cells.type == "float64" else ([cells], [])
        masks = [] if mask is None else list(conjuncts(mask))
        arrays = (*factors, *masks)
        sizes = self._sizes(*arrays)
        if cells.type == "float64" and not sizes and all(axis in self.axes for axis in union(arrays)):
            return self._of_one_row(cells, mask)
        apart = [factor for factor in factors if all(axis in self.axes for axis in factor.dims)]
        if cells.type == "float64" and not masks and 0 < len(apart) < len(factors):
            return self._outside(apart, [factor for factor in factors if factor not in apart], scalars, sizes)
        if cells.type == "float64" and not masks:
            factors = self._made_before(factors)
            arrays = tuple(factors)
        rest = (*(scalar for _, scalar in scalars), *sizes)
        names, by = tuple(name for name, _ in scalars), self._value_of_rows(arrays)
        if by is not None and cells.type == "float64":
            others = tuple(a for a in arrays if a is not by)
            data = (len(factors), len(masks) - 1, names)
            return self.graph.make("sum by value", (*others, by.args[0], *rest), by.dims[1:], cells.type, data)
        data = (len(factors), len(masks), names)
        return self.graph.make("sum", (*arrays, *rest), self._kept(*arrays), cells.type, data)

    def _of_one_row(self, cells: Node, mask: Node | None) -> Node:
        """The sums of groups of one row each: its cell, 0 where it is left out, and never -0.0."""
        zero = self.graph.constant(0.0, "float64")
        value = self.graph.elementwise("+", (cells, zero), "float64")
        return value if mask is None else self.graph.elementwise("where", (mask, value, zero), "float64")

    def _outside(
        self, apart: Sequence[Node], inside: Sequence[Node], scalars: Sequence[tuple[str, Node]], sizes: Sequence[Node]
    ) -> Node:  # fmt: skip
        """A sum of products, with the factors that are the same in all rows of a group outside of it.

        What is left is a sum of fewer cells, and often one that there is already. A factor that is infinite makes
        infinities of either sign of its rows, whose sum is none: what comes out is looked at as a sum is.
        """
        data = (len(inside), 0, ())
        total = self.graph.make("sum", (*inside, *sizes), self._kept(*inside), "float64", data)
        for name, scalar in scalars:
            total = self.graph.elementwise(name, (total, scalar), "float64")
        for factor in apart:
            total = self.graph.elementwise("*", (factor, total), "float64")
        return self.graph.make("sum", (total,), total.dims, "float64", (1, 0, ()))

    def _made_before(self, factors: list[Node]) -> list[Node]:
        """The factors of a sum; two of them as one where their product, summed over what is theirs alone, is there.

        The gradient by a bias asks for the same product of matrices as that by the weights in front of it.
        """
        graph = self.graph
        for one, other, third in permutations(factors) if len(factors) == 3 else ():
            every = union((one, other))
            dims = [axis for axis in every if axis in self.axes or axis in third.dims]
            if len(dims) == len(every) or len(dims) > 2:
                continue
            for order in permutations(dims):
                product = graph.known("sum", (one, other), order, "float64", (2, 0, ()))
                if product is not None:
                    pairs = ((product, third), (third, product))
                    whole = (graph.known("map", pair, union(pair), "float64", "*") for pair in pairs)
                    return next(([cells] for cells in whole if cells is not None), [product, third])
        return factors

    def _value_of_rows(self, arrays: Sequence[Node]) -> Node | None:
        """Which distinct value each row has, where only the values are kept and all else varies along the rows."""
        members = [array for array in arrays if array.op == "member"]
        if len(members) != 1:
            return None
        rows, values = members[0].dims
        alone = all(array.dims == (rows,) for array in arrays if array is not members[0])
        return members[0] if alone and rows not in self.axes and values in self.axes else None


_MODEST = 1e6  # a factor of this size or its inverse, taken out of a sum, makes no cell overflow or vanish


def _factors(graph: Graph, cells: Node) -> tuple[list[Node], list[tuple[str, Node]]]:
    """What a product is a product of: arrays, and scalars with the operation that brings them in."""
    arrays: list[Node] = []
    scalars: list[tuple[str, Node]] = []
    pending = [cells]
    while pending:
        node = pending.pop()
        if not node.dims:
            scalars.append(("*", node))
        elif node.op == "map" and node.data == "*" and any(len(a.dims) < len(node.dims) for a in node.args):
            # Factors along all the same axes are multiplied cell by cell, once for all who ask for their product.
            pending += reversed(node.args)
        elif node.op == "map" and node.data == "negative":
            pending += [node.args[0], graph.constant(-1.0, "float64")]
        elif node.op == "map" and node.data == "/" and len(node.args[1].dims) == 0:
            scalars.append(("/", node.args[1]))
            pending.append(node.args[0])
        else:
            # A sum over one axis to a single number is a dot product of two arrays.
            node, constants = _without_constants(graph, node)
            scalars += constants
            arrays += node.args if _is_product(node) and len(node.dims) == 1 else (node,)
    return (arrays, scalars) if arrays else ([cells], [])


def _without_constants(graph: Graph, node: Node) -> tuple[Node, list[tuple[str, Node]]]:
    """A product of arrays along the same axes without the modest constants in it, and these: ``(-2.0 * x) * y``."""
    if node.op == "map" and node.data == "*":
        left, right = node.args
        for array, scalar in ((left, right), (right, left)):
            if not scalar.dims and scalar.op == "constant" and 1 / _MODEST <= abs(scalar.data[1]) <= _MODEST:
                inner, constants = _without_constants(graph, array)
                return inner, [*constants, ("*", scalar)]
        if left.dims == right.dims:
            (left, more), (right, others) = (_without_constants(graph, side) for side in (left, right))
            if more or others:
                return graph.elementwise("*", (left, right), node.type), [*more, *others]
    return node, []


def _is_product(node: Node) -> bool:
    return node.op == "map" and node.data == "*" and node.args[0].dims == node.args[1].dims
