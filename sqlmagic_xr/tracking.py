"""Runs in TensorBoard, MLflow and Weights & Biases: what ``on_event`` calls with every event of a run.

    from sqlmagic_xr.tracking import tensorboard
    ctx.train(cell, on_event=tensorboard("logs/first"))

The curves, the parameters as they change, the text of the cell and the end of the run are handed on. Each library is
imported when its function is called, and something is sent only where that library was told to send it.
"""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .train.events import Ended, Event, Panel, Refreshed, Started

_BATCH = 1000  # metrics that MLflow takes at a time


class Writer(Protocol):
    """Where a run is kept: the contract that another service has to fulfil."""

    def begin(self, parameters: Mapping[str, Any], text: str) -> None:
        """The run begins: its parameters, and the cell that it runs."""

    def points(self, name: str, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        """More points of a curve, in order; none is NaN."""

    def end(self, status: str, message: str) -> None:
        """The run has ended."""


class Tracker:
    """Hands a run to a writer, as it goes on; pass it as ``on_event``, for one run after another if you like.

    Args:
        writer: where to.
        every: of the generations of a curve, one in so many is handed on, and the last.
    """

    def __init__(self, writer: Writer, *, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every is a whole number, 1 or more, not {every!r}")
        self._writer, self._every = writer, every
        self._begun = False

    def __call__(self, event: Event) -> None:
        """Take an event of a run."""
        if isinstance(event, Started):
            self._begun, self._column, self._told = True, event.column, dict(event.parameters)
            self._sent: dict[str, int] = {}  # curve -> the last generation that was handed on
            self._writer.begin(event.parameters, event.text)
            self._follow(event.panels, last=False)
        elif not self._begun:  # it has failed before its first step: there is nothing to keep
            return
        elif isinstance(event, (Refreshed, Ended)):
            self._follow(event.panels, last=isinstance(event, Ended))
            for name, value in event.parameters.items():
                if value != self._told.get(name) and isinstance(value, (int, float)):
                    at = np.array([event.generation])
                    self._writer.points(f"parameters/{name}", at, np.array([float(value)]))
            self._told = dict(event.parameters)
        if isinstance(event, Ended):
            self._begun = False
            self._writer.end(event.status, event.message)

    def _follow(self, panels: tuple[Panel, ...], *, last: bool) -> None:
        for panel in panels:
            if panel.x_name == self._column and panel.x.dtype.kind in "iu":
                for line, values in panel.lines.items():
                    self._hand_on(f"{panel.title}/{line}" if panel.title else line, panel.x, values, last=last)

    def _hand_on(
        self, name: str, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64], *, last: bool
    ) -> None:  # fmt: skip
        sound = ~np.isnan(values)
        if name in self._sent:
            sound &= steps > self._sent[name]
        wanted = sound & (steps % self._every == 0)
        if last and sound.any():
            wanted[np.flatnonzero(sound)[-1]] = True
        if wanted.any():
            self._writer.points(name, steps[wanted], values[wanted])
            self._sent[name] = int(steps[wanted].max())


def tensorboard(folder: str | Path, *, every: int = 1) -> Tracker:
    """Event files that TensorBoard reads.

    Args:
        folder: where they are written; one for each run, since TensorBoard takes a folder for a run.
        every: see :class:`Tracker`.

    Raises:
        ImportError: tensorboardX is missing: ``pip install "sqlmagic-xr[tensorboard]"``.
    """
    return Tracker(_TensorBoard(_library("tensorboardX", "TensorBoard", "tensorboard"), str(folder)), every=every)


def mlflow(
    experiment: str = "sqlmagic_xr", *, name: str | None = None, uri: str | None = None, every: int = 1
) -> Tracker:  # fmt: skip
    """A run in MLflow.

    Args:
        experiment: which it belongs to; made if it is not there.
        name: of the run; MLflow makes one up.
        uri: the tracking server (``http://...``) or a folder (``file:./runs``); by default MLflow's own setting
            (``MLFLOW_TRACKING_URI``). A database (``sqlite:///...``) needs all of MLflow: ``pip install mlflow``.
        every: see :class:`Tracker`.

    Raises:
        ImportError: MLflow is missing: ``pip install "sqlmagic-xr[mlflow]"``.
    """
    return Tracker(_MLflow(_library("mlflow", "MLflow", "mlflow"), experiment, name, uri), every=every)


def wandb(*, every: int = 1, **options: Any) -> Tracker:
    """A run in Weights & Biases.

    Args:
        every: see :class:`Tracker`.
        options: for ``wandb.init``, such as ``project``, ``name`` and ``mode="offline"``.

    Raises:
        ImportError: wandb is missing: ``pip install "sqlmagic-xr[wandb]"``.
    """
    return Tracker(_Wandb(_library("wandb", "Weights & Biases", "wandb"), options), every=every)


def _library(module: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{what} needs {module}: pip install "sqlmagic-xr[{extra}]"', name=module) from error


class _TensorBoard:
    def __init__(self, library: Any, folder: str) -> None:
        self._library, self._folder = library, folder

    def begin(self, parameters: Mapping[str, Any], text: str) -> None:
        self._file = self._library.SummaryWriter(self._folder)
        self._file.add_text("cell", f"```sql\n{text}\n```", 0)
        rows = "".join(f"| {name} | {value} |\n" for name, value in parameters.items())
        if rows:
            self._file.add_text("parameters", f"| parameter | value |\n|---|---|\n{rows}", 0)

    def points(self, name: str, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            self._file.add_scalar(name, value, step)
        self._file.flush()

    def end(self, status: str, message: str) -> None:
        self._file.add_text("end", message, 0)
        self._file.close()


class _MLflow:
    def __init__(self, library: Any, experiment: str, name: str | None, uri: str | None) -> None:
        self._library, self._experiment, self._name, self._uri = library, experiment, name, uri

    def begin(self, parameters: Mapping[str, Any], text: str) -> None:
        entities = self._library.entities
        if (self._uri or "").startswith("file:"):  # MLflow 3 refuses a folder unless it is told that it is meant
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client = self._library.MlflowClient(tracking_uri=self._uri)
        known = self._client.get_experiment_by_name(self._experiment)
        place = known.experiment_id if known is not None else self._client.create_experiment(self._experiment)
        self._run = self._client.create_run(place, run_name=self._name).info.run_id
        self._client.log_batch(self._run, params=[entities.Param(n, str(v)) for n, v in parameters.items()])
        self._client.log_text(self._run, text, "cell.sql")

    def points(self, name: str, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        named, now = _NOT_IN_MLFLOW.sub("_", name), int(time.time() * 1000)
        metric = self._library.entities.Metric
        found = [metric(named, value, now, step) for step, value in zip(steps.tolist(), values.tolist(), strict=True)]
        for first in range(0, len(found), _BATCH):
            self._client.log_batch(self._run, metrics=found[first : first + _BATCH])

    def end(self, status: str, message: str) -> None:
        self._client.set_tag(self._run, "end", message)
        ended = {"failed": "FAILED", "diverged": "FAILED", "interrupted": "KILLED"}.get(status, "FINISHED")
        self._client.set_terminated(self._run, ended)


_NOT_IN_MLFLOW = re.compile(r"[^\w./ :-]")


class _Wandb:
    def __init__(self, library: Any, options: Mapping[str, Any]) -> None:
        self._library, self._options = library, options

    def begin(self, parameters: Mapping[str, Any], text: str) -> None:
        self._run = self._library.init(**{"config": {**parameters, "cell": text}, **self._options})
        self._known: set[str] = set()

    def points(self, name: str, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        if name not in self._known:  # curves come one after another: each is drawn over the generation, not the order
            self._run.define_metric(name, step_metric="generation")
            self._known.add(name)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            self._run.log({name: value, "generation": step})

    def end(self, status: str, message: str) -> None:
        self._run.summary["end"] = message
        self._run.finish(exit_code=1 if status in ("failed", "diverged") else 0)
