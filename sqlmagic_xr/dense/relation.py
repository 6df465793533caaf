"""Relations as axes and columns over them, and what FROM, WHERE and GROUP BY do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..sql.expression import Call, Column, Expression, Star
from .node import FIRST, FLOATS, GATHER, INTEGERS, NUMBERS, SECOND, Axis, Graph, Node, Refused, Type, Value, union
from .scalar import Scalars, refuse, refuse_failing


@dataclass(frozen=True)
class Named:
    """A column of a relation under the name that expressions call it by."""

    qualifier: tuple[str, ...]
    name: str
    value: Value


@dataclass(frozen=True)
class Relation:
    """The rows of a query.

    Attributes:
        axes: its cells are those of their product; an axis may be no column.
        columns: what there is to select.
        present: which cells are rows; None where all are.
        shared: the names that USING has made one column of.
        scans: the tables that it is made of; they are read although no column of theirs is asked for.
    """

    axes: tuple[Axis, ...]
    columns: tuple[Named, ...]
    present: Node | None = None
    shared: frozenset[str] = frozenset()
    scans: tuple[Node, ...] = ()

    def resolve(self, column: Column) -> Value:
        """The column of that name.

        Raises:
            Refused: there is none, or more than one.
        """
        found = [
            c for c in self.columns
            if c.name == column.name and c.qualifier[len(c.qualifier) - len(column.qualifier) :] == column.qualifier
        ]  # fmt: skip
        if len(found) > 1 and not column.qualifier and column.name in self.shared:
            found = found[:1]
        if len(found) != 1:
            raise Refused(f"{'no' if not found else 'more than one'} column {'.'.join(column.path)}", column.span)
        return found[0].value

    def mapped(self, change: Callable[[Node], Node], axes: Iterable[Axis]) -> Relation:
        """The same relation with every array changed."""

        def value(old: Value) -> Value:
            return Value(change(old.cells), None if old.valid is None else change(old.valid))

        columns = tuple(replace(c, value=value(c.value)) for c in self.columns)
        present = None if self.present is None else change(self.present)
        return replace(self, axes=tuple(dict.fromkeys(axes)), columns=columns, present=present)

    def renamed(self, qualifier: tuple[str, ...]) -> Relation:
        """The relation under an alias."""
        return replace(self, columns=tuple(replace(c, qualifier=qualifier) for c in self.columns), shared=frozenset())


def cross(graph: Graph, left: Relation, right: Relation) -> Relation:
    """All pairs of rows; the axes that both have are told apart."""
    for axis in right.axes:
        if axis in left.axes:
            taken = {a.copy for a in (*left.axes, *right.axes) if a.origin is axis.origin}
            free = next(copy for copy in range(len(taken) + 1) if copy not in taken)
            right = _relabelled(graph, right, axis, Axis(axis.origin, free))
    present = graph.both(left.present, right.present)
    shared = left.shared | right.shared
    scans = tuple(dict.fromkeys((*left.scans, *right.scans)))
    return Relation((*left.axes, *right.axes), (*left.columns, *right.columns), present, shared, scans)


def equate(graph: Graph, relation: Relation, left: Value, right: Value) -> Relation | None:
    """The rows in which two columns are equal, if that can be had by aligning axes; else None."""
    one, other = _axis(left), _axis(right)
    alike = left.type == right.type or {left.type, right.type} <= INTEGERS
    if not alike:
        return None
    if one is not None and other is not None:
        if one == other:
            return relation
        if one.origin is other.origin:
            return _relabelled(graph, relation, other, one)
        origin = graph.make("match", (one.origin, other.origin))
        return _taken(graph, relation, Axis(origin, one.copy), (one, FIRST), (other, SECOND))
    if one is None and other is None:
        return None
    axis, value = (one, right) if one is not None else (other, left)
    assert axis is not None
    if len(value.dims) != 1 or axis in value.dims or value.type in FLOATS:
        return None
    (rows,) = value.dims
    known = () if value.valid is None else (value.valid,)
    origin = graph.make("lookup", (rows.origin, axis.origin, value.cells, *known))
    return _taken(graph, relation, Axis(origin, rows.copy), (rows, FIRST), (axis, GATHER))


def restrict(graph: Graph, relation: Relation, condition: Node) -> Relation:
    """The rows in which a condition is true."""
    if condition.op == "constant" and condition.data[1] is True:
        return relation
    if len(condition.dims) != 1:
        return replace(relation, present=graph.both(relation.present, condition))
    (axis,) = condition.dims
    origin = graph.make("restrict", (axis.origin, condition))
    return _taken(graph, relation, Axis(origin, axis.copy), (axis, FIRST))


def _axis(value: Value) -> Axis | None:
    """The axis whose coordinates a column is."""
    return value.cells.dims[0] if value.cells.op == "coordinate" else None


def _relabelled(graph: Graph, relation: Relation, old: Axis, new: Axis) -> Relation:
    axes = (new if a == old else a for a in relation.axes)
    return relation.mapped(lambda node: graph.relabel(node, old, new), axes)


def _taken(graph: Graph, relation: Relation, new: Axis, *parts: tuple[Axis, int]) -> Relation:
    """The relation along ``new`` instead of the axes of ``parts``."""
    while new in relation.axes:
        new = Axis(new.origin, new.copy + 1)

    def change(node: Node) -> Node:
        involved = [(axis, side) for axis, side in parts if axis in node.dims]
        if len(involved) == 2:  # both axes become one: along the first, then along the second, then the diagonal
            (first, side), (second, other) = involved
            apart = Axis(new.origin, -1)
            node = graph.take(graph.take(node, first, new, side), second, apart, other)
            return graph.relabel(node, apart, new)
        for axis, side in involved:
            node = graph.take(node, axis, new, side)
        return node

    old = {axis for axis, _ in parts}
    return relation.mapped(change, (new if a in old else a for a in relation.axes))


_AGGREGATES = {
    "sum", "avg", "mean", "count", "min", "max", "var", "var_samp", "var_sample", "var_pop", "stddev", "stddev_samp",
    "stddev_pop",
}  # fmt: skip


def is_aggregate(expression: Expression) -> bool:
    """Whether an expression is a call of an aggregate of ours."""
    return isinstance(expression, Call) and expression.name in _AGGREGATES and expression.window is None


class Grouping:
    """GROUP BY: what aggregates and other columns are, for each group.

    Args:
        graph: where nodes are made.
        relation: the rows.
        scalars: lowers what stands inside the aggregates.
        keys: the columns of GROUP BY; None where there is no GROUP BY, so that there is one row in any case.
    """

    def __init__(self, graph: Graph, relation: Relation, scalars: Scalars, keys: Sequence[Value] | None) -> None:
        self.graph, self.scalars, self.relation = graph, scalars, relation
        self.always = keys is None
        self.replaced: dict[Node, Node] = {}
        kept = {axis for key in keys or () if (axis := _axis(key)) is not None}
        for key in keys or ():
            if not set(key.dims) <= kept:
                kept.add(self._distinct(key))
        self.axes = tuple(axis for axis in self.relation.axes if axis in kept)
        rows = self.relation.present
        self.present = None if rows is None or self.always else self._some(rows)

    @property
    def grouped(self) -> Relation:
        """One row for each group; no columns."""
        return Relation(self.axes, (), self.present, scans=self.relation.scans)

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
        if call.distinct or len(call.args) != 1:
            raise refuse(call)
        where = None if call.filter is None else self.scalars.condition(call.filter)
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
        if value.type not in NUMBERS - {"uint64"}:
            raise refuse(call)
        # A group has a row; whether one of them counts is open where some are NULL or left out by FILTER.
        open_ = mask is not None and (self.always or value.valid is not None or where is not None)
        zero = self.graph.constant(0, "int64")
        valid = self.graph.elementwise(">", (count, zero), "boolean") if open_ else None
        return self._computed(call, value.cells, mask, count, valid)

    def _computed(self, call: Call, cells: Node, mask: Node | None, count: Node, valid: Node | None) -> Value:
        name = call.name
        if name in ("min", "max"):
            if cells.type == "float32":
                raise refuse(call)
            return Value(self._reduce(name, cells, mask), valid)
        kind: Type = "int64" if name == "sum" and cells.type in INTEGERS else "float64"
        total = self._sum(self.scalars.to(cells, kind), mask)
        if name == "sum":
            return Value(total, valid)
        number = self.scalars.to(count, "float64")
        average = self.graph.elementwise("/", (total, number), "float64")
        return Value(average, valid) if name in ("avg", "mean") else self._spread(call, cells, mask, count)

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
        (rows,) = key.dims
        graph = self.graph
        axis = Axis(graph.make("distinct", (rows.origin, key.cells)))
        while axis in self.relation.axes:
            axis = Axis(axis.origin, axis.copy + 1)
        member = graph.make("member", (axis.origin,), (rows, axis), "boolean")
        present = graph.both(self.relation.present, member)
        self.relation = replace(self.relation, axes=(*self.relation.axes, axis), present=present)
        self.replaced[key.cells] = graph.coordinate(axis, key.type)
        return axis

    def _sizes(self, *arrays: Node) -> tuple[Node, ...]:
        """The lengths of the axes that are summed over and along which no array varies."""
        seen = set(union(arrays)) | set(self.axes)
        return tuple(self.graph.make("size", (a.origin,), (), "int64") for a in self.relation.axes if a not in seen)

    def _kept(self, *arrays: Node) -> tuple[Axis, ...]:
        present = set(union(arrays))
        return tuple(axis for axis in self.axes if axis in present)

    def _some(self, mask: Node) -> Node:
        zero = self.graph.constant(0, "int64")
        return self.graph.elementwise(">", (self._count(mask), zero), "boolean")

    def _count(self, mask: Node | None) -> Node:
        masks = () if mask is None else tuple(conjuncts(mask))
        sizes = self._sizes(*masks)
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
        args = (*arrays, *(scalar for _, scalar in scalars), *self._sizes(*arrays))
        data = (len(factors), len(masks), tuple(name for name, _ in scalars))
        return self.graph.make("sum", args, self._kept(*arrays), cells.type, data)


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


def conjuncts(mask: Node) -> Iterable[Node]:
    """What a mask is the conjunction of."""
    if mask.op == "map" and mask.data == "and":
        for argument in mask.args:
            yield from conjuncts(argument)
    else:
        yield mask
