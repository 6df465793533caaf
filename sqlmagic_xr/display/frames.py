"""Panels -> what a browser draws of them (``browser/chart.js``): few points, as bytes, and what stands at the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..train.events import Panel
from .looks import DrawnLine, drawn_lines, labelled, look, thin

_MOST = 1200  # points of a line: two for each pixel that it is wide
_LEAST = 120
_TOGETHER = 12_000  # points of all lines of a panel, so that a message stays small
_DASHES: dict[str, list[int]] = {"-": [], "--": [7, 3], ":": [2, 3], "-.": [7, 3, 2, 3]}

Stretch = tuple[float, float] | None
"""The part of an x axis that is looked at, as the browser counts it; None for all."""


def frame(panels: Sequence[Panel], stretches: Sequence[Stretch] = ()) -> list[dict[str, Any]]:
    """What a browser needs to draw the panels.

    Args:
        panels: what there is to see.
        stretches: of each panel's x axis; what lies beyond comes with one point on each side.
    """
    wanted = (*stretches, *[None] * len(panels))
    return [_panel(panel, stretch) for panel, stretch in zip(panels, wanted, strict=False)]


def _panel(panel: Panel, stretch: Stretch) -> dict[str, Any]:
    kind = panel.x.dtype.kind
    lines = drawn_lines(panel)
    units = {line.unit for line in lines}
    alike = next(iter(units)) if len(units) == 1 else ""
    most = max(_LEAST, min(_MOST, _TOGETHER // max(len(lines), 1)))
    return {
        "title": panel.title,
        "x_name": panel.x_name,
        "x_label": labelled(panel.x_name, panel.units.get(panel.x_name)),
        "y_label": labelled(lines[0].name, lines[0].unit) if len(lines) == 1 else f"[{alike}]" if alike else "",
        "y_unit": alike,
        "kind": {"M": "time", "O": "text", "U": "text", "S": "text"}.get(kind, "number"),
        "whole": kind in "iu",
        "names": [str(value) for value in panel.x] if kind in "OUS" else [],
        "lines": [_line(index, line, stretch, most) for index, line in enumerate(lines)],
        "best": _best(panel),
    }


def along(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """An x axis as numbers: instants as milliseconds since 1970, texts as their places."""
    if x.dtype.kind == "M":
        instants = x.astype("datetime64[us]").astype(np.int64) / 1000.0
        return np.where(np.isnat(x), np.nan, instants)
    return np.arange(len(x), dtype=np.float64) if x.dtype.kind in "OUS" else np.asarray(x, np.float64)


def _line(index: int, line: DrawnLine, stretch: Stretch, most: int) -> dict[str, Any]:
    x, y = along(line.x), line.y
    if stretch is not None:
        inside = np.flatnonzero((x >= stretch[0]) & (x <= stretch[1]))
        if len(inside):
            part = slice(max(inside[0] - 1, 0), inside[-1] + 2)
            x, y = x[part], y[part]
    x, y = thin(x, y, most)
    colour, style = look(index)
    return {
        "name": line.name, "unit": line.unit, "under": line.under, "colour": colour, "dash": _DASHES[style],
        "x": np.ascontiguousarray(x).tobytes(), "y": np.ascontiguousarray(y, np.float64).tobytes(),
    }  # fmt: skip


def _best(panel: Panel) -> dict[str, Any] | None:
    if panel.best is None:
        return None
    name, place = panel.best
    at, loss = float(along(panel.x)[place]), float(panel.lines[name][place])
    return {"name": name, "x": at, "y": loss, "text": panel.best_text}
