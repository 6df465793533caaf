"""--keep-best: the tables are left at the best generation, however the run ends."""

import pytest

from sqlmagic_xr.errors import UsageError
from sqlmagic_xr.train.events import Stepped

VALLEY = "INSERT INTO params SELECT :next_step, abs(:k - 9), 0; SELECT step, a AS loss FROM params WHERE step > 0"


def standing(ctx):
    return ctx.sql("SELECT MAX(step) AS step, COUNT(*) AS n FROM params").to_pylist()[0]


def test_patience_leaves_the_table_at_the_best_step(ctx):
    run = ctx.train(VALLEY, steps=100, patience=5, keep_best=True)
    assert (run.status, run.generation, run.steps) == ("patience", 10, 10)
    assert standing(ctx) == {"step": 10, "n": 11}
    assert run.message.endswith("ended after 15 steps; `params` is left at its best, step 10, loss 0")
    assert "keep-best" not in run.message
    assert run.curve.num_rows == 15, "the curve shows why it was ended"
    assert run.panels[0].best_text == "best 0 at step 10"
    run.rollback()
    assert standing(ctx) == {"step": 0, "n": 1}


def test_without_it_the_message_tells_of_it(ctx):
    run = ctx.train(VALLEY, steps=100, patience=5)
    assert run.generation == 15
    assert "(the best was 0 at step 10; --keep-best would leave the table there)" in run.message


@pytest.mark.parametrize("steps", [8, 10, 30])
def test_whatever_the_end(ctx, steps):
    run = ctx.train(VALLEY, steps=steps, keep_best=True)
    assert (run.status, run.generation) == ("done", min(steps, 10))
    assert standing(ctx)["step"] == run.generation
    training = ctx.train(VALLEY, steps=100, keep_best=True, stream=True, restart=True)
    for event in training:
        if isinstance(event, Stepped) and event.step == 14:
            training.control.stop()
    assert (training.run.status, training.run.generation) == ("stopped", 10)


def test_where_no_step_is_better_the_first_generation_stays(ctx):
    cell = "INSERT INTO params SELECT :next_step, :k + 1, 0; SELECT step, COALESCE(a, 0) AS loss FROM params"
    run = ctx.train(cell, steps=5, keep_best=True)
    assert (run.generation, run.steps) == (0, 0)
    assert standing(ctx) == {"step": 0, "n": 1}


def test_all_tables_of_a_minimize_go_back_together(ctx):
    ctx.script("CREATE TABLE w (step BIGINT PRIMARY KEY, v DOUBLE); INSERT INTO w VALUES (0, 3.0)")
    cell = "MINIMIZE (SELECT power(v - 1, 2) FROM w WHERE step = :k) OVER w USING sgd(lr => 0.3, momentum => 0.9)"
    run = ctx.train(cell, steps=12, keep_best=True)
    losses = [(v - 1) ** 2 for v in ctx.sql("SELECT v FROM w ORDER BY step").to_pydict()["v"]]
    assert 0 < run.generation < 12
    assert losses.index(min(losses)) == run.generation == len(losses) - 1
    before = ctx.sql("SELECT v FROM w ORDER BY step").to_pydict()["v"]
    ctx.train(cell, steps=2)
    again = ctx.sql("SELECT v FROM w ORDER BY step").to_pydict()["v"]
    assert again[: len(before)] == before
    ctx.train(cell, steps=run.generation + 2, restart=True)
    whole = ctx.sql("SELECT v FROM w ORDER BY step").to_pydict()["v"]
    assert again == pytest.approx(whole), "the moments were those of the best step"


def test_what_others_have_written_is_not_undone(ctx):
    training = ctx.train(VALLEY, steps=20, keep_best=True, stream=True)
    for event in training:
        if isinstance(event, Stepped) and event.step == 12:
            ctx.script("UPDATE params SET b = 7 WHERE step = 3")
    assert ctx.sql("SELECT b FROM params WHERE step = 3").to_pydict()["b"] == [7.0]
    assert training.run.generation >= 12


def test_it_needs_a_curve(ctx):
    with pytest.raises(UsageError, match="keep_best look at a curve"):
        ctx.train("INSERT INTO params SELECT :next_step, 1, 0", steps=3, keep_best=True)
