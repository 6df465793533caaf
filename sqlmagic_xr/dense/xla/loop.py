"""Many steps as one program of XLA: a loop that carries the state, and ends before a step that NumPy must look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arrays import DTYPES
from ..node import Node, Refused
from ..ports import Source
from ..running.lanes import Lanes
from ..running.layout import Ran, StepLayout, Stepwise
from .ahead import AheadAxes
from .columns import Packing
from .devices import Device
from .functions import Kit
from .lanes import Places, lanes, ordered
from .passed import nbytes, passed, real_of, within
from .rows import Remainder
from .soundness import unseen
from .state import CarriedState, as_array, read
from .sums import Together, together, without
from .trace import Trace, arguments

_ROOM = 64 * 2**20  # bytes of what a call's steps write, at most
_AHEAD = 8 * 2**20  # bytes of the batches of a call, at most
_MOST = 4096  # steps a call
_SHARE = 0.8  # of a device's memory


@dataclass(frozen=True)
class _Leaves:
    """What a step is made of, as it is passed to the program.

    Attributes:
        still: nodes that are the same at each step, and their arrays.
        given: parameters that stay.
        clock: parameters and nodes that are the newest generation, and how far ahead of it.
        moving: the other parameters that differ from step to step.
        batches: axes that are others at each step, and known before.
    """

    still: tuple[Node, ...]
    given: tuple[Node, ...]
    clock: Mapping[Node, int]
    moving: tuple[Node, ...]
    batches: tuple[Node, ...]


class XlaLoop:
    """A program that makes steps (a :class:`..running.layout.Runner`).

    The state stays on the device from call to call, and so do the rooms into which the steps write: what leaves it is
    the generations that were made.

    Args:
        layout: what is calculated.
        device: where.
        examples: what is carried, at some step.
        lengths: for how many rows there is to be room in batches that have others at each step.

    Attributes:
        most: how many steps a call makes at most.
        nbytes: what is kept on the device.
        seconds: what it took to compile.

    Raises:
        Refused: XLA cannot have it: how many cells an array has is calculated, or it is too large.
    """

    def __init__(
        self, layout: StepLayout, device: Device, examples: Sequence[Any], lengths: Mapping[Node, int] | None = None
    ) -> None:
        self._layout, self._device = layout, device
        self._real = np.float32 if device.precision == "single" else np.float64
        self._examples = [(np.shape(value), real_of(np.asarray(value).dtype, self._real)) for value in examples]
        begin = time.perf_counter()
        self._fed = {node: layout.fed(node) for node in layout.own}
        self._leaves = self._gathered()
        self._lanes = self._parallel()
        self._unseen = unseen(layout, lambda node: arguments(node, self._fed))
        self._together = self._in_one_pass() if device.kind == "cpu" else {}
        self._ahead = AheadAxes(layout.batches, self._leaves.batches, lengths or {})
        self._state = CarriedState(layout, self._examples)
        self._remainder = Remainder(layout.last, layout.unmoved)
        consts = [passed(layout.unmoved[node], self._real) for node in self._leaves.still]
        with jax.enable_x64(True):
            self._carry = Packing(self._carry_like())
            self._packing = Packing(self._shapes(consts), shared=device.kind == "cpu")
            fit = _ROOM // max(1, self._packing.nbytes), _AHEAD // max(1, sum(map(nbytes, self._ahead.like)))
            self.most = max(1, min(_MOST, *fit))
            self.nbytes = sum(nbytes(leaf) for leaf in jax.tree.leaves(consts)) + self.most * self._packing.nbytes
            self._refuse_large()
            self._consts = jax.device_put(consts, device.handle)
            self._compile()
        self.seconds = time.perf_counter() - begin

    # --- what it is made of

    def _gathered(self) -> _Leaves:
        layout = self._layout
        still: dict[Node, None] = {}
        given: dict[Node, None] = {}
        clock: dict[Node, int] = {}
        moving: dict[Node, None] = {}
        batches: dict[Node, None] = {}
        carried = {slot.node for slot in layout.slots if slot.age == slot.feed.age}
        pending, seen = list(layout.roots), set[Node]()
        while pending:
            node = pending.pop()
            if node in seen or node in carried:
                continue
            seen.add(node)
            if node in layout.unmoved:
                still[node] = None
            elif node in layout.batches.nodes:
                batches[node] = None
            elif node in layout.newest:
                clock[node] = 0
            elif node.op == "parameter" and node.data in layout.clock:
                clock[node] = layout.clock[node.data]
            elif node.op == "parameter":
                (moving if node.data in layout.varying else given)[node] = None
            else:
                pending += arguments(node, self._fed)
        return _Leaves(tuple(still), tuple(given), clock, tuple(moving), tuple(batches))

    def _parallel(self) -> Lanes:
        leaves = self._leaves
        known = {*leaves.still, *leaves.given, *leaves.clock, *leaves.moving, *leaves.batches}
        carried = {slot.node for slot in self._layout.slots if slot.age == slot.feed.age}
        return lanes(self._layout.roots, lambda node: arguments(node, self._fed), carried, known)

    def _in_one_pass(self) -> Together:
        layout = self._layout
        ends = {*layout.unmoved, *layout.batches.nodes, *(s.node for s in layout.slots if s.age == s.feed.age)}

        def made_of(node: Node) -> list[Node]:
            every = () if node in ends else self._lanes.get(node, (node,))
            return [argument for one in every for argument in arguments(one, self._fed)]

        found = ordered(layout.roots, made_of, ends)
        return without(together(found, layout, {node: made_of(node) for node in found}), self._lanes)

    def _refuse_large(self) -> None:
        room = self._device.room
        needed = self.nbytes + 2 * self.most * self._packing.nbytes
        if room is not None and needed > _SHARE * room:
            raise Refused(f"{needed:,} bytes do not fit {self._device.name}")

    # --- the program

    def _step(self, consts: Any, carry: Any, given: Any, moving: Any, places: Places, *, last: bool) -> Any:
        """(what is carried on, the columns, what is asked for of the last step, whether NumPy has to make the step)."""
        layout, kit, leaves = self._layout, Kit(self._real), self._leaves
        known: dict[Node, Any] = {
            node: within(layout.unmoved[node], value, self._real)
            for node, value in zip(leaves.still, consts, strict=True)
        }
        known |= dict(zip(leaves.given, given, strict=True))
        known |= dict(zip((*leaves.clock, *leaves.moving, *leaves.batches), moving, strict=True))
        for slot, value in zip(layout.slots, carry, strict=True):
            if slot.age == slot.feed.age:
                known[slot.node] = value
        trace = Trace(kit, known, self._fed, self._lanes, places, self._unseen, self._together)
        columns = [as_array(trace.value(node)) for node in layout.columns]
        newest = [trace.value(node) for node in layout.last] if last else []
        newest = self._remainder.traced(newest, trace.known) if last else []
        for mask in layout.masks:
            kit.flag(~jnp.all(trace.value(mask)))
        for node in layout.sound:
            kit.flag(~jnp.all(jnp.isfinite(trace.value(node))))
        following = self._following(trace, carry)
        bad = jnp.asarray(False)
        for flag in kit.flags:
            bad = bad | flag
        return following, columns, newest, bad

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
            alike = value.dtype == now.dtype and value.shape == now.shape
            found.append(value if alike else jnp.broadcast_to(jnp.asarray(value, now.dtype), now.shape))
        return found

    def _one(self, given: Any, number: Any, carried: Any, rooms: Any, *, last: bool) -> Any:
        """One step of a call: (what is carried on, the rooms, what is asked for of it, whether it is NumPy's)."""
        consts, values, k, courses = given
        leaves, places = self._leaves, Places()
        carry = self._carry.apart(carried, places)
        clock = [(k + number + ahead).astype(DTYPES[node.type]) for node, ahead in leaves.clock.items()]
        moving = [lax.dynamic_index_in_dim(course, number, keepdims=False) for course in courses]
        several = len(leaves.moving)
        axes = self._ahead.axes(moving[several:])
        following, columns, newest, bad = self._step(
            consts, carry, values, [*clock, *moving[:several], *axes], places, last=last
        )  # fmt: skip
        packed = self._packing.packed(columns, places)
        # A step that is to be made by NumPy leaves nothing: its cells of the rooms are behind those that count.
        rooms = [lax.dynamic_update_index_in_dim(r, c, number, 0) for r, c in zip(rooms, packed, strict=True)]
        return self._carry.packed(following, places), rooms, newest, bad

    def _many(self, given: Any, count: Any, carried: Any, rooms: Any) -> Any:
        """The steps of a call, until one is NumPy's: (how many, what is carried on, the rooms, whether one was)."""

        def more(state: Any) -> Any:
            return (state[0] < count) & ~state[-1]

        def body(state: Any) -> Any:
            number, carried, rooms, _ = state
            carried, rooms, _, bad = self._one(given, number, carried, rooms, last=False)
            return number + jnp.where(bad, 0, 1), carried, rooms, bad

        return lax.while_loop(more, body, (jnp.int64(0), carried, rooms, jnp.asarray(False)))

    def _shapes(self, consts: Sequence[Any]) -> list[Any]:
        """The columns of one step."""
        leaves = self._leaves
        given, moving = ([self._scalar(n) for n in nodes] for nodes in (leaves.given, (*leaves.clock, *leaves.moving)))

        def step(consts: Any, carry: Any, given: Any, moving: Any, parts: Any) -> Any:
            return self._step(consts, carry, given, [*moving, *self._ahead.axes(parts)], {}, last=True)

        _, columns, _, _ = jax.eval_shape(step, consts, self._carry_like(), given, moving, self._ahead.like)
        return list(columns)

    def _carry_like(self) -> list[Any]:
        return [jax.ShapeDtypeStruct(shape, kind) for shape, kind in self._examples]

    def _scalar(self, node: Node) -> Any:
        return jax.ShapeDtypeStruct((), self._kind(node))

    def _kind(self, node: Node) -> Any:
        return self._real if node.type == "float64" else DTYPES[node.type]

    def _compile(self) -> None:
        number = jax.ShapeDtypeStruct((), np.int64)
        courses = [jax.ShapeDtypeStruct((self.most,), self._kind(node)) for node in self._leaves.moving]
        courses += [jax.ShapeDtypeStruct((self.most, *part.shape), part.dtype) for part in self._ahead.like]
        given = (self._consts, [self._scalar(node) for node in self._leaves.given], number, courses)
        with jax.default_device(self._device.handle):
            self._rooms = [jnp.zeros((self.most, *r.shape), r.dtype) for r in self._packing.rooms]
            like = given, number, self._carry.rooms, self._rooms
            self._program = _compiled(self._many, like)
            self._last: Callable[..., Any] | None = None
            if self._layout.last:
                self._last = _compiled(lambda *given: self._one(*given, last=True), like)

    # --- a call

    def run(
        self, source: Source, first: Sequence[Any], parameters: Mapping[str, Any],
        courses: Mapping[Node, Sequence[Any]], count: int,
    ) -> Ran:  # fmt: skip
        """Make steps; see :class:`..running.layout.Runner`.

        Raises:
            Refused: the device has no room for them.
            OutgrownError: it takes a program with more room for the rows of a batch.
        """
        try:
            with jax.enable_x64(True):
                given, count = self._given(parameters, courses, count)
                return self._ran(self._carry.filled(self._state.before(first)), given, count)
        except jax.errors.JaxRuntimeError as error:
            raise Refused(f"{self._device.name}: {str(error).splitlines()[0]}") from error

    def _given(
        self, parameters: Mapping[str, Any], courses: Mapping[Node, Sequence[Any]], count: int
    ) -> tuple[Any, int]:  # fmt: skip
        """What the program is given, and how many steps it may make."""
        leaves = self._leaves
        values = [np.asarray(parameters[node.data], self._kind(node)) for node in leaves.given]
        along = []
        for node in leaves.moving:
            course = np.zeros(self.most, self._kind(node))
            course[:count] = courses[node][:count]
            along.append(course)
        clock = next(((courses[node][0], ahead) for node, ahead in leaves.clock.items()), (0, 0))
        k = np.int64(int(clock[0]) - clock[1])
        parts, count = self._ahead.courses(parameters, courses, count, self.most)
        return (self._consts, *jax.device_put((values, k, [*along, *parts]), self._device.handle)), count

    def _ran(self, carry: Sequence[Any], given: Any, count: int) -> Ran:
        alone = 0 if self._last is None else 1  # the last step is made by itself, where more of it is asked for
        made, after, bad = self._run_many(given, count - alone, carry) if count > alone else (0, carry, False)
        if self._last is None:
            return self._left(made, after, [], sure=not bad)
        if bad and made:  # what is asked for of the last sound step has to be calculated with it
            return self._ran(carry, given, made)
        if bad:
            return Ran(0, [], [])
        following, self._rooms, last, failed = self._last(given, np.int64(made), after, self._rooms)
        if bool(failed):
            return self._ran(carry, given, made) if made else Ran(0, [], [])
        return self._left(made + 1, following, self._remainder.left(last), sure=True)

    def _run_many(self, given: Any, count: int, carry: Sequence[Any]) -> tuple[int, Any, bool]:
        number, after, self._rooms, bad = self._program(given, np.int64(count), carry, self._rooms)
        return int(number), after, bool(bad)

    def _left(self, made: int, after: Sequence[Any], last: Sequence[Any], *, sure: bool) -> Ran:
        """What a call has made, copied out of the rooms."""
        columns = self._packing.unpacked(self._rooms, made)
        self._state.left(self._carry.arrays(after) if sure else None, columns, made)
        return Ran(made, [Stepwise(column) for column in columns], last)


def _compiled(function: Callable[..., Any], like: Sequence[Any]) -> Callable[..., Any]:
    """A program whose rooms are written in place."""
    compiled: Callable[..., Any] = jax.jit(function, donate_argnums=(3,)).lower(*like).compile()
    return compiled
