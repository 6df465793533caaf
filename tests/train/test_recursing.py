"""A recursive query as a training cell: its rounds are the steps, its SELECT over the rows so far is the curve."""

import _thread

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.display.budget import Budget
from sqlmagic_xr.display.live import LiveMonitor
from sqlmagic_xr.engine.recursion.settling import Settling
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
    data = {"d": pa.table({"x": X, "y": 2 * X + 0.1})}
    return Context(namespace=lambda: data)


def assert_close(found, expected):
    by = [(name, "ascending") for name in expected.column_names]
    assert found.column_names == expected.column_names
    for one, other in zip(found.sort_by(by).columns, expected.sort_by(by).columns, strict=True):
        np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=1e-12)


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
    assert_close(run.curve, ctx.script(DESCENT.format(n=400), {"rate": 0.1})[0].to_arrow_table())
    np.testing.assert_array_equal(end.panels[0].x, np.arange(401))
    assert end.panels[0].title == "Mean squared error"


CELLS = "WITH RECURSIVE r(step, i, v) AS ({} UNION ALL SELECT step + 1, i, v * 0.9 FROM r WHERE step < 60) {}"
BEGIN = "SELECT 0, i, i + 1.0 FROM (VALUES (0), (1), (2)) AS t(i)"


@pytest.mark.parametrize(
    ("query", "new"),
    [
        (CELLS.format(BEGIN, "SELECT step, SUM(v) AS s FROM r GROUP BY step"), True),
        (CELLS.format(BEGIN, "SELECT step, i, SUM(v) AS s FROM r GROUP BY step, i"), True),
        (CELLS.format(BEGIN, "SELECT i + 0.5 AS x, step AS n, v FROM r WHERE v > 0.1"), True),
        (CELLS.format(BEGIN, "SELECT i, SUM(v) AS s FROM r GROUP BY i"), False),
        (CELLS.format(BEGIN, "SELECT step, SUM(SUM(v)) OVER (ORDER BY step) AS s FROM r GROUP BY step"), False),
        (CELLS.format(BEGIN, "SELECT a.step, SUM(a.v * b.v) AS s FROM r a JOIN r b USING (i) GROUP BY a.step"), False),
        (CELLS.format("SELECT -7 * i, i, 1.0 FROM (VALUES (0), (1)) t(i)", "SELECT step, v FROM r"), False),
    ],
)
def test_the_query_over_the_new_rows_is_what_is_new_in_it(ctx, query, new, monkeypatch):
    over, inner = [], Settling.over
    monkeypatch.setattr(Settling, "over", lambda self, rows: over.append(rows.num_rows) or inner(self, rows))
    run = ctx.train(query, every=1)
    assert (sum(over) == 183) if new else len(over) <= 1
    assert_close(run.curve, ctx.sql(query).to_arrow_table())


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
    def receive(event):
        if isinstance(event, Stepped):
            _thread.interrupt_main()

    run = ctx.train(DESCENT.format(n=10**9), params={"rate": 0.1}, on_event=receive)
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
    training = ctx.train(DESCENT.format(n=2_000), params={"rate": 0.1}, every=1, stream=True)
    monitor = LiveMonitor(training.control, front.display, budget=Budget(share=1e9, rest=0))
    told = []
    for event in training:
        monitor.receive(event)
        if isinstance(event, Refreshed):
            told.append((front.widget.shown["steps"], front.last()[0], front.said.split(" · ")[0]))
    assert len(told) > 5
    assert told[-1] == (None, 2000, "step 2,000, 2,001 rows")
    assert all(said == f"step {int(x):,}, {int(x) + 1:,} rows" for _, x, said in told)
    assert "image/png" in front.handle.updates[-1][0][0]


def test_the_widget_tells_the_rows_of_the_step_that_it_shows_though_more_are_there(ctx, monkeypatch):
    front, now = Front(), []
    monkeypatch.setattr(Budget, "due", lambda self, seconds: isinstance(now[-1], Stepped))  # when the curve is old
    monkeypatch.setattr("sqlmagic_xr.display.live._GLANCE", 0.0)
    training = ctx.train(DESCENT.format(n=5_000), params={"rate": 0.1}, every=1, stream=True)
    monitor = LiveMonitor(training.control, front.display, budget=Budget(share=1e9, rest=0))
    told = set()
    for event in training:
        now.append(event)
        monitor.receive(event)
        told |= {front.said.split(" · ")[0]} if isinstance(event, Stepped) and "rows" in front.said else set()
    steps = [said.removeprefix("step ").split(", ")[0] for said in told]
    assert len(told) >= 4  # calls grow, so there are few
    assert told == {f"step {step}, {int(step.replace(',', '')) + 1:,} rows" for step in steps}
