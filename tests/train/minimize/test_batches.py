"""MINIMIZE by batches of which some have no row for a key: that key takes no step, as optax is not called for it."""

import jax
import numpy as np
import optax
import pyarrow as pa
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.errors import SqlError, UsageError

KEYS, BATCHES, STEPS = (1, 2, 3), 3, 11
RNG = np.random.default_rng(2)
# Key 2 has no row in batch 1, key 3 NULLs alone in batch 2, and nobody has one in batch 0 of every second round.
ROWS = [(key, t, *RNG.normal(size=2)) for key in KEYS for t in range(12) if not (key == 2 and t % BATCHES == 1)]
EMPTY = "t % 3 = :k % 3 AND :k % 6 > 0"
CASES = {
    "sgd(lr => 0.1)": lambda: optax.sgd(0.1),
    "sgd(lr => 0.1, momentum => 0.9, nesterov => TRUE)": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam(lr => 0.1)": lambda: optax.adam(0.1),
    "adam(lr => 0.1, max_norm => 0.5, max_delta => 0.4, weight_decay => 0.1)": lambda: optax.chain(
        optax.clip(0.4), optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.1), optax.adam(0.1)
    ),
    "sgd(lr => 0.1, max_delta => 0.3)": lambda: optax.chain(optax.clip(0.3), optax.sgd(0.1)),
    "adamw(lr => 0.1)": lambda: optax.adamw(0.1),
    "rmsprop(lr => 0.05, momentum => 0.9, bias_correction => TRUE)": lambda: optax.rmsprop(
        0.05, momentum=0.9, bias_correction=True
    ),
    "adagrad(lr => 0.3)": lambda: optax.adagrad(0.3),
    "lion(lr => 0.02)": lambda: optax.lion(0.02),
}
VIEW = "CREATE VIEW predicted AS SELECT step, o.run, t, y, a*x + b AS p FROM obs o JOIN cells c ON c.run = o.run"
LOSSES = {
    "its own expression": "SELECT o.run, AVG(power(y - (a*x + b), 2)) AS loss FROM obs o JOIN cells c ON c.run = o.run "
    "WHERE step = :k GROUP BY o.run",
    "a whole query": "SELECT run, AVG(power(y - p, 2)) AS loss FROM predicted WHERE step = :k GROUP BY run",
}


def is_null(key, t):
    return key == 3 and t % BATCHES == 2


def context():
    ctx = Context()
    ctx.script(f"""
        CREATE TABLE obs (run BIGINT, t BIGINT, x DOUBLE, y DOUBLE, PRIMARY KEY (run, t));
        CREATE TABLE cells (step BIGINT, run BIGINT, a DOUBLE, b DOUBLE, PRIMARY KEY (step, run));
        INSERT INTO cells VALUES (0, 1, 0.5, -0.5), (0, 2, -0.5, 1.0), (0, 3, 0.0, -0.0);
        {VIEW}
    """)
    run, t, x, y = zip(*ROWS, strict=True)
    y = [None if is_null(*row[:2]) else row[3] for row in ROWS]
    ctx.scratch("obs").append({"run": list(run), "t": list(t), "x": list(x), "y": y})
    return ctx


def rows_of(ctx, table):
    found = ctx.sql(f"SELECT * FROM {table} ORDER BY step, run").to_arrow_table()
    return np.array([column.to_numpy() for column in found.columns]).T


def by_optax(optimizer):
    """The rows step, run, a, b, where a key without data is not stepped."""
    start = {1: [0.5, -0.5], 2: [-0.5, 1.0], 3: [0.0, -0.0]}
    rows = [(0, key, *start[key]) for key in KEYS]
    with jax.enable_x64(True):
        at = {key: np.array(start[key]) for key in KEYS}
        state = {key: optimizer.init(at[key]) for key in KEYS}
        for k in range(STEPS):
            for key in KEYS:
                batch = [row for row in ROWS if row[0] == key and row[1] % 3 == k % 3 and k % 6 > 0]
                data = np.array([row[2:] for row in batch if not is_null(*row[:2])])
                if len(data):
                    rest = data[:, 1] - (at[key][0] * data[:, 0] + at[key][1])
                    slope = np.array([-2 * np.mean(data[:, 0] * rest), -2 * np.mean(rest)])
                    updates, state[key] = optimizer.update(slope, state[key], at[key])
                    at[key] = np.asarray(optax.apply_updates(at[key], updates))
                rows.append((k + 1, key, *at[key]))
    return np.array(rows)


DIRECT, WHOLE = LOSSES
KINDS = {"sgd(lr => 0.1)": (DIRECT, WHOLE), "adam(lr => 0.1)": (DIRECT,), "sgd(lr => 0.1, max_delta => 0.3)": (WHOLE,)}


@pytest.mark.parametrize(
    ("using", "loss"),
    [(using, loss) for i, using in enumerate(CASES) for loss in KINDS.get(using, (list(LOSSES)[i % 2],))],
)
def test_a_key_whose_batch_is_empty_takes_no_step(using, loss):
    cell = f"MINIMIZE ({LOSSES[loss]}) OVER cells PER run USING {using} BATCH {EMPTY}"
    ctx, pasted = context(), context()
    run = ctx.train(cell, steps=STEPS)
    assert run.status == "done"
    np.testing.assert_allclose(rows_of(ctx, "cells"), by_optax(CASES[using]()), rtol=1e-9, atol=1e-12)
    training = pasted.train(cell, steps=STEPS, stream=True)
    once, each = training.sql.split("-- each step (%%xsql_train)\n")
    pasted.script(once)
    pasted.train(each, steps=STEPS, executor="relational")
    for table in [name for name in ctx.store.entries() if name.startswith("cells")]:
        np.testing.assert_allclose(rows_of(ctx, table), rows_of(pasted, table), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("using", ["newton()", "gauss_newton()", "levenberg_marquardt()"])
def test_a_key_without_a_batch_keeps_its_place_in_the_second_order(using):
    ctx = context()
    run = ctx.train(
        f"MINIMIZE ({LOSSES[DIRECT]}) OVER cells PER run USING {using} BATCH :k % 2 = 0 OR o.run <> 2", steps=3
    )
    found = rows_of(ctx, "cells").reshape(4, len(KEYS), 4)
    np.testing.assert_array_equal(found[2, 1], [2, *found[1, 1, 1:]])
    assert (found[2, 0, 2:] != found[3, 0, 2:]).all() or "newton()" in using
    curve = run.curve
    assert curve.column_names == ["step", "loss", "run 1", "run 2", "run 3"]
    assert curve["step"].to_pylist() == [0, 1, 2, 3]
    assert [value is None for value in curve["run 2"].to_pylist()] == [False, True, False, True]


LINE = "SELECT AVG(power(y - (a*x + b), 2)) FROM obs CROSS JOIN line WHERE step = :k"
THROUGH_A_VIEW = "SELECT AVG(power(y - p, 2)) FROM fitted WHERE step = :k"


@pytest.mark.parametrize("loss", [LINE, THROUGH_A_VIEW])
@pytest.mark.parametrize("using", ["sgd(lr => 0.1)", "adam(lr => 0.1, max_delta => 1)", "newton()"])
def test_a_step_without_any_row_changes_nothing(using, loss):
    if using == "newton()" and loss != LINE:
        return
    ctx = context()
    ctx.script("""
        CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, -0.0, 0.25);
        CREATE VIEW fitted AS SELECT step, t, y, a*x + b AS p FROM obs CROSS JOIN line;
    """)
    # Newton's rows are those of one place each step goes to; the others move on.
    ctx.train(f"MINIMIZE ({loss}) OVER line USING {using} BATCH t >= 0 AND :k <> 1 AND :k <> 2", steps=4)
    found = ctx.sql("SELECT a, b FROM line ORDER BY step").to_arrow_table().to_pylist()
    assert found[1] == found[2] == found[3]
    assert found[0] != found[1]
    assert found[3] != found[4] or using == "newton()"
    assert ctx.sql("SELECT step FROM line_loss ORDER BY step").to_pydict() == {"step": [0, 3]}
    if using.startswith("adam"):
        state = ctx.sql("SELECT a_mean, steps, moved FROM line_adam ORDER BY step").to_pydict()
        assert state["steps"] == [0, 1, 1, 1, 2]
        assert state["moved"] == [0, 1, 0, 0, 1]
        assert state["a_mean"][1] == state["a_mean"][3]


def test_batches_go_on_with_the_moments_that_whole_steps_have_made():
    ctx = context()
    cell = f"MINIMIZE ({LOSSES[DIRECT]}) OVER cells PER run USING adam(lr => 0.1)"
    ctx.train(cell, steps=2)
    ctx.train(f"{cell} BATCH t % 3 = :k % 3", steps=1)
    assert ctx.sql("SELECT steps FROM cells_adam WHERE step = 3 ORDER BY run").to_pydict() == {"steps": [3, 3, 2]}
    ctx.train(cell, steps=1)
    found = ctx.sql("SELECT steps, moved FROM cells_adam WHERE step = 4 ORDER BY run").to_pydict()
    assert found == {"steps": [4, 4, 3], "moved": [1, 1, 1]}


@pytest.mark.parametrize("batch", ["t % 3 = :k % 3", "t % 3 = :k % 3 AND :k > 0", "t % 3 = (:k + 1) % 3"])
def test_the_curve_begins_with_the_loss_of_the_first_batch(batch):
    """And not with that of all rows; where the first batch has no row for anybody, it begins behind it."""
    ctx = context()
    ctx.script("""
        CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, 0.5, 0.25);
        CREATE VIEW fitted AS SELECT step, t, y, a*x + b AS p FROM obs CROSS JOIN line
    """)
    cells = {
        "line": f"MINIMIZE ({LINE}) OVER line USING sgd(lr => 0.1) BATCH {batch}",
        "cells": f"MINIMIZE ({LOSSES[WHOLE]}) OVER cells PER run USING sgd(lr => 0.1) BATCH {batch}",
    }
    for table, cell in cells.items():
        run = ctx.train(cell, steps=4)
        kept = ctx.sql(f"SELECT step, AVG(loss) AS loss FROM {table}_loss GROUP BY step ORDER BY step").to_arrow_table()
        assert run.curve["step"].to_pylist() == [*kept["step"].to_pylist(), 4]
        assert kept["step"][0].as_py() == (":k > 0" in batch)
        np.testing.assert_allclose(run.curve["loss"].to_numpy()[:-1], kept["loss"].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize(("batch", "what"), [("hour > 3", "hour"), ("CAST('four' AS INT) < t", "four")])
@pytest.mark.parametrize("loss", ["one", "of each key", "of each key, through a view"])
def test_what_is_wrong_with_a_batch_is_shown_there(loss, batch, what):
    ctx = context()
    ctx.script("CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, 0, 0)")
    over = {"one": f"({LINE}) OVER line", "of each key": f"({LOSSES[DIRECT]}) OVER cells PER run"}
    cell = f"MINIMIZE {over.get(loss, f'({LOSSES[WHOLE]}) OVER cells PER run')} USING sgd(lr => 0.1) BATCH {batch}"
    before = dict(ctx.store.entries())
    with pytest.raises(SqlError, match=what) as caught:
        ctx.train(cell)
    assert caught.value.text == cell
    assert caught.value.span is not None
    assert cell[caught.value.span.column - 1 :] == batch
    assert dict(ctx.store.entries()) == before


def test_what_is_wrong_beside_a_batch_is_not_its_fault():
    ctx = context()
    loss = LOSSES[DIRECT].replace("WHERE", "WHERE o.t < CAST(CASE WHEN :k < 2 THEN '99' ELSE 'x' END AS INT) AND")
    cell = f"MINIMIZE ({loss}) OVER cells PER run USING sgd(lr => 0.1) BATCH t % 3 = :k % 3"
    with pytest.raises(SqlError) as caught:
        ctx.train(cell, steps=4)
    assert cell[caught.value.span.column - 1 :].startswith("MINIMIZE")


@pytest.mark.parametrize("batch", ["t > 1e9", "t > NULL", "t > 99 + :k"])
def test_a_batch_that_keeps_no_row_at_any_step_is_an_error(batch):
    ctx = context()
    ctx.script("CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, 0, 0)")
    for over in (f"({LINE}) OVER line", f"({LOSSES[WHOLE]}) OVER cells PER run"):
        cell = f"MINIMIZE {over} USING adam(lr => 0.1)"
        ctx.train(cell, steps=2)  # what an earlier run has written down is no loss of this one
        for more in ({}, {"until": "loss < 0.1"}):
            with pytest.raises(UsageError, match="BATCH keeps no row of the loss at any step") as caught:
                ctx.train(f"{cell} BATCH {batch}", steps=3, **more)
            assert f"{cell} BATCH {batch}"[caught.value.span.column - 1 :] == batch


def test_a_condition_may_be_asked_of_a_run_whose_first_batch_is_empty():
    ctx = context()
    cell = f"MINIMIZE ({LOSSES[WHOLE]}) OVER cells PER run USING sgd(lr => 0.1) BATCH :k > 1"
    run = ctx.train(cell, steps=6, until="loss < 1e9")
    assert (run.status, run.generation) == ("until", 3)
    assert run.curve["step"].to_pylist() == [2, 3]


def test_a_step_is_explained_whose_state_is_to_have_more_columns():
    x = np.linspace(-1, 1, 20)
    ctx = Context(namespace=lambda: {"obs": pa.table({"t": range(20), "x": x, "y": 2 * x + 1})})
    ctx.script("CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, 0, 0)")
    cell = f"MINIMIZE ({LINE}) OVER line USING adam(lr => 0.1)"
    ctx.train(cell, steps=1)
    before = dict(ctx.store.entries())
    explained = ctx.train(f"{cell} BATCH t % 3 = :k % 3", steps=1, stream=True).explain()
    assert [each.executor for each in explained] == ["dense"] * 3
    assert all("each step: array code" in str(each) for each in explained)
    assert dict(ctx.store.entries()) == before


def test_rows_that_a_loss_leaves_out_without_batch_are_an_error():
    ctx = context()
    loss = LOSSES[DIRECT].replace("WHERE", "WHERE (o.run <> 2 OR :k < 3) AND y IS NOT NULL AND")
    with pytest.raises(UsageError, match=r"a generation of `cells` has 3 rows, and the step gives 2") as caught:
        ctx.train(f"MINIMIZE ({loss}) OVER cells PER run USING sgd(lr => 0.1)", steps=6)
    assert "BATCH" in str(caught.value)
    assert ctx.sql("SELECT MAX(step) AS k, COUNT(*) AS n FROM cells").to_pydict() == {"k": [3], "n": [12]}


def test_a_loss_that_becomes_null_is_an_error():
    ctx = context()
    ctx.script("CREATE TABLE line (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO line VALUES (0, 0, 0)")
    loss = LINE.replace("WHERE", "WHERE :k < 2 AND")
    with pytest.raises(SqlError, match="loss"):
        ctx.train(f"MINIMIZE ({loss}) OVER line USING sgd(lr => 0.1)", steps=6)
    assert ctx.sql("SELECT MAX(step) AS k, COUNT(a) AS n FROM line").to_pydict() == {"k": [2], "n": [3]}


def of_names(table, key, first, second):
    """The rows of a run by batches whose keys differ from step to step, with these names."""
    table, key, first, second = ('"' + name.replace('"', '""') + '"' for name in (table, key, first, second))
    d = pa.table({"g": [1, 1, 2, 2, 3, 3], "x": [1, 2, 3, 4, 5, 6], "y": [1.0, None, 2.0, -0.0, 3.0, 1.5]})
    ctx = Context(namespace=lambda: {"d": d})
    ctx.script(f"""
        CREATE TABLE {table} (step BIGINT, {key} BIGINT, {first} DOUBLE, {second} DOUBLE, PRIMARY KEY (step, {key}));
        INSERT INTO {table} VALUES (0, 1, 0, -0.0), (0, 2, 0.1, 0), (0, 3, 0, 0.5)
    """)
    loss = f"""
        SELECT d.g AS {key}, AVG(power(y - ({first} * x / 6.0 + {second}), 2)) AS loss
        FROM d JOIN {table} ON {table}.{key} = d.g WHERE step = :k GROUP BY d.g
    """
    using = "rmsprop(lr => 0.05, momentum => 0.9, max_norm => 1, weight_decay => 0.1)"
    batch = "(x + :k) % 2 = 0 AND NOT (d.g = 2 AND :k % 2 = 1)"
    ctx.train(f"MINIMIZE ({loss}) OVER {table} PER {key} USING {using} BATCH {batch}", steps=6)
    return np.array([c.to_numpy() for c in ctx.sql(f"SELECT * FROM {table} ORDER BY 1, 2").to_arrow_table().columns])


def test_names_that_the_statements_use_themselves_are_names_like_any_other():
    expected = of_names("p", "run", "a", "b")
    assert expected.shape == (4, 21)
    for names in (("state", "gradient", "rate", "slope"), ("gradient", "norm", "loss", "Größe x"),
                  ("loss", "state", 'a"b', "steps")):  # fmt: skip
        np.testing.assert_allclose(of_names(*names), expected, rtol=1e-12)
