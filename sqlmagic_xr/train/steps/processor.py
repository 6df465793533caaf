"""Which processor calculates the loop of many steps, and its program, which is compiled while nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ...dense.block import StepBlock
from ...dense.node import Node, Refused
from ...dense.ports import Source
from ...dense.running.layout import StepsRunner
from ...engine.budget import nbytes_shown

if TYPE_CHECKING:
    from ...dense.xla.devices import Device

_LOOK = 0.02  # seconds between two looks at whether it is compiled; an interrupt acts between them


def device_of(
    name: Literal["auto", "cpu", "gpu"], precision: Literal["double", "single"]
) -> Device | None:  # fmt: skip
    """The device that is asked for; None for "auto". JAX is imported for that alone.

    Raises:
        UsageError: there is none.
    """
    if name == "auto":
        return None
    from ...dense.xla.devices import find

    return find(name, precision)


class Processor:
    """XLA's programs on a device, one for each block; what XLA cannot have is left to NumPy.

    Args:
        device: which.

    Attributes:
        reason: why NumPy calculates instead; "" where it does not.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._block: StepBlock | None = None
        self._runner: Any = None
        self.reason = ""

    @property
    def said(self) -> str:
        """What calculates, for a person."""
        where = f"{self._device.library} on {self._device.name}, {self._device.precision} precision"
        if self.reason:
            return f"NumPy, not {where}: {self.reason}"
        if self._runner is None:
            return where
        kept = nbytes_shown(self._runner.nbytes)
        return f"{where}, at most {self._runner.most:,} steps a call, {kept} kept there"

    def runner(self, block: StepBlock, source: Source, values: Mapping[str, Any], k: int) -> StepsRunner | None:
        """What makes the steps of a block; None for NumPy.

        The first call for a block waits until its program is compiled, in a thread of its own, so that an interrupt is
        heard meanwhile; from which step on it is used depends on no clock, and equal runs give equal numbers.
        """
        if block is not self._block:
            self._block, self._runner, self.reason = block, None, ""
            layout = block.layout
            stay = {name: value for name, value in values.items() if name not in layout.varying}
            self._compile(block, block.first(source, values, k), layout.batches.coming(layout.clock, stay, k))
        return None if self._runner is None else self

    @property
    def most(self) -> int:
        """How many steps its program makes in a call."""
        return int(self._runner.most)

    def run(self, source: Source, first: Any, parameters: Any, courses: Any, count: int) -> Any:
        """Make steps by its program; of one that batches have outgrown by another, of one without room by none."""
        from ...dense.xla.ahead import OutgrownError

        try:
            return self._runner.run(source, first, parameters, courses, min(count, self.most))
        except OutgrownError as outgrown:
            assert self._block is not None
            self._compile(self._block, first, outgrown.lengths)
            if self._runner is None:
                raise Refused(self.reason) from outgrown
            return self.run(source, first, parameters, courses, count)
        except Refused as refused:
            self._runner, self.reason = None, refused.reason
            raise

    def _compile(self, block: StepBlock, examples: list[Any], lengths: Mapping[Node, int]) -> None:
        from ...dense.xla.loop import XlaLoop

        found: list[Any] = []

        def compile() -> None:
            try:
                found.append(XlaLoop(block.layout, self._device, examples, lengths))
            except BaseException as error:  # it is told in the thread that waits
                found.append(error)

        thread = threading.Thread(target=compile, daemon=True, name="compiling")
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK)
        made, self._runner = found[0], None
        if isinstance(made, Refused):
            self.reason = made.reason
        elif isinstance(made, (TypeError, ValueError, NotImplementedError, RuntimeError)):
            self.reason = f"XLA cannot: {str(made).splitlines()[0] if str(made) else type(made).__name__}"
        elif isinstance(made, BaseException):
            raise made
        else:
            self._runner = made
