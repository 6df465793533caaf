"""Many steps as one program of XLA: a loop that carries the state, and ends before a step that NumPy must look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arrays import DTYPES
from ..node import Node, Refused
from ..ports import Source
from ..running.align import Alignment
from ..running.looped import Layout, Ran, Stepwise
from .devices import Device
from .functions import Kit
from .trace import Trace, arguments, read

_ROOM = 64 * 2**20  # bytes of what a call's steps write, at most
_MOST = 4096  # steps a call
_SHARE = 0.8  # of a device's memory


@dataclass(frozen=True)
class _Leaves:
    """What a step is made of, as it is passed to the program.

    Attributes:
        still: nodes that are the same at each step, and their arrays.
        given: parameters that stay.
        moving: parameters that differ from step to step, and nodes that are the newest generation.
    """

    still: tuple[Node, ...]
    given: tuple[Node, ...]
    moving: tuple[Node, ...]


class XlaLoop:
    """A program that makes steps (a :class:`..running.looped.Runner`).

    Args:
        layout: what is calculated.
        device: where.
        examples: what is carried, at some step.

    Attributes:
        most: how many steps a call makes at most.
        nbytes: what is kept on the device.
        seconds: what it took to compile.

    Raises:
        Refused: XLA cannot have it: how many cells an array has is calculated, or it is too large.
    """

    def __init__(self, layout: Layout, device: Device, examples: Sequence[Any]) -> None:
        self._layout, self._device = layout, device
        self._examples = [(np.shape(value), np.asarray(value).dtype) for value in examples]
        self._real = np.float32 if device.precision == "single" else np.float64
        begin = time.perf_counter()
        self._fed = {node: layout.fed(node) for node in layout.own}
        self._leaves = self._gathered()
        consts = self._constants()
        with jax.enable_x64(True):
            shapes = self._shapes(consts)
            self.most = max(1, min(_MOST, _ROOM // max(1, sum(_nbytes(s) for s in shapes))))
            self.nbytes = sum(_nbytes(leaf) for leaf in jax.tree.leaves(consts))
            self._refuse_large(shapes)
            self._consts = jax.device_put(consts, device.handle)
            self._program = self._compiled(shapes)
        self.seconds = time.perf_counter() - begin

    # --- what it is made of

    def _gathered(self) -> _Leaves:
        layout = self._layout
        still: dict[Node, None] = {}
        given: dict[Node, None] = {}
        moving: dict[Node, None] = {}
        carried = {slot.node for slot in layout.slots if slot.age == slot.feed.age}
        pending, seen = list(layout.roots), set[Node]()
        while pending:
            node = pending.pop()
            if node in seen or node in carried:
                continue
            seen.add(node)
            if node in layout.unmoved:
                still[node] = None
            elif node in layout.newest:
                moving[node] = None
            elif node.op == "parameter":
                (moving if node.data in layout.varying else given)[node] = None
            else:
                pending += arguments(node, self._fed)
        return _Leaves(tuple(still), tuple(given), tuple(moving))

    def _constants(self) -> list[Any]:
        return [_plain(self._layout.unmoved[node], self._real) for node in self._leaves.still]

    def _refuse_large(self, shapes: Sequence[Any]) -> None:
        room = self._device.room
        needed = self.nbytes + 3 * self.most * sum(map(_nbytes, shapes))
        if room is not None and needed > _SHARE * room:
            raise Refused(f"{needed:,} bytes do not fit {self._device.name}")

    # --- the program

    def _step(self, consts: Sequence[Any], carry: Sequence[Any], given: Sequence[Any], moving: Sequence[Any]) -> Any:
        """(what is carried on, the columns, what is asked for of the last step, whether NumPy has to make the step)."""
        layout, kit = self._layout, Kit(self._real)
        known: dict[Node, Any] = {
            node: _whole(layout.unmoved[node], value, self._real)
            for node, value in zip(self._leaves.still, consts, strict=True)
        }
        known |= dict(zip(self._leaves.given, given, strict=True))
        known |= dict(zip(self._leaves.moving, moving, strict=True))
        for slot, value in zip(layout.slots, carry, strict=True):
            if slot.age == slot.feed.age:
                known[slot.node] = value
        trace = Trace(kit, known, self._fed)
        columns = [jnp.asarray(trace.value(node)) for node in layout.columns]
        last = [jnp.asarray(trace.value(node)) for node in layout.last]
        for mask in layout.masks:
            kit.flag(~jnp.all(trace.value(mask)))
        for node in layout.sound:
            kit.flag(~jnp.all(jnp.isfinite(trace.value(node))))
        following = self._following(trace, carry)
        bad = jnp.asarray(False)
        for flag in kit.flags:
            bad = bad | flag
        return following, columns, last, bad

    def _following(self, trace: Trace, carry: Sequence[Any]) -> list[Any]:
        layout = self._layout
        at = {(slot.feed.scan, slot.age, slot.node): place for place, slot in enumerate(layout.slots)}
        found = []
        for slot, now in zip(layout.slots, carry, strict=True):
            if slot.age > 1:
                found.append(carry[at[slot.feed.scan, slot.age - 1, slot.node]])
                continue
            fed = layout.fed(slot.node)
            value = read(fed, np.True_ if fed.source is None else trace.value(fed.source))
            found.append(jnp.broadcast_to(jnp.asarray(value, now.dtype), now.shape))
        return found

    def _block(self, consts: Any, carry: Any, given: Any, courses: Any, count: Any, rooms: Any, last: Any) -> Any:
        def more(state: Any) -> Any:
            return (state[0] < count) & ~state[-1]

        def body(state: Any) -> Any:
            number, carried, rooms, last, _ = state
            moving = [lax.dynamic_index_in_dim(course, number, keepdims=False) for course in courses]
            following, columns, newest, bad = self._step(consts, carried, given, moving)
            # A step that is to be made by NumPy leaves nothing: its cells of the rooms are behind those that count.
            rooms = [lax.dynamic_update_index_in_dim(r, c, number, 0) for r, c in zip(rooms, columns, strict=True)]
            kept = [jnp.where(bad, old, new) for old, new in zip(carried, following, strict=True)]
            last = [jnp.where(bad, old, new) for old, new in zip(last, newest, strict=True)]
            return number + jnp.where(bad, 0, 1), kept, rooms, last, bad

        begin = (jnp.int64(0), carry, rooms, last, jnp.asarray(False))
        number, _, rooms, last, _ = lax.while_loop(more, body, begin)
        return number, rooms, last

    def _shapes(self, consts: Sequence[Any]) -> list[Any]:
        """The columns of one step, and what is asked for of the last one."""
        given = [jax.ShapeDtypeStruct((), self._kind(node)) for node in self._leaves.given]
        moving = [jax.ShapeDtypeStruct((), self._kind(node)) for node in self._leaves.moving]
        _, columns, last, _ = jax.eval_shape(self._step, consts, self._carry_like(), given, moving)
        self._last = last
        return list(columns)

    def _carry_like(self) -> list[Any]:
        return [jax.ShapeDtypeStruct(shape, _real_of(kind, self._real)) for shape, kind in self._examples]

    def _kind(self, node: Node) -> Any:
        return self._real if node.type == "float64" else DTYPES[node.type]

    def _compiled(self, shapes: Sequence[Any]) -> Callable[..., Any]:
        most = self.most

        def program(consts: Any, carry: Any, given: Any, courses: Any, count: Any) -> Any:
            rooms = [jnp.zeros((most, *shape.shape), shape.dtype) for shape in shapes]
            last = [jnp.zeros(shape.shape, shape.dtype) for shape in self._last]
            return self._block(consts, carry, given, courses, count, rooms, last)

        given = [jax.ShapeDtypeStruct((), self._kind(node)) for node in self._leaves.given]
        courses = [jax.ShapeDtypeStruct((most,), self._kind(node)) for node in self._leaves.moving]
        count = jax.ShapeDtypeStruct((), np.int64)
        with jax.default_device(self._device.handle):
            lowered = jax.jit(program).lower(self._consts, self._carry_like(), given, courses, count)
            compiled: Callable[..., Any] = lowered.compile()
        return compiled

    # --- a call

    def run(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        """Make steps; see :class:`..running.looped.Runner`.

        Raises:
            Refused: the device has no room for them.
        """
        real, handle = self._real, self._device.handle
        carry = [np.asarray(value, _kind_of(value, real)) for value in first]
        given = [np.asarray(parameters[node.data], self._kind(node)) for node in self._leaves.given]
        along = []
        for node in self._leaves.moving:
            course = np.zeros(self.most, self._kind(node))
            course[:count] = courses[node]
            along.append(course)
        try:
            with jax.enable_x64(True):
                moved = jax.device_put((carry, given, along, np.int64(count)), handle)
                number, rooms, last = self._program(self._consts, *moved)
                made = int(number)
                outs = [np.asarray(room if 2 * made > self.most else room[:made])[:made] for room in rooms]
                newest = [np.asarray(value) for value in last]
        except jax.errors.JaxRuntimeError as error:
            raise Refused(f"{self._device.name}: {str(error).splitlines()[0]}") from error
        return Ran(made, [Stepwise(out) for out in outs], newest)


def _plain(value: Any, real: Any) -> Any:
    """What is passed to the program for something that is the same at each step."""
    if isinstance(value, Alignment):
        parts = (value.coordinates, value.first, value.second, value.found)
        return [part for part in parts if isinstance(part, np.ndarray)]
    # A number is a part of the program: shapes, and which power is a root, are told by some of them.
    return [] if np.ndim(value) == 0 else np.asarray(value, _kind_of(value, real))


def _whole(value: Any, passed: Any, real: Any) -> Any:
    """The same within the program."""
    if isinstance(value, Alignment):
        parts = iter(passed)
        given = (value.coordinates, value.first, value.second, value.found)
        found: list[Any] = [next(parts) if isinstance(part, np.ndarray) else part for part in given]
        return Alignment(found[0], found[1], found[2], found[3])
    if not isinstance(passed, list):
        return passed
    return real(value) if isinstance(value, np.float64) else value


def _kind_of(value: Any, real: Any) -> Any:
    return _real_of(np.asarray(value).dtype, real)


def _real_of(kind: Any, real: Any) -> Any:
    return np.dtype(real) if kind == np.float64 else kind


def _nbytes(value: Any) -> int:
    return int(prod(value.shape) * np.dtype(value.dtype).itemsize)
