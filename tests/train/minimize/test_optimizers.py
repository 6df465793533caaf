"""MINIMIZE's optimizers: optax's numbers over fifty steps, and SQL that gives the same rows where it is pasted."""

import jax
import numpy as np
import optax
import pytest

from sqlmagic_xr import Context
from sqlmagic_xr.train.minimize.optimizers import OPTIMIZERS
from tests.train.conftest import line

LOSS = "SELECT AVG(power(y - (a*x + b), 2) + 0.1 * power(a, 4)) FROM d CROSS JOIN params WHERE step = :k"
STEPS = 50
# Options as SQL writes them, and the same in optax.
CASES = {
    "sgd(lr => 0.1)": lambda: optax.sgd(0.1),
    "sgd(lr => 0.1, momentum => 0.9)": lambda: optax.sgd(0.1, momentum=0.9),
    "sgd(lr => 0.1, momentum => 0.9, nesterov => TRUE)": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "sgd(lr => 0.1, weight_decay => 0.01)": lambda: optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1)),
    "sgd(lr => 0.1, max_norm => 0.5)": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1)),
    "sgd(lr => 0.1, max_delta => 0.3)": lambda: optax.chain(optax.clip(0.3), optax.sgd(0.1)),
    "adam(lr => 0.1)": lambda: optax.adam(0.1),
    "adam(lr => 0.1, b1 => 0.8, b2 => 0.95, eps => 1e-6, eps_root => 1e-5)": lambda: optax.adam(
        0.1, b1=0.8, b2=0.95, eps=1e-6, eps_root=1e-5
    ),
    "adam(lr => 0.1, nesterov => TRUE)": lambda: optax.adam(0.1, nesterov=True),
    "adam(lr => 0.1, max_norm => 0.5, weight_decay => 0.1)": lambda: optax.chain(
        optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.1), optax.adam(0.1)
    ),
    "adamw(lr => 0.1)": lambda: optax.adamw(0.1),
    "adamw(lr => 0.1, b1 => 0.7, b2 => 0.9, eps => 1e-4, eps_root => 1e-4)": lambda: optax.adamw(
        0.1, b1=0.7, b2=0.9, eps=1e-4, eps_root=1e-4
    ),
    "adamw(lr => 0.1, weight_decay => 0.3, nesterov => TRUE)": lambda: optax.adamw(
        0.1, weight_decay=0.3, nesterov=True
    ),
    "rmsprop(lr => 0.05)": lambda: optax.rmsprop(0.05),
    # With a small eps such a step is long where the gradient is steady, and every rounding grows with each step.
    "rmsprop(lr => 0.05, centered => TRUE, decay => 0.8, eps => 0.1)": lambda: optax.rmsprop(
        0.05, centered=True, decay=0.8, eps=0.1
    ),
    "rmsprop(lr => 0.05, eps_in_sqrt => FALSE, initial_scale => 0.5)": lambda: optax.rmsprop(
        0.05, eps_in_sqrt=False, initial_scale=0.5
    ),
    "rmsprop(lr => 0.01, momentum => 0.9)": lambda: optax.rmsprop(0.01, momentum=0.9),
    "rmsprop(lr => 0.01, momentum => 0.9, nesterov => TRUE)": lambda: optax.rmsprop(0.01, momentum=0.9, nesterov=True),
    "rmsprop(lr => 0.05, bias_correction => TRUE)": lambda: optax.rmsprop(0.05, bias_correction=True),
    "adagrad(lr => 0.3)": lambda: optax.adagrad(0.3),
    "adagrad(lr => 0.3, initial_accumulator_value => 0, eps => 1e-5)": lambda: optax.adagrad(
        0.3, initial_accumulator_value=0.0, eps=1e-5
    ),
    "lion(lr => 0.02)": lambda: optax.lion(0.02),
    "lion(lr => 0.02, b1 => 0.8, b2 => 0.95, weight_decay => 0.1)": lambda: optax.lion(
        0.02, b1=0.8, b2=0.95, weight_decay=0.1
    ),
}


def slope(at):
    d = line()
    x, y = d["x"].to_numpy(), d["y"].to_numpy()
    rest = y - (at[0] * x + at[1])
    return np.array([-2 * np.mean(x * rest) + 0.4 * at[0] ** 3, -2 * np.mean(rest)])


def by_optax(optimizer):
    with jax.enable_x64(True):
        at = np.array([0.5, -0.5])
        state, rows = optimizer.init(at), [at]
        for _ in range(STEPS):
            updates, state = optimizer.update(slope(at), state, at)
            at = np.asarray(optax.apply_updates(at, updates))
            rows.append(at)
    return np.array(rows)


def context(a=0.5, b=-0.5):
    data = {"d": line()}  # one table: a step whose data are others is made anew
    ctx = Context(namespace=lambda: data)
    ctx.script(
        f"CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO params VALUES (0, {a}, {b})"
    )
    return ctx


def rows_of(ctx, table="params"):
    found = ctx.sql(f"SELECT * FROM {table} ORDER BY step").to_arrow_table()
    return np.array([found[name].to_numpy() for name in found.column_names[1:]]).T


@pytest.mark.parametrize("using", CASES)
def test_an_optimizer_gives_the_numbers_of_optax(using):
    ctx = context()
    run = ctx.train(f"MINIMIZE ({LOSS}) OVER params USING {using}", steps=STEPS)
    assert run.status == "done"
    np.testing.assert_allclose(rows_of(ctx), by_optax(CASES[using]()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("executor", ["dense", "relational"])
@pytest.mark.parametrize("name", [name for name, optimizer in OPTIMIZERS.items() if not optimizer.second])
def test_the_sql_that_is_shown_gives_the_same_rows(name, executor):
    ctx, pasted = context(), context()
    training = ctx.train(
        f"MINIMIZE ({LOSS}) OVER params USING {name}(lr => :lr)", steps=10, params={"lr": 0.05}, stream=True,
        executor=executor,
    )  # fmt: skip
    once, each = training.sql.split("-- each step (%%xsql_train)\n")
    for _ in training:
        pass
    pasted.script(once)
    pasted.train(each, steps=10, params={"lr": 0.05}, executor=executor)
    tables = [t for t in ctx.store.entries() if t.startswith("params")]
    assert len(tables) == (2 if name == "sgd" else 3)
    for table in tables:
        np.testing.assert_array_equal(rows_of(ctx, table), rows_of(pasted, table))


def test_every_optimizer_is_compared():
    first = {name: optimizer for name, optimizer in OPTIMIZERS.items() if not optimizer.second}
    assert {using.split("(")[0] for using in CASES} == set(first)
    for name, optimizer in first.items():
        shown = " ".join(using for using in CASES if using.startswith(name + "("))
        assert [option for option in optimizer.options if option not in shown] == [], name
