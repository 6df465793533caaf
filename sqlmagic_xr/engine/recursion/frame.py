"""The lazy rows of a query with a recursion in it, which runs when the first of them are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from ..frame import Frame
from ..interrupt import interruptible
from .rounds import RecursionProgress
from .settling import Settling


class LateFrame(Frame):
    """A frame of which something must run before its rows can be planned: once, when they are first asked for.

    Args:
        plan: DataFusion's frame of the query over relations that cannot be read.
        settle: runs what must, and gives the frame of the query over the rows.
        parts: what runs, and its plan, for EXPLAIN.
        options: as for :class:`..frame.Frame`.
    """

    def __init__(
        self, plan: Any, settle: Callable[[], Any], parts: Sequence[tuple[str, Any]], **options: Any
    ) -> None:  # fmt: skip
        object.__setattr__(self, "_plan", plan)
        object.__setattr__(self, "_settle", settle)
        object.__setattr__(self, "_lock", threading.Lock())
        object.__setattr__(self, "_settled", None)
        object.__setattr__(self, "parts", tuple(parts))
        super().__init__(plan, **options)

    @property
    def _inner(self) -> Any:
        """DataFusion's frame, with the rows of the recursions in it."""
        if self._settled is None:
            with self._failing():
                object.__setattr__(self, "_settled", interruptible(self._settle_once, self))
        return self._settled

    @_inner.setter
    def _inner(self, plan: Any) -> None:
        """What is given at the beginning is the plan, which is kept already."""

    def _settle_once(self) -> Any:
        with self._lock:
            return self._settle() if self._settled is None else self._settled

    def schema(self) -> pa.Schema:
        """The names and types of the rows; nothing runs for it."""
        return Frame(self._plan).schema()

    def logical_plan(self) -> Any:
        """The engine's plan, in which what runs first is a relation."""
        return self._plan.logical_plan()

    def optimized_logical_plan(self) -> Any:
        """As :meth:`logical_plan`, optimized."""
        return self._plan.optimized_logical_plan()

    def execution_plan(self) -> Any:
        """As :meth:`logical_plan`, for execution."""
        return self._plan.execution_plan()


class RecursiveFrame(LateFrame):
    """A frame whose recursions run when its rows are first asked for.

    Args:
        plan: as for :class:`LateFrame`.
        settling: runs the recursions and gives the frame of the query over their rows.
        progress: how far they have come.
        parts: as for :class:`LateFrame`.
        options: likewise.
    """

    def __init__(
        self,
        plan: Any,
        settling: Settling,
        progress: RecursionProgress,
        parts: Sequence[tuple[str, Any]],
        **options: Any,
    ) -> None:
        object.__setattr__(self, "settling", settling)
        object.__setattr__(self, "progress", progress)
        super().__init__(plan, settling.settled, parts, **options)
