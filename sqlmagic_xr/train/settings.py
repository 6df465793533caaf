"""What a run is asked to do besides its SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError
from .events import Range


@dataclass(frozen=True)
class Settings:
    """How to run a training cell.

    Attributes:
        steps: how many steps to make at most.
        params: values of parameters.
        tune: parameters that a person may change while it runs, and their ranges.
        schedule: parameters that follow an SQL expression, usually of ``:step``.
        until: an SQL condition on the newest row of the curves; the run ends once it is true.
        patience: end when the first line of the first curve has not fallen for so many steps.
        keep_best: leave the tables at the generation with the least of what ``patience`` looks at, whatever the end.
        every: bring the curves up to date after every so many steps; None for as often as is cheap, or, with ``until``,
            ``patience`` or ``keep_best``, after every step.
        seed: what ``:random`` is drawn from; None for a new one.
        restart: begin again at the first generation, dropping the later ones.
        verbatim: run the statements as they stand at each step, with nothing folded, kept or handed to another
            executor.
        executor: "relational" for DataFusion alone, "dense" for array code alone, "auto" for whichever can.
        curves: names of views to draw, instead of SELECTs in the text.
        device: where the loop of many steps is calculated: "auto" for NumPy, "cpu" or "gpu" for XLA there.
        precision: "single" for floats of 32 bits on such a device.
        each_step: whether there is an event for each step, between which nothing runs; else one for several steps that
            are made in one call.
        keep_every: where the tables are kept in a file, how far apart generations go to disk: seconds, or "100 steps".

    Raises:
        UsageError: a number that makes no sense.
    """

    steps: int = 100
    params: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Range] = field(default_factory=dict)
    schedule: Mapping[str, str] = field(default_factory=dict)
    until: str | None = None
    patience: int | None = None
    keep_best: bool = False
    every: int | None = None
    seed: int | None = None
    restart: bool = False
    verbatim: bool = False
    executor: Literal["auto", "dense", "relational"] = "auto"
    curves: tuple[str, ...] = ()
    keep_every: str | float = 1.0
    each_step: bool = True
    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["double", "single"] = "double"

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("patience", 1), ("every", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise UsageError(f"{name} is a whole number, {least} or more, not {value!r}")
        for name, choices in (("device", ("auto", "cpu", "gpu")), ("precision", ("double", "single"))):
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} is one of {', '.join(choices)}, not {getattr(self, name)!r}")
        if self.device == "auto" and self.precision == "single":
            raise UsageError("single precision is that of a device", hint='As in: device="cpu" or device="gpu".')
        if self.device != "auto" and (self.verbatim or self.executor == "relational"):
            raise UsageError(f"device {self.device} runs array code", hint='Use executor "auto" or "dense" with it.')
        for name, values in self.tune.items():
            if not values.low < values.high:
                raise UsageError(f"the range of {name} is empty: {values.low:g}:{values.high:g}")

    @property
    def checks_each_step(self) -> bool:
        """Whether the curves of each step decide what becomes of the run."""
        return self.until is not None or self.patience is not None or self.keep_best
