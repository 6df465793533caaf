"""L-BFGS with its line search: optax's numbers, the README's regression in few steps, and SQL that can be pasted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sqlmagic_xr.errors import UsageError
from tests.train.conftest import line
from tests.train.minimize.test_networks import W1, W2, X, Y, newest
from tests.train.minimize.test_networks import context as network
from tests.train.minimize.test_optimizers import context as begun_at
from tests.train.minimize.test_optimizers import rows_of

# A valley that bends, so that the line search has something to do.
VALLEY = "SELECT power(1 - a, 2) + 10 * power(b - a * a, 2) AS loss FROM params WHERE step = :k"


def context():
    return begun_at(-1.2, 1)


def by_optax(loss, start, steps, *, backtracking=None, **options):
    search = {"max_backtracking_steps": 15, "decrease_factor": 0.8, "increase_factor": jnp.inf, **(backtracking or {})}
    with jax.enable_x64(True):
        optimizer = optax.lbfgs(linesearch=optax.scale_by_backtracking_linesearch(**search), **options)
        at = jax.tree.map(jnp.asarray, start)
        state, found = optimizer.init(at), [at]

        @jax.jit
        def step(at, state):
            value, slope = jax.value_and_grad(loss)(at)
            updates, state = optimizer.update(slope, state, at, value=value, grad=slope, value_fn=loss)
            return optax.apply_updates(at, updates), state

        for _ in range(steps):
            at, state = step(at, state)
            found.append(at)
        return jax.tree.map(np.asarray, found)


def valley(at):
    return (1 - at[0]) ** 2 + 10 * (at[1] - at[0] ** 2) ** 2


SHARP = {"max_backtracking_steps": 6, "decrease_factor": 0.5, "slope_rtol": 0.1, "max_learning_rate": 0.9}


@pytest.mark.parametrize(
    ("using", "options"),
    [
        (
            "memory_size => 4, max_backtracking_steps => 8",
            {"memory_size": 4, "backtracking": {"max_backtracking_steps": 8}},
        ),
        (
            "memory_size => 2, scale_init_precond => FALSE, max_backtracking_steps => 6, decrease_factor => 0.5, "
            "slope_rtol => 0.1, lr => 0.9",
            {"memory_size": 2, "scale_init_precond": False, "backtracking": SHARP},
        ),
    ],
)
def test_a_bent_valley_is_gone_down_as_optax_does(using, options):
    ctx = context()
    ctx.train(f"MINIMIZE ({VALLEY}) OVER params USING lbfgs({using})", steps=20)
    found = rows_of(ctx)
    np.testing.assert_allclose(found, np.array(by_optax(valley, [-1.2, 1.0], 20, **options)), rtol=1e-9, atol=1e-9)
    assert np.abs(found[-1] - 1).max() < 0.1


def test_a_regression_is_there_in_five_steps():
    ctx = context()
    loss = "SELECT AVG(power(y - (a*x + b), 2)) FROM d CROSS JOIN params WHERE step = :k"
    run = ctx.train(f"MINIMIZE ({loss}) OVER params USING lbfgs()", steps=5)
    d = line()
    best = np.polyfit(d["x"].to_numpy(), d["y"].to_numpy(), 1)
    np.testing.assert_allclose(rows_of(ctx)[-1], best, rtol=1e-4)
    assert run.curve["loss"].to_pylist() == sorted(run.curve["loss"].to_pylist(), reverse=True)


def test_a_network_through_views_is_trained_as_by_optax():
    ctx = network()
    loss = "SELECT AVG(power(p.value - t.value, 2)) FROM predicted p JOIN targets t ON t.row = p.row WHERE p.step = :k"
    ctx.minimize(loss, "weights.val", using="lbfgs(memory_size => 2, max_backtracking_steps => 2)", steps=4)
    expected = by_optax(
        lambda w: jnp.mean((jnp.tanh(X @ w[0]) @ w[1] - Y) ** 2), (W1, W2), 4, memory_size=2,
        backtracking={"max_backtracking_steps": 2},
    )  # fmt: skip
    for mine, theirs in zip(newest(ctx, 4), expected[-1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8)


def test_every_key_has_a_line_search_of_its_own():
    ctx = context()
    ctx.script("""
        CREATE TABLE cells (run TEXT, step BIGINT, part BIGINT, "Wert" DOUBLE, PRIMARY KEY (run, step, part));
        INSERT INTO cells VALUES ('x', 0, 0, -1.2), ('x', 0, 1, 1.0), ('it''s', 0, 0, -0.5), ('it''s', 0, 1, 0.25);
    """)
    cell = """
        WITH wide AS (
          SELECT run, SUM(CASE WHEN part = 0 THEN "Wert" ELSE 0 END) AS a,
                 SUM(CASE WHEN part = 1 THEN "Wert" ELSE 0 END) AS b
          FROM cells WHERE step = :k GROUP BY run)
        MAXIMIZE (SELECT run, -power(1 - a, 2) - 10 * power(b - a * a, 2) AS height FROM wide) OVER cells."Wert" PER run
        USING lbfgs(memory_size => 2, max_backtracking_steps => 3)
    """
    ctx.train(cell, steps=8)
    found = ctx.sql('SELECT run, "Wert" FROM cells ORDER BY run, step, part').to_arrow_table()
    for run, start in (("x", [-1.2, 1.0]), ("it's", [-0.5, 0.25])):
        mine = np.array([w for r, w in zip(*found.to_pydict().values(), strict=True) if r == run]).reshape(-1, 2)
        options = {"memory_size": 2, "backtracking": {"max_backtracking_steps": 3}}
        np.testing.assert_allclose(mine, np.array(by_optax(valley, start, 8, **options)), rtol=1e-8, atol=1e-9)


def test_the_sql_of_a_line_search_can_be_pasted():
    ctx, pasted = network(), network()
    loss = "SELECT AVG(power(p.value - t.value, 2)) FROM predicted p JOIN targets t ON t.row = p.row WHERE p.step = :k"
    using = "lbfgs(memory_size => 2, max_backtracking_steps => 2, state => remembered)"
    training = ctx.minimize(loss, "weights.val", using=using, where="layer = 2 OR inp > 0", steps=3, stream=True)
    once, each = training.sql.split("-- each step (%%xsql_train)\n")
    for _ in training:
        pass
    assert [explained.executor for explained in training.explain()] == ["dense"] * 3
    pasted.script(once)
    pasted.train(each, steps=3, executor="relational")
    for table in ("weights", "remembered"):
        query = f"SELECT * FROM {table} ORDER BY step, layer, inp, out"
        mine, theirs = (c.sql(query).to_arrow_table() for c in (ctx, pasted))
        for name in mine.column_names:
            np.testing.assert_allclose(mine[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-9, atol=1e-13)
    frozen = "SELECT COUNT(DISTINCT val) AS n FROM weights WHERE layer = 1 AND inp = 0 GROUP BY out"
    assert set(ctx.sql(frozen).to_pydict()["n"]) == {1}


@pytest.mark.parametrize(
    ("using", "what"),
    [
        ("lbfgs() BATCH a > 0", "of each batch the loss is another"),
        ("lbfgs(memory_size => 0)", "memory_size is a whole number from 1 on, not 0"),
        ("lbfgs(memory_size => :m)", "memory_size is a whole number from 1 on, not :m"),
        ("lbfgs(max_backtracking_steps => -1)", "max_backtracking_steps is a whole number from 0 on"),
        ("lbfgs(lr => -1)", "below zero"),
        ("lbfgs(momentum => 1)", "no option momentum"),
    ],
)
def test_what_a_line_search_cannot_do_is_said(using, what):
    ctx = context()
    before = dict(ctx.store.entries())
    with pytest.raises(UsageError, match=what):
        ctx.train(f"MINIMIZE ({VALLEY}) OVER params USING {using}", steps=1, params={"m": 3})
    with pytest.raises(UsageError, match=r"cannot where it reads `public.params` by its schema"):
        ctx.train(
            f"MINIMIZE ({VALLEY.replace('FROM params', 'FROM public.params')}) OVER params USING lbfgs()", steps=1
        )
    assert dict(ctx.store.entries()) == before
