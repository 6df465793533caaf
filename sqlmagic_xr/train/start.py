"""The library's door to training: ``Context.train``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError
from .control import Control
from .events import Event, Paused, Range
from .loop import Training
from .recursing import Recursing, RecursiveRun, recursive_query
from .run import Run
from .settings import Settings

if TYPE_CHECKING:
    from ..engine.context import Context

_PAUSE = 0.05  # seconds between two looks at whether a paused run goes on


def train(
    context: Context,
    text: str,
    *,
    steps: int | None = None,
    params: Mapping[str, Any] | None = None,
    tune: Mapping[str, Range | tuple[float, float]] | None = None,
    schedule: Mapping[str, str] | None = None,
    until: str | None = None,
    patience: int | None = None,
    keep_best: bool = False,
    every: int | None = None,
    seed: int | None = None,
    restart: bool = False,
    verbatim: bool = False,
    executor: Literal["auto", "dense", "relational"] = "auto",
    curve: str | Iterable[str] = (),
    keep_every: str | float = 1.0,
    stream: bool = False,
    on_event: Callable[[Event], object] | None = None,
    each_step: bool | None = None,
    device: Literal["auto", "cpu", "gpu"] | None = None,
    precision: Literal["double", "single"] = "double",
    control: Control | None = None,
) -> Run | Training | RecursiveRun | Recursing:
    """Run a training cell: the statements of a step, again and again, and the curves behind them.

    Args:
        context: where to run it.
        text: one or more statements with effects, among them an INSERT, then any number of SELECTs; or one recursive
            query, which is answered over the rows of its rounds so far while it goes on, and nothing is written.
        steps: how many steps to make at most: 100 where it is not said, and all rounds of a recursive query.
        params: values of parameters, besides the loop's own ``:step`` (or ``:k``, the newest generation),
            ``:next_step``, ``:seed`` and ``:random``.
        tune: parameters that may be changed while it runs, with the least and the greatest value.
        schedule: parameters that follow an SQL expression, as ``{"lr": "0.4 * pow(0.99, :step)"}``.
        until: an SQL condition on the newest row of the curves that ends the run.
        patience: end when the first line of the first curve has not fallen for so many steps.
        keep_best: leave the tables at the generation with the least of what ``patience`` looks at; each step is looked
            at for that, so they are slower.
        every: bring the curves up to date after every so many steps.
        seed: the same seed gives the same ``:random`` at the same step.
        restart: begin again at the first generation.
        verbatim: run each statement as it stands at each step; the tables come out the same, only slower.
        executor: "dense" runs the statements as array code or fails, "relational" never does; "auto" does where it can.
        curve: views to draw, instead of SELECTs in ``text``.
        keep_every: where the tables are kept in a file, how far apart generations go to disk: a number of seconds, or
            of steps as in ``"100 steps"``. Whatever ends the run, all of them are there then.
        stream: return at once what can be iterated to run it, event by event.
        on_event: called with every event.
        each_step: whether there is an event for each step, and between two of them nothing runs; else several steps are
            made in one call of at most 50 ms and committed together, and an event tells the last of them. By default
            there is where somebody receives the events.
        device: where the loop of many steps is calculated: "auto" is NumPy, "cpu" and "gpu" are XLA's, which the extra
            ``sqlmagic-xr[xla]`` brings: its numbers differ from NumPy's in their last bits. By default the context's.
        precision: "single" calculates with 32 bits on such a device.
        control: what stops, pauses and tunes the run, made beforehand: so another thread may hold it, or a button.

    Returns:
        The :class:`.run.Run`, whatever its end (of a recursive query a :class:`.recursing.RecursiveRun`); with
        ``stream``, what is iterated for it.

    Raises:
        SqlError: the text or the options do not fit, or a step failed; what was committed before it stands.
    """
    ranges = {name: r if isinstance(r, Range) else Range(*map(float, r)) for name, r in (tune or {}).items()}
    settings = Settings(
        steps=100 if steps is None else steps, params=dict(params or {}), tune=ranges, schedule=dict(schedule or {}),
        until=until, patience=patience, keep_best=keep_best, every=every, seed=seed, restart=restart, verbatim=verbatim,
        executor=executor, curves=(curve,) if isinstance(curve, str) else tuple(curve), keep_every=keep_every,
        device=context.device if device is None else device, precision=precision,
        each_step=(stream or on_event is not None) if each_step is None else each_step,
    )  # fmt: skip
    if stream and on_event is not None:
        raise UsageError("a stream hands out its events itself", hint="Leave out stream or on_event.")
    recursive = recursive_query(text)
    training = (
        Training(context, text, settings, control)
        if recursive is None
        else Recursing(context, recursive, settings, steps, control)
    )
    return training if stream else follow(training, on_event or (lambda event: None))


def follow(training: Training | Recursing, receive: Callable[[Event], object]) -> Run | RecursiveRun:
    """Run to the end, handing each event to ``receive``; an interrupt ends it after the step in progress."""
    with training.control.interruptible(), closing(iter(training)) as events:
        for event in events:
            receive(event)
            if isinstance(event, Paused):
                time.sleep(_PAUSE)
    return training.run
