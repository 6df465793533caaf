"""How errors look in a notebook: the lines that :class:`SqlError` has for a person, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SqlError


class Interrupted(KeyboardInterrupt):
    """What was interrupted has ended in good order; the cell still counts as interrupted, so Run All stops."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self.args[0] if self.args else 'cells that wait behind this one do not run'}"]


@contextmanager
def short_errors(*, enabled: bool = True) -> Iterator[None]:
    """Let an SqlError that leaves the block show its own lines instead of a traceback.

    It is raised all the same: the cell fails, and Run All stops. IPython asks an exception for
    ``_render_traceback_`` before it makes a traceback.
    """
    try:
        yield
    except SqlError as error:
        if enabled:
            error._render_traceback_ = error.lines  # type: ignore[attr-defined]
        raise
