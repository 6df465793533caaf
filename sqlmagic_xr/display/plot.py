"""Curves as a picture that stays: one ``matplotlib.figure.Figure``.

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
from .looks import INK, DrawnLine, drawn_lines, labelled, look, thin

_WIDTH, _HEIGHT = 6.4, 3.0  # inches of one panel alone
_NARROW, _LOW = 4.3, 2.7  # inches of each of several panels
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.92, 0.32, 0.52, 0.16  # inches around the axes: fixed, so that nothing jumps
_HEADLINE = 0.24  # inches for a title, and again for a legend
_WORDS = 0.19  # inches for the best step in words, where they do not fit beside those
_LEGEND = 1.35  # inches for a legend beside the axes, where there are too many lines to stand above
_ABOVE = 4  # so many names fit above the axes
_NAMES = 10  # so many names fit beside them
_POINTS = 4000  # more points than this on a line are drawn as the envelope that they would cover anyway
_LARGEST = 5e307  # an axis from minus to plus this, and its margins, is still a finite stretch
_FEW = 40  # up to so many points are marked
_BENEATH = 0.55  # how opaque the lines of other runs are


class CurvePlot:
    """A picture of some panels.

    Args:
        panels: what to draw.
        log: a logarithmic y axis, where a panel has positive values.
    """

    def __init__(self, panels: Sequence[Panel], *, log: bool = False) -> None:
        self._columns = 1 if len(panels) < 2 else 2
        rows = max(1, math.ceil(len(panels) / self._columns))
        legend = _LEGEND if any(len(drawn_lines(p)) > _ABOVE for p in panels) else 0.0
        width, height = (_WIDTH, _HEIGHT) if self._columns == 1 else (_NARROW, _LOW)
        self.size = (self._columns * (width + legend), rows * height)
        self._figure = Figure(figsize=self.size, dpi=100, facecolor="none")
        self._canvas = FigureCanvasAgg(self._figure)
        for i, panel in enumerate(panels):
            _PanelView(self._axes(i, rows, panel, legend), panel, log=log)

    def png(self, *, dpi: float = 100) -> bytes:
        """The picture.

        Args:
            dpi: how fine it is; its size in inches does not change.
        """
        out = io.BytesIO()
        self._figure.set_dpi(dpi)
        self._canvas.draw()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())).save(out, "png", compress_level=3)
        return out.getvalue()

    def _axes(self, index: int, rows: int, panel: Panel, legend: float) -> Axes:
        width, height = self.size
        row, column = divmod(index, self._columns)
        cell_width, cell_height = width / self._columns, height / rows
        across = cell_width - _LEFT - _RIGHT - legend
        top = _TOP + _HEADLINE * (bool(panel.title) + (1 < len(drawn_lines(panel)) <= _ABOVE)) + _raised(panel, across)
        left = column * cell_width + _LEFT
        bottom = height - (row + 1) * cell_height + _BOTTOM
        return self._figure.add_axes(
            (left / width, bottom / height, across / width, (cell_height - _BOTTOM - top) / height)
        )


class _PanelView:
    """One panel's axes."""

    def __init__(self, axes: Axes, panel: Panel, *, log: bool) -> None:
        self._axes = axes
        axes.set_autoscale_on(False)  # limits are ours; matplotlib's own overflow where numbers are large
        self._shown = drawn_lines(panel)
        self._text_axis = panel.x.dtype.kind in "OUS"
        self._lines = [self._line(index, line) for index, line in enumerate(self._shown)]
        self._style(panel)
        x = (
            np.arange(len(panel.x))
            if self._text_axis
            else np.concatenate([line.x for line in self._shown] or [panel.x])
        )
        self._limit(panel, x, extent_x(x), extent_y([line.y for line in self._shown], log=log))
        self._mark(panel)

    def _line(self, index: int, line: DrawnLine) -> Line2D:
        colour, style = look(index)
        x = np.arange(len(line.x)) if self._text_axis else line.x
        (made,) = self._axes.plot(
            *thin(x, line.y, _POINTS), style, color=colour, label=line.name, lw=1.8, ms=3.5, solid_joinstyle="round",
            marker="o" if len(x) <= _FEW else "", alpha=_BENEATH if line.under else 1.0,
            zorder=1.9 if line.under else 2.0,
        )  # fmt: skip
        return made

    def _mark(self, panel: Panel) -> None:
        """The best step, with a ring, and in words above the axes, where no curve comes."""
        if panel.best is None:
            return
        name, place = panel.best
        at = np.arange(len(panel.x)) if self._text_axis else panel.x
        ring: dict[str, Any] = {"mec": INK, "mfc": "none", "ms": 8, "mew": 1.2, "ls": ""}
        self._axes.plot(at[place : place + 1], panel.lines[name][place : place + 1], "o", label="_best", **ring)
        self._axes.annotate(
            panel.best_text, (1, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", ha="right",
            va="bottom", color=INK, fontsize=8.5,
        )  # fmt: skip

    def _style(self, panel: Panel) -> None:
        axes = self._axes
        axes.patch.set_alpha(0)
        axes.grid(color=INK, alpha=0.22, lw=0.7)
        axes.tick_params(colors=INK, labelsize=9, length=3)
        axes.tick_params(which="minor", colors=INK, length=2)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
        axes.set_xlabel(labelled(panel.x_name, panel.units.get(panel.x_name)), color=INK, fontsize=10)
        names = [line.name for line in self._shown]
        across, up = (size / 100 for size in axes.get_window_extent().size)  # the figure is made with 100 dots an inch
        raised = _raised(panel, across)
        if len(names) > 1:
            units = {line.unit for line in self._shown}
            alike = len(units) == 1
            axes.set_ylabel(units.pop() if alike else "", color=INK, fontsize=10)
            named = [line.name if alike else labelled(line.name, line.unit) for line in self._shown]
            self._legend(named, raised / up)
        elif names:
            axes.set_ylabel(labelled(names[0], self._shown[0].unit), color=INK, fontsize=10)
        # Fixed, so that nothing jumps, and no label has to be measured again to find its place.
        axes.yaxis.set_label_coords((0.21 - _LEFT) / across, 0.5)
        axes.xaxis.set_label_coords(0.5, -0.29 / up)
        if panel.title:
            pad = 6 + 72 * (_HEADLINE * (1 < len(names) <= _ABOVE) + raised)
            # At a place of its own: matplotlib would draw all ticks once more to find one.
            axes.set_title(panel.title, loc="left", color=INK, fontsize=10.5, pad=pad, y=1.0)
        if panel.x.dtype.kind == "M":
            locator = AutoDateLocator(maxticks=7)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        elif not self._text_axis:
            axes.xaxis.set_major_formatter(_Plain())

    def _legend(self, names: list[str], raised: float) -> None:
        shown, labels = self._lines[:_NAMES], names[:_NAMES]
        if len(names) > _NAMES:
            shown, labels = [*shown, Line2D([], [], ls="")], [*labels, f"and {len(names) - _NAMES} more"]
        above = len(names) <= _ABOVE
        self._axes.legend(
            shown, labels, frameon=False, labelcolor=INK, fontsize=9, handlelength=1.6, borderaxespad=0.2,
            loc="lower left" if above else "upper left", bbox_to_anchor=(0, 1 + raised) if above else (1.01, 1),
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
        if log:
            self._axes.set_yscale("log", nonpositive="mask")
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


def _raised(panel: Panel, across: float) -> float:
    """How far title and legend are lifted, in inches, so that the best step in words has room beneath them."""
    names = [line.name for line in drawn_lines(panel)]
    if 1 < len(names) <= _ABOVE:
        beside = sum(_long(name, 9) + 0.5 for name in names)  # with the stroke before it
    else:
        beside = _long(panel.title, 10.5)
    if not panel.best_text or (beside and beside + _long(panel.best_text, 8.5) + 0.2 <= across):
        return 0.0
    return _WORDS if beside else _WORDS - _TOP + 0.04


def _long(text: str, size: float) -> float:
    """About how many inches a text of so many points takes."""
    return len(text) * size * 0.58 / 72


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
