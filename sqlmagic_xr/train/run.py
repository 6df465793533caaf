"""What a training run was: how it ended, its curves and parameters, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ..engine.grid import grid
from ..errors import UsageError
from ..storage.scratch import Version
from .events import Panel, Status
from .holdings import Holdings
from .parameters import ParameterChange

if TYPE_CHECKING:
    import pyarrow as pa
    import xarray as xr

    from ..storage.store import ScratchStore
    from .minimize.fit import Fit


class Run:
    """A training run, while it goes on and afterwards.

    Attributes:
        table: the trajectory's name.
        status: "running", or how it ended: "done", "stopped", "interrupted", "until", "patience", "diverged", "failed".
        message: the end in one line.
        seconds: how long it took, pauses apart.
        parameters: the values at the start, and every change by hand, in order.
        schedule: parameters that followed an expression: name -> SQL.
        seed: what ``:random`` was drawn from.
        curves: the rows of each curve, as Arrow tables.
        panels: the curves as they are drawn.
        fitted: makes :attr:`fit`, where there is one.
        versions_before, versions_after: table -> version, for each table that a step changes; one that did not exist
            before the run is not among the former.
        holdings: the tables as the run has left them.
    """

    def __init__(self, store: ScratchStore, table: str, writes: Iterable[str]) -> None:
        self.table = table
        self.status: Status = "running"
        self.message = ""
        self.seconds = 0.0
        self.parameters: tuple[ParameterChange, ...] = ()
        self.schedule: Mapping[str, str] = {}
        self.seed = 0
        self.curves: tuple[pa.Table, ...] = ()
        self.panels: tuple[Panel, ...] = ()
        self.fitted: Callable[[], Fit] | None = None
        # The versions themselves, not their numbers: the store may forget old ones, and they share what is unchanged.
        self.holdings = Holdings(store, writes, table)
        self.versions_before: Mapping[str, int] = {}
        self.versions_after: Mapping[str, int] = {}
        self.begin()

    @property
    def generation(self) -> int:
        """The trajectory's newest step."""
        return self.holdings.generation

    @property
    def steps(self) -> int:
        """How many generations the run has added."""
        return self.holdings.steps

    @property
    def before(self) -> Mapping[str, Version]:
        """The tables as they were."""
        return self.holdings.before

    def __repr__(self) -> str:
        return f"Run({self.message or f'running: {self.steps} steps so far'})"

    @property
    def curve(self) -> pa.Table | None:
        """The rows of the first curve; None where there is none."""
        return self.curves[0] if self.curves else None

    @property
    def fit(self) -> Fit:
        """The parameters that a MINIMIZE has reached, with standard errors and covariance (:mod:`.minimize.fit`).

        Raises:
            UsageError: the run was no MINIMIZE, or its loss is not the mean or the sum of a number of each row.
        """
        if self.fitted is None:
            raise UsageError("only a MINIMIZE has a fit: the loss of this run is not known",
                             hint="As in: MINIMIZE (SELECT AVG(...) FROM ...) OVER params")  # fmt: skip
        return self.fitted()

    def to_dataset(self) -> xr.Dataset:
        """The trajectory as an ``xr.Dataset`` over the table's key, which begins with the step as a rule.

        Raises:
            UsageError: the table has no PRIMARY KEY.
        """
        version = self.holdings.store.table(self.table)
        dims = list(version.definition.key)
        if not dims:
            raise UsageError(f"`{self.table}` has no PRIMARY KEY, which would be the dimensions")
        found = grid(version.to_arrow(), dims, {}, float("nan"))
        return found.assign_attrs(status=self.status, message=self.message, seed=self.seed)

    def rollback(self) -> None:
        """Put every table back to what it was before the run.

        Raises:
            UsageError: the run has not ended, or a table has been changed since, which this would undo as well.
        """
        if self.status == "running":
            raise UsageError("the run has not ended", hint="Stop it first.")
        self._refuse_to_undo_others()
        done = self.holdings.put_back(self.before, "rollback of a training run", self.generation, self.steps)
        if not done:
            self._refuse_to_undo_others()
        self.versions_after = self.holdings.numbers()

    def begin(self) -> None:
        """Note how the tables stand before the first step."""
        self.holdings.begin()
        self.versions_before = self.holdings.numbers()

    def close(self) -> None:
        """Note how the run has left the tables; called once, when it ends."""
        self.holdings.settle()
        self.versions_after = self.holdings.numbers()

    def _refuse_to_undo_others(self) -> None:
        hint = "A rollback would undo that too. ctx.scratch(name).history() tells what was done."
        for name in self.holdings.foreign():
            left = self.versions_after.get(name)
            where = f", which left it at version {left}" if left is not None else ""
            raise UsageError(f"`{name}` has changed since the run{where}", hint=hint)
        for name in sorted(self.holdings.disturbed):
            raise UsageError(f"others have changed `{name}` while the run went on", hint=hint)
