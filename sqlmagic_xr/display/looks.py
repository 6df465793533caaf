"""How lines look, in pictures and in the browser, and how few points show all that a line has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..train.events import Panel

INK = "#797979"  # contrast 4.3 : 1 both with white and with the #111111 of JupyterLab's dark theme
COLOURS = ("#1a80c4", "#d55e00", "#009e73", "#c46ba0", "#a67c00", "#8a63c9")  # each at least 3 : 1 with both
STYLES = ("-", "--", ":", "-.")  # the colours begin again after six lines; the dashes tell the rounds apart


def look(index: int) -> tuple[str, str]:
    """The colour and the style of the line of that number, from 0."""
    return COLOURS[index % len(COLOURS)], STYLES[index // len(COLOURS) % len(STYLES)]


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line of a panel, or of another run that is laid under it."""

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[np.float64]
    unit: str
    under: bool


def drawn_lines(panel: Panel) -> list[DrawnLine]:
    """All lines of a panel, its own before those of other runs."""
    return [
        DrawnLine(name, each.x, values, each.units.get(name, ""), each is not panel)
        for each in (panel, *panel.under)
        for name, values in each.lines.items()
    ]


def thin(
    x: npt.NDArray[Any], y: npt.NDArray[np.float64], points: int
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
    starts = np.arange(0, whole, stretch)
    rest = [] if whole == len(y) else [whole + place for place in _extremes(y[None, whole:])]
    lows, highs = _extremes(y[:whole].reshape(-1, stretch))
    kept = np.unique(np.concatenate([[0], starts + lows, starts + highs, *rest, [len(y) - 1]]))
    return x[kept], y[kept]


def _extremes(blocks: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the least and the greatest number of each row are; of a row of nothing but NaN its first."""
    gaps = np.isnan(blocks)  # NaN must neither win nor hide the others
    if not gaps.any():
        return blocks.argmin(axis=1), blocks.argmax(axis=1)
    return np.where(gaps, np.inf, blocks).argmin(axis=1), np.where(gaps, -np.inf, blocks).argmax(axis=1)


def labelled(name: str, unit: str | None) -> str:
    """A column and its unit, as beside an axis.

    >>> labelled("air", "K"), labelled("step", None)
    ('air [K]', 'step')
    """
    return f"{name} [{unit}]" if unit else name
