"""One step of the graph in JAX: each node's value from those that it is made of, as XLA will calculate them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import Node, Refused
from ..running.lanes import NO_LANES, Lanes
from ..running.layout import Fed
from .aggregates import TracedAggregates
from .functions import Kit, refuse_empty
from .lanes import Places, apart, stacked
from .ranks import first, first_of, ranks, sortable
from .state import as_array, read
from .sums import Together, summed


class Trace(TracedAggregates):
    """The values of nodes at one step.

    Args:
        kit: the functions' own.
        known: what is known beforehand: the same at each step, carried, or a parameter.
        fed: the nodes that read what the step itself has written, and how.
        lanes: the numbers that are calculated as one vector.
        places: of which vectors numbers are known to be lanes.
        unseen: the sums that need no look.
        together: the sums that are made in one pass.
    """

    def __init__(
        self, kit: Kit, known: Mapping[Node, Any], fed: Mapping[Node, Fed], lanes: Lanes = NO_LANES,
        places: Places | None = None, unseen: Collection[Node] = (), together: Together = NO_LANES,
    ) -> None:  # fmt: skip
        super().__init__(kit, known, unseen)
        self.places: Places = {} if places is None else places
        self._fed, self._lanes, self._together = fed, lanes, together

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
        several = self._lanes.get(node) or self._together.get(node, (node,))
        return [argument for one in several for argument in arguments(one, self._fed)]

    def _calculated(self, node: Node) -> Any:
        if node in self._lanes:
            group = self._lanes[node]
            self._known.update(zip(group, self._in_lanes(group), strict=True))
            return self._known[node]
        if node in self._together:
            group = self._together[node]
            self._known.update(zip(group, self._in_one_pass(group), strict=True))
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
            result = self._finished(first, jnp.matmul(rows, by, precision="highest"), first.args[2:], group)
        else:
            result = jnp.broadcast_to(self._functions[first.data](*values), (len(group),))
        return apart(result, self.places)

    def _in_one_pass(self, group: Sequence[Node]) -> list[Any]:
        """Sums over one long axis."""
        counts = [node.data[0] + node.data[1] for node in group]
        columns = [self._cells(node.args[:n], node.data[0], ()) for node, n in zip(group, counts, strict=True)]
        parts = zip(group, summed(columns), counts, strict=True)
        return [self._finished(node, total, node.args[count:]) for node, total, count in parts]

    def _lane(self, nodes: Sequence[Node]) -> Any:
        """The arguments of all lanes: one where it is the same for all."""
        if all(node is nodes[0] for node in nodes):
            return self._known[nodes[0]]
        return stacked([as_array(self._known[node]) for node in nodes], self.places)

    # --- functions of cells

    def _map(self, node: Node) -> Any:
        rank = first_of(node)
        if rank is not None:
            return self._first(rank)
        return self._functions[node.data](*(self._along(argument, node.dims) for argument in node.args))

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
