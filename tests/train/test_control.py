"""Pausing, stopping and interrupting: the step in progress is finished or abandoned, never half done."""

import os
import signal
import threading
import time

import pyarrow as pa
import pytest
from datafusion import udf

from sqlmagic_xr.errors import ParameterError, UsageError
from sqlmagic_xr.train.control import Control
from sqlmagic_xr.train.events import Ended, Paused, Range, Refreshed, Stepped
from tests.train.conftest import CELL, by_hand

SLOW = "INSERT INTO params SELECT :next_step, nap(a), b FROM params WHERE step = :k"


def press():
    """Ctrl-C, by the way that a terminal and a kernel take."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def during(ctx):
    """What happens while each step runs: a list of waits in seconds and of things to do, for each step in turn."""
    plans = []

    def nap(column):
        for action in plans.pop(0) if plans else ():
            action() if callable(action) else time.sleep(action)
        return column

    ctx.register_udf(udf(nap, [pa.float64()], pa.float64(), "volatile", name="nap"))
    return plans


def test_the_first_interrupt_ends_after_the_step(ctx, rows):
    before = signal.getsignal(signal.SIGINT)
    run = ctx.train(CELL, steps=100_000, on_event=lambda e: isinstance(e, Stepped) and e.step == 20 and press())
    assert run.status == "interrupted"
    assert run.steps in (20, 21)
    assert run.message.startswith(f"interrupted after {run.steps:,} steps; `params` stands at step {run.steps}")
    assert len(rows()) == run.steps + 1 == run.curve.num_rows
    assert signal.getsignal(signal.SIGINT) is before
    assert ctx.train(CELL, steps=2).status == "done"


def test_a_long_step_is_finished_first(ctx, during, rows):
    during.append([0.1, press, 0.5])
    run = ctx.train(SLOW, steps=5)
    assert (run.status, run.steps) == ("interrupted", 1)
    assert run.seconds > 0.5
    assert len(rows()) == 2


def test_the_second_interrupt_abandons_the_step(ctx, during, rows):
    events = []
    during += [[], [0.1, press, 0.2, press, 5.0]]
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        ctx.train(SLOW, steps=5, on_event=events.append)
    assert time.perf_counter() - begin < 3, "it does not wait for the step"
    assert isinstance(events[-1], Ended)
    assert (events[-1].status, events[-1].steps, events[-1].generation) == ("interrupted", 1, 1)
    assert "interrupted after 1 step, within a step that is abandoned" in events[-1].message
    assert len(rows()) == 2
    assert not ctx.store.in_transaction
    assert ctx.train(CELL, steps=2).generation == 3


def test_an_interrupt_in_another_thread_is_not_taken(ctx):
    """Signals are the main thread's; a run elsewhere is stopped through its control."""
    training = ctx.train(CELL, steps=100_000, stream=True)
    statuses = []

    def go():
        with training.control.interruptible():
            for event in training:
                if isinstance(event, Ended):
                    statuses.append(event.status)

    thread = threading.Thread(target=go)
    thread.start()
    time.sleep(0.3)
    training.control.stop()
    thread.join(5)
    assert statuses == ["stopped"]


def test_a_paused_run_waits_shows_everything_and_goes_on(ctx, rows):
    training = ctx.train(CELL, steps=6, params={"lr": 0.1}, tune={"lr": (0.01, 1)}, stream=True)
    seen = []
    for event in training:
        if isinstance(event, Stepped) and event.step == 3:
            training.control.pause()
        if isinstance(event, Paused):
            assert training.control.paused
            assert len(rows()) == 4
            seen.append(event)
            time.sleep(0.05)
            if len(seen) == 4:
                training.control.tune("lr", 0.4)
                training.control.resume()
        if isinstance(event, Refreshed) and training.control.paused:
            assert len(event.panels[0].x) == 4
    assert len(seen) == 4
    assert seen[0] == Paused(3, 3)
    assert training.run.seconds < time.perf_counter()
    assert rows() == pytest.approx(by_hand(lambda k: 0.1 if k < 3 else 0.4, 6))


def test_a_pause_shows_a_curve_that_is_evaluated_whole_and_costs_the_run_nothing(ctx):
    whole = "SELECT step, SUM(a) OVER (ORDER BY step) AS total FROM params ORDER BY step"
    training = ctx.train(CELL.split(";")[0] + ";" + whole, steps=4, params={"lr": 0.1}, stream=True)
    shown = 0
    for event in training:
        if isinstance(event, Stepped) and event.step == 3:
            training.control.pause()
        if isinstance(event, Refreshed) and training.control.paused:
            shown = len(event.panels[0].x)
        if isinstance(event, Paused):
            assert shown == 4, "due or not"
            training.control.resume()
    assert len(training.run.curve) == 5


def test_pauses_do_not_count_as_time(ctx):
    training = ctx.train(CELL, steps=2, stream=True)
    training.control.pause()
    waited = 0
    for event in training:
        if isinstance(event, Paused):
            time.sleep(0.2)
            waited += 1
            if waited == 3:
                training.control.resume()
    assert training.run.seconds < 0.4


def test_a_paused_run_can_be_stopped(ctx):
    training = ctx.train(CELL, steps=5, stream=True)
    training.control.pause()
    for event in training:
        if isinstance(event, Paused):
            training.control.stop()
    assert (training.run.status, training.run.steps) == ("stopped", 0)


def test_control_by_itself():
    control = Control({"lr": Range(0.1, 1.0)})
    with pytest.raises(ParameterError, match="rl is not tuned"):
        control.tune("rl", 0.5)
    with pytest.raises(UsageError, match=r"outside its range 0\.1:1"):
        control.tune("lr", 0.05)
    control.tune("lr", 0.5)
    control.tune("lr", 0.6)
    assert control.wishes() == {"lr": 0.6}
    assert control.wishes() == {}
    control.pause()
    assert control.paused
    control.interrupt()
    assert not control.paused, "what ends does not wait"
    control.interrupt()  # between two steps a second one changes nothing
    assert control.ending == "interrupted"
    control.stop()
    assert control.ending == "interrupted"
    with pytest.raises(KeyboardInterrupt), control.stepping():
        control.interrupt()
