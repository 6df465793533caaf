"""The state of a run between two calls: it stays on the device as long as the tables are as the last call left them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..running.layout import Fed, StepLayout


class CarriedState:
    """What is carried from one call to the next.

    Args:
        layout: what is carried.
        like: the shape and type of each.
    """

    def __init__(self, layout: StepLayout, like: Sequence[tuple[tuple[int, ...], Any]]) -> None:
        self._like = like
        columns = {node: place for place, node in enumerate(layout.columns)}
        self._sources = [columns.get(source) if source is not None else None
                         for source in (layout.fed(slot.node).source for slot in layout.slots)]  # fmt: skip
        self._ages = [slot.age for slot in layout.slots]
        self._device: Sequence[Any] | None = None
        self._host: list[Any] = []

    def before(self, first: Sequence[Any]) -> list[Any]:
        """What a call begins with: an array that is on the device where it is the one that the tables have."""
        found = []
        for place, (value, (_, kind)) in enumerate(zip(first, self._like, strict=True)):
            stays = self._device is not None and np.ndim(value) and _is(value, self._host[place])
            found.append(self._device[place] if stays and self._device else np.asarray(value, kind))
        return found

    def left(self, after: Sequence[Any] | None, columns: Sequence[Any], made: int) -> None:
        """Note how a call has left the state.

        Args:
            after: what would be carried on; None where a step has failed, and nothing is.
            columns: what its steps have written.
            made: how many they are.
        """
        self._device = after
        self._host = [
            columns[source][made - age] if after is not None and source is not None and made >= age else None
            for source, age in zip(self._sources, self._ages, strict=True)
        ]


def _is(value: Any, left: Any) -> bool:
    """Whether an array is what was copied out, whose memory nobody else can have and nobody writes."""
    return left is not None and np.may_share_memory(value, left)


def as_array(value: Any) -> Any:
    """A value of a program, itself where it is one: whether it is a lane is told by who it is."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value)


def read(fed: Fed, value: Any) -> Any:
    """What a later scan reads of a column."""
    value = as_array(value)
    if fed.cut is not None:
        value = value[fed.cut]
    if fed.whole:
        return value
    value = jnp.transpose(value, sorted(range(len(fed.dims)), key=lambda place: fed.dims[place]))
    sizes = [length if place in fed.dims else 1 for place, length in enumerate(fed.grid.shape)]
    return jnp.broadcast_to(jnp.reshape(value, sizes), fed.grid.shape)
