"""The training widget: progress, curves, newest values, Pause, Stop and sliders, alive while the cell runs.

It needs someone to let the kernel's event loop turn between steps (``magics/train.py`` does); without that it shows
everything, and no button acts before the end. Call-backs of buttons may run in another thread than the cell: they only
leave a wish with the run's :class:`..train.control.Control`. The browser draws; what is sent are points.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol

from ..train.events import Ended, Event, Newest, Panel, Paused, Range, Refreshed, Started, Stepped, Tuned
from .budget import MOST, Budget
from .frames import Stretch, frame
from .monitor import Display, curves_as_text, picture
from .page import page
from .progress import Progress
from .widget import RunWidget

_GLANCE = 0.02  # seconds between two looks at whether something is due
_COARSE = 120  # dots per inch of the picture, which is seen where the curves themselves cannot be shown
_REST = 0.2  # seconds after the end of a run, when the cell has said that it is done
_ROWS = 8  # rows of the newest generation that are shown


class Steering(Protocol):
    """What the widget's buttons ask of the run."""

    @property
    def paused(self) -> bool:
        """Whether the run waits."""

    def stop(self) -> None:
        """End after the step in progress."""

    def pause(self) -> None:
        """Wait after the step in progress."""

    def resume(self) -> None:
        """Go on."""

    def tune(self, name: str, value: float) -> None:
        """Set a parameter from the next step on."""


class LiveMonitor:
    """Shows the widget at the start and leaves a picture in its place at the end.

    Args:
        control: the run's.
        display: IPython's display.
        log: whether the y axis is logarithmic at first; the widget can switch.
        budget: how often the picture is drawn anew.
    """

    def __init__(self, control: Steering, display: Display, *, log: bool = False, budget: Budget | None = None) -> None:
        self._control, self._display, self._log = control, display, log
        self._budget = budget or Budget()
        self._ranges: dict[str, Range] = {}
        self._stretches: dict[int, Stretch] = {}
        self._stale = self._resting = self._wanted = False
        self._rows: int | None = None
        self._look = 0.0  # the run's time at which steps are looked at again
        self._handle: Any = None
        self._widget: RunWidget | None = None

    def receive(self, event: Event) -> None:
        """Bring the widget up to date, as often as the budget allows."""
        if isinstance(event, Stepped) and event.seconds < self._look:
            return  # thousands of steps a second: what is done at each would be the widget's greatest cost
        if isinstance(event, Started):
            with self._budget.spending():
                self._open(event)
        elif isinstance(event, Ended):
            self._leave_picture(event)
            self.close()
        elif self._widget is not None and not isinstance(event, Tuned):
            self._follow(event)

    def close(self) -> None:
        """Close the widget, so that none stays in the notebook's file."""
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.close()

    # --- at the start

    def announce(self, said: str) -> None:
        """Show the widget before there is a run, or another line in it; its buttons act from now on."""
        with self._budget.spending():
            self._show({"step": 0, "steps": None, "said": said, "values": {}, "panels": []})

    def _show(self, shown: dict[str, Any]) -> None:
        if self._widget is not None:
            self._widget.shown = shown
            return
        self._widget = RunWidget(shown=shown, log=self._log, paused=self._control.paused)
        self._widget.on_msg(self._asked)
        self._handle = self._display(self._widget, display_id=True)

    def _open(self, event: Started) -> None:
        self._ranges, self._steps, self._progress = dict(event.tunable), event.steps, Progress(event.steps)
        # What there is before the first step, as if it had been brought up to date.
        self._latest = Refreshed(event.generation, 0, 0.0, event.parameters, event.panels, event.newest)
        sliders = [_slider(name, values, event.parameters[name]) for name, values in event.tunable.items()]
        self._show(self._seen(0.0))
        if sliders and self._widget is not None:
            self._widget.sliders = sliders

    def _asked(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        """What a person has done; perhaps in another thread."""
        what = message.get("do")
        if what == "stop":
            self._control.stop()
        elif what in ("pause", "resume"):
            (self._control.pause if what == "pause" else self._control.resume)()
            if self._widget is not None:
                self._widget.paused = self._control.paused
        elif what == "log":
            self._log = bool(message["value"])
        elif what == "tune":
            self._control.tune(message["name"], _within(message["value"], self._ranges[message["name"]]))
        elif what == "look":
            part = message["range"]
            self._stretches[int(message["panel"])] = None if part is None else (float(part[0]), float(part[1]))
            self._wanted, self._look = True, 0.0

    # --- while it runs

    def _follow(self, event: Stepped | Refreshed | Paused) -> None:
        if isinstance(event, Paused):
            self._rest(event)
            return
        self._progress.made(event.step, event.seconds)
        self._rows = event.rows
        if isinstance(event, Refreshed):
            self._latest, self._stale = event, True
        self._resting, self._look = False, event.seconds + _GLANCE
        if not self._wanted and not self._budget.due(event.seconds):
            return
        if self._stale or self._wanted:
            self._draw(event.seconds, self._latest.seconds)
        elif event.seconds >= self._latest.seconds + MOST:  # the curves take their time: the steps go on
            self._draw(event.seconds, event.seconds, event.step)

    def _rest(self, event: Paused) -> None:
        """A run that waits has all the time: what it shows is complete at once."""
        if not self._resting or self._stale or self._wanted:
            self._draw(self._latest.seconds, None, event.step)
        self._resting = True

    def _draw(self, now: float, seconds: float | None, step: int | None = None) -> None:
        """Show the newest curves and values, and the step that they stand at, or ``step`` where that is another."""
        self._stale = self._wanted = False
        with self._budget.drawing(now):
            if self._widget is not None:
                self._widget.shown = self._seen(seconds, step)

    def _seen(self, seconds: float | None, step: int | None = None) -> dict[str, Any]:
        latest = self._latest
        rows = latest.rows if step is None else self._rows  # those of the step that is told
        step = latest.step if step is None else step
        stretches = [self._stretches.get(i) for i in range(len(latest.panels))]
        return {
            "step": step,
            "steps": self._steps,
            "said": self._progress.line(step, seconds, _behind(latest, step), rows),
            "values": _values(latest.newest),
            "panels": frame(latest.panels, stretches),
        }

    # --- at the end

    def _leave_picture(self, event: Ended) -> None:
        if self._handle is None:
            return
        if not event.panels:
            self._handle.update({"text/plain": ""}, raw=True)
            return
        draw = partial(_draw_picture, self._handle, event.panels, log=self._log)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            draw()
            return
        words = curves_as_text(event.panels)
        self._handle.update({"text/plain": words, "text/html": page(event.panels, log=self._log, text=words)}, raw=True)
        loop.call_later(_REST, draw)


def _draw_picture(handle: Any, panels: tuple[Panel, ...], *, log: bool) -> None:
    """Leave the curves with a picture beside them, for pages on which no script runs.

    matplotlib takes a tenth to a fifth of a second for it, and to import it most of another.
    """
    bundle, metadata = picture(panels, log=log, dpi=_COARSE)
    bundle["text/html"] = page(panels, log=log, png=bundle["image/png"], text=bundle["text/plain"])
    handle.update(bundle, metadata=metadata, raw=True)


def _slider(name: str, values: Range, value: float) -> dict[str, Any]:
    return {"name": name, "low": values.low, "high": values.high, "value": value, "log": values.logarithmic}


def _within(value: float, values: Range) -> float:
    return min(max(float(value), values.low), values.high)


def _behind(latest: Refreshed, step: int) -> str:
    """Which step the curves show, where that is not the one that is told."""
    upto = latest.step if latest.upto is None else latest.step - (latest.generation - latest.upto)
    return f"curves up to step {upto:,}" if latest.panels and upto < step else ""


def _values(newest: Newest) -> dict[str, Any]:
    """The newest generation's rows as text."""
    rows = [[_value(value) for value in row] for row in newest.rows[:_ROWS]]
    return {"columns": list(newest.columns), "rows": rows, "more": newest.count - len(rows)}


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
