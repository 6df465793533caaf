"""Who runs a line magic: a cell that keeps its value, one that drops it, or one whose time is taken."""

from __future__ import annotations

import dis
from linecache import getline
from typing import Any


def cell_of(caller: Any) -> Any:
    """The frame of the cell that runs a line magic."""
    frame = caller
    while frame is not None and "run_line_magic" in frame.f_code.co_name:
        frame = frame.f_back
    return frame


def is_timed(frame: Any) -> bool:
    """Whether it runs under %%time."""
    return frame is not None and frame.f_code.co_filename in _TIMED


def stands_alone(frame: Any) -> bool:
    """Whether a line magic's value is used by nobody, so that the magic itself has to show it.

    ``x = %xsql ...`` and ``%xsql ...`` reach the magic alike; the cell's line, as IPython has translated it, tells.
    """
    if is_timed(frame):
        return _is_dropped(frame)
    line = getline(frame.f_code.co_filename, frame.f_lineno).strip() if frame is not None else ""
    return line.startswith("get_ipython().run_line_magic(")


_TIMED = ("<timed exec>", "<timed eval>")
"""What %%time calls its code. It shows a value when the clock has stopped, and a query runs when it is shown."""


def _is_dropped(frame: Any) -> bool:
    """Whether the value that a frame is waiting for goes nowhere but to the end of its code."""
    following = (i for i in dis.get_instructions(frame.f_code) if i.offset > frame.f_lasti)
    found = next((i.opname for i in following if i.opname not in ("CACHE", "PRECALL", "CALL")), "")
    return found in ("POP_TOP", "RETURN_VALUE")
