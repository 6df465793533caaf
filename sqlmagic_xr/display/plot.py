"""Curves as a picture: one ``matplotlib.figure.Figure`` that is drawn again and again.

Never pyplot: nothing is global, nothing shows itself, no back end is chosen. The background is transparent and the ink
of middling lightness, so that one PNG reads on a light and on a dark page alike.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from ..train.events import Panel
from .extent import Extent, extent_x, extent_y

INK = "#797979"  # contrast 4.3 : 1 both with white and with the #111111 of JupyterLab's dark theme
COLOURS = ("#1a80c4", "#d55e00", "#009e73", "#c46ba0", "#a67c00", "#8a63c9")  # each at least 3 : 1 with both
_STYLES = ("-", "--", ":", "-.")  # the colours begin again after six lines; the dashes tell the rounds apart

_WIDTH, _HEIGHT = 6.4, 3.0  # inches of one panel alone
_NARROW, _LOW = 4.3, 2.7  # inches of each of several panels
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.92, 0.32, 0.52, 0.16  # inches around the axes: fixed, so that nothing jumps
_HEADLINE = 0.24  # inches for a title, and again for a legend
_LEGEND = 1.35  # inches for a legend beside the axes, where there are too many lines to stand above
_ABOVE = 4  # so many names fit above the axes
_NAMES = 10  # so many names fit beside them
_POINTS = 4000  # more points than this on a line are drawn as the envelope that they would cover anyway
_AHEAD = 0.5  # of a running curve is left free ahead of it: the less often the axis changes, the cheaper a frame is
_BEYOND = 0.25  # and above or below it
_MOVING = 1500  # so many while a run goes on
_LARGEST = 5e307  # an axis from minus to plus this, and its margins, is still a finite stretch
_FEW = 40  # up to so many points are marked


class CurvePlot:
    """A picture of some panels that can be brought up to date cheaply.

    Args:
        panels: as many as every later :meth:`draw` gets; titles, names and number of lines stay the same.
        log: a logarithmic y axis, where a panel has positive values.
    """

    def __init__(self, panels: Sequence[Panel], *, log: bool = False) -> None:
        self.log = log
        self._columns = 1 if len(panels) < 2 else 2
        rows = max(1, math.ceil(len(panels) / self._columns))
        legend = _LEGEND if any(len(p.lines) > _ABOVE for p in panels) else 0.0
        width, height = (_WIDTH, _HEIGHT) if self._columns == 1 else (_NARROW, _LOW)
        self.size = (self._columns * (width + legend), rows * height)
        self._figure = Figure(figsize=self.size, dpi=100, facecolor="none")
        self._canvas = FigureCanvasAgg(self._figure)
        self._background: Any = None  # the pixels of all but the lines, as the last frame had them
        self._views = [_PanelView(self._axes(i, rows, panel, legend), panel, log=log) for i, panel in enumerate(panels)]

    def draw(self, panels: Sequence[Panel]) -> None:
        """Bring every line up to date."""
        for view, panel in zip(self._views, panels, strict=True):
            view.update(panel, log=self.log)

    def png(self, *, dpi: float = 100) -> bytes:
        """The picture.

        Args:
            dpi: how fine it is; its size in inches does not change.
        """
        out = io.BytesIO()
        self._background = None
        self._figure.set_dpi(dpi)
        self._canvas.print_png(out)
        return out.getvalue()

    def frame(self, panels: Sequence[Panel], *, dpi: float) -> bytes:
        """The picture of a run that goes on: like :meth:`draw` and :meth:`png`, for a third of their cost.

        Axes leave room for what comes, and everything but the lines is drawn anew only where an axis has to change.
        """
        changed = [view.follow(panel, log=self.log) for view, panel in zip(self._views, panels, strict=True)]
        if self._background is None or any(changed) or self._figure.get_dpi() != dpi:
            self._figure.set_dpi(dpi)
            for view in self._views:
                view.animate(True)
            self._canvas.draw()
            for view in self._views:
                view.animate(False)
            self._background = self._canvas.copy_from_bbox(self._figure.bbox)
        else:
            self._canvas.restore_region(self._background)
        for view in self._views:
            view.draw_lines()
        out = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())).save(out, "png", compress_level=1)
        return out.getvalue()

    def _axes(self, index: int, rows: int, panel: Panel, legend: float) -> Axes:
        width, height = self.size
        row, column = divmod(index, self._columns)
        cell_width, cell_height = width / self._columns, height / rows
        top = _TOP + _HEADLINE * (bool(panel.title) + (1 < len(panel.lines) <= _ABOVE))
        left = column * cell_width + _LEFT
        bottom = height - (row + 1) * cell_height + _BOTTOM
        across = cell_width - _LEFT - _RIGHT - legend
        return self._figure.add_axes(
            (left / width, bottom / height, across / width, (cell_height - _BOTTOM - top) / height)
        )


class _PanelView:
    """One panel's axes."""

    def __init__(self, axes: Axes, panel: Panel, *, log: bool) -> None:
        self._axes = axes
        self._lines = [self._line(i, name) for i, name in enumerate(panel.lines)]
        self._log: bool | None = None
        self._before: tuple[Extent, Extent] | None = None  # what the axes showed when they were set by follow()
        self._text_axis = panel.x.dtype.kind in "OUS"
        self._style(panel)
        self.update(panel, log=log)

    def update(self, panel: Panel, *, log: bool) -> None:
        """Bring the lines up to date, and the axes to what they need."""
        x = self._set_lines(panel, _POINTS)
        self._limit(panel, x, extent_x(x), extent_y(list(panel.lines.values()), log=log))

    def follow(self, panel: Panel, *, log: bool) -> bool:
        """Bring the lines up to date, and the axes where the lines leave them; returns whether an axis has changed."""
        x = self._set_lines(panel, _MOVING)
        along, up = extent_x(x), extent_y(list(panel.lines.values()), log=log)
        steady = self._text_axis or panel.x.dtype.kind == "M"  # such an axis does not grow; where it does it is new
        before = self._before
        if before is not None:
            along = along.following(before[0], room=0.0 if steady else _AHEAD)
            up = up.following(before[1], room=_BEYOND)
        self._before = along, up
        if self._before == before and not self._text_axis:
            return False
        self._limit(panel, x, along, up)
        return True

    def animate(self, on: bool) -> None:
        """Let the lines be left out when the canvas is drawn, or not."""
        for line in self._lines:
            line.set_animated(on)

    def draw_lines(self) -> None:
        """Draw the lines alone."""
        for line in self._lines:
            self._axes.draw_artist(line)

    def _set_lines(self, panel: Panel, points: int) -> npt.NDArray[Any]:
        x = np.arange(len(panel.x)) if self._text_axis else panel.x
        marker = "o" if len(x) <= _FEW else ""
        for line, values in zip(self._lines, panel.lines.values(), strict=True):
            line.set_data(*thin(x, values, points))
            line.set_marker(marker)
        return x

    def _line(self, index: int, name: str) -> Line2D:
        colour, style = COLOURS[index % len(COLOURS)], _STYLES[index // len(COLOURS) % len(_STYLES)]
        (line,) = self._axes.plot([], [], style, color=colour, label=name, lw=1.8, ms=3.5, solid_joinstyle="round")
        return line

    def _style(self, panel: Panel) -> None:
        axes = self._axes
        axes.patch.set_alpha(0)
        axes.grid(color=INK, alpha=0.22, lw=0.7)
        axes.tick_params(colors=INK, labelsize=9, length=3)
        axes.tick_params(which="minor", colors=INK, length=2)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
        axes.set_xlabel(_label(panel.x_name, panel), color=INK, fontsize=10)
        names = list(panel.lines)
        if len(names) > 1:
            units = {panel.units.get(name, "") for name in names}
            alike = len(units) == 1
            axes.set_ylabel(units.pop() if alike else "", color=INK, fontsize=10)
            self._legend([name if alike else _label(name, panel) for name in names])
        elif names:
            axes.set_ylabel(_label(names[0], panel), color=INK, fontsize=10)
        across, up = (size / 100 for size in axes.get_window_extent().size)  # the figure is made with 100 dots an inch
        # Fixed, so that nothing jumps, and no label has to be measured again to find its place.
        axes.yaxis.set_label_coords((0.21 - _LEFT) / across, 0.5)
        axes.xaxis.set_label_coords(0.5, -0.29 / up)
        if panel.title:
            raised = 6 + 72 * _HEADLINE * (1 < len(names) <= _ABOVE)
            axes.set_title(panel.title, loc="left", color=INK, fontsize=10.5, pad=raised)
        if panel.x.dtype.kind == "M":
            locator = AutoDateLocator(maxticks=7)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        elif not self._text_axis:
            axes.xaxis.set_major_formatter(_Plain())

    def _legend(self, names: list[str]) -> None:
        shown, labels = self._lines[:_NAMES], names[:_NAMES]
        if len(names) > _NAMES:
            shown, labels = [*shown, Line2D([], [], ls="")], [*labels, f"and {len(names) - _NAMES} more"]
        above = len(names) <= _ABOVE
        self._axes.legend(
            shown, labels, frameon=False, labelcolor=INK, fontsize=9, handlelength=1.6, borderaxespad=0.2,
            loc="lower left" if above else "upper left", bbox_to_anchor=(0, 1) if above else (1.01, 1),
            ncols=len(names) if above else 1, columnspacing=1.2,
        )  # fmt: skip

    def _limit(self, panel: Panel, x: npt.NDArray[Any], along: Extent, up: Extent) -> None:
        if self._text_axis:
            self._axes.set_xlim(-0.5, max(len(x), 1) - 0.5)
            stride = max(1, math.ceil(len(x) / 12))
            self._axes.set_xticks(x[::stride], [str(v) for v in panel.x[::stride]])
        elif panel.x.dtype.kind == "M":
            hour = 3_600e6  # microseconds
            room = max((along.high - along.low) / 50, hour)
            if not np.isnat(x).all():
                ends = (along.low - room, along.high + room)
                self._axes.set_xlim(*(date2num(np.datetime64(round(end), "us")) for end in ends))
        else:
            pad = (along.high - along.low) * 0.02 or 0.5
            self._axes.set_xlim(along.low - pad, along.high + pad)
            most = 5 if along.high >= 1e4 else 7  # ticks, so that long labels do not touch
            whole = panel.x.dtype.kind in "iu"
            self._axes.xaxis.set_major_locator(ticker.MaxNLocator(most, integer=whole, min_n_ticks=1))
        self._limit_y(up)

    def _limit_y(self, up: Extent) -> None:
        log, low, high = up.log, up.low, up.high
        if log != self._log:
            self._axes.set_yscale("log" if log else "linear", **({"nonpositive": "mask"} if log else {}))
            self._log = log
        if log:
            pad = 0.06 * (high - low) if high - low > 5e-4 else 0.04
            low, high = 10 ** max(low - pad, -307.0), 10 ** min(high + pad, 307.9)
            self._log_ticks(math.log10(low), math.log10(high))
        else:
            # A diverging loss comes near the largest number there is; the axis must not pass it.
            low, high = max(low, -_LARGEST), min(high, _LARGEST)
            # A flat line stands in the middle of an axis whose ticks can be told apart.
            pad = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
            # What is never negative has no axis below zero, but for the width of a line.
            low, high = max(low - pad, -0.3 * pad) if up.low >= 0 < high else low - pad, high + pad
            self._axes.yaxis.set_major_locator(ticker.MaxNLocator(6))
            self._axes.yaxis.set_major_formatter(_Plain())
        self._axes.set_ylim(low, high)

    def _log_ticks(self, least: float, most: float) -> None:
        """Ticks that can be read, whatever the span: decades; 1-2-5 within a few; round numbers within one.

        Args:
            least, most: the decimal logarithms of the axis's ends.
        """
        axis, decades = self._axes.yaxis, most - least
        axis.set_minor_formatter(ticker.NullFormatter())
        if decades > 3.5:
            # matplotlib's own locator looks beyond the ends, where there is no number any more.
            stride = next(n for n in (1, 2, 5, 10, 20, 50, 100) if decades / n <= 8)
            exponents = range(stride * math.ceil(least / stride), math.floor(most) + 1, stride)
            axis.set_major_locator(ticker.FixedLocator([10.0**e for e in exponents]))
            axis.set_major_formatter(ticker.LogFormatterMathtext())
            axis.set_minor_locator(ticker.NullLocator())
        elif decades > 1.2:
            axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0, 3.0)))
            axis.set_major_formatter(ticker.FuncFormatter(_round))
            axis.set_minor_locator(ticker.LogLocator(subs=tuple(range(2, 10))))
        else:
            axis.set_major_locator(ticker.MaxNLocator(6))
            axis.set_major_formatter(_Plain())
            axis.set_minor_locator(ticker.NullLocator())


def thin(
    x: npt.NDArray[Any], y: npt.NDArray[np.float64], points: int = _POINTS
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The least and the greatest point of each of many stretches: the same envelope in a bounded number of points.

    Args:
        x, y: a line of n points in the order of drawing.
        points: how many are not too many.

    Returns:
        The line itself up to so many points; otherwise about as many of its points, in order, the first and the last
        among them.
    """
    if len(y) <= points:
        return x, y
    stretch = math.ceil(len(y) / (points // 2))
    whole = len(y) // stretch * stretch
    blocks = y[:whole].reshape(-1, stretch)
    starts = np.arange(0, whole, stretch)
    # NaN must neither win nor hide the others; a stretch of nothing but NaN stays a gap.
    lows = starts + np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    highs = starts + np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    kept = np.unique(np.concatenate([[0], lows, highs, np.arange(whole, len(y)), [len(y) - 1]]))
    return x[kept], y[kept]


def _label(name: str, panel: Panel) -> str:
    unit = panel.units.get(name)
    return f"{name} [{unit}]" if unit else name


def _round(value: float, place: int) -> str:
    """A round number as it is read aloud."""
    return f"{value:.0f}" if 1 <= value < 1e6 else f"{value:.3g}"


class _Plain(ticker.Formatter):
    """Numbers as they are read aloud: as many digits as tell the ticks apart, no offset to add in the head."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        return plain([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """All labels of an axis, alike in their number of decimals."""
        return plain(values)


def plain(values: Sequence[float]) -> list[str]:
    """Tick labels: the decimals that the finest of them needs; powers of ten where all digits would not fit.

    >>> plain([0.0, 0.30000000000000004, 0.25]), plain([1500.0, 2000.0])
    (['0.00', '0.30', '0.25'], ['1500', '2000'])
    >>> plain([0.0, 2e-8, -4e-8])
    ['0', '$2 × 10^{-8}$', '$−4 × 10^{-8}$']
    """
    largest = max((abs(v) for v in values), default=0.0)
    if largest == 0 or 1e-4 <= largest < 1e7:
        labels = [f"{v + 0.0:.{_decimals(values, largest)}f}" for v in values]
        return [label.replace("-", "−") for label in labels]
    digits = _decimals([v / 10 ** math.floor(math.log10(largest)) for v in values], 1.0)
    return [_power_of_ten(v, digits) if v else "0" for v in values]


def _decimals(values: Sequence[float], largest: float) -> int:
    """How many decimals tell all of ``values`` as they are, up to the noise of the last bits."""
    return next((d for d in range(12) if all(abs(round(v, d) - v) <= 1e-9 * largest for v in values)), 12)


def _power_of_ten(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"${mantissa.replace('-', '−')} × 10^{{{int(exponent)}}}$"
