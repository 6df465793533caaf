"""The curves as HTML that needs nothing but itself: what a run leaves on the page, and in the notebook's file.

Values under the pointer, zoom, a logarithmic axis and lines to switch work without a kernel. Where scripts are not run
(a page that is not trusted, GitHub) the picture stands there as it is.
"""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

from ..train.events import Panel
from .frames import frame
from .widget import CHART, browser

_START = """
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const script = document.currentScript;
const host = script.closest('.sqlmagic-xr-picture') ?? script.previousElementSibling;
for (const panel of state.panels) for (const line of panel.lines) [line.x, line.y] = [bytes(line.x), bytes(line.y)];
host.replaceChildren();
const chart = new Chart(host);
const log = element(element(host, 'div', 'sqlmagic-xr-buttons'), 'button', '', 'log y');
log.type = 'button';
const show = () => {
  log.setAttribute('aria-pressed', String(state.log));
  chart.show(state.panels, state.log);
};
log.addEventListener('click', () => {
  state.log = !state.log;
  show();
});
show();
"""


def page(panels: tuple[Panel, ...], *, log: bool, png: bytes | None = None, text: str = "") -> str:
    """The curves as a piece of HTML.

    Args:
        panels: what there is to see.
        log: whether the y axis is logarithmic at first.
        png: the same as a picture; None where it is still to be drawn.
        text: the same in words.
    """
    state = json.dumps({"panels": frame(panels), "log": log}, default=_text).replace("<", "\\u003c")
    words = escape(text)
    image = "" if png is None else base64.b64encode(png).decode()
    still = f'<img src="data:image/png;base64,{image}" alt="{words}" width="100%">' if image else f"<pre>{words}</pre>"
    return (
        f"<style>{browser('run.css')}</style>"
        f'<div class="sqlmagic-xr-picture">{still}</div>'
        f"<script>(() => {{\nconst state = {state};\n{browser(*CHART)}\n{_START}}})();</script>"
    )


def _text(value: Any) -> str:
    return base64.b64encode(value).decode()
