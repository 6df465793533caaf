"""A context with data to learn from and a trajectory to grow."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr import Context

STEP = """
INSERT INTO params
SELECT :next_step,
       cur.a - :lr * AVG(-2 * x * (y - (a*x + b))),
       cur.b - :lr * AVG(-2 * (y - (a*x + b)))
FROM d CROSS JOIN (SELECT a, b FROM params WHERE step = :k) cur
GROUP BY cur.a, cur.b;
"""
CURVE = """
-- mean squared error
SELECT step, AVG(power(d.y - (a*d.x + b), 2)) AS loss FROM d CROSS JOIN params GROUP BY step ORDER BY step
"""
CELL = STEP + CURVE


def line(rows=50):
    x = np.linspace(-1, 1, rows)
    return pa.table({"x": x, "y": 2 * x + 1 + 0.1 * np.cos(20 * x)})


def by_hand(lr, steps, data=None):
    """The trajectory of gradient descent in NumPy: the rows (step, a, b)."""
    d = data or line()
    x, y = d["x"].to_numpy(), d["y"].to_numpy()
    a = b = 0.0
    rows = [(0, a, b)]
    for step in range(1, steps + 1):
        rate = lr(step - 1) if callable(lr) else lr
        rest = y - (a * x + b)
        a, b = a + rate * 2 * np.mean(x * rest), b + rate * 2 * np.mean(rest)
        rows.append((step, a, b))
    return np.array(rows)


@pytest.fixture
def variables():
    """The notebook's variables."""
    return {"d": line(), "lr": 0.2}


@pytest.fixture
def ctx(variables):
    context = Context(namespace=lambda: variables)
    context.script(
        "CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE); INSERT INTO params VALUES (0, 0.0, 0.0)"
    )
    return context


@pytest.fixture
def rows(ctx):
    """The trajectory as an array of rows."""

    def read():
        table = ctx.sql("SELECT step, a, b FROM params ORDER BY step").to_arrow_table()
        return np.column_stack([column.to_numpy() for column in table.columns])

    return read
