"""The training widget: progress, curves, newest values, Pause, Stop and sliders, alive while the cell runs.

It needs someone to let the kernel's event loop turn between steps (``magics/train.py`` does); without that it shows
everything, and no button acts before the end. Call-backs of buttons may run in another thread than the cell: they only
leave a wish with the run's :class:`..train.control.Control`.
"""

from __future__ import annotations

import math
import time
from html import escape
from typing import Any, Protocol

import ipywidgets as widgets

from ..train.curves.pace import Pace
from ..train.events import Ended, Event, Newest, Panel, Paused, Range, Refreshed, Started, Stepped, Tuned
from .budget import Budget
from .monitor import Display, picture
from .plot import CurvePlot

_CSS = 96  # CSS pixels per inch
_DPI = 120  # of the picture while it moves: a compromise between sharp and quick
_GLANCE = 0.02  # seconds between two looks at whether something is due
_WAIT = 0.4  # seconds after which the curves are not about to come any more
_FIRST = 5  # times what making the figure costs is what drawing it for the first time does
_SETTLED = 1.0  # seconds after which it is told how long a run will take
_ROWS = 8  # rows of the newest generation that are shown
_NOTHING = bytes.fromhex(  # a transparent point, since a front end shows an empty image as a broken one
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000"
    "000b4944415478da6360600000000300012b094d840000000049454e44ae426082"
)


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
        pace: how often the text is brought up to date.
    """

    def __init__(
        self, control: Steering, display: Display, *, log: bool = False, budget: Budget | None = None,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._control, self._display = control, display
        self._log = self._drawn_log = log
        self._budget, self._pace = budget or Budget(), pace or Pace(times=100)
        self._panels: tuple[Panel, ...] = ()
        self._drawn: tuple[Panel, ...] | None = None
        self._newest = Newest()
        self._stale = self._resting = False
        self._steps: int | None = 0
        self._rows: int | None = None
        self._refreshed = 0.0  # the run's time when the curves came
        self._look = 0.0  # the run's time at which steps are looked at again
        self._first: tuple[int, float] | None = None  # the first step, and when it was done
        self._handle: Any = None
        self._box: widgets.VBox | None = None

    def receive(self, event: Event) -> None:
        """Bring the widget up to date, as often as the budget and the pace allow."""
        if isinstance(event, Stepped) and event.seconds < self._look:
            return  # thousands of steps a second: what is done at each would be the widget's greatest cost
        if isinstance(event, Started):
            self._open(event)
        elif isinstance(event, Ended):
            self._leave_picture(event)
            self.close()
        elif self._box is not None and not isinstance(event, Tuned):
            self._follow(event)

    def close(self) -> None:
        """Close every widget, so that none stays in the notebook's file."""
        box, self._box = self._box, None
        if box is not None:
            _close(box)

    # --- at the start

    def _open(self, event: Started) -> None:
        with self._budget.spending():
            self._box = self._make(event)
            self._values.value = _table(event.newest)
        # A point alone tells nothing: the first picture waits for the steps of a quarter of a second.
        if any(len(panel.x) > 1 for panel in event.panels):
            with self._budget.drawing(0.0):
                self._draw()
        with self._budget.spending():
            self._handle = self._display(self._box, display_id=True)

    def _make(self, event: Started) -> widgets.VBox:
        self._steps, self._panels, self._newest = event.steps, event.panels, event.newest
        known = event.steps is not None
        layout = widgets.Layout(width="200px", display="" if known else "none")
        self._bar = widgets.FloatProgress(min=0, max=max(event.steps or 1, 1), layout=layout)
        self._progress = widgets.HTML(_small(_progress(0, event.steps, 0.0)))
        self._values = widgets.HTML()
        rows: list[widgets.Widget] = [widgets.HBox([self._bar, self._progress])]
        if event.panels:
            begin = time.perf_counter()
            self._plot, self._drawn = CurvePlot(event.panels, log=self._log), event.panels
            self._budget.expect(_FIRST * (time.perf_counter() - begin))
            width, height = (round(inches * _CSS) for inches in self._plot.size)
            # The layout keeps the room, so that the page does not jump while a new picture is decoded.
            size = widgets.Layout(width=f"{width}px", height=f"{height}px", max_width="100%", object_fit="contain")
            self._image = widgets.Image(format="png", value=_NOTHING, layout=size)
            rows.append(self._image)
        rows += [self._values, self._buttons(bool(event.panels))]
        rows += [self._slider(name, event.tunable[name], event.parameters[name]) for name in event.tunable]
        return widgets.VBox(rows)

    def _buttons(self, curves: bool) -> widgets.HBox:
        self._pause = widgets.Button(description="Pause", icon="pause")
        stop = widgets.Button(description="Stop", icon="stop", tooltip="End after the step in progress")
        self._pause.on_click(lambda _: self._toggle_pause())
        stop.on_click(lambda _: self._control.stop())
        buttons = [self._pause, stop]
        if curves:
            toggle = widgets.ToggleButton(value=self._log, description="log y", layout=widgets.Layout(width="80px"))
            toggle.observe(lambda change: self._switch(log=change["new"]), "value")
            buttons.append(toggle)
        return widgets.HBox(buttons)

    def _slider(self, name: str, values: Range, value: float) -> widgets.Widget:
        layout = widgets.Layout(width="420px")
        if values.logarithmic:
            slider = widgets.FloatLogSlider(
                value=value, base=10, min=math.log10(values.low), max=math.log10(values.high), step=5e-4,
                description=name, readout_format=".3g", layout=layout,
            )  # fmt: skip
        else:
            slider = widgets.FloatSlider(
                value=value, min=values.low, max=values.high, step=(values.high - values.low) / 200,
                description=name, readout_format=".3g", layout=layout,
            )  # fmt: skip
        slider.observe(lambda change: self._control.tune(name, _clean(change["new"], values)), "value")
        return slider

    def _switch(self, *, log: bool) -> None:
        self._log, self._look = log, 0.0

    def _toggle_pause(self) -> None:
        if self._control.paused:
            self._control.resume()
        else:
            self._control.pause()
        self._show_paused()

    def _show_paused(self) -> None:
        paused = self._control.paused
        self._pause.description, self._pause.icon = ("Resume", "play") if paused else ("Pause", "pause")

    # --- while it runs

    def _follow(self, event: Stepped | Refreshed | Paused) -> None:
        if isinstance(event, Refreshed):
            self._panels, self._newest, self._stale = event.panels, event.newest, True
            self._refreshed = event.seconds
        if isinstance(event, Paused):
            self._rest(event)
            return
        self._resting, self._look, self._rows = False, event.seconds + _GLANCE, event.rows
        # A picture waits for the curves that are about to come: as a rule they do so four times a second.
        fresh = isinstance(event, Refreshed) or event.seconds >= self._refreshed + _WAIT
        due = self._stale and fresh and self._budget.due(event.seconds, self._length(event))
        if due or self._log != self._drawn_log:
            with self._budget.drawing(event.seconds):
                self._say(event.step, event.seconds)
                self._draw()
        elif self._pace.due:
            with self._budget.spending(), self._pace.turn():
                self._say(event.step, event.seconds)

    def _rest(self, event: Paused) -> None:
        """A run that waits has all the time: what it shows is complete at once."""
        if not self._resting or self._stale:
            self._say(event.step, None)
        if self._stale or self._log != self._drawn_log:
            self._draw()
        self._resting = True

    def _length(self, event: Stepped | Refreshed) -> float:
        """How many seconds the run is going to take, as far as that can be seen."""
        if self._steps is None:
            return 2 * event.seconds
        if self._first is None:
            self._first = event.step, event.seconds
        step, seconds = self._first
        if event.step == step:
            return event.seconds * self._steps / max(step, 1)
        return event.seconds + (self._steps - event.step) * (event.seconds - seconds) / (event.step - step)

    def _say(self, step: int, seconds: float | None) -> None:
        self._bar.value = step if self._steps is not None else 0
        self._progress.value = _small(_progress(step, self._steps, seconds, self._rows))
        self._values.value = _table(self._newest)

    def _draw(self) -> None:
        self._stale, self._drawn_log = False, self._log
        if self._panels:
            if _shape(self._panels) != _shape(self._drawn):  # a line has come: of another key, or of another curve
                self._plot = CurvePlot(self._panels, log=self._log)
            self._drawn = self._panels
            self._plot.log = self._log
            self._image.value = self._plot.frame(self._panels, dpi=_DPI)

    # --- at the end

    def _leave_picture(self, event: Ended) -> None:
        if self._handle is None:
            return
        if not event.panels:
            self._handle.update({"text/plain": ""}, raw=True)
            return
        same = self._drawn is not None and _shape(event.panels) == _shape(self._drawn)
        bundle, metadata = picture(event.panels, log=self._log, plot=self._plot if same else None)
        self._handle.update(bundle, metadata=metadata, raw=True)


def _shape(panels: tuple[Panel, ...] | None) -> list[tuple[str, ...]]:
    """What a picture of the panels is made for."""
    return [tuple(panel.lines) for panel in panels or ()]


def _clean(value: float, values: Range) -> float:
    """What a person meant by a slider's value: three digits, so that a typed 0.05 is not 0.050003, and in range."""
    return min(max(float(f"{value:.3g}"), values.low), values.high)


def _progress(step: int, steps: int | None, seconds: float | None, rows: int | None = None) -> str:
    """Where the run is, how fast, and how long it will take; ``seconds`` is None while it is paused."""
    so_far = (
        f"step {step:,}" + ("" if steps is None else f" of {steps:,}") + ("" if rows is None else f", {rows:,} rows")
    )
    if seconds is None:
        return f"{so_far} · paused"
    if not step or seconds <= 0:
        return so_far
    rate = step / seconds
    digits = ",.0f" if rate >= 100 else ",.3g"  # three digits would make 1.03e+03 of 1,030
    speed = f"{rate:{digits}} steps/s" if rate >= 0.1 else f"{1 / rate:,.3g} s/step"
    if (
        steps is None or step == steps or seconds < _SETTLED
    ):  # the first steps plan and fetch, and tell little of the others
        return f"{so_far} · {speed}"
    return f"{so_far} · {speed} · {duration((steps - step) / rate)} left"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.4), duration(75), duration(7300)
    ('1 s', '1 min 15 s', '2 h 1 min')
    """
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _small(text: str) -> str:
    return f'<span style="font-variant-numeric: tabular-nums">{escape(text)}</span>'


def _table(newest: Newest) -> str:
    """The newest generation's rows as HTML, in the colours of the page."""
    if not newest.columns:
        return ""
    cell = "padding: 1px 10px 1px 0; text-align: right; font-variant-numeric: tabular-nums"
    head = "".join(f'<th style="{cell}; font-weight: 600">{escape(name)}</th>' for name in newest.columns)
    rows = "".join(
        "<tr>" + "".join(f'<td style="{cell}">{escape(_value(value))}</td>' for value in row) + "</tr>"
        for row in newest.rows[:_ROWS]
    )
    more = newest.count - min(len(newest.rows), _ROWS)
    note = f"<div>and {more:,} more rows</div>" if more else ""
    return (
        '<div style="overflow-x: auto; line-height: 1.35; font-size: 12px">'
        f'<table style="border-collapse: collapse"><tr>{head}</tr>{rows}</table>{note}</div>'
    )


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _close(widget: widgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), widgets.Widget):
            getattr(widget, part).close()
    widget.close()
