"""Runs in TensorBoard, MLflow and Weights & Biases: each point once, in order, with parameters and text."""

import os
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError
from sqlmagic_xr.tracking import Tracker, mlflow, tensorboard, wandb
from sqlmagic_xr.train.events import Newest, Panel, Refreshed, Started

CELL = """INSERT INTO p SELECT :next_step, a - :lr * 2 * a FROM p WHERE step = :k;
-- square {x}
SELECT step, a * a AS loss FROM p;
SELECT a, step FROM p"""
LOSSES = [9 * 0.8 ** (2 * step) for step in range(21)]


@pytest.fixture
def ctx():
    context = Context()
    context.script("CREATE TABLE p (step BIGINT PRIMARY KEY, a DOUBLE); INSERT INTO p VALUES (0, 3)")
    return context


class Kept:
    """A writer that keeps all."""

    def __init__(self):
        self.begun, self.curves, self.ended = [], {}, []

    def begin(self, parameters, text):
        self.begun.append((dict(parameters), text))

    def points(self, name, steps, values):
        self.curves.setdefault(name, []).extend(zip(steps.tolist(), values.tolist(), strict=True))

    def end(self, status, message):
        self.ended.append((status, message))


def test_each_point_is_handed_on_once_and_in_order(ctx):
    kept = Kept()
    run = ctx.train(CELL, steps=20, params={"lr": 0.1}, on_event=Tracker(kept))
    assert kept.begun == [({"lr": 0.1}, CELL)]
    assert list(kept.curves) == ["square {x}/loss"], "the other curve is not along the generations"
    steps, values = zip(*kept.curves["square {x}/loss"], strict=True)
    assert steps == tuple(range(21))
    np.testing.assert_allclose(values, LOSSES, rtol=1e-12)
    assert kept.ended == [("done", run.message)]


def test_one_in_so_many_and_the_last_and_parameters_as_they_change(ctx):
    kept = Kept()
    schedule = {"lr": "CASE WHEN :step < 12 THEN 0.1 ELSE 0.2 END"}
    ctx.train(CELL, steps=17, schedule=schedule, every=1, on_event=Tracker(kept, every=5))
    assert [step for step, _ in kept.curves["square {x}/loss"]] == [0, 5, 10, 15, 17]
    assert [value for _, value in kept.curves["parameters/lr"]] == [0.2]
    with pytest.raises(ValueError, match="every"):
        Tracker(kept, every=0)


def test_what_is_missing_is_left_out_and_a_curve_that_begins_anew_is_not_told_twice():
    kept = Kept()
    tracker = Tracker(kept)

    def panels(*values):
        return (Panel("", "step", np.arange(len(values)), {"loss": np.array(values)}),)

    tracker(Started("p", "step", 0, 9, {}, {}, panels(3.0), Newest()))
    tracker(Refreshed(2, 2, 0.1, {}, panels(3.0, np.nan, 1.0), Newest()))
    tracker(Refreshed(3, 3, 0.1, {}, panels(3.0, 2.0), Newest()))
    tracker(Refreshed(3, 3, 0.1, {}, panels(3.0, 2.0, 1.0, 0.5), Newest()))
    assert kept.curves == {"loss": [(0, 3.0), (2, 1.0), (3, 0.5)]}


def test_a_run_that_fails_before_its_first_step_is_none(ctx):
    kept = Kept()
    cell = "INSERT INTO p SELECT :next_step, a FROM p WHERE step = :k; SELECT step, CAST('x' AS INT) AS a FROM p"
    with pytest.raises(SqlError):
        ctx.train(cell, steps=3, on_event=Tracker(kept))
    assert (kept.begun, kept.ended) == ([], [])


class Records:
    """A library that notes what is called, by the contract of the real one."""

    def __init__(self, calls, **given):
        self.__dict__.update(given, _calls=calls)

    def __getattr__(self, name):
        def call(*arguments, **options):
            self._calls.append((name, arguments, options))
            return self

        return call


def test_mlflow_is_called_as_its_client_is_documented(ctx, monkeypatch):
    calls = []
    client = Records(
        calls,
        get_experiment_by_name=lambda name: None,
        create_experiment=lambda name: f"id of {name}",
        create_run=lambda place, run_name: SimpleNamespace(info=SimpleNamespace(run_id=f"{run_name} in {place}")),
    )
    entities = SimpleNamespace(Param=lambda key, value: (key, value), Metric=lambda *fields: fields)
    library = SimpleNamespace(MlflowClient=lambda tracking_uri: client, entities=entities)
    monkeypatch.setitem(sys.modules, "mlflow", library)
    ctx.train(CELL, steps=20, params={"lr": 0.1}, on_event=mlflow("tries", name="one"))
    run = "one in id of tries"
    assert calls[0] == ("log_batch", (run,), {"params": [("lr", "0.1")]})
    assert calls[1] == ("log_text", (run, CELL, "cell.sql"), {})
    metrics = [m for name, _, options in calls if name == "log_batch" for m in options.get("metrics", ())]
    assert {m[0] for m in metrics} == {"square _x_/loss"}
    assert [m[3] for m in metrics] == list(range(21))
    assert calls[-1] == ("set_terminated", (run, "FINISHED"), {})
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    for uri, allowed in [("http://localhost", None), ("file:./runs", "true")]:
        ctx.train(CELL, steps=1, restart=True, params={"lr": 0.1}, on_event=mlflow("tries", uri=uri))
        assert os.environ.get("MLFLOW_ALLOW_FILE_STORE") == allowed


def test_wandb_draws_every_curve_over_the_generation(ctx, monkeypatch):
    calls = []
    run = Records(calls, summary={})
    begun = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **options: begun.append(options) or run))
    ctx.train(CELL, steps=3, params={"lr": 0.1}, on_event=wandb(project="tries", mode="offline"))
    assert begun == [{"config": {"lr": 0.1, "cell": CELL}, "project": "tries", "mode": "offline"}]
    assert calls[0] == ("define_metric", ("square {x}/loss",), {"step_metric": "generation"})
    logged = [arguments[0] for name, arguments, _ in calls if name == "log"]
    assert [point["generation"] for point in logged] == [0, 1, 2, 3]
    assert calls[-1] == ("finish", (), {"exit_code": 0})
    assert run.summary["end"].startswith("done: 3 steps")


@pytest.mark.parametrize("make", [lambda: tensorboard("x"), mlflow, wandb], ids=["tensorboard", "mlflow", "wandb"])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, make):
    for name in ("tensorboardX", "mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "sqlmagic-xr\['):
        make()


def test_tensorboard_reads_what_is_written(ctx, tmp_path):
    events = pytest.importorskip("tensorboardX.proto.event_pb2")
    ctx.train(CELL, steps=20, params={"lr": 0.1}, on_event=tensorboard(tmp_path))
    (path,) = tmp_path.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event, data = events.Event.FromString(data[12 : 12 + length]), data[16 + length :]
        found += [(value.tag, event.step, value) for value in event.summary.value]
    points = [(step, value.simple_value) for tag, step, value in found if tag.endswith("/loss")]
    assert [step for step, _ in points] == list(range(21))
    np.testing.assert_allclose([value for _, value in points], LOSSES, rtol=1e-6)
    texts = {tag: value.tensor.string_val[0].decode() for tag, _, value in found if tag.endswith("text_summary")}
    assert CELL in texts["cell/text_summary"]
    assert "lr | 0.1" in texts["parameters/text_summary"]
