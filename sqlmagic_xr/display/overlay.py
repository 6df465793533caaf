"""The curves of runs that were kept, laid under those of the run that goes on: for ``--overlay``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..train.events import Ended, Event, Panel, Refreshed, Started
from .monitor import Monitor


class Overlaid:
    """A monitor that sees the curves of other runs under those of its own.

    Args:
        monitor: who watches.
        runs: name of a run -> its panels.
    """

    def __init__(self, monitor: Monitor, runs: Mapping[str, Sequence[Panel]]) -> None:
        self._monitor, self._runs = monitor, runs

    def receive(self, event: Event) -> None:
        """Hand the event on."""
        if isinstance(event, (Started, Refreshed, Ended)):
            event = replace(event, panels=laid_under(event.panels, self._runs))
        self._monitor.receive(event)

    def close(self) -> None:
        """Close the monitor."""
        self._monitor.close()


def laid_under(panels: Sequence[Panel], runs: Mapping[str, Sequence[Panel]]) -> tuple[Panel, ...]:
    """Panels with the curves of other runs under them: of the same title, or else of the same place in the cell.

    Args:
        panels: of one run.
        runs: name -> panels of another; a line of it is called after both.
    """
    return tuple(
        replace(panel, under=tuple(
            _named(found, name) for name, others in runs.items() if (found := _match(panel, place, others)) is not None
        ))
        for place, panel in enumerate(panels)
    )  # fmt: skip


def _match(panel: Panel, place: int, others: Sequence[Panel]) -> Panel | None:
    alike = [
        (number, other)
        for number, other in enumerate(others)
        if (other.title, other.x_name) == (panel.title, panel.x_name)
        and other.x.dtype.kind == panel.x.dtype.kind not in "OUS"
    ]
    return next((other for number, other in alike if panel.title or number == place), None)


def _named(panel: Panel, run: str) -> Panel:
    names = {name: f"{name} ({run})" for name in panel.lines}
    lines = {names[name]: values for name, values in panel.lines.items()}
    units = {names[name]: unit for name, unit in panel.units.items() if name in names}
    return Panel(panel.title, panel.x_name, panel.x, lines, units)
