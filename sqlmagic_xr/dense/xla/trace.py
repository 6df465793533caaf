"""One step of the graph in JAX: each node's value from those that it is made of, as XLA will calculate them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import FIRST, Axis, Node, Refused, union
from ..running.align import Alignment, aligner
from ..running.lanes import NO_LANES, Lanes
from ..running.layout import Fed
from ..running.operations import masked_product
from .functions import Kit, functions, refuse_empty
from .lanes import Places, apart, stacked
from .ranks import first, first_of, ranks, sortable
from .rows import Masked, base, looked_up, matched, partnered, restricted
from .state import as_array, read

_FAR = 1e6  # the square of how many deviations the mean may lie from zero
_NOWHERE = Node("nowhere")  # an axis that has all its rows


class Trace:
    """The values of nodes at one step.

    Args:
        kit: the functions' own.
        known: what is known beforehand: the same at each step, carried, or a parameter.
        fed: the nodes that read what the step itself has written, and how.
        lanes: the numbers that are calculated as one vector.
        places: of which vectors numbers are known to be lanes.
    """

    def __init__(
        self, kit: Kit, known: Mapping[Node, Any], fed: Mapping[Node, Fed], lanes: Lanes = NO_LANES,
        places: Places | None = None,
    ) -> None:  # fmt: skip
        self.places: Places = {} if places is None else places
        self._kit, self._functions, self._fed, self._lanes = kit, functions(kit), fed, lanes
        self._known: dict[Node, Any] = dict(known)

    def value(self, node: Node) -> Any:
        """The value of a node.

        Raises:
            Refused: how many cells it has would depend on what is calculated.
        """
        pending = [node]
        while pending:
            top = pending[-1]
            missing = [] if top in self._known else [a for a in self.arguments(top) if a not in self._known]
            if missing:
                pending += missing
                continue
            pending.pop()
            if top not in self._known:
                self._known[top] = self._calculated(top)
        return self._known[node]

    @property
    def known(self) -> Mapping[Node, Any]:
        """What has been calculated."""
        return self._known

    def arguments(self, node: Node) -> Sequence[Node]:
        """What a node is calculated from."""
        together = self._lanes.get(node, (node,))
        return [argument for one in together for argument in arguments(one, self._fed)]

    def _calculated(self, node: Node) -> Any:
        if node in self._lanes:
            group = self._lanes[node]
            self._known.update(zip(group, self._in_lanes(group), strict=True))
            return self._known[node]
        fed = self._fed.get(node)
        if fed is not None:
            return read(fed, np.True_ if fed.source is None else self._known[fed.source])
        calculate = _OPERATIONS.get(node.op)
        if calculate is None:
            raise Refused(f"how many rows there are is calculated anew at each step ({node.op})")
        return calculate(self, node)

    def _in_lanes(self, group: Sequence[Node]) -> list[Any]:
        """Numbers that are calculated alike."""
        first, columns = group[0], list(zip(*(node.args for node in group), strict=True))
        values = [self._lane(nodes) for nodes in columns]
        if first.op == "sum":
            one, other = values[:2]
            rows, by = (one, other) if jnp.ndim(one) == 2 else (other, one)
            refuse_empty(by, [0])
            result = self._finished(first, jnp.matmul(rows, by, precision="highest"), first.args[2:])
        else:
            result = jnp.broadcast_to(self._functions[first.data](*values), (len(group),))
        return apart(result, self.places)

    def _lane(self, nodes: Sequence[Node]) -> Any:
        """The arguments of all lanes: one where it is the same for all."""
        if all(node is nodes[0] for node in nodes):
            return self._known[nodes[0]]
        return stacked([as_array(self._known[node]) for node in nodes], self.places)

    # --- reads

    def _constant(self, node: Node) -> Any:
        value = node.data[1]
        return np.int64(value.code) if node.type == "label" else self._kit.dtype(node.type)(value)

    def _alignment(self, origin: Node) -> Alignment:
        found = self._known[origin]
        if not isinstance(found, Alignment):
            raise Refused("which rows there are is calculated anew at each step")
        return found

    def _coordinate(self, node: Node) -> Any:
        return self._alignment(node.args[0]).coordinates

    def _size(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        if isinstance(alignment, Masked):
            return jnp.sum(alignment.present, dtype=np.int64)
        return len(alignment.coordinates)

    def _restricted(self, node: Node) -> Masked:
        return restricted(self._alignment(node.args[0]), self._known[node.args[1]])

    def _looked_up(self, node: Node) -> Masked:
        return looked_up(*map(self._alignment, node.args[:2]), *(self._known[a] for a in node.args[2:]))

    def _partnered(self, node: Node) -> Alignment:
        return partnered(*map(self._alignment, node.args[:2]), *(self._known[a] for a in node.args[2:]))

    def _matched(self, node: Node) -> Masked:
        one, other = map(self._alignment, node.args)
        bases = {base(origin, self._known, of=("restrict",)) for origin in node.args}
        return matched(one, other, same=len(bases) == 1)

    def _there(self, axes: Sequence[Axis]) -> Any:
        """Which cells along some axes there are; None for all."""
        found: Any = None
        for place, axis in enumerate(axes):
            origin = self._known.get(axis.origin)
            if isinstance(origin, Masked):
                mask = origin.present.reshape([-1 if n == place else 1 for n in range(len(axes))])
                found = mask if found is None else found & mask
        return found

    def _lengths(self, sizes: Sequence[Node]) -> Any:
        """The product of some sizes: a number where all are known beforehand."""
        total: Any = 1
        for size in sizes:
            total = total * self._known[size]
        if isinstance(total, int) and not total:
            raise Refused("the input of an aggregate is empty")
        if not isinstance(total, int):
            self._kit.flag(total == 0)
        return total

    def _found(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        return np.ones(len(alignment.coordinates), np.bool_) if alignment.found is None else alignment.found

    def _member(self, node: Node) -> Any:
        alignment = self._alignment(node.args[0])
        codes: Any = alignment.first
        return codes[:, None] == np.arange(len(alignment.coordinates))

    def _take(self, node: Node) -> Any:
        place, side = node.data
        alignment = self._alignment(node.args[1])
        index = alignment.first if side == FIRST else alignment.second
        array = self._known[node.args[0]]
        if index is None:
            return array
        if isinstance(index, slice):
            return array[(*(slice(None),) * place, index)]
        return jnp.take(array, index, axis=place, mode="clip")

    def _same(self, node: Node) -> Any:
        return self._known[node.args[0]]

    def _diagonal(self, node: Node) -> Any:
        one, other = sorted(node.data)
        return jnp.moveaxis(jnp.diagonal(self._known[node.args[0]], axis1=one, axis2=other), -1, one)

    # --- functions of cells

    def _map(self, node: Node) -> Any:
        rank = first_of(node)
        if rank is not None:
            return self._first(rank)
        return self._functions[node.data](*(self._along(argument, node.dims) for argument in node.args))

    def _along(self, node: Node, want: tuple[Axis, ...]) -> Any:
        align = aligner(node.dims, want)
        value = self._known[node]
        return value if align is None else align(value)

    # --- aggregates

    def _sum(self, node: Node) -> Any:
        factors, masks, _ = node.data
        arrays, rest = node.args[: factors + masks], node.args[factors + masks :]
        integers = node.type != "float64"
        alike = all(set(array.dims) == set(arrays[0].dims) for array in arrays)
        result = self._added(node, factors, masks) if alike or integers else self._contracted(arrays, node, masks)
        return self._finished(node, result, rest)

    def _finished(self, node: Node, result: Any, rest: Sequence[Node]) -> Any:
        """A sum times what has been taken out of it; see :func:`..running.operations.multiplied`."""
        kit, scalars, integers = self._kit, node.data[2], node.type != "float64"
        for name, scalar in zip(scalars, rest, strict=False):
            value = self._known[scalar]
            result = result * value if name == "*" else result / value
        size = self._lengths(rest[len(scalars) :])
        alone = isinstance(size, int) and size == 1
        if integers:
            return result if alone else self._functions["integer *"](result, jnp.asarray(size, np.int64))
        result = kit.unsigned(result if alone else result * jnp.asarray(size, kit.real))
        there = self._there(node.dims)
        kit.flag(~jnp.all(jnp.isfinite(result) if there is None else jnp.isfinite(result) | ~there))
        return result

    def _added(self, node: Node, factors: int, masks: int) -> Any:
        """Factors along the same axes: multiplied cell by cell, and added."""
        arrays = node.args[: factors + masks]
        everything = union(arrays)
        whole = [self._along(array, everything) for array in arrays]
        cells = masked_product(whole, factors, jnp.where)
        gone = tuple(place for place, axis in enumerate(everything) if axis not in node.dims)
        refuse_empty(cells, gone)
        there = self._left(everything, gone)
        if there is not None:
            cells = jnp.where(there, cells, cells.dtype.type(0))
        left = tuple(axis for axis in everything if axis in node.dims)
        if factors == 2 and not masks and not node.dims and cells.ndim == 1 and there is None:
            return jnp.dot(whole[0], whole[1], precision="highest")
        result = jnp.sum(cells, axis=gone) if gone else cells
        if gone and node.type != "float64":  # the sum of the upper halves tells whether it has wrapped
            away = (result >> 32) - jnp.sum(cells >> 32, axis=gone)
            self._kit.flag(jnp.any(jnp.abs(away) >= 2**31))
        align = aligner(left, node.dims)
        return result if align is None else align(result)

    def _contracted(self, arrays: Sequence[Node], node: Node, masks: int) -> Any:
        """Factors along different axes: products of matrices."""
        kit = self._kit
        values = []
        for array in arrays:
            value = jnp.asarray(self._known[array], kit.real)
            there = self._left(array.dims, [place for place, axis in enumerate(array.dims) if axis not in node.dims])
            values.append(value if there is None else jnp.where(there, value, kit.real(0)))
        if len(values) > 2:
            bound: Any = kit.real(1)
            for value in values:
                bound = bound * jnp.maximum(kit.real(1), jnp.max(jnp.abs(value)))
            kit.flag(~(bound < (1e300 if kit.real is np.float64 else 1e36)))
        if masks:  # what a mask hides may be anything, and is not to be multiplied by its zero
            for value in values:
                kit.flag(~jnp.all(jnp.isfinite(value)))
        numbers: dict[Axis, int] = {}
        for axis in (*node.dims, *union(arrays)):
            numbers.setdefault(axis, len(numbers))
        operands: list[Any] = []
        for array, value in zip(arrays, values, strict=True):
            refuse_empty(value, range(value.ndim))
            operands += [value, [numbers[axis] for axis in array.dims]]
        return jnp.einsum(*operands, [numbers[axis] for axis in node.dims], optimize="optimal", precision="highest")

    def _left(self, axes: Sequence[Axis], gone: Sequence[int]) -> Any:
        """Which cells an aggregate over some of the axes has, a step without any being NumPy's; None for all."""
        for place in gone:
            one = self._there((axes[place],))
            if one is not None:
                self._kit.flag(~jnp.any(one))
        return self._there([axis if place in gone else Axis(_NOWHERE) for place, axis in enumerate(axes)])

    def _count(self, node: Node) -> Any:
        number = node.data
        rest = jnp.asarray(self._lengths(node.args[number:]), np.int64)
        arrays = node.args[:number]
        if not number:
            return rest
        if number == 1:
            have = arrays[0].dims
            gone = tuple(place for place, axis in enumerate(have) if axis not in node.dims)
            mask, there = self._known[arrays[0]], self._left(have, gone)
            mask = mask if there is None else mask & there
            cells = jnp.sum(mask, axis=gone, dtype=np.int64) if gone else mask.astype(np.int64)
            align = aligner(tuple(axis for axis in have if axis in node.dims), node.dims)
            return (cells if align is None else align(cells)) * rest
        return self._contracted(arrays, node, 0).astype(np.int64) * rest

    def _sum_by_value(self, node: Node) -> Any:
        number = node.data[0] + node.data[1]
        cells = masked_product([self._known[array] for array in node.args[:number]], node.data[0])
        return self._finished(node, self._by_value(node.args[number], cells), node.args[number + 1 :])

    def _count_by_value(self, node: Node) -> Any:
        ones = np.ones(len(self._alignment(node.args[node.data]).first), np.int64)  # type: ignore[arg-type]
        cells = masked_product([ones, *(self._known[mask] for mask in node.args[: node.data])], 1)
        sizes = node.args[node.data + 1 :]
        return self._by_value(node.args[node.data], cells) * jnp.asarray(self._lengths(sizes), np.int64)

    def _by_value(self, values: Node, cells: Any) -> Any:
        """Each row's cell added where its value stands."""
        alignment = self._alignment(values)
        refuse_empty(cells, [0])
        return jnp.zeros(len(alignment.coordinates), cells.dtype).at[alignment.first].add(cells)

    def _gathered(self, node: Node, fill: Any) -> tuple[Any, tuple[int, ...], tuple[Axis, ...]]:
        """Cells over all axes, those kept first, ``fill`` where a mask is false; the axes to reduce; all axes."""
        arrays = node.args[: node.data]
        others = tuple(axis for axis in union(arrays) if axis not in node.dims)
        want = (*node.dims, *others)
        cells, *masks = (self._along(array, want) for array in arrays)
        gone = tuple(range(len(node.dims), len(want)))
        masks += [there for there in (self._left(want, gone),) if there is not None]
        for mask in masks:
            cells = jnp.where(mask, cells, fill)
        refuse_empty(cells, gone)
        return cells, gone, want

    def _extreme(self, node: Node) -> Any:
        kit, largest = self._kit, node.op == "max"
        reduce = jnp.max if largest else jnp.min
        self._lengths(node.args[node.data :])
        if node.type != "float64":
            kind = kit.dtype(node.type)
            limits = np.iinfo(kind)
            cells, gone, _ = self._gathered(node, kind(limits.min if largest else limits.max))
            return reduce(cells, axis=gone) if gone else cells
        cells, gone, _ = self._gathered(node, kit.real(-np.inf if largest else np.inf))
        result = reduce(cells, axis=gone) if gone else cells
        there = self._there(node.dims)
        kit.flag(jnp.any(jnp.isnan(result) if there is None else jnp.isnan(result) & there))
        if not gone:
            return result
        # Among equal zeros the greatest is 0.0 and the least -0.0: looked for beside the reduction of floats, which is
        # quicker than one of their bits.
        positive = jnp.any((cells == 0) & (jnp.signbit(cells) != largest), axis=gone)
        zero, other = (0.0, -0.0) if largest else (-0.0, 0.0)
        return jnp.where(result == 0, jnp.where(positive, kit.real(zero), kit.real(other)), result)

    def _squares(self, node: Node) -> Any:
        kit = self._kit
        cells, gone, want = self._gathered(node, kit.real(0))
        there = self._there(want)
        known = jnp.broadcast_to(True if there is None else there, cells.shape)
        for argument in node.args[1 : node.data]:
            known = known & self._along(argument, want)
        rest = jnp.asarray(self._lengths(node.args[node.data :]), kit.real)
        kit.flag(~jnp.all(jnp.isfinite(cells)))
        count = jnp.maximum(jnp.sum(known, axis=gone, keepdims=True), 1)
        mean = jnp.sum(cells, axis=gone, keepdims=True) / count
        total = jnp.sum(jnp.where(known, jnp.square(cells - mean), kit.real(0)), axis=gone) * rest
        far = jnp.square(mean) * count > _FAR * jnp.expand_dims(total, gone)
        kit.flag(jnp.any(far & (count > 1)) | ~jnp.all(jnp.isfinite(total)))
        return total

    # --- ranks

    def _ranking(self, node: Node) -> tuple[list[Any], Any, tuple[int, ...], int]:
        """The keys in the order in which they are sorted, the mask, the shape, and how many axes a partition has."""
        keys, descending, masks, width = node.data
        shape = tuple(len(self._known[argument]) for argument in node.args[keys + masks :])
        if 0 in shape:
            raise Refused("a partition is empty")
        whole = [jnp.broadcast_to(self._along(a, node.dims), shape) for a in node.args[: keys + masks]]
        columns = [sortable(self._kit, c, down) for c, down in zip(whole[:keys], descending, strict=True)]
        mask, there = whole[keys] if masks else None, self._there(node.dims)
        if there is not None:
            mask = jnp.broadcast_to(there, shape) if mask is None else mask & there
        return columns, mask, shape, width

    def _first(self, node: Node) -> Any:
        return first(self._kit, *self._ranking(node))

    def _rank(self, node: Node) -> Any:
        return ranks(self._kit, *self._ranking(node))


def arguments(node: Node, fed: Mapping[Node, Fed]) -> Sequence[Node]:
    """What a node is calculated from."""
    if node in fed:
        source = fed[node].source
        return () if source is None else (source,)
    rank = first_of(node)
    return node.args if rank is None else rank.args


_OPERATIONS: Mapping[str, Callable[[Trace, Node], Any]] = {
    "constant": Trace._constant, "coordinate": Trace._coordinate, "size": Trace._size, "found": Trace._found,
    "restrict": Trace._restricted, "lookup": Trace._looked_up, "partner": Trace._partnered, "match": Trace._matched,
    "member": Trace._member, "take": Trace._take, "same": Trace._same, "diagonal": Trace._diagonal,
    "map": Trace._map, "sum": Trace._sum, "count": Trace._count, "min": Trace._extreme, "max": Trace._extreme,
    "squares": Trace._squares, "row number": Trace._rank,
    "sum by value": Trace._sum_by_value, "count by value": Trace._count_by_value,
}  # fmt: skip
