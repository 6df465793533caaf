"""MINIMIZE over weights that are rows: the gradient of a whole query, through views, as NumPy has it."""

import numpy as np
import pytest

from sqlmagic_xr import Context

FIRST, SECOND, ROWS = 3, 4, 12
VIEWS = """
CREATE VIEW hidden AS
SELECT w.step, x.row, w.out AS unit, tanh(SUM(x.value * w.val)) AS value
FROM inputs x JOIN weights w ON w.inp = x.col WHERE w.layer = 1 GROUP BY w.step, x.row, w.out;
CREATE VIEW predicted AS
SELECT w.step, h.row, SUM(h.value * w.val) AS value
FROM hidden h JOIN weights w ON w.inp = h.unit AND w.step = h.step WHERE w.layer = 2 GROUP BY w.step, h.row
"""
LOSS = "SELECT AVG(power(p.value - t.value, 2)) FROM predicted p JOIN targets t ON t.row = p.row WHERE p.step = :k"
RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(ROWS, FIRST)), RNG.normal(size=ROWS)
W1, W2 = RNG.normal(size=(FIRST, SECOND)), RNG.normal(size=SECOND)


def context():
    ctx = Context()
    ctx.script("""
        CREATE TABLE inputs (row BIGINT, col BIGINT, value DOUBLE, PRIMARY KEY (row, col));
        CREATE TABLE targets (row BIGINT PRIMARY KEY, value DOUBLE);
        CREATE TABLE weights (
            step BIGINT, layer BIGINT, inp BIGINT, out BIGINT, val DOUBLE, PRIMARY KEY (step, layer, inp, out))
    """)
    ctx.scratch("inputs").append({
        "row": np.repeat(np.arange(ROWS), FIRST), "col": np.tile(np.arange(FIRST), ROWS), "value": X.ravel()
    })  # fmt: skip
    ctx.scratch("targets").append({"row": np.arange(ROWS), "value": Y})
    ctx.scratch("weights").append({
        "step": np.zeros(FIRST * SECOND + SECOND, int),
        "layer": np.repeat([1, 2], [FIRST * SECOND, SECOND]),
        "inp": np.concatenate([np.repeat(np.arange(FIRST), SECOND), np.arange(SECOND)]),
        "out": np.concatenate([np.tile(np.arange(SECOND), FIRST), np.zeros(SECOND, int)]),
        "val": np.concatenate([W1.ravel(), W2]),
    })  # fmt: skip
    ctx.script(VIEWS)
    return ctx


def gradients(first, second):
    hidden = np.tanh(X @ first)
    rest = 2 * (hidden @ second - Y) / ROWS
    return X.T @ (rest[:, None] * second * (1 - hidden**2)), hidden.T @ rest


def newest(ctx, step=6):
    found = (
        ctx.sql(f"SELECT val FROM weights WHERE step = {step} ORDER BY layer, inp, out")
        .to_arrow_table()["val"]
        .to_numpy()
    )
    return found[: FIRST * SECOND].reshape(FIRST, SECOND), found[FIRST * SECOND :]


@pytest.mark.parametrize("executor", ["auto", "relational"])
def test_gradient_descent_through_two_views(executor):
    ctx = context()
    run = ctx.minimize(LOSS, "weights.val", using="sgd(lr => 0.1, max_norm => 1)", steps=6, executor=executor)
    first, second, losses = W1, W2, []
    for _ in range(6):
        losses.append(np.mean((np.tanh(X @ first) @ second - Y) ** 2))
        a, b = gradients(first, second)
        length = max(1.0, np.sqrt(np.sum(a**2) + np.sum(b**2)))
        first, second = first - 0.1 * a / length, second - 0.1 * b / length
    for found, expected in zip(newest(ctx), (first, second), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(run.curve["loss"].to_numpy()[:-1], losses, rtol=1e-12)


def test_adam_with_a_frozen_layer_and_a_rate_for_each_row():
    ctx = context()
    using = "adam(lr => CASE WHEN out = 0 THEN 0.1 ELSE 0.01 END)"
    ctx.minimize(LOSS, "weights.val", using=using, where="layer = 1", steps=6)
    first, mean, square = W1, np.zeros_like(W1), np.zeros_like(W1)
    rate = np.where(np.arange(SECOND) == 0, 0.1, 0.01)
    for step in range(1, 7):
        slope, _ = gradients(first, W2)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        first = first - rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    found = newest(ctx)
    np.testing.assert_allclose(found[0], first, rtol=1e-9)
    np.testing.assert_array_equal(found[1], W2)
    assert ctx.sql("SELECT COUNT(*) AS n FROM weights_adam WHERE step = 6 AND val_mean <> 0").to_pydict() == {"n": [12]}
