"""ctx.train: the same numbers as by hand, every end, and tables that are never left in between."""

import numpy as np
import pytest
import xarray as xr

from sqlmagic_xr.errors import (
    ParameterError,
    SqlError,
    UnknownNameError,
    UsageError,
)
from sqlmagic_xr.train.events import Ended, Refreshed, Started, Stepped
from tests.train.conftest import CELL, CURVE, STEP, by_hand


def test_a_run_makes_the_steps_that_gradient_descent_makes(ctx, rows):
    run = ctx.train(CELL, steps=20)
    expected = by_hand(0.2, 20)
    np.testing.assert_allclose(rows(), expected, rtol=1e-12)
    assert (run.status, run.steps, run.generation) == ("done", 20, 20)
    assert run.message.startswith("done: 20 steps; `params` stands at step 20, loss 0.0")
    assert run.seconds > 0


def test_running_again_continues(ctx, rows):
    ctx.train(CELL, steps=7, each_step=True)
    run = ctx.train(CELL, steps=13, each_step=True)
    np.testing.assert_allclose(rows(), by_hand(0.2, 20), rtol=1e-12)
    assert (run.steps, run.generation) == (13, 20)
    assert run.versions_before == {"params": 8}
    assert run.versions_after == {"params": 21}


def test_the_curve_equals_its_query_and_begins_at_the_first_generation(ctx):
    ctx.train(CELL, steps=5)
    run = ctx.train(CELL, steps=5)
    fresh = ctx.sql(CURVE).to_arrow_table()
    assert run.curve.column_names == ["step", "loss"]
    assert run.curve["step"].to_pylist() == list(range(11))
    np.testing.assert_allclose(run.curve["loss"].to_numpy(), fresh["loss"].to_numpy(), rtol=1e-14)


def test_no_steps_are_a_run_too(ctx, rows):
    run = ctx.train(CELL, steps=0)
    assert (run.status, run.steps) == ("done", 0)
    assert run.curve.num_rows == len(rows()) == 1


def test_a_step_is_committed_whole_and_later_statements_see_earlier_ones(ctx):
    ctx.script(
        "CREATE TABLE log (step BIGINT PRIMARY KEY, total DOUBLE); CREATE TABLE best AS SELECT CAST(0 AS DOUBLE) AS a"
    )
    cell = """
    INSERT INTO params SELECT :next_step, a + 1, b FROM params WHERE step = :k;
    INSERT INTO log SELECT :next_step, SUM(a) FROM params;
    CREATE OR REPLACE TABLE best AS SELECT MAX(total) AS a FROM log;
    SELECT step, total FROM log ORDER BY step
    """
    run = ctx.train(cell, steps=4)
    assert ctx.sql("SELECT total FROM log ORDER BY step").to_pydict() == {"total": [1.0, 3.0, 6.0, 10.0]}
    assert ctx.sql("SELECT a FROM best").to_pydict() == {"a": [10.0]}
    assert run.curve["total"].to_pylist() == [1.0, 3.0, 6.0, 10.0]
    assert set(run.versions_after) == {"params", "log", "best"}
    # The third statement of the fifth step fails: of the first two nothing is kept.
    failing = cell.replace("MAX(total)", "CAST('x' || MAX(total) AS DOUBLE)")
    with pytest.raises(SqlError):
        ctx.train(failing, steps=1)
    assert ctx.sql("SELECT MAX(step) AS step FROM params").to_pydict() == {"step": [4]}
    assert len(ctx.scratch("log")) == 4


def test_a_derivative_in_a_step_sees_the_columns_of_the_tables_that_the_step_makes(ctx, rows):
    cell = """
    CREATE OR REPLACE TABLE fit AS SELECT x, y, a*x + b AS {line} FROM d CROSS JOIN params WHERE step = :k;
    CREATE OR REPLACE TABLE slope AS SELECT x, grad(power(y - {line}, 2), {line}) AS by_line FROM fit;
    INSERT INTO params
    SELECT :next_step, a - :lr * (SELECT AVG(by_line * x) FROM slope), b - :lr * (SELECT AVG(by_line) FROM slope)
    FROM params WHERE step = :k
    """
    ctx.train(cell.format(line="line"), steps=2)
    ctx.train(cell.format(line="q"), steps=2)  # the tables are there, from the last run, with another column
    np.testing.assert_allclose(rows(), by_hand(0.2, 4), rtol=1e-12)
    before = len(ctx.scratch("fit").history())
    with pytest.raises(UnknownNameError, match="there is no column r here"):
        ctx.train(cell.format(line="q").replace("2), q)", "2), r)"), steps=2)
    assert len(ctx.scratch("fit").history()) == before
    assert not ctx.store.in_transaction


def test_step_counts_the_generations_wherever_it_stands_in_the_key(ctx):
    ctx.script("CREATE TABLE sweep (run BIGINT, step BIGINT, a DOUBLE, PRIMARY KEY (run, step))")
    ctx.script("INSERT INTO sweep VALUES (7, 0, 1.0), (9, 0, 2.0)")
    run = ctx.train("INSERT INTO sweep SELECT run, :next_step, a / 2 FROM sweep WHERE step = :k", steps=3)
    assert (run.steps, run.generation) == (3, 3)
    assert ctx.sql("SELECT a FROM sweep WHERE step = 3 ORDER BY run").to_pydict() == {"a": [0.125, 0.25]}


def test_rollback_undoes_the_run_and_nothing_else(ctx, rows):
    ctx.train(CELL, steps=3)
    run = ctx.train(CELL, steps=100)  # more steps than a table remembers versions
    run.rollback()
    np.testing.assert_allclose(rows(), by_hand(0.2, 3), rtol=1e-12)
    run = ctx.train(CELL, steps=2)
    ctx.script("INSERT INTO params VALUES (99, 0.0, 0.0)")
    with pytest.raises(UsageError, match="has changed since the run"):
        run.rollback()
    assert len(rows()) == 7


def test_restart_begins_at_the_first_generation_and_says_what_it_drops(ctx, rows):
    ctx.train(CELL, steps=5)
    events = []
    ctx.train(CELL, steps=2, restart=True, params={"lr": 0.1}, on_event=events.append)
    np.testing.assert_allclose(rows(), by_hand(0.1, 2), rtol=1e-12)
    assert isinstance(events[0], Started)
    assert events[0].notice == "restart: 5 rows of `params` behind step = 0 are dropped"


def test_a_restart_that_fails_at_once_drops_nothing(ctx, rows):
    ctx.train(CELL, steps=5)
    before = rows()
    with pytest.raises(ParameterError):
        ctx.train(CELL.replace(":lr", ":rate"), steps=2, restart=True)
    np.testing.assert_array_equal(rows(), before)


# --- parameters


def test_given_parameters_win_over_variables(ctx, rows, variables):
    variables["lr"] = 0.3
    run = ctx.train(CELL, steps=3, params={"lr": 0.1})
    np.testing.assert_allclose(rows(), by_hand(0.1, 3), rtol=1e-12)
    assert [(c.generation, c.name, c.value) for c in run.parameters] == [(0, "lr", 0.1)]
    ctx.train(CELL, steps=2, restart=True)
    np.testing.assert_allclose(rows(), by_hand(0.3, 2), rtol=1e-12)


def test_a_schedule_is_sql_of_the_step(ctx, rows):
    run = ctx.train(CELL, steps=6, schedule={"lr": "0.4 * pow(0.9, :step)"})
    np.testing.assert_allclose(rows(), by_hand(lambda k: 0.4 * 0.9**k, 6), rtol=1e-12)
    assert run.schedule == {"lr": "0.4 * pow(0.9, :step)"}


def test_tuning_takes_effect_at_the_next_step_and_is_recorded(ctx, rows):
    training = ctx.train(CELL, steps=6, params={"lr": 0.1}, tune={"lr": (0.01, 1)}, stream=True)
    for event in training:
        if isinstance(event, Stepped) and event.step == 2:
            training.control.tune("lr", 0.4)
    np.testing.assert_allclose(rows(), by_hand(lambda k: 0.1 if k < 2 else 0.4, 6), rtol=1e-12)
    assert [(c.generation, c.name, c.value) for c in training.run.parameters] == [(0, "lr", 0.1), (2, "lr", 0.4)]
    with pytest.raises(UsageError, match="outside its range"):
        training.control.tune("lr", 2.0)
    with pytest.raises(ParameterError, match="a is not tuned"):
        training.control.tune("a", 2.0)


def test_the_same_seed_draws_the_same_numbers_also_when_continued(ctx):
    cell = "INSERT INTO params SELECT :next_step, :random, :seed"
    runs = []
    for parts in ([6], [2, 4]):
        for steps in parts:
            ctx.train(cell, steps=steps, seed=7)
        runs.append(ctx.sql("SELECT a, b FROM params WHERE step > 0 ORDER BY step").to_pydict())
        ctx.train(cell, steps=0, restart=True)
    assert runs[0] == runs[1]
    assert len(set(runs[0]["a"])) == 6
    assert all(0 <= a < 1 for a in runs[0]["a"])
    assert set(runs[0]["b"]) == {7.0}
    ctx.train(cell, steps=6, seed=8)
    assert ctx.sql("SELECT a, b FROM params WHERE step > 0 ORDER BY step").to_pydict() != runs[0]


# --- ends


def test_until_ends_at_the_first_step_at_which_it_holds(ctx):
    losses = ctx.train(CELL, steps=30).curve["loss"].to_pylist()
    expected = next(step for step, loss in enumerate(losses) if loss < 0.05)
    run = ctx.train(CELL, steps=30, restart=True, until="loss < 0.05 AND step > 1")
    assert (run.status, run.generation) == ("until", expected)
    assert run.message.startswith(f"loss < 0.05 AND step > 1 holds after {expected} steps")
    assert ctx.train(CELL, steps=30, until="loss < 0.05").steps == 0


def test_every_looks_less_often(ctx):
    first = ctx.train(CELL, steps=50, until="loss < 0.05").generation
    run = ctx.train(CELL, steps=50, restart=True, until="loss < 0.05", every=4)
    assert run.generation == -(-first // 4) * 4


def test_patience_ends_when_the_loss_no_longer_falls(ctx):
    cell = "INSERT INTO params SELECT :next_step, abs(:k - 9), 0; SELECT step, a AS loss, b FROM params WHERE step > 0"
    run = ctx.train(cell, steps=100, patience=5)
    assert (run.status, run.generation) == ("patience", 15)  # |k - 9| is least at k = 9, the step to generation 10
    assert "the best was 0 at step 10" in run.message


def test_stop_ends_after_the_step(ctx, rows):
    training = ctx.train(CELL, steps=100, stream=True)
    for event in training:
        if isinstance(event, Stepped) and event.step == 4:
            training.control.stop()
    assert (training.run.status, training.run.steps) == ("stopped", 4)
    assert len(rows()) == 5


def test_breaking_off_a_stream_stops_the_run(ctx, rows):
    training = ctx.train(CELL, steps=100, stream=True)
    for event in training:
        if isinstance(event, Stepped) and event.step == 4:
            break
    del event
    assert len(rows()) == 5
    iterator = iter(ctx.train(CELL, steps=100, stream=True))
    next(iterator), next(iterator)
    iterator.close()
    assert len(rows()) == 6


def test_events_come_in_order(ctx):
    events = []
    run = ctx.train(CELL, steps=3, every=1, on_event=events.append)
    kinds = [type(e) for e in events]
    assert kinds == [Started, *[Stepped, Refreshed] * 3, Ended]
    assert [e.generation for e in events] == [0, 1, 1, 2, 2, 3, 3, 3]
    assert events[-1].status == run.status == "done"
    assert [len(e.panels[0].x) for e in events if isinstance(e, Refreshed)] == [2, 3, 4]
    assert events[0].newest.rows == ((0, 0.0, 0.0),)
    assert events[-1].newest.columns == ("step", "a", "b")


# --- what is refused


def test_a_curve_that_has_no_row_yet_can_be_waited_for(ctx):
    run = ctx.train(STEP + CURVE.replace("GROUP BY", "WHERE step > 3 GROUP BY"), steps=30, until="loss < 100")
    assert (run.status, run.generation) == ("until", 4)


def test_a_curve_without_the_step_is_evaluated_whole(ctx):
    events = []
    cell = STEP + "-- the fit\nSELECT x, a * x + b AS fitted, y FROM d JOIN params ON step = :k ORDER BY x"
    run = ctx.train(cell, steps=30, on_event=events.append)
    last = run.curve
    a, b = ctx.sql("SELECT a, b FROM params WHERE step = 30").to_arrow_table().to_pylist()[0].values()
    np.testing.assert_allclose(last["fitted"].to_numpy(), a * last["x"].to_numpy() + b)
    assert list(events[-1].panels[0].lines) == ["fitted", "y"]
    assert events[-1].panels[0].title == "the fit"
    assert run.message == "done: 30 steps; `params` stands at step 30"


def test_names_may_be_quoted_or_qualified(ctx, rows):
    ctx.train(STEP.replace("params", "PUBLIC.Params"), steps=2)
    assert len(rows()) == 3
    ctx.script('CREATE TABLE "Größe" ("Step" BIGINT PRIMARY KEY, "Wert a" DOUBLE); INSERT INTO "Größe" VALUES (0, 1.0)')
    cell = """INSERT INTO "Größe" SELECT $next_step, "Wert a" / 2 FROM "Größe" WHERE "Step" = $k;
    SELECT "Step", "Wert a" AS "Verlust µ" FROM "Größe" """
    run = ctx.train(cell, steps=9, until='"Verlust µ" < 0.1')
    assert run.curve.to_pydict() == {"Step": [0, 1, 2, 3, 4], "Verlust µ": [1.0, 0.5, 0.25, 0.125, 0.0625]}
    assert run.message.startswith('"Verlust µ" < 0.1 holds after 4 steps; `Größe` stands at step 4')


def test_steps_that_rewrite_the_trajectory_have_their_curves_evaluated_whole(ctx):
    cell = """INSERT INTO params SELECT :next_step, a + 1, b FROM params WHERE step = :k;
    DELETE FROM params WHERE step < :k - 1; UPDATE params SET b = b + 1;
    SELECT step, a, b FROM params ORDER BY step"""
    run = ctx.train(cell, steps=6, every=1)
    assert run.curve.to_pydict() == {"step": [4, 5, 6], "a": [4.0, 5.0, 6.0], "b": [6.0, 6.0, 6.0]}
    with pytest.raises(UsageError, match="cannot be restarted"):
        ctx.train(cell, steps=6, restart=True)


def test_a_view_can_be_the_curve(ctx):
    ctx.script("CREATE VIEW losses AS " + CURVE)
    run = ctx.train(STEP, steps=3, curve="losses")
    assert run.curve["step"].to_pylist() == [0, 1, 2, 3]
    np.testing.assert_allclose(run.curve["loss"].to_numpy(), ctx.sql(CURVE).to_arrow_table()["loss"].to_numpy())


def test_units_come_from_the_dataset(ctx, variables):
    lat = xr.DataArray([10.0, 20.0], dims="lat", attrs={"units": "degrees_north"})
    variables["ds"] = xr.Dataset({"air": ("lat", [1.0, 2.0], {"units": "K"})}, coords={"lat": lat})
    events = []
    ctx.train(
        STEP + "SELECT lat, AVG(air) AS air, AVG(air * air) AS other FROM ds GROUP BY lat", on_event=events.append
    )
    assert events[-1].panels[0].units == {"lat": "degrees_north", "air": "K"}


def test_a_step_column_without_a_key_will_do(ctx):
    ctx.script("CREATE TABLE free (a DOUBLE, step BIGINT); INSERT INTO free VALUES (1.0, 0)")
    run = ctx.train(
        "INSERT INTO free SELECT a * 2, :next_step FROM free WHERE step = :k; SELECT step, a FROM free", steps=3
    )
    assert run.curve["a"].to_pylist() == [1.0, 2.0, 4.0, 8.0]
    with pytest.raises(UsageError, match="but the newest generation is 3 already"):
        ctx.train("INSERT INTO free SELECT 1.0, :k; INSERT INTO free SELECT 1.0, :next_step", steps=3)
    with pytest.raises(UsageError, match="NULL"):
        ctx.train("INSERT INTO free SELECT 1.0, NULL; INSERT INTO free SELECT 1.0, :next_step", steps=3)
    assert len(ctx.scratch("free")) == 4


def test_an_error_in_a_later_step_says_how_far_the_run_had_come(ctx, rows):
    cell = "INSERT INTO params SELECT :next_step, CAST(CASE WHEN :k < 2 THEN '1' ELSE 'x' END AS DOUBLE), 0"
    with pytest.raises(SqlError) as caught:
        ctx.train(cell, steps=5)
    assert caught.value.lines()[-1] == "The run had made 2 steps; `params` stands at step 2."
    assert len(rows()) == 3


@pytest.mark.parametrize("executor", ["auto", "relational"])
def test_generations_may_be_negative(ctx, executor):
    ctx.script("DELETE FROM params; INSERT INTO params VALUES (-3, 1.0, 0.0)")
    cell = "INSERT INTO params SELECT :next_step, a / 2, :random FROM params WHERE step = :step"
    run = ctx.train(cell, steps=5, seed=7, executor=executor)
    assert run.status == "done"
    found = ctx.script("SELECT step, a, b FROM params ORDER BY step")[0].to_arrow_table().to_pydict()
    assert found["step"] == [-3, -2, -1, 0, 1, 2]
    assert found["a"] == [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert len(set(found["b"])) == 6, "each generation draws a number of its own"
