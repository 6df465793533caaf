"""What a training run says while it runs: frozen events, in the order in which things happened.

``Started``, then any number of ``Stepped``, ``Refreshed``, ``Tuned`` and ``Paused``, then one ``Ended``. Monitors read
them; nobody can change a run through them (:class:`.run.Control` does that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Status = Literal["running", "done", "stopped", "interrupted", "until", "patience", "diverged", "failed"]
"""How a run ended: all its steps, Stop, an interrupt, --until, --patience, a NaN or infinity, an error."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a tuned parameter may take, both ends included."""

    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        """Whether it spans decades, so that equal ratios and not equal differences deserve equal room.

        >>> Range(1e-4, 1).logarithmic, Range(0.0, 1.0).logarithmic
        (True, False)
        """
        return self.low > 0 and self.high / self.low >= 100

    @property
    def middle(self) -> float:
        """The value in the middle: the geometric mean where the range is logarithmic."""
        return float(np.sqrt(self.low * self.high)) if self.logarithmic else (self.low + self.high) / 2

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies in it."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve query's rows, as they are drawn: a line for each numeric column over the first column.

    Attributes:
        title: the comment above the query, or "".
        x_name, x: the first column; numbers, datetime64 or text, in increasing order where it is a trajectory's step.
        lines: column name -> numbers, NaN where SQL has NULL; each as long as ``x``. Later events extend copies or
            views of the same arrays and never change what was handed out.
        units: column name -> unit, for the columns that have one.
        loss: the lines whose least point is the best step; none where nothing says that less is better.
        under: curves of other runs that are laid under these, each over its own axis.
    """

    title: str
    x_name: str
    x: npt.NDArray[Any]
    lines: Mapping[str, npt.NDArray[np.float64]]
    units: Mapping[str, str] = field(default_factory=dict)
    loss: tuple[str, ...] = ()
    under: tuple[Panel, ...] = ()

    @property
    def best(self) -> tuple[str, int] | None:
        """The line that has the least loss of all, and the place of it; None where there is none, or no way to it.

        >>> one = Panel("", "step", np.arange(4), {"loss": np.array([3.0, 1.0, np.nan, 2.0])}, loss=("loss",))
        >>> one.best, one.best_text
        (('loss', 1), 'best 1 at step 1')
        """
        found: tuple[str, int] | None = None
        least = np.inf
        for name in self.loss if len(self.x) > 1 else ():
            values = self.lines[name]
            sound = np.isfinite(values)
            if sound.any() and (low := values[place := int(np.where(sound, values, np.inf).argmin())]) < least:
                found, least = (name, place), low
        return found

    @property
    def best_text(self) -> str:
        """The best step in words, or ""."""
        if self.best is None:
            return ""
        name, place = self.best
        of = f" ({name})" if len(self.loss) > 1 else ""
        return f"best {self.lines[name][place]:.5g} at {self.x_name} {self.x[place]}{of}"

    def newest(self) -> dict[str, float]:
        """The last row, x left out; empty where there is no row."""
        return {name: float(values[-1]) for name, values in self.lines.items() if len(values)}


Shown = tuple[tuple[str, ...], tuple[tuple[Any, ...], ...], int]
"""The column names, the first few rows as Python values, and how many rows there are in all."""


class Newest:
    """The rows of the newest generation, for the eye: read when somebody looks at them, as they were at the event.

    Args:
        columns: the column names.
        rows: the first few rows, as Python values.
        count: how many rows there are in all.
        later: gives these three instead, when they are asked for.
    """

    __slots__ = ("_later", "_shown")

    def __init__(
        self, columns: tuple[str, ...] = (), rows: tuple[tuple[Any, ...], ...] = (), count: int = 0, *,
        later: Callable[[], Shown] | None = None,
    ) -> None:  # fmt: skip
        self._shown: Shown | None = None if later else (columns, rows, count)
        self._later = later

    @property
    def columns(self) -> tuple[str, ...]:
        """The column names."""
        return self._seen()[0]

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The first few rows, as Python values."""
        return self._seen()[1]

    @property
    def count(self) -> int:
        """How many rows there are in all."""
        return self._seen()[2]

    def _seen(self) -> Shown:
        if self._shown is None:
            assert self._later is not None
            self._shown, self._later = self._later(), None
        return self._shown


@dataclass(frozen=True, slots=True)
class Started:
    """The run is checked and about to begin.

    Attributes:
        table, column: the trajectory and its step column.
        generation: the newest generation before the run.
        steps: how many steps it will make at most; None where nobody knows.
        parameters: the values of the parameters that can change (tuned or scheduled), or were given.
        tunable: those that a person may change, with their ranges.
        panels, newest: what there is to see before the first step.
        notice: what has been done to the table already (a restart), in one line; or "".
        text: the statements of the cell.
    """

    table: str
    column: str
    generation: int
    steps: int | None
    parameters: Mapping[str, Any]
    tunable: Mapping[str, Range]
    panels: tuple[Panel, ...]
    newest: Newest
    notice: str = ""
    text: str = ""


class Stepped(NamedTuple):  # which is made at each step, at a third of what a frozen dataclass takes
    """The run's ``step``-th step is committed and made ``generation``; ``seconds`` since the start, pauses apart.

    Where nobody asked for an event of each step, it may be the last of several that were made in one call. ``rows`` is
    how many rows there are so far, where that is told.
    """

    generation: int
    step: int
    seconds: float
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The curves have been brought nearer to ``generation``: the last of them is at ``upto``, None for all at it.

    ``rows`` is as in :class:`Stepped`.
    """

    generation: int
    step: int
    seconds: float
    parameters: Mapping[str, Any]
    panels: tuple[Panel, ...]
    newest: Newest
    rows: int | None = None
    upto: int | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """A person has set a parameter: from the step after ``generation`` on, ``name`` is ``value``."""

    generation: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Paused:
    """The run waits; said again each time it is asked to go on, until it is resumed or stopped."""

    generation: int
    step: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over and the tables are consistent.

    Attributes:
        status: how it ended.
        message: one line for a person, with nothing in it that differs between two equal runs (no times).
        generation: where the trajectory stands.
        steps: how many generations the run added.
        seconds: how long it took, pauses apart.
        panels, newest: the final curves and values.
        error: what failed, where ``status`` is "failed".
    """

    status: Status
    message: str
    generation: int
    steps: int
    seconds: float
    parameters: Mapping[str, Any]
    panels: tuple[Panel, ...]
    newest: Newest
    error: Exception | None = None


Event = Started | Stepped | Refreshed | Tuned | Paused | Ended
