"""A recursive query as a training cell: its rounds are the steps, its SELECT over the rows so far is the curve."""

import _thread
import threading

import ipywidgets
import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.display.live import LiveMonitor
from sqlmagic_xr.errors import ExecutionError, SqlError, TypeMismatchError, UsageError
from sqlmagic_xr.train.events import Ended, Refreshed, Started, Stepped
from tests.display.test_live import Front

X = np.linspace(-1, 1, 50)
DESCENT = """-- Mean squared error
WITH RECURSIVE run(step, a) AS (
    SELECT 0, 0.0 UNION ALL
    SELECT step + 1, run.a - :rate * AVG(grad(power(y - run.a * x, 2), run.a))
    FROM d CROSS JOIN run WHERE step < {n} GROUP BY step, run.a)
SELECT step, AVG(power(y - a * x, 2)) AS loss FROM run CROSS JOIN d GROUP BY step ORDER BY step"""
BY_ENGINE = "WITH RECURSIVE r(n, s) AS (SELECT 1, 'a' UNION ALL SELECT n + 1, s || 'b' FROM r {where}) {select}"


@pytest.fixture(scope="module")
def ctx():
    return Context(namespace=lambda: {"d": pa.table({"x": X, "y": 2 * X + 0.1})})


def test_the_rounds_are_steps_and_the_query_over_their_rows_is_the_curve(ctx):
    events = []
    run = ctx.train(DESCENT.format(n=400), params={"rate": 0.1}, every=50, on_event=events.append)
    assert isinstance(events[0], Started)
    assert (events[0].table, events[0].steps, len(events[0].panels[0].x)) == ("run", None, 1)
    stepped = [event for event in events if isinstance(event, Stepped)]
    assert [e.step for e in stepped] == sorted({e.step for e in stepped})
    assert all(e.rows == e.step + 1 for e in stepped)
    for event in events:
        if isinstance(event, Refreshed):
            assert len(event.panels[0].x) == event.step + 1
            assert event.newest.rows[0][0] == event.step
    end = events[-1]
    assert isinstance(end, Ended)
    assert run.message == end.message
    assert run.message.startswith("done: 400 rounds, 401 rows, loss ")
    assert run.curve.equals(ctx.script(DESCENT.format(n=400), {"rate": 0.1})[0].to_arrow_table())
    np.testing.assert_array_equal(end.panels[0].x, np.arange(401))
    assert end.panels[0].title == "Mean squared error"


def test_steps_are_rounds_at_most(ctx):
    for steps in (0, 1, 7, 50):
        run = ctx.train(DESCENT.format(n=400), params={"rate": 0.1}, steps=steps)
        assert (run.status, run.steps, run.curve.num_rows) == ("done", steps, steps + 1)
    run = ctx.train(BY_ENGINE.format(where="", select="SELECT n, length(s) AS l FROM r"), steps=3)
    assert run.curve.column(1).to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "query", [DESCENT.format(n=10**9), BY_ENGINE.format(where="", select="SELECT n, n AS m FROM r")]
)
def test_stop_leaves_the_rounds_so_far(ctx, query):
    training = ctx.train(query, params={"rate": 0.1}, stream=True)
    for event in training:
        if isinstance(event, Stepped) and event.step >= 5:
            training.control.stop()
    assert training.run.status == "stopped"
    assert training.run.curve.num_rows == training.run.steps + 1 >= 6
    with pytest.raises(UsageError, match="once"):
        next(iter(training))


def test_an_interrupt_leaves_the_rounds_so_far(ctx):
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    run = ctx.train(DESCENT.format(n=10**9), params={"rate": 0.1})
    timer.join()
    assert run.status == "interrupted"
    assert run.curve.num_rows == run.steps + 1


@pytest.mark.parametrize(
    ("query", "options", "error", "message"),
    [
        (DESCENT.format(n=9), {"until": "loss < 1"}, UsageError, "until is for training cells"),
        (DESCENT.format(n=9), {"restart": True}, UsageError, "restart is for training cells"),
        (DESCENT.format(n=9), {"params": {}}, SqlError, "rate"),
        (BY_ENGINE.format(where="", select="SELECT n, s FROM r"), {}, TypeMismatchError, "a curve needs a column of"),
        (BY_ENGINE.format(where="WHERE m < 3", select="SELECT n, n FROM r"), {}, SqlError, "no column m"),
        (BY_ENGINE.format(where="", select="SELECT n, 1 / (n - 3) AS m FROM r"), {"every": 1}, SqlError, "zero"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_where_it_stands(ctx, query, options, error, message):
    with pytest.raises(error, match=message):
        ctx.train(query, **{"params": {"rate": 0.1}, **options})


def test_what_does_not_end_is_ended(ctx):
    ctx.max_recursion = 60
    try:
        with pytest.raises(ExecutionError, match="after 60 rounds, which is max_recursion"):
            ctx.train(BY_ENGINE.format(where="", select="SELECT n, n AS m FROM r"))
    finally:
        ctx.max_recursion = 1_000_000


def test_other_cells_are_what_they_were(ctx):
    with pytest.raises(UsageError, match="a training cell needs an INSERT"):
        ctx.train("SELECT 1 AS step, 2 AS loss")
    ctx.script("CREATE TABLE t (step BIGINT PRIMARY KEY, s BIGINT); INSERT INTO t VALUES (0, 0)")
    insert = """INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4)
        SELECT :next_step, SUM(n) FROM r"""
    assert ctx.train(insert, steps=2).steps == 2
    assert ctx.sql("SELECT s FROM t ORDER BY step").to_pydict()["s"] == [0, 10, 10]


def test_the_widget_shows_rounds_and_rows_though_nobody_knows_how_many_there_will_be(ctx):
    front = Front()
    training = ctx.train(DESCENT.format(n=30_000), params={"rate": 0.1}, stream=True)
    monitor = LiveMonitor(training.control, front.display)
    texts = []
    for event in training:
        monitor.receive(event)
        if not isinstance(event, Ended):
            texts.append(front.text())
    assert front.widgets(ipywidgets.Button)
    assert any(" rows" in text and "step " in text and " of " not in text for text in texts)
    assert "image/png" in front.handle.updates[-1][0][0]
