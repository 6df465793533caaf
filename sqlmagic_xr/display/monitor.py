"""Watching a training run: the small contract, and the monitors that need no browser.

A monitor receives every event of a run and is closed at its end. It may be slow (it says itself when it draws) and it
may fail: :class:`Guarded` reports that once and lets it go, and the run goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TextIO

from ..train.events import Ended, Event, Panel, Refreshed, Started, Stepped
from .sparkline import sparkline

Display = Callable[..., Any]
"""IPython's ``display``, or whatever a test puts in its place."""

_FINE = 200  # dots per inch of the picture that stays: sharp on a projector and on a high-resolution screen
_CSS = 96  # CSS pixels per inch, for the size at which a browser shows it


class Monitor(Protocol):
    """Who watches a run."""

    def receive(self, event: Event) -> None:
        """Take note of an event; called in the thread of the run, between two steps."""

    def close(self) -> None:
        """Give back whatever is held; may be called twice, and without an end having been received."""


class Guarded:
    """A monitor that cannot break a run: its first failure is reported, then it is let go.

    Args:
        monitor: the one to guard.
        report: takes one line of text.
    """

    def __init__(self, monitor: Monitor, report: Callable[[str], object] | None = None) -> None:
        self._monitor: Monitor | None = monitor
        self._report = report or (lambda line: print(line, file=sys.stderr))

    def receive(self, event: Event) -> None:
        """Hand the event on."""
        monitor = self._monitor
        if monitor is not None:
            try:
                monitor.receive(event)
            except Exception as error:
                self._let_go(monitor, error)

    def close(self) -> None:
        """Close the monitor, once."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            try:
                monitor.close()
            except Exception as error:
                self._let_go(monitor, error)

    def _let_go(self, monitor: Monitor, error: Exception) -> None:
        self._monitor = None
        what = f"{type(error).__name__}: {error}"
        self._report(f"{type(monitor).__name__} failed and is let go; the run goes on ({what})")
        with suppress(Exception):
            monitor.close()


class TextMonitor:
    """Says at the end how it ended, in one line, and draws each line of the curves as text.

    Args:
        stream: where to; standard output as it is then.
        curves: whether to draw the curves.
    """

    def __init__(self, stream: TextIO | None = None, *, curves: bool = True) -> None:
        self._stream, self._curves = stream, curves

    def receive(self, event: Event) -> None:
        """Print what a restart has dropped, and the end; an error is shown by whoever catches it."""
        if isinstance(event, Started) and event.notice:
            print(event.notice, file=self._stream)
        if not isinstance(event, Ended):
            return
        if event.error is None:
            print(event.message, file=self._stream)
        if self._curves and (text := curves_as_text(event.panels)):
            print(text, file=self._stream)

    def close(self) -> None:
        """Nothing is held."""


class TerminalMonitor:
    """A progress bar with the newest value of each curve.

    Args:
        stream: where the bar is drawn; standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._bar: Any = None

    def receive(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, Started):
            from tqdm import tqdm  # a terminal's only: nobody else waits for it

            self._bar = tqdm(total=event.steps, unit="step", file=self._stream, dynamic_ncols=True, leave=False)
        elif self._bar is not None and isinstance(event, (Stepped, Refreshed)):
            if isinstance(event, Refreshed):
                self._bar.set_postfix_str(newest_as_text(event.panels), refresh=False)
            self._bar.update(event.step - self._bar.n)
        elif isinstance(event, Ended):
            self.close()

    def close(self) -> None:
        """Wipe the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


class StaticMonitor:
    """A picture of the curves at the end, in any front end, with the curves as text beside it.

    Args:
        display: IPython's display.
        log: a logarithmic y axis.
    """

    def __init__(self, display: Display, *, log: bool = False) -> None:
        self._display, self._log = display, log

    def receive(self, event: Event) -> None:
        """Show the picture."""
        if isinstance(event, Ended) and event.panels and (event.steps or event.error is None):
            bundle, metadata = picture(event.panels, log=self._log)
            self._display(bundle, metadata=metadata, raw=True)

    def close(self) -> None:
        """Nothing is held."""


class Several:
    """Any number of monitors as one; each hears an event before the next does.

    Args:
        monitors: those who watch; none of them shows nothing.
    """

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def receive(self, event: Event) -> None:
        """Tell all."""
        for monitor in self._monitors:
            monitor.receive(event)

    def close(self) -> None:
        """Close all."""
        for monitor in self._monitors:
            monitor.close()


def picture(
    panels: tuple[Panel, ...], *, log: bool = False, dpi: float = _FINE
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The curves for a notebook's file: a fine PNG and text, and the size at which to show the PNG.

    Args:
        panels: what to draw.
        log: a logarithmic y axis.
        dpi: how fine the PNG is.
    """
    from .plot import CurvePlot  # a terminal draws nothing and need not have matplotlib

    plot = CurvePlot(panels, log=log)
    width, height = plot.size
    bundle = {"image/png": plot.png(dpi=dpi), "text/plain": curves_as_text(panels)}
    return bundle, {"image/png": {"width": round(width * _CSS), "height": round(height * _CSS)}}


def curves_as_text(panels: tuple[Panel, ...]) -> str:
    """A line of text for each line of each panel: its name, its first and last value, its course."""
    lines = [(name, values) for panel in panels for name, values in panel.lines.items() if len(values)]
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(
        f"{name:<{width}}  {sparkline(values)}  {values[0]:.5g} → {values[-1]:.5g}" for name, values in lines
    )


def newest_as_text(panels: tuple[Panel, ...]) -> str:
    """The newest values of the curves: ``loss 0.1234, test 0.2``."""
    newest: Mapping[str, float] = {k: v for panel in panels for k, v in panel.newest().items()}
    return ", ".join(f"{name} {value:.5g}" for name, value in newest.items())
