"""Small tables that every test of derivatives reads."""

import numpy as np
import pyarrow as pa
import pytest

from sqlmagic_xr.engine.context import Context


@pytest.fixture(scope="package")
def context():
    """A context with ``d`` (20 rows of data), ``gaps`` (with NULLs) and the scratch table ``params``."""
    ctx = Context()
    rng = np.random.default_rng(0)
    ctx.from_arrow(
        pa.table({
            "x": rng.random(20), "y": rng.random(20), "g": rng.integers(0, 3, 20),
            "i": np.arange(20), "j": np.arange(1, 21),
        }), "d",
    )  # fmt: skip
    ctx.from_arrow(pa.table({"x": [1.0, 2, 3, 4], "z": [1.0, None, 2, None]}), "gaps")
    ctx.script("""
        CREATE TABLE params (step BIGINT PRIMARY KEY, a DOUBLE, b DOUBLE);
        INSERT INTO params VALUES (0, 0.5, 0.25), (1, 0.7, -0.2);
        CREATE VIEW loss_view AS
            SELECT step, a, avg(power(y - a * x, 2)) AS l FROM d CROSS JOIN params GROUP BY step, a
    """)
    return ctx
