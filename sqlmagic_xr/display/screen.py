"""What a cell puts out while it runs: tables and lines, and the progress of a query that takes its time.

Progress leaves no trace: in a notebook its place is taken by the next output, in a terminal its line is wiped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from typing import Any, Literal

Place = Literal["live", "static", "terminal"]

PATIENCE = 1.0  # seconds that a query may run before its progress is shown
_REFRESH = 0.25  # seconds between two pictures of it


def place_of(shell: Any) -> Place:
    """Where a cell is shown: to someone who can click, in a notebook without anyone, or in a terminal.

    A client that a person sits at lets cells ask for input; nbclient, nbconvert and nbval do not.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    return "live" if kernel.get_parent().get("content", {}).get("allow_stdin") else "static"


class Line:
    """Text as a notebook shows a value: as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def text(self) -> str:
        """The text; as :meth:`.table.Table.text`."""
        return self._text

    def html(self) -> str:
        """The text, as HTML."""
        return f"<pre>{escape(self._text)}</pre>"


class Screen:
    """The output of one cell.

    Args:
        place: where it is shown.
        chunks_read: how many chunks of xarray tables have been read so far, in all.
    """

    def __init__(self, place: Place, chunks_read: Callable[[], int]) -> None:
        self._place = place
        self._chunks_read = chunks_read
        self._handle: Any = None  # of the progress that stands on the page
        self._shown: list[Any] = []
        self._line = ""  # the progress that stands in the terminal
        self._frame: Any = None  # what runs, how many chunks it reads, and how many had been read before
        self._total: int | None = None
        self._before = 0
        self._drawn = 0.0

    def show(self, thing: Any) -> None:
        """Put out a table, or anything that IPython can display."""
        from IPython.display import display

        self._wipe_line()
        self._shown.append(thing)
        if self._handle is None:
            display(thing)
        else:
            self._handle.update(thing)
            self._handle = None

    def say(self, line: str) -> None:
        """Put out a line of text, or several."""
        self.show(Line(line))

    def watch(self, seconds: float, frame: Any) -> None:
        """Show how far a query has come; for :func:`sqlmagic_xr.engine.interrupt.watched`."""
        if self._place == "static":
            return
        if frame is not self._frame:
            self._frame, self._drawn = frame, 0.0
            self._before, self._total = self._chunks_read(), None
        if seconds < PATIENCE or seconds - self._drawn < _REFRESH:
            return
        rounds = str(getattr(frame, "progress", None) or "")
        if self._total is None and not rounds:
            from ..engine.plans import chunks_to_read

            self._total = chunks_to_read(frame) if frame is not None else 0
        self._drawn = seconds
        self._draw(progress_line(seconds, self._chunks_read() - self._before, self._total or 0, rounds))

    def _draw(self, line: str) -> None:
        if self._place == "terminal":
            sys.stderr.write("\r" + line.ljust(len(self._line)))
            sys.stderr.flush()
            self._line = line
            return
        bundle = {"text/plain": line}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def _wipe_line(self) -> None:
        if self._line:
            sys.stderr.write("\r" + " " * len(self._line) + "\r")
            sys.stderr.flush()
            self._line = ""

    def close(self) -> None:
        """Take away what is left of progress."""
        self._wipe_line()
        if self._handle is not None:
            from IPython.display import clear_output, display

            self._handle = None
            clear_output(wait=bool(self._shown))
            for thing in self._shown:  # the output of a cell can only be cleared as a whole
                display(thing)


def progress_line(seconds: float, chunks: int, total: int, rounds: str = "") -> str:
    """How far a query has come, in one line; ``rounds`` says how far its recursion has.

    >>> progress_line(3.21, 12, 40), progress_line(3.21, 0, 0, "r: round 1,200, 3,400 rows")
    ('running for 3.2 s, 12 of 40 chunks read', 'running for 3.2 s, r: round 1,200, 3,400 rows')
    """
    read = f", {min(chunks, total):,} of {total:,} chunks read" if total else ""
    return f"running for {seconds:.1f} s{f', {rounds}' if rounds else read}"
