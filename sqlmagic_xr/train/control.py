"""What a person asks of a run while it goes on: stop, pause, another learning rate; and what an interrupt means."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from ..errors import ParameterError, UsageError, suggest
from .events import Range

Why = Literal["stopped", "interrupted"]


class Control:
    """The wishes of whoever watches a run; the loop reads them between two steps.

    Every method may be called from any thread (a button's call-back runs beside the cell), and none of them touches
    the engine.

    Args:
        tunable: the parameters that may be set, and their ranges.

    Attributes:
        driven: whether somebody goes through the run to its end (inside :meth:`interruptible`).
    """

    def __init__(self, tunable: Mapping[str, Range] | None = None) -> None:
        self.tunable = dict(tunable or {})
        self.driven = False
        self._lock = threading.Lock()
        self._wishes: dict[str, float] = {}
        self._why: Why | None = None
        self._paused = False
        self._stepping = self._abandoned = False
        self._around = _Stepping(self)

    @property
    def ending(self) -> Why | None:
        """Why the run is to end, once that has been asked for."""
        return self._why

    @property
    def paused(self) -> bool:
        """Whether the run waits."""
        return self._paused and self._why is None

    def stop(self) -> None:
        """End after the step in progress."""
        self._why = self._why or "stopped"

    def pause(self) -> None:
        """Wait after the step in progress."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False

    def tune(self, name: str, value: float) -> None:
        """Set a parameter from the next step on.

        Raises:
            ParameterError: it is not one of the tuned ones.
            UsageError: the value lies outside its range.
        """
        allowed = self.tunable.get(name)
        if allowed is None:
            raise ParameterError(f"{name} is not tuned in this run", hint=suggest(name, self.tunable))
        if not allowed.holds(value):
            raise UsageError(f"{name} = {value:g} lies outside its range {allowed.low:g}:{allowed.high:g}")
        with self._lock:
            self._wishes[name] = float(value)

    def wishes(self) -> dict[str, float]:
        """What has been set since the last call."""
        if not self._wishes:  # a wish that comes just now is the next call's
            return {}
        with self._lock:
            wishes, self._wishes = self._wishes, {}
        return wishes

    def interrupt(self) -> None:
        """The first time: end after the step in progress. The second time: abandon that step.

        Raises:
            KeyboardInterrupt: the second time, while a step runs; so only the one who runs it calls this.
        """
        again, self._why = self._why == "interrupted", "interrupted"
        if again and self._stepping:
            self._abandoned = True
            raise KeyboardInterrupt

    def check(self) -> None:
        """Say once more that the step is abandoned, before it is committed: the engine may have swallowed it.

        Raises:
            KeyboardInterrupt: there was a second interrupt during this step.
        """
        if self._abandoned:
            raise KeyboardInterrupt

    def stepping(self) -> _Stepping:
        """Around a step: the only place that a second interrupt breaks into."""
        return self._around

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While this is open, SIGINT goes to :meth:`interrupt`; in any thread but the main one it is not asked for."""
        self.driven = True
        try:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            with self._handling():
                yield
        finally:
            self.driven = False

    @contextmanager
    def _handling(self) -> Iterator[None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self.interrupt()

        previous = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            # None stands for a handler that was not installed from Python, which Python cannot put back.
            signal.signal(signal.SIGINT, previous if previous is not None else signal.default_int_handler)


class _Stepping:
    """See :meth:`Control.stepping`; entered at each step, so it is made once."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def __enter__(self) -> None:
        self._control._stepping = True

    def __exit__(self, *_: object) -> None:
        self._control._stepping = self._control._abandoned = False
