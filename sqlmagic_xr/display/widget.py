"""The widget that stands on the page while a run goes on: its state is what there is to see, its messages are wishes.

An anywidget: one module of JavaScript, no build step, and the same in JupyterLab, Notebook 7, VS Code and marimo.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_BROWSER = Path(__file__).parent / "browser"
CHART = ("axis.js", "chart.js")
"""What draws curves, and needs nothing else."""


@cache
def browser(*names: str) -> str:
    """Files of the browser's side, one behind the other."""
    return "\n".join((_BROWSER / name).read_text(encoding="utf-8") for name in names)


class RunWidget(anywidget.AnyWidget):
    """Progress, curves, newest values, Pause, Stop and sliders.

    Attributes:
        shown: progress, values and panels, which come together so that they tell of the same step.
        sliders: name, low, high, value of each parameter that a person may change, and whether it spans decades.
        paused: whether the run waits.
        log: whether the y axis is logarithmic at first.
    """

    _esm = browser(*CHART, "run.js")
    _css = browser("run.css")
    shown = traitlets.Dict().tag(sync=True)
    sliders: Any = traitlets.List().tag(sync=True)
    paused = traitlets.Bool(False).tag(sync=True)
    log = traitlets.Bool(False).tag(sync=True)

    def close(self) -> None:
        """Take it, and its layout, off the page."""
        layout: Any = self.layout
        layout.close()
        super().close()
