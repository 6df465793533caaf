"""Runs that diverge, and what a run refuses before it begins."""

import numpy as np
import pytest

from sqlmagic_xr.errors import (
    ConstraintError,
    ParameterError,
    ParseError,
    SqlError,
    TypeMismatchError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from tests.train.conftest import CELL, STEP, by_hand


@pytest.mark.parametrize(
    ("expression", "number"),
    [("'nan'", "NaN"), ("'inf'", "infinite"), ("'-inf'", "infinite")],
)
def test_a_step_that_would_insert_no_number_diverges_and_is_not_committed(ctx, rows, expression, number):
    cell = f"""INSERT INTO params SELECT :next_step, CASE WHEN :k = 3 THEN CAST({expression} AS DOUBLE) ELSE 1.0 END, 0;
    SELECT step, a FROM params ORDER BY step"""
    run = ctx.train(cell, steps=10, params={"lr": 5})
    assert (run.status, run.steps, run.generation) == ("diverged", 3, 3)
    assert run.message.startswith(f"step 4: a is {number} with lr = 5; `params` stands at step 3")
    assert len(rows()) == 4
    assert run.curve.num_rows == 4


def test_a_curve_that_is_no_number_takes_its_generation_back(ctx, rows):
    """The loss overflows before the parameters do."""
    run = ctx.train(CELL, steps=1000, params={"lr": 10.0})
    assert run.status == "diverged"
    expected = by_hand(10.0, run.generation + 1)
    x, y = ctx.sql("SELECT x, y FROM d").to_arrow_table().columns
    with np.errstate(over="ignore"):
        losses = [np.mean((y.to_numpy() - (a * x.to_numpy() + b)) ** 2) for _, a, b in expected]
    assert np.isfinite(losses[-2])
    assert np.isinf(losses[-1])
    assert run.message.startswith(f"step {run.generation + 1}: loss is infinite with lr = 10; `params` stands at step")
    assert len(rows()) == run.generation + 1 == run.steps + 1
    assert run.curve["step"].to_pylist() == list(range(run.generation + 1))
    np.testing.assert_array_equal(rows()[:, 0], expected[:-1, 0])


def test_null_is_no_divergence(ctx):
    cell = "INSERT INTO params SELECT :next_step, NULL, 0; SELECT step, a + 1 AS a FROM params ORDER BY step"
    assert ctx.train(cell, steps=3).status == "done"


def test_what_was_no_number_before_the_run_does_not_end_it(ctx):
    cell = """INSERT INTO params SELECT :next_step, 1, 0;
    SELECT step, ln(a - a) AS always, CASE WHEN step > 1 THEN 1.0 ELSE ln(b) END AS at_first FROM params"""
    assert ctx.train(cell, steps=3).status == "done"


@pytest.mark.parametrize(
    ("cell", "options", "kind", "message"),
    [
        ("", {}, UsageError, "needs an INSERT"),
        ("SELECT 1", {}, UsageError, "needs an INSERT"),
        ("UPDATE params SET a = 1", {}, UsageError, "needs an INSERT"),
        ("SELECT step, a FROM params;" + STEP, {}, UsageError, "stand before the curves"),
        ("INSERT INTO nope SELECT 1", {}, UnknownNameError, "no scratch table `nope`"),
        ("INSERT INTO params SELCT 1", {}, ParseError, "SELCT"),
        ("DROP TABLE params; " + STEP, {}, UnsupportedError, "DROP cannot be part"),
        ("BEGIN; " + STEP, {}, UnsupportedError, "BEGIN cannot be part"),
        (CELL.replace(":lr", ":rate"), {}, ParameterError, ":rate has no value"),
        (CELL.replace("cur.b -", "cur.c -"), {}, SqlError, "c"),
        (STEP + "SELECT step, nope FROM params", {}, UnknownNameError, "nope"),
        (STEP + "SELECT step FROM params", {}, TypeMismatchError, "a column of numbers"),
        (STEP + "SELECT step, 'a' AS a FROM params", {}, TypeMismatchError, "a column of numbers"),
        ("INSERT INTO params SELECT :next_step, 1.0", {}, SqlError, "column"),
        ("INSERT INTO params SELECT :next_step, a, b FROM params WHERE step < 0", {}, UsageError, "inserts nothing"),
        ("INSERT INTO params SELECT :k, a, b FROM params WHERE step = :k", {}, ConstraintError, "PRIMARY KEY"),
        ("INSERT INTO params SELECT :k - 1, a, b FROM params WHERE step = :k", {}, UsageError, "adds no generation"),
        (CELL, {"steps": -1}, UsageError, "steps is a whole number"),
        (CELL, {"steps": "abc"}, UsageError, "steps is a whole number"),
        (CELL, {"steps": 2.5}, UsageError, "steps is a whole number"),
        (CELL, {"patience": 0}, UsageError, "patience"),
        (STEP, {"patience": 3}, UsageError, "there is none"),
        (STEP, {"until": "loss < 1"}, UsageError, "there is none"),
        (CELL, {"until": "lozz < 1"}, UnknownNameError, "until: there is no column lozz"),
        (CELL, {"until": "loss <"}, ParseError, "until: expected an expression"),
        (CELL, {"until": "loss"}, UsageError, "takes a condition"),
        (CELL, {"params": {"step": 3}}, UsageError, "set by the training loop"),
        (CELL, {"tune": {"lr": (1, 1)}}, UsageError, "range of lr is empty"),
        (CELL, {"tune": {"lr": (0.5, 1)}}, UsageError, "lr = 0.2 lies outside"),
        (CELL, {"tune": {"zz": (0.5, 1)}}, UsageError, "nothing in the cell reads :zz"),
        (CELL, {"tune": {"lr": (0, 1)}, "schedule": {"lr": "1.0"}}, UsageError, "both scheduled and tuned"),
        (CELL, {"params": {"lr": 1}, "schedule": {"lr": "1.0"}}, UsageError, "both scheduled and given"),
        (CELL, {"schedule": {"lr": "1.0 +"}}, ParseError, "schedule of lr"),
        (CELL, {"schedule": {"lr": "NULL"}}, UsageError, "gives no value"),
        (
            STEP + "SELECT x, AVG(y) AS y FROM d GROUP BY x",
            {"until": "y < 1"},
            UsageError,
            "no curve begins with `step`",
        ),
        (STEP + "SELECT x, AVG(y) AS y FROM d GROUP BY x", {"patience": 2}, UsageError, "no curve begins with `step`"),
        (CELL, {"curve": "params"}, UsageError, "given twice"),
        (STEP, {"curve": "nope"}, UnknownNameError, "nope"),
        (STEP, {"curve": "no pe"}, UsageError, "not the name of a view"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(ctx, rows, cell, options, kind, message):
    version = ctx.scratch("params").version
    with pytest.raises(kind) as caught:
        ctx.train(cell, **{"steps": 5, **options})
    assert message in "\n".join(caught.value.lines())
    assert len(rows()) == 1
    assert ctx.scratch("params").version == version
    assert not ctx.store.in_transaction


def test_a_schedule_that_fails_ends_the_run(ctx, rows):
    with pytest.raises(SqlError) as caught:
        ctx.train(CELL, steps=9, schedule={"lr": "CAST(CASE WHEN :step < 2 THEN '0.1' ELSE 'x' END AS DOUBLE)"})
    assert caught.value.lines()[-1] == "The run had made 2 steps; `params` stands at step 2."
    assert len(rows()) == 3


def test_a_loss_that_diverged_explains_the_error_behind_it(ctx, rows):
    cell = """
    INSERT INTO params SELECT :next_step, CAST(CASE WHEN :k < 5 THEN '1' ELSE 'x' END AS DOUBLE), :k FROM d LIMIT 1;
    SELECT step, CASE WHEN step > 3 THEN exp(step * 1000.0) ELSE 1.0 END AS loss FROM params ORDER BY step
    """
    run = ctx.train(cell, steps=9)
    assert (run.status, run.generation, run.steps) == ("diverged", 3, 3)
    assert run.message.startswith("step 4: loss is infinite; `params` stands at step 3")
    assert len(rows()) == 4


def test_divergence_names_the_parameters_of_its_own_step(ctx):
    """The curve is looked at later, when the schedule has gone on."""
    cell = "INSERT INTO params SELECT :next_step, :lr, 0; SELECT step, exp(a) AS loss FROM params ORDER BY step"
    run = ctx.train(cell, steps=20, schedule={"lr": "CAST(:step * 100 AS DOUBLE)"}, every=20)
    assert run.message.startswith("step 9: loss is infinite with lr = 800; `params` stands at step 8")


def test_an_empty_trajectory_is_refused(ctx):
    ctx.script("CREATE TABLE empty (step BIGINT PRIMARY KEY, a DOUBLE)")
    with pytest.raises(UsageError, match="`empty` is empty"):
        ctx.train("INSERT INTO empty SELECT :next_step, 1.0")


def test_a_table_without_a_step_column_is_refused(ctx):
    ctx.script("CREATE TABLE other (name VARCHAR PRIMARY KEY, step BIGINT); CREATE TABLE bare (a DOUBLE)")
    with pytest.raises(TypeMismatchError, match="counted by `name`"):
        ctx.train("INSERT INTO other SELECT 'a', 1")
    with pytest.raises(UsageError, match="no column that counts"):
        ctx.train("INSERT INTO bare SELECT 1.0")
