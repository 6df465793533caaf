"""Who watches a run; and the widget that stands on the page from the click on, before what trains is imported.

To import what trains and to plan a step takes a second where the kernel has done neither, and many on a busy machine.
Meanwhile the widget says what goes on, and its buttons are those of the run to come.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.display import clear_output, display

from ..errors import UsageError
from ..sql.lexer import span_at
from .idle import MODULES

if TYPE_CHECKING:
    from ..display.live import LiveMonitor
    from ..display.monitor import Monitor
    from ..display.screen import Place
    from ..train.control import Control
    from ..train.events import Panel
    from ..train.loop import Training
    from ..train.recursing import Recursing
    from .train import TrainOptions

_BREATH = 0.02  # seconds between two turns of the event loop; a person notices no delay below 0.1
_TURNS = 10  # of the event loop at a time
_WIDGET = ("ipywidgets", "anywidget", "sqlmagic_xr.display.live")
"""What the widget needs, which is imported before what the run needs."""
_LOADING, _PLANNING = "loading what trains", "planning the step"
_SAY = 0.25  # seconds between two lines that say the same of a later time


class Breath:
    """Lets the kernel's event loop turn now and then, so that a click arrives."""

    def __init__(self) -> None:
        self._at = time.perf_counter()

    async def take(self) -> None:
        """Turn the loop, if it is time to."""
        if time.perf_counter() - self._at < _BREATH:
            return
        # A click takes several turns to arrive: a call of many steps leaves the loop few occasions for them.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._at = time.perf_counter()


class Opening:
    """The widget of a run that is not there yet; a line of text until what it needs is imported itself.

    Args:
        log: whether the y axis is logarithmic at first.
    """

    def __init__(self, *, log: bool) -> None:
        self._log = log
        self._begin, self._said = time.perf_counter(), -_SAY
        self._missing = [name for name in (*_WIDGET, *MODULES) if name not in sys.modules]
        self._handle = display({"text/plain": _LOADING}, raw=True, display_id=True) if self._missing else None
        self._control: Control | None = None
        self._monitor: LiveMonitor | None = None

    @property
    def control(self) -> Control:
        """What the buttons ask of the run to come."""
        from ..train.control import Control

        self._control = self._control or Control()
        return self._control

    @property
    def monitor(self) -> LiveMonitor:
        """The widget."""
        from ..display.live import LiveMonitor

        self._monitor = self._monitor or LiveMonitor(self.control, self._display, log=self._log)
        return self._monitor

    async def load(self) -> None:
        """Import what a run needs, a piece at a time, so that the page moves and the buttons act."""
        breath = Breath()
        for name in self._missing:
            with suppress(ImportError):  # an extra that is not installed is said by what needs it
                importlib.import_module(name)
            self._say(_LOADING, text=name in _WIDGET)
            await breath.take()
        self._said = -_SAY
        self._say(_PLANNING)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Take it off the page; what is put out next takes its place."""
        if self._monitor is not None:
            self._monitor.close()
        clear_output(wait=True)

    def _display(self, widget: Any, **keywords: Any) -> Any:
        if self._handle is None:
            return display(widget, **keywords)
        self._handle.update(widget)
        return self._handle

    def _say(self, what: str, *, text: bool = False) -> None:
        seconds = time.perf_counter() - self._begin
        if seconds - self._said < _SAY:
            return
        self._said, line = seconds, f"{what} · {seconds:.1f} s"
        if text and self._handle is not None:
            self._handle.update({"text/plain": line}, raw=True)
        else:
            self.monitor.announce(line)


@contextmanager
def opened(options: TrainOptions, place: Place) -> Iterator[Opening | None]:
    """The widget, where there is to be one; taken off the page again if the run never begins."""
    if not has_widget(options, place):
        yield None
        return
    opening = Opening(log=options.log)
    try:
        yield opening
    except BaseException:
        opening.close()
        raise


def has_widget(options: TrainOptions, place: Place) -> bool:
    """Whether a run is shown as the widget."""
    if options.no_display or options.explain or options.show_sql:
        return False
    return options.live or (place == "live" and not options.static)


def watchers(
    place: Place, options: TrainOptions, training: Training | Recursing, opening: Opening | None
) -> list[Monitor]:
    """Who watches a run, as its options and the place say."""
    from ..display.monitor import StaticMonitor, TerminalMonitor, TextMonitor

    if place == "terminal" and not options.static and not options.no_display:
        return [] if options.quiet else [TerminalMonitor(), TextMonitor()]
    text: list[Monitor] = [] if options.quiet else [TextMonitor(curves=False)]
    if options.no_display:
        return text
    if opening is not None:
        return [opening.monitor, *text]
    if has_widget(options, place):
        from ..display.live import LiveMonitor

        return [LiveMonitor(training.control, display, log=options.log), *text]
    return [StaticMonitor(display, log=options.log), *text]


def kept_run(variables: Mapping[str, Any], name: str, line: str) -> Sequence[Panel]:
    """The curves of a run that a variable holds.

    Raises:
        UsageError: it holds none.
    """
    from ..train.run import Run

    run = variables.get(name)
    if not isinstance(run, Run):
        span = span_at(line, len(line) - len(line.lstrip()), len(line.rstrip()))
        raise UsageError(
            f"{name} is no training run", text=line, span=span, hint="A run is kept by -o NAME of its cell."
        )
    return run.panels
