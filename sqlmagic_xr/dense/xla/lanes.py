"""Which numbers of a program are lanes of one vector, and how they come together and apart.

XLA makes a kernel of each number, and a step of thirty weights is two hundred kernels; here the same formula is one,
over thirty lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..node import Node
from ..running.lanes import Key, Lanes, alike, alone
from .ranks import first_of

_FEW = 4  # lanes; fewer are no vector

Places = dict[int, tuple[Any, int, Any]]
"""By the id of a number the vector that it is a lane of, its place there, and the number, whose id stays its own."""


def lanes(
    roots: Sequence[Node], arguments: Callable[[Node], Sequence[Node]], carried: Collection[Node],
    leaves: Collection[Node],
) -> Lanes:  # fmt: skip
    """Which numbers are calculated alike.

    Args:
        roots: what is calculated.
        arguments: what a node is calculated from.
        carried: the numbers and arrays that each step begins with.
        leaves: what else is known.
    """

    def key(node: Node, form: Callable[[Node], int]) -> Key:
        number = not node.dims
        if node in carried and number:
            return "carried", node.type
        if node not in leaves and number and _is_parallel(node, leaves):
            return node.op, node.type, node.data, *(_shared(node, n, form, leaves) for n in range(len(node.args)))
        return alone(node)

    return alike(ordered(roots, arguments, {*carried, *leaves}), key, _FEW)


def _is_parallel(node: Node, leaves: Collection[Node]) -> bool:
    """Whether a number may be one of several: a function of numbers, or a sum of products with what stays."""
    if node.op == "map":
        return first_of(node) is None and all(not argument.dims for argument in node.args)
    if node.op != "sum" or node.type != "float64" or node.data[:2] != (2, 0):
        return False
    one, other = node.args[:2]
    return len(one.dims) == 1 and one.dims == other.dims and (one in leaves) != (other in leaves)


def _shared(node: Node, place: int, form: Callable[[Node], int], leaves: Collection[Node]) -> Any:
    """What an argument is to have in common with those of other lanes; of a sum all but the column is the same."""
    argument = node.args[place]
    if node.op != "sum":
        return form(argument)
    return ("column", argument.dims) if place < 2 and argument in leaves else id(argument)


def ordered(
    roots: Sequence[Node], arguments: Callable[[Node], Sequence[Node]], ends: Collection[Node]
) -> list[Node]:  # fmt: skip
    """The roots and what they are calculated from, each once, arguments first."""
    found: dict[Node, None] = {}
    pending = [(node, False) for node in reversed(roots)]
    while pending:
        node, ready = pending.pop()
        if ready:
            found[node] = None
        elif node not in found:
            pending.append((node, True))
            if node not in ends:
                pending += [(argument, False) for argument in arguments(node)]
    return list(found)


def apart(vector: Any, places: Places) -> list[Any]:
    """The lanes of a vector; where they come from is noted."""
    found = [vector[place] for place in range(vector.shape[0])]
    places.update({id(number): (vector, place, number) for place, number in enumerate(found)})
    return found


def stacked(numbers: Sequence[Any], places: Places) -> Any:
    """Numbers as one vector: neighbouring lanes of one are taken together."""
    runs: list[tuple[Any, int, int]] = []
    for number in numbers:
        vector, place, _ = places.get(id(number), (None, 0, None))
        if vector is None:
            runs.append((number, -1, 0))
        elif runs and runs[-1][0] is vector and runs[-1][2] == place:
            runs[-1] = (vector, runs[-1][1], place + 1)
        else:
            runs.append((vector, place, place + 1))
    if len(runs) > _FEW and all(first >= 0 for _, first, _ in runs):
        return _picked(runs)
    parts = [jnp.expand_dims(what, 0) if first < 0 else what[first:last] for what, first, last in runs]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def _picked(runs: Sequence[tuple[Any, int, int]]) -> Any:
    """Lanes that lie apart, picked at once."""
    vectors = list({id(vector): vector for vector, _, _ in runs}.values())
    begins = np.cumsum([0, *(vector.shape[0] for vector in vectors)])
    begin = {id(vector): int(at) for vector, at in zip(vectors, begins, strict=False)}
    places = [begin[id(vector)] + place for vector, first, last in runs for place in range(first, last)]
    every = vectors[0] if len(vectors) == 1 else jnp.concatenate(vectors)
    return jnp.take(every, np.asarray(places), mode="clip")
