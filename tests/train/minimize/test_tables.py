"""MINIMIZE over several tables at once: as optax has a tree of parameters, for every optimizer."""

import jax
import numpy as np
import optax
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import UsageError
from sqlmagic_xr.train.minimize.optimizers import OPTIMIZERS

ROWS, COLUMNS, RUNS, STEPS = 8, 3, 2, 5
RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(ROWS, COLUMNS)), RNG.normal(size=(RUNS, ROWS))
START = [{"w": RNG.normal(size=COLUMNS), "b": RNG.normal(size=1)} for _ in range(RUNS)]
CASES = {
    "sgd(lr => 0.1, max_norm => 1)": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "sgd(lr => 0.1, momentum => 0.9)": lambda: optax.sgd(0.1, momentum=0.9),
    "adam(lr => 0.1, max_norm => 0.5, max_delta => 0.4)": lambda: optax.chain(
        optax.clip(0.4), optax.clip_by_global_norm(0.5), optax.adam(0.1)
    ),
    "adamw(lr => 0.1)": lambda: optax.adamw(0.1),
    "rmsprop(lr => 0.05, momentum => 0.9)": lambda: optax.rmsprop(0.05, momentum=0.9),
    "adagrad(lr => 0.3)": lambda: optax.adagrad(0.3),
    "lion(lr => 0.02)": lambda: optax.lion(0.02),
}
LOSS = """
    WITH summed AS (
      SELECT w.run, i.row, SUM(i.value * w.val) AS p
      FROM inputs i JOIN slopes w ON w.col = i.col WHERE w.step = :k GROUP BY w.run, i.row
    ), fit AS (
      SELECT t.run, AVG(power(t.value - p - b.val, 2)) AS loss
      FROM summed s JOIN targets t ON t.run = s.run AND t.row = s.row JOIN "Offsets" b ON b.run = t.run
      WHERE b.step = :k GROUP BY t.run
    )
    MINIMIZE fit OVER slopes.val, "Offsets" PER run
"""


@pytest.fixture
def ctx():
    context = Context()
    context.script("""
        CREATE TABLE inputs (row BIGINT, col BIGINT, value DOUBLE, PRIMARY KEY (row, col));
        CREATE TABLE targets (run BIGINT, row BIGINT, value DOUBLE, PRIMARY KEY (run, row));
        CREATE TABLE slopes (step BIGINT, run BIGINT, col BIGINT, val DOUBLE, PRIMARY KEY (step, run, col));
        CREATE TABLE "Offsets" (step BIGINT, run BIGINT, val DOUBLE, note TEXT, PRIMARY KEY (step, run));
    """)
    row, col, runs = np.arange(ROWS), np.arange(COLUMNS), np.arange(RUNS)
    context.scratch("inputs").append({"row": np.repeat(row, COLUMNS), "col": np.tile(col, ROWS), "value": X.ravel()})
    context.scratch("targets").append({"run": np.repeat(runs, ROWS), "row": np.tile(row, RUNS), "value": Y.ravel()})
    context.scratch("slopes").append({
        "step": np.zeros(RUNS * COLUMNS, int), "run": np.repeat(runs, COLUMNS), "col": np.tile(col, RUNS),
        "val": np.concatenate([start["w"] for start in START]),
    })  # fmt: skip
    context.scratch("Offsets").append({
        "step": np.zeros(RUNS, int), "run": runs, "val": np.concatenate([start["b"] for start in START]),
        "note": ["one", "two"],
    })  # fmt: skip
    return context


def found(ctx):
    slopes = ctx.sql("SELECT val FROM slopes ORDER BY step, run, col").to_arrow_table()["val"].to_numpy()
    offsets = ctx.sql('SELECT val FROM "Offsets" ORDER BY step, run').to_arrow_table()["val"].to_numpy()
    return np.concatenate([slopes.reshape(-1, RUNS, COLUMNS), offsets.reshape(-1, RUNS, 1)], axis=2)


def by_optax(make):
    rows = []
    with jax.enable_x64(True):
        for at, y in zip(START, Y, strict=True):
            optimizer = make()
            state, trajectory = optimizer.init(at), [np.concatenate([at["w"], at["b"]])]
            for _ in range(STEPS):
                rest = X @ at["w"] + at["b"] - y
                slope = {"w": 2 * X.T @ rest / ROWS, "b": np.array([2 * rest.mean()])}
                updates, state = optimizer.update(slope, state, at)
                at = {name: np.asarray(value) for name, value in optax.apply_updates(at, updates).items()}
                trajectory.append(np.concatenate([at["w"], at["b"]]))
            rows.append(trajectory)
    return np.moveaxis(np.array(rows), 0, 1)


@pytest.mark.parametrize("using", CASES)
def test_several_tables_are_one_tree_of_parameters(ctx, using):
    run = ctx.train(f"{LOSS} USING {using}", steps=STEPS)
    assert run.status == "done"
    np.testing.assert_allclose(found(ctx), by_optax(CASES[using]), rtol=1e-9, atol=1e-12)
    assert ctx.sql('SELECT DISTINCT note FROM "Offsets" WHERE run = 1').to_pydict() == {"note": ["two"]}


def test_every_optimizer_of_the_first_order_is_among_them():
    first = {name for name, optimizer in OPTIMIZERS.items() if not optimizer.second and name != "lbfgs"}
    assert {using.split("(")[0] for using in CASES} == first


def test_a_restart_begins_again_with_all_tables(ctx):
    cell = f"{LOSS} USING adam(lr => 0.1, max_norm => 1, state => moments)"
    ctx.train(cell, steps=5)
    first = {name: ctx.scratch(name).to_arrow() for name in ctx.store.entries()}
    assert {"moments_slopes", "moments_Offsets", "slopes_loss"} <= set(first)
    run = ctx.train(cell, steps=5, restart=True)
    for name, rows in first.items():
        assert ctx.scratch(name).to_arrow().equals(rows), name
    run.rollback()
    for name, rows in first.items():
        assert ctx.scratch(name).to_arrow().equals(rows), name


def test_what_is_pasted_gives_the_same_rows(ctx):
    training = ctx.train(f"{LOSS} USING adam(lr => 0.1, max_norm => 1)", steps=3, stream=True)
    once, each = training.sql.split("-- each step (%%xsql_train)\n")
    for _ in training:
        pass
    expected = found(ctx)
    ctx.script("""
        DELETE FROM slopes WHERE step > 0; DELETE FROM "Offsets" WHERE step > 0; DROP TABLE slopes_adam;
        DROP TABLE "Offsets_adam"; DROP TABLE slopes_loss
    """)
    ctx.script(once)
    ctx.train(each, steps=3, executor="relational")
    np.testing.assert_allclose(found(ctx), expected, rtol=1e-12)


def test_what_several_tables_cannot_have_is_said(ctx):
    for using in ("newton()", "gauss_newton()", "levenberg_marquardt()"):
        with pytest.raises(UsageError, match=r"takes the columns of one table, not of several"):
            ctx.train(f"{LOSS} USING {using}", steps=1)
    ctx.script("INSERT INTO slopes SELECT 1, run, col, val FROM slopes")
    with pytest.raises(UsageError, match=r"`Offsets` stands at step = 0 and `slopes` at 1"):
        ctx.train(f"{LOSS} USING adam(lr => 0.1)", steps=1)
